/* SPDX-License-Identifier: MIT
 *
 * Appends bytes to a fixed piece of memory: what the path of a request uses instead of printf(3).
 */
#ifndef DARUMA_GATEWAY_TEXT_H
#define DARUMA_GATEWAY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *at, *end;
    bool full; /* something did not fit; check it once, at the end */
};

static inline void text_add(struct text *text, const char *bytes, size_t len)
{
    if ((size_t)(text->end - text->at) < len) {
        text->full = true;
        return;
    }
    if (len == 0)
        return; /* then `bytes` may be NULL, which memcpy() must not be given */
    memcpy(text->at, bytes, len);
    text->at += len;
}

static inline void text_put(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

static inline void text_number(struct text *text, uint64_t number)
{
    char digits[20], *first = digits + sizeof(digits);
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_add(text, first, (size_t)(digits + sizeof(digits) - first));
}

#endif
