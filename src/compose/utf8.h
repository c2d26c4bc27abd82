/* SPDX-License-Identifier: MIT
 *
 * Is a file text at all? Asked before anything else looks at it, so that all that follows may rely on it: strings end
 * where they end, and everything that is printed as JSON can be.
 */
#ifndef DARUMA_COMPOSE_UTF8_H
#define DARUMA_COMPOSE_UTF8_H

#include "compose/problem.h"

/* False after telling where the first byte is that is no UTF-8 (RFC 3629), or is NUL. */
bool utf8_check(struct problems *problems, const char *file, const struct origin *origin, const char *text, size_t len);

/* The place of the byte at `offset`; what is before it is UTF-8. */
struct place utf8_place(const char *file, const struct origin *origin, const char *text, size_t offset);

/* The length of the UTF-8 sequence at `text`, of which there are `left` bytes; 0 when it is none. NUL is one. */
size_t utf8_sequence(const char *text, size_t left);

/* Is the string UTF-8? */
bool utf8_is_valid(const char *text);

#endif
