/* SPDX-License-Identifier: MIT */
#include "compose/utf8.h"

#include <string.h>

/* The length of the UTF-8 sequence at `p`, 0 when it is none (RFC 3629). */
static size_t utf8_len(const unsigned char *p, size_t left)
{
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

bool utf8_check(struct problems *problems, const char *file, const struct origin *origin, const char *text, size_t len)
{
    struct place place = { file, 1, 1, origin };

    for (size_t i = 0; i < len;) {
        size_t step = utf8_len((const unsigned char *)text + i, len - i);
        if (step == 0 || text[i] == '\0') {
            problem_error(problems, place,
                          step == 0 ? "not UTF-8; save the file as UTF-8" : "a NUL byte: this is no text file");
            return false;
        }
        place.column = text[i] == '\n' ? 1 : place.column + 1;
        place.line += text[i] == '\n';
        i += step;
    }
    return true;
}

bool utf8_is_valid(const char *text)
{
    size_t left = strlen(text), step = 1;

    for (; left > 0 && step > 0; text += step, left -= step)
        step = utf8_len((const unsigned char *)text, left);
    return step > 0;
}
