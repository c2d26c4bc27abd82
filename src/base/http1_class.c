/* SPDX-License-Identifier: MIT */
#include "base/http1_class.h"

enum {
    TOKEN = HTTP1_IS_TOKEN,
    VALUE = HTTP1_IS_VALUE,
    TARGET = HTTP1_IS_TARGET,
    HOST = HTTP1_IS_HOST,
    DIGIT = HTTP1_IS_DIGIT,
    HEX = HTTP1_IS_HEX,
};

const uint8_t http1_classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = TOKEN | VALUE | TARGET | HOST,
    ['"'] = VALUE | TARGET,
    ['#'] = TOKEN | VALUE, /* a fragment is never sent: two readers could cut it differently */
    ['$'] = TOKEN | VALUE | TARGET | HOST,
    ['%'] = TOKEN | VALUE | TARGET | HOST,
    ['&'] = TOKEN | VALUE | TARGET | HOST,
    ['\''] = TOKEN | VALUE | TARGET | HOST,
    ['('] = VALUE | TARGET | HOST,
    [')'] = VALUE | TARGET | HOST,
    ['*'] = TOKEN | VALUE | TARGET | HOST,
    ['+'] = TOKEN | VALUE | TARGET | HOST,
    [','] = VALUE | TARGET | HOST,
    ['-'] = TOKEN | VALUE | TARGET | HOST,
    ['.'] = TOKEN | VALUE | TARGET | HOST,
    ['/'] = VALUE | TARGET,
    ['0' ... '9'] = TOKEN | VALUE | TARGET | HOST | DIGIT | HEX,
    [':'] = VALUE | TARGET,
    [';'] = VALUE | TARGET | HOST,
    ['<'] = VALUE | TARGET,
    ['='] = VALUE | TARGET | HOST,
    ['>'] = VALUE | TARGET,
    ['?'] = VALUE | TARGET,
    ['@'] = VALUE | TARGET,
    ['A' ... 'F'] = TOKEN | VALUE | TARGET | HOST | HEX,
    ['G' ... 'Z'] = TOKEN | VALUE | TARGET | HOST,
    ['['] = VALUE | TARGET,
    ['\\'] = VALUE | TARGET,
    [']'] = VALUE | TARGET,
    ['^'] = TOKEN | VALUE | TARGET,
    ['_'] = TOKEN | VALUE | TARGET | HOST,
    ['`'] = TOKEN | VALUE | TARGET,
    ['a' ... 'f'] = TOKEN | VALUE | TARGET | HOST | HEX,
    ['g' ... 'z'] = TOKEN | VALUE | TARGET | HOST,
    ['{'] = VALUE | TARGET,
    ['|'] = TOKEN | VALUE | TARGET,
    ['}'] = VALUE | TARGET,
    ['~'] = TOKEN | VALUE | TARGET | HOST,
    [0x80 ... 0xff] = VALUE, /* obs-text */
};
