/* SPDX-License-Identifier: MIT
 *
 * What the merged files imply: the default network, names from keys, dependencies from links and shared namespaces,
 * environment from env_file. Then what contradicts itself is told.
 */
#ifndef DARUMA_COMPOSE_NORMALISE_H
#define DARUMA_COMPOSE_NORMALISE_H

#include "compose/load.h"

/* `project` is the merged root. Services whose profiles are not among `active` and that are not among `chosen` (ended by
   NULL; may be NULL) are taken out and returned as a map (select.c). */
struct node *normalise_profiles(struct loading *load, struct node *project, const struct node *active,
                                const char *const *chosen);
/* Moves every service to `disabled` but the chosen ones and what they depend on; nothing for NULL and none. */
void normalise_select(struct loading *load, struct node *project, const char *const *chosen, struct node *disabled);
/* Takes out networks, volumes, secrets, configs and models that no service uses. */
void normalise_prune(struct loading *load, struct node *project);
/* What the reference fills in even when it does not normalise. */
void normalise_defaults(struct loading *load, struct node *project);
/* Environment without a value takes that of what the project is loaded in. */
void normalise_nulls(struct loading *load, struct node *project);
void normalise_project(struct loading *load, struct node *project, const char *name);
/* Calls `each` for every service that this one cannot be without, beside what depends_on says: those of `links`, of shared
   namespaces and of `volumes_from`. `restart`: it is to be restarted with that one. */
typedef void normalise_tie_fn(void *data, const char *name, struct place place, bool restart);
void normalise_ties(struct pool *pool, const struct node *service, normalise_tie_fn *each, void *data);
/* env_file and label_file become part of environment and labels. */
void normalise_environment(struct loading *load, struct node *project);
/* References to what is not there, cycles, contradictions. `disabled`: services that a profile switched off. */
void normalise_check(struct loading *load, const struct node *project, const struct node *disabled);
/* Two services with one container_name; asked when only those that take part are left. */
void normalise_check_names(struct loading *load, const struct node *project);
/* Rules that no type expresses (check_rules.c): for single values, asked always; and for services as a whole. */
void normalise_check_rules(struct loading *load, const struct node *project);
void normalise_check_services(struct loading *load, const struct node *project);

#endif
