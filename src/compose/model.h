/* SPDX-License-Identifier: MIT
 *
 * The normalised tree as JSON, as `docker compose config --format json` prints it.
 */
#ifndef DARUMA_COMPOSE_MODEL_H
#define DARUMA_COMPOSE_MODEL_H

#include "compose/load.h"
#include "compose/schema.h"

/* NULL when there is no memory. The caller's. Uses no pool: that could jump away from half-built JSON. */
json_t *model_from_project(const struct node *project);
json_t *model_from_node(const struct schema *schema, const struct node *node);

/* A whole model as YAML, in the usual order; appended to `out`. */
void model_print_yaml(const json_t *model, struct buf *out);

#endif
