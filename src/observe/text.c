/* SPDX-License-Identifier: MIT */
#include "observe/text.h"

#include "base/buf.h"
#include "compose/utf8.h"

#include <string.h>

json_t *text_json(const char *text, size_t len)
{
    json_t *valid = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
    CLEANUP_BUF struct buf clean = { 0 };

    if (valid)
        return valid;
    for (size_t at = 0; at < len;) {
        size_t n = text[at] ? utf8_sequence(text + at, len - at) : 0;
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
