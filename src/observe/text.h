/* SPDX-License-Identifier: MIT
 *
 * Bytes of unknown origin as JSON strings.
 */
#ifndef DARUMA_OBSERVE_TEXT_H
#define DARUMA_OBSERVE_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* A string that is always valid: bytes that are no UTF-8, and NUL, become U+FFFD. NULL when out of memory. */
json_t *text_json(const char *text, size_t len);

/* The same for a text that is "" when there is none: JSON null then. */
json_t *text_json_or_null(const char *text);

#endif
