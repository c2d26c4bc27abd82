/* SPDX-License-Identifier: MIT
 *
 * Follows chunked bodies, one byte at a time where it is framing, a run at a time where it is data.
 */
#include "base/http1.h"

#include "base/http1_class.h"

#include <errno.h>
#include <string.h>

enum {
    CHUNK_DIGITS = 15,       /* of a chunk size: cannot overflow, and nobody sends more */
    CHUNK_LINE = 4096,       /* bytes of a chunk's extensions */
    CHUNK_TRAILER = 8 * 1024 /* bytes of a trailer section */
};

/*
 *   SIZE ─▶ [EXTENSION] ─▶ SIZE_LF ─▶ DATA ─▶ DATA_CR ─▶ DATA_LF ─▶ SIZE
 *                             └ size 0 ─▶ LINE ─▶ NAME ─▶ FIELD ─▶ FIELD_LF ─▶ LINE
 *                                          └──▶ END_LF ─▶ done
 */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LINE_START,
    CHUNK_NAME,
    CHUNK_FIELD,
    CHUNK_FIELD_LF,
    CHUNK_END_LF,
};

static unsigned hex_value(char byte)
{
    return http1_is(byte, HTTP1_IS_DIGIT) ? (unsigned)(byte - '0') : (unsigned)(http1_lower(byte) - 'a' + 10);
}

static int size_byte(struct http1_chunked *chunked, char byte)
{
    if (http1_is(byte, HTTP1_IS_HEX)) {
        if (++chunked->digits > CHUNK_DIGITS)
            return -EBADMSG;
        chunked->left = chunked->left << 4 | hex_value(byte);
        return 0;
    }
    if (chunked->digits == 0 || (byte != '\r' && byte != ';'))
        return -EBADMSG;
    chunked->digits = 0;
    chunked->line = 0;
    chunked->state = byte == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    return 0;
}

static int extension_byte(struct http1_chunked *chunked, char byte)
{
    if (byte == '\r')
        chunked->state = CHUNK_SIZE_LF;
    else if (!http1_is(byte, HTTP1_IS_VALUE) || ++chunked->line > CHUNK_LINE)
        return -EBADMSG;
    return 0;
}

static int expect_byte(struct http1_chunked *chunked, char byte, char expected, enum chunk_state next)
{
    if (byte != expected)
        return -EBADMSG;
    chunked->state = (uint8_t)next;
    return 0;
}

static int trailer_byte(struct http1_chunked *chunked, char byte)
{
    if (++chunked->trailer > CHUNK_TRAILER)
        return -EBADMSG;
    switch ((enum chunk_state)chunked->state) {
    case CHUNK_LINE_START:
        chunked->state = byte == '\r' ? CHUNK_END_LF : CHUNK_NAME;
        return byte == '\r' || http1_is(byte, HTTP1_IS_TOKEN) ? 0 : -EBADMSG;
    case CHUNK_NAME:
        if (byte == ':')
            chunked->state = CHUNK_FIELD;
        return byte == ':' || http1_is(byte, HTTP1_IS_TOKEN) ? 0 : -EBADMSG;
    case CHUNK_FIELD:
        if (byte == '\r')
            chunked->state = CHUNK_FIELD_LF;
        return byte == '\r' || http1_is(byte, HTTP1_IS_VALUE) ? 0 : -EBADMSG;
    case CHUNK_FIELD_LF:
        return expect_byte(chunked, byte, '\n', CHUNK_LINE_START);
    default: /* CHUNK_END_LF */
        chunked->done = byte == '\n';
        return chunked->done ? 0 : -EBADMSG;
    }
}

/* One byte that is not chunk data. */
static int framing_byte(struct http1_chunked *chunked, char byte)
{
    switch ((enum chunk_state)chunked->state) {
    case CHUNK_SIZE:
        return size_byte(chunked, byte);
    case CHUNK_EXTENSION:
        return extension_byte(chunked, byte);
    case CHUNK_SIZE_LF:
        return expect_byte(chunked, byte, '\n', chunked->left > 0 ? CHUNK_DATA : CHUNK_LINE_START);
    case CHUNK_DATA_CR:
        return expect_byte(chunked, byte, '\r', CHUNK_DATA_LF);
    case CHUNK_DATA_LF:
        return expect_byte(chunked, byte, '\n', CHUNK_SIZE);
    default:
        return trailer_byte(chunked, byte);
    }
}

uint64_t http1_chunked_run(const struct http1_chunked *chunked)
{
    return chunked->state == CHUNK_DATA ? chunked->left : 0;
}

void http1_chunked_skip(struct http1_chunked *chunked, uint64_t len)
{
    chunked->left -= len;
    chunked->data += len;
    if (chunked->left == 0)
        chunked->state = CHUNK_DATA_CR;
}

static inline ssize_t follow(struct http1_chunked *chunked, const char *buf, size_t len, char *out, size_t *ret_len)
{
    size_t at = 0, copied = 0;
    while (at < len && !chunked->done) {
        if (chunked->state != CHUNK_DATA) {
            if (framing_byte(chunked, buf[at]) < 0)
                return -EBADMSG;
            at++;
            continue;
        }
        uint64_t left = http1_chunked_run(chunked);
        size_t run = len - at < left ? len - at : (size_t)left;
        if (out)
            memmove(out + copied, buf + at, run);
        copied += run;
        at += run;
        http1_chunked_skip(chunked, run);
    }
    if (ret_len)
        *ret_len = copied;
    return (ssize_t)at;
}

ssize_t http1_chunked_feed(struct http1_chunked *chunked, const char *buf, size_t len)
{
    return follow(chunked, buf, len, NULL, NULL);
}

ssize_t http1_chunked_data(struct http1_chunked *chunked, const char *buf, size_t len, char *out, size_t *ret_len)
{
    return follow(chunked, buf, len, out, ret_len);
}
