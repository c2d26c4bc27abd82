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
#include <time.h>

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

/* The last `digits` (20 at most) of a number, with zeros in front. */
static inline void text_padded(struct text *text, uint64_t number, unsigned digits)
{
    char out[20];
    for (unsigned i = digits; i > 0; i--, number /= 10)
        out[i - 1] = (char)('0' + number % 10);
    text_add(text, out, digits);
}

/* "Nov" */
static inline void text_month(struct text *text, const struct tm *tm)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    text_add(text, names + 3 * (size_t)tm->tm_mon, 3);
}

/* "22:13:20" */
static inline void text_time(struct text *text, const struct tm *tm)
{
    text_padded(text, (uint64_t)tm->tm_hour, 2);
    text_put(text, ":");
    text_padded(text, (uint64_t)tm->tm_min, 2);
    text_put(text, ":");
    text_padded(text, (uint64_t)tm->tm_sec, 2);
}

enum { TEXT_DATE = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT": IMF-fixdate, RFC 9110 §5.6.7; TEXT_DATE bytes. */
static inline void text_date(struct text *text, time_t at)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    struct tm tm = { 0 };
    (void)gmtime_r(&at, &tm);
    text_add(text, days + 3 * (size_t)tm.tm_wday, 3);
    text_put(text, ", ");
    text_padded(text, (uint64_t)tm.tm_mday, 2);
    text_put(text, " ");
    text_month(text, &tm);
    text_put(text, " ");
    text_padded(text, (uint64_t)tm.tm_year + 1900, 4);
    text_put(text, " ");
    text_time(text, &tm);
    text_put(text, " GMT");
}

/* The 16 hexadecimal digits of a number, in the order in which they lie in memory: for names, not for reading. */
static inline void text_hex(char out[16], uint64_t number)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    for (int i = 0; i < 2; i++) {
        uint64_t digits = (uint32_t)(number >> 32 * i); /* four bits to a byte … */
        digits = (digits | digits << 16) & UINT64_C(0x0000ffff0000ffff);
        digits = (digits | digits << 8) & UINT64_C(0x00ff00ff00ff00ff);
        digits = (digits | digits << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
        digits += ones * '0' + ((digits + ones * 6) >> 4 & ones) * ('a' - '9' - 1); /* … and as text, all at once */
        memcpy(out + 8 * i, &digits, sizeof(digits));
    }
}

#endif
