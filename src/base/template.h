/* SPDX-License-Identifier: MIT
 *
 * Texts with gaps that each request fills: "https://{host}{path}", "{header.x-user}". What a person writes is compiled once
 * into bytes that the gateway walks through without looking at any name:
 *
 *     text … 0x01 VAR name 0x02 … text        VAR: enum template_var as a letter; name: only of some
 *
 * `{{` is a brace. Texts that become templates hold no control characters, so the marks cannot be forged.
 */
#ifndef DARUMA_BASE_TEMPLATE_H
#define DARUMA_BASE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

enum template_var {
    TEMPLATE_AUTHORITY = 'A', /* Host as the client sent it */
    TEMPLATE_CLIENT,          /* its address */
    TEMPLATE_COOKIE,          /* {cookie.NAME} */
    TEMPLATE_FORWARDED_FOR,   /* X-Forwarded-For of the client with its address behind it */
    TEMPLATE_GROUP,           /* {1} … {9}: of the regular expression that matched last */
    TEMPLATE_HEADER,          /* {header.NAME} */
    TEMPLATE_HOST,            /* Host without its port, in lower case */
    TEMPLATE_METHOD,
    TEMPLATE_PATH,       /* with its query; never with two slashes in front */
    TEMPLATE_PLAIN_PATH, /* in normal form, without its query */
    TEMPLATE_PORT,       /* that the client connected to */
    TEMPLATE_PROTOCOL,   /* HTTP/1.1 */
    TEMPLATE_QUERY,      /* without the question mark; {query.NAME}: one parameter */
    TEMPLATE_PARAMETER,
    TEMPLATE_REQUEST_ID,
    TEMPLATE_REST, /* what follows the route's path, with the query */
    TEMPLATE_SCHEME,
    TEMPLATE_URI,  /* path and query as the client wrote them */
    TEMPLATE_MARK, /* {?}: a question mark, if there is a query */
};

#define TEMPLATE_OPEN  '\1'
#define TEMPLATE_CLOSE '\2'

/* What a text of `len` bytes may become when it is compiled: "{1}" becomes four bytes, and one ends it. */
#define TEMPLATE_ROOM(len) ((len) + (len) / 3 + 1)

/*
 * Compiles `text` into `out`, which has room for TEMPLATE_ROOM(strlen(text)) bytes. False: what stands at `*ret_bad` is no gap
 * that is known.
 */
bool template_compile(const char *text, char *out, const char **ret_bad);

/* The gaps there are, for messages. */
extern const char template_gaps[];

/* One piece of a compiled template: text, or a gap. */
struct template_piece {
    enum template_var var; /* 0: text */
    const char *text;      /* the text, or the name of the gap */
    size_t len;
};
/* The piece at `*at`, which moves behind it. False at `end`. */
bool template_next(const char **at, const char *end, struct template_piece *ret);

/* Has it any gap of these? `vars`: letters, NULL: any. */
bool template_has(const char *compiled, const char *vars);

#endif
