/* SPDX-License-Identifier: MIT
 *
 * A later file over an earlier one, as the Compose specification merges them: mappings key by key, lists one behind
 * the other, scalars replaced; commands replaced; list items that are the same thing (ports, mounts …) replaced by the
 * later one. `!reset` takes away what was there, `!override` puts itself in its place.
 */
#ifndef DARUMA_COMPOSE_MERGE_H
#define DARUMA_COMPOSE_MERGE_H

#include "compose/load.h"
#include "compose/schema.h"

/* Both in canonical form; `over` wins. Changes and returns `base`, or `over` where that replaces it. */
struct node *merge_nodes(struct loading *load, const struct schema *schema, struct node *base, struct node *over);

/* Takes what `!reset` marks out of a tree that is not merged over anything. */
void merge_finish(struct loading *load, const struct schema *schema, struct node *node);

#endif
