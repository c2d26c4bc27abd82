/* SPDX-License-Identifier: MIT
 *
 * What each byte may be part of in an HTTP/1.1 message: one table for the parser's files, and for nobody else.
 */
#ifndef DARUMA_BASE_HTTP1_CLASS_H
#define DARUMA_BASE_HTTP1_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Or'ed. */
enum http1_class {
    HTTP1_IS_TOKEN = 1 << 0,  /* RFC 9110 §5.6.2 */
    HTTP1_IS_VALUE = 1 << 1,  /* in a field's value: visible, space, tab, obs-text; no control byte */
    HTTP1_IS_TARGET = 1 << 2, /* in a request target: visible ASCII but '#' */
    HTTP1_IS_HOST = 1 << 3,   /* in reg-name: RFC 3986 §3.2.2 */
    HTTP1_IS_DIGIT = 1 << 4,
    HTTP1_IS_HEX = 1 << 5,
};
extern const uint8_t http1_classes[256];

static inline bool http1_is(char byte, unsigned class)
{
    return http1_classes[(uint8_t)byte] & class;
}

/* ASCII only. */
static inline char http1_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

/* Where the bytes of that class end. */
static inline const char *http1_scan(const char *at, const char *end, unsigned class)
{
    while (at < end && http1_is(*at, class))
        at++;
    return at;
}

static inline bool http1_equal_nocase(const char *bytes, size_t len, const char *text, size_t text_len)
{
    if (len != text_len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (http1_lower(bytes[i]) != http1_lower(text[i]))
            return false;
    return true;
}

#endif
