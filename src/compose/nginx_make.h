/* SPDX-License-Identifier: MIT
 *
 * What the parts share that make x-gateway of an nginx configuration: nginx_gateway.c (listeners), nginx_server.c (servers and
 * locations), nginx_forward.c (where a location leads). Inside of these only.
 */
#ifndef DARUMA_COMPOSE_NGINX_MAKE_H
#define DARUMA_COMPOSE_NGINX_MAKE_H

#include "compose/nginx_config.h"
#include "compose/nginx_gateway.h"
#include "compose/value.h"

/* The tree that is being made. */
struct making {
    struct loading *load;
    struct nginx_config *config;
    const struct nginx_surroundings *around;
};

/* The routes of a server, without its names. */
struct node *nginx_make_server(struct making *making, const struct nginx_server *server);

/* `proxy_pass` with all that belongs to it. */
void nginx_make_forward(struct making *making, struct nginx_scope *scope, const struct nginx_location *location,
                        struct node *route);
/* Of every kind of answer. */
void nginx_make_response_headers(struct making *making, const struct nginx_scope *scope, struct node *route);

/* --- nodes ------------------------------------------------------------------------------------------------------ */

static inline void set(struct making *making, struct node *map, const char *key, struct node *value)
{
    (void)node_set(making->load->pool, map, key, value->place, value);
}

static inline void set_text(struct making *making, struct node *map, const char *key, struct place place,
                            const char *text)
{
    set(making, map, key, node_string(making->load->pool, place, text));
}

static inline void set_int(struct making *making, struct node *map, const char *key, struct place place, int64_t value)
{
    set(making, map, key, node_int(making->load->pool, place, value));
}

static inline void set_bool(struct making *making, struct node *map, const char *key, struct place place, bool value)
{
    set(making, map, key, node_bool(making->load->pool, place, value));
}

static inline void set_time(struct making *making, struct node *map, const char *key, struct place place, int64_t ns)
{
    set_text(making, map, key, place, value_format_duration(making->load->pool, ns));
}

static inline struct node *new_map(struct making *making, struct place place)
{
    return node_new(making->load->pool, NODE_MAP, place);
}

static inline struct node *new_list(struct making *making, struct place place)
{
    return node_new(making->load->pool, NODE_LIST, place);
}

/* The map or list behind the key, made when it is not there. */
static inline struct node *inner(struct making *making, struct node *map, const char *key, enum node_kind kind)
{
    struct node *there = node_get(map, key);
    if (!there)
        set(making, map, key, there = node_new(making->load->pool, kind, map->place));
    return there;
}

#endif
