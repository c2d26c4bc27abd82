/* SPDX-License-Identifier: MIT */
#include "compose/utf8.h"

#include <string.h>

/* RFC 3629: no overlong forms, no surrogates. */
size_t utf8_sequence(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t len = p[0] < 0x80                   ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                 : (p[0] & 0xf0) == 0xe0       ? 3
                 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                               : 0;

    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

struct place utf8_place(const char *file, const struct origin *origin, const char *text, size_t offset)
{
    struct place place = { file, 1, 1, origin };

    for (size_t i = 0; i < offset; i++) {
        place.column = text[i] == '\n' ? 1 : place.column + ((text[i] & 0xc0) != 0x80);
        place.line += text[i] == '\n';
    }
    return place;
}

/* How far the text is UTF-8 without NUL. */
static size_t valid_len(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t i = 0, step = 1;

    while (i < len && step > 0) {
        while (i < len && bytes[i] > 0 && bytes[i] < 0x80)
            i++;
        step = i < len && text[i] ? utf8_sequence(text + i, len - i) : 0;
        i += step;
    }
    return i;
}

bool utf8_check(struct problems *problems, const char *file, const struct origin *origin, const char *text, size_t len)
{
    size_t valid = valid_len(text, len);

    if (valid == len)
        return true;
    problem_error(problems, utf8_place(file, origin, text, valid),
                  text[valid] ? "not UTF-8; save the file as UTF-8" : "a NUL byte: this is no text file");
    return false;
}

bool utf8_is_valid(const char *text)
{
    size_t len = strlen(text);
    return valid_len(text, len) == len;
}
