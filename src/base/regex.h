/* SPDX-License-Identifier: MIT
 *
 * Regular expressions (PCRE2, just-in-time compiled). Compiling allocates and is slow; matching does neither, and is bounded,
 * so that no expression can be made to work for seconds by what it is asked about.
 */
#ifndef DARUMA_BASE_REGEX_H
#define DARUMA_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

enum { REGEX_GROUPS = 10 }; /* the whole match, and $1 … $9 */

struct regex;

/* A piece of what was matched; NULL: that group took no part. */
struct regex_group {
    const char *text;
    size_t len;
};

/* NULL when it is no expression; then `why` (of `size` bytes) says why. */
struct regex *regex_new(const char *text, size_t len, bool caseless, char *why, size_t size);
/* Accepts NULL. */
void regex_free(struct regex *regex);

/* 1: it matches, somewhere in the text, and `group` says where. 0: it does not. Negative: it gave up. */
int regex_match(const struct regex *regex, const char *text, size_t len, struct regex_group group[REGEX_GROUPS]);

#endif
