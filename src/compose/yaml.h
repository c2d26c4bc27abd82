/* SPDX-License-Identifier: MIT
 *
 * YAML text → node trees. Anchors, aliases and merge keys (`<<`) are resolved here; what a plain scalar means follows
 * go-yaml, which Compose uses: `yes` and `on` are strings, 010 is eight, 1_000 is a thousand.
 */
#ifndef DARUMA_COMPOSE_YAML_H
#define DARUMA_COMPOSE_YAML_H

#include "compose/node.h"

#include <stddef.h>

/*
 * The documents in `text` as a LIST node, or NULL with the problem told. `file` is the place's name and must live as
 * long as the pool, and so must `text`, which is shown with problems. `note`: where the file came from, for struct origin;
 * may be NULL. Refused: NUL bytes, wrong UTF-8, nesting deeper than 64, duplicate keys, cycles and aliases that
 * multiply (more than 99 % of a larger document).
 */
struct node *yaml_parse(struct pool *pool, struct problems *problems, const char *file, const char *note,
                        const char *text, size_t len);

/* The node for a plain (unquoted) scalar. */
struct node *yaml_plain(struct pool *pool, struct place place, const char *text);

#endif
