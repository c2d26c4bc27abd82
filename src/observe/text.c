/* SPDX-License-Identifier: MIT */
#include "observe/text.h"

#include "base/buf.h"

#include <stdint.h>
#include <string.h>

/* The length of the UTF-8 sequence at `text` (RFC 3629: no overlong forms, no surrogates), 0 when it is none. */
static size_t sequence(const unsigned char *text, size_t len)
{
    unsigned char first = text[0];
    unsigned char low = 0x80, high = 0xbf; /* limits of the second byte */
    size_t n;

    if (first < 0x80)
        return first ? 1 : 0;
    if (first >= 0xc2 && first <= 0xdf)
        n = 2;
    else if (first >= 0xe0 && first <= 0xef)
        n = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        n = 4;
    else
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (len < n || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    return n;
}

json_t *text_json(const char *text, size_t len)
{
    json_t *valid = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
    CLEANUP_BUF struct buf clean = { 0 };

    if (valid)
        return valid;
    for (size_t at = 0; at < len;) {
        size_t n = sequence((const unsigned char *)text + at, len - at);
        if (n > 0)
            buf_add(&clean, text + at, n);
        else
            buf_puts(&clean, "\xef\xbf\xbd");
        at += n > 0 ? n : 1;
    }
    return clean.failed ? NULL : json_stringn(clean.data, clean.len);
}

json_t *text_json_or_null(const char *text)
{
    return text[0] ? text_json(text, strlen(text)) : json_null();
}
