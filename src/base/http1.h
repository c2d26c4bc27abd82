/* SPDX-License-Identifier: MIT
 *
 * Reads HTTP/1.1 messages: a pure parser without I/O, clock or allocation (RFC 9110, RFC 9112). Strict: framing that
 * two readers could understand differently is refused, never repaired. It stands in base/ because the gateway, the
 * health probes and the monitor all read HTTP and none of them may include another.
 *
 * The parser is called again with the whole head so far when more bytes came in. Results are offsets into that
 * buffer, not pointers, so that they survive when the bytes move or lie in shared memory.
 */
#ifndef DARUMA_BASE_HTTP1_H
#define DARUMA_BASE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HTTP1_HEADERS = 128 }; /* header fields in one message */

/* A piece of the buffer that was parsed. */
struct http1_slice {
    uint32_t at, len;
};

enum http1_method {
    HTTP1_OTHER, /* any other token: never treated as idempotent */
    HTTP1_GET,
    HTTP1_HEAD,
    HTTP1_POST,
    HTTP1_PUT,
    HTTP1_DELETE,
    HTTP1_CONNECT,
    HTTP1_OPTIONS,
    HTTP1_TRACE,
    HTTP1_PATCH,
};

/* Header fields that the reader itself acts on; all others are HTTP1_FIELD_OTHER. */
enum http1_field {
    HTTP1_FIELD_OTHER,
    HTTP1_FIELD_HOST,
    HTTP1_FIELD_CONNECTION,
    HTTP1_FIELD_KEEP_ALIVE,
    HTTP1_FIELD_PROXY_CONNECTION,
    HTTP1_FIELD_PROXY_AUTHENTICATE,
    HTTP1_FIELD_PROXY_AUTHORIZATION,
    HTTP1_FIELD_TE,
    HTTP1_FIELD_TRAILER,
    HTTP1_FIELD_TRANSFER_ENCODING,
    HTTP1_FIELD_CONTENT_LENGTH,
    HTTP1_FIELD_UPGRADE,
    HTTP1_FIELD_EXPECT,
    HTTP1_FIELD_X_FORWARDED_FOR,
    HTTP1_FIELD_X_FORWARDED_PROTO,
    HTTP1_FIELD_X_FORWARDED_HOST,
    HTTP1_FIELD_X_FORWARDED_PORT,
    HTTP1_FIELD_FORWARDED,
    HTTP1_FIELD_VIA,
    HTTP1_FIELD_X_REQUEST_ID,
    HTTP1_FIELD_IDEMPOTENCY_KEY,
    HTTP1_FIELD_COOKIE,
    HTTP1_FIELD_SET_COOKIE,
    HTTP1_FIELD_X_SERVED_BY,
    HTTP1_FIELD_DATE,
    HTTP1_FIELD_RETRY_AFTER,
};

struct http1_header {
    struct http1_slice name, value; /* value without surrounding white space */
    uint16_t field;                 /* enum http1_field */
    bool hop_by_hop;                /* not to be forwarded: RFC 9110 §7.6.1, those named in Connection included */
};

/* How long the body is, RFC 9112 §6.3. */
enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_LENGTH, /* content_length bytes, more than 0 */
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE, /* responses only */
};

struct http1_head {
    uint32_t len;            /* of the whole head, the empty line included */
    uint8_t minor;           /* HTTP/1.minor: 0 or 1 */
    uint8_t method;          /* requests: enum http1_method */
    uint8_t framing;         /* enum http1_framing; for responses given the request's method */
    bool keep_alive;         /* the connection may be used again after this message */
    bool upgrade;            /* Connection: upgrade together with an Upgrade field; responses: status 101 */
    bool expect_continue;    /* requests: Expect: 100-continue, in HTTP/1.1 only */
    uint16_t status;         /* responses: 100 … 999 */
    uint16_t headers;        /* how many of header[] count */
    uint64_t content_length; /* when framing is HTTP1_LENGTH; HEAD and 304 answers may carry it without a body */
    struct http1_slice method_name, target; /* requests */
    struct http1_slice host;                /* requests: of an absolute-form target, else of Host; empty when none */
    struct http1_slice path;                /* requests: path and query of the target; "*" for asterisk-form */
    struct http1_slice reason;              /* responses */
    struct http1_header header[HTTP1_HEADERS];
};

struct http1_limits {
    uint32_t head;    /* bytes of the whole head; beyond: 431 */
    uint32_t target;  /* bytes of the request target; beyond: 414 */
    uint32_t headers; /* fields, at most HTTP1_HEADERS; beyond: 431 */
};
extern const struct http1_limits http1_default_limits; /* 16 KiB, 8 KiB, 100 */

/*
 * Parses a request head. Returns its length (> 0) when it is complete, 0 when more bytes are needed, or the negated
 * status to answer when it must be refused: -400, -413, -414, -431, -501 (transfer coding we do not know), -505.
 * Empty lines before the request line are skipped (RFC 9112 §2.2), at most two. `ret` is written on success only.
 */
int http1_parse_request(const char *buf, size_t len, const struct http1_limits *limits, struct http1_head *ret);

/*
 * Parses a response head to a request of method `request` (decides the framing: HEAD, CONNECT). Returns its length,
 * 0 when more bytes are needed, -EBADMSG when it is no well-formed or no unambiguous response, -EMSGSIZE over a limit.
 */
int http1_parse_response(const char *buf, size_t len, enum http1_method request, const struct http1_limits *limits,
                         struct http1_head *ret);

/*
 * Follows a chunked body (RFC 9112 §7.1) without copying. Zero-initialised before the first chunk.
 */
struct http1_chunked {
    uint8_t state;    /* see http1.c; 0: at a chunk size */
    bool done;        /* the last chunk and the trailer section have been read */
    uint8_t digits;   /* of the size so far */
    uint32_t line;    /* bytes of the extension or trailer line so far */
    uint32_t trailer; /* bytes of the trailer section so far */
    uint64_t left;    /* bytes of the present chunk still to come */
    uint64_t data;    /* bytes of chunk data so far */
};

/*
 * Reads `len` bytes of a chunked body. Returns how many belong to it (fewer than `len` only when done), or -EBADMSG.
 * Each byte is looked at once. Chunk data is skipped over, not copied; who wants it uses http1_chunked_data().
 */
ssize_t http1_chunked_feed(struct http1_chunked *chunked, const char *buf, size_t len);

/* As above, and copies the chunk data (without framing) to `out`, which has room for `len` bytes; its length goes to
   `ret_len`. `out` may be `buf`. */
ssize_t http1_chunked_data(struct http1_chunked *chunked, const char *buf, size_t len, char *out, size_t *ret_len);

/* How many bytes of chunk data come next; 0 at a chunk's framing. Any of them may go by unseen: tell how many. */
uint64_t http1_chunked_run(const struct http1_chunked *chunked);
void http1_chunked_skip(struct http1_chunked *chunked, uint64_t len);

/* RFC 9110 §9.2.2: sending it twice does the same as once. Only methods known to be so. */
bool http1_method_idempotent(enum http1_method method);

/* "GET" … ; "?" for HTTP1_OTHER. */
const char *http1_method_text(enum http1_method method);

/* "OK", "Not Found" …; "Unknown" for a status without a registered phrase. */
const char *http1_reason(unsigned status);

/* Compares a slice of `buf` with `text` without regard to case. */
bool http1_slice_is(const char *buf, struct http1_slice slice, const char *text);

#endif
