/* SPDX-License-Identifier: MIT
 *
 * The normalised tree → struct spec. Inside of compose/ only.
 */
#ifndef DARUMA_COMPOSE_SPEC_BUILD_H
#define DARUMA_COMPOSE_SPEC_BUILD_H

#include "compose/load.h"

struct spec_origin {
    const char *directory;
    const struct node *files, *profiles;
    const struct node *disabled; /* services that a profile switched off */
};

/* The spec in the pool. What has no meaning is told, also when something was told before; the spec must not be used then
   and has no model. */
struct spec *spec_build(struct loading *load, struct node *project, const struct spec_origin *origin);

/* Reading a tree whose kinds were validated: what is not there gives the default. */
const char *read_text(const struct node *map, const char *key, const char *otherwise);
int64_t read_int(const struct node *map, const char *key, int64_t otherwise);
bool read_bool(const struct node *map, const char *key, bool otherwise);
int64_t read_duration(const struct node *map, const char *key, int64_t otherwise); /* ns */
char **read_environment(struct pool *pool, const struct node *map); /* "NAME=value", sorted, without nulls */
char **read_strings(struct pool *pool, const struct node *list);    /* NULL for no list */
struct place place_of(const struct node *map, const char *key);     /* of the value; of the map when it is not there */

/* Were ports of the service told to be wrong, so that nothing may be said about which it has? */
bool read_ports_in_doubt(const struct node *service);

/* spec_service.c, spec_deploy.c, spec_gateway.c, spec_placement.c, spec_route.c, spec_target.c, spec_hash.c */
void spec_build_service(struct loading *load, const struct entry *entry, const char *directory,
                        struct spec_service *ret);
void spec_build_healthcheck(struct loading *load, const struct node *service, struct spec_service *ret);
/* `service` has its ports and its container_name already. */
void spec_build_deploy(struct loading *load, const struct node *node, struct spec_service *service);
/* Makes the service's jobs, once it is whole, services of their own. False: no memory. */
bool spec_complete_jobs(struct spec *spec, struct spec_service *service);
/* A command as argv: a list as it is, a line for /bin/sh. NULL for none. */
char **read_argv(struct pool *pool, const struct node *command);
/* A target of a route in its usual form: "service", "service:port" or the name of one in spec->outside, which is added. */
char *spec_build_target(struct loading *load, struct spec *spec, const struct node *name);
void spec_build_listeners(struct loading *load, const struct node *gateway, struct spec *spec);
/* spec_placement.c: where a route leads to, how an instance is chosen (as `otherwise` when the node is NULL), and the
   cookie that keeps a client there; that one after the other two. */
void spec_build_targets(struct loading *load, struct spec *spec, const struct node *to, struct spec_route *ret);
struct spec_balance spec_read_balance(struct loading *load, const struct node *node,
                                      const struct spec_balance *otherwise);
void spec_build_sticky(struct loading *load, const struct node *node, struct spec_route *ret);
/* What a route asks for, and what it answers or changes by itself. `ret` has its usual values already. */
void spec_build_route(struct loading *load, const struct node *node, struct spec_route *ret);
/* Tells routes of one listener that ask for the same. */
void spec_check_routes(struct loading *load, const struct spec_listener *listener);
/* Tells when all routes together are more than the gateway's board has room for. */
void spec_check_room(struct loading *load, const struct spec *spec);
void spec_build_access_log(struct loading *load, const struct node *node, struct spec *spec);
/* Networks that a list (may be NULL) names, at most `most`. */
struct spec_network *spec_build_networks(struct loading *load, const struct node *list, size_t most, size_t *ret_len);
/* SHA-256 over the part of the service's model that makes another instance of it. False: no memory. */
bool spec_hash(const json_t *service, char ret[65]);

#endif
