/* SPDX-License-Identifier: MIT
 *
 * The normalised tree as JSON, as `docker compose config --format json` prints it.
 */
#ifndef DARUMA_COMPOSE_MODEL_H
#define DARUMA_COMPOSE_MODEL_H

#include "compose/load.h"
#include "compose/schema.h"

/* NULL when there is no memory. The caller's. `reference`: exactly what the reference prints, which leaves out `models` and
   every x-… but the project's own (x-daruma stays). Else everything. Uses no pool: that could jump away from half-built JSON. */
json_t *model_from_project(const struct node *project, bool reference);

/* For the table: "key=value" texts. */
json_t *model_print_pairs(const struct node *node);

/* The project as it can be loaded again: as model_from_project(), but what env files said is in `environment` only, and
   unless it is the reference's nobody depends on who is not in it. */
json_t *model_loadable(const struct node *project, bool reference);
/* A model (struct spec) in the same way as YAML, escaped (see below), so that nothing is left to be read or replaced. Appended to `out`; false when there is no memory. */
bool model_print_loadable(const json_t *model, struct buf *out);
/* Writes each dollar sign of its texts twice; those of keys, in which nothing is replaced, stay. False: no memory. */
bool model_escape(json_t *model);

/* A whole model as YAML, in the usual order; appended to `out`. */
void model_print_yaml(const json_t *model, struct buf *out);

#endif
