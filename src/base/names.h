/* SPDX-License-Identifier: MIT
 *
 * Lists of names that end with NULL.
 */
#ifndef DARUMA_BASE_NAMES_H
#define DARUMA_BASE_NAMES_H

#include <stdbool.h>
#include <string.h>

static inline bool names_have(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names;
}

#endif
