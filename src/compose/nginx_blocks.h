/* SPDX-License-Identifier: MIT
 *
 * What the readers of directives share: nginx_config.c (the table, and single values), nginx_blocks.c (upstreams, servers and
 * locations). Inside of these only.
 */
#ifndef DARUMA_COMPOSE_NGINX_BLOCKS_H
#define DARUMA_COMPOSE_NGINX_BLOCKS_H

#include "compose/nginx_config.h"

enum nginx_context {
    IN_MAIN = 1 << 0,
    IN_EVENTS = 1 << 1,
    IN_HTTP = 1 << 2,
    IN_UPSTREAM = 1 << 3,
    IN_SERVER = 1 << 4,
    IN_LOCATION = 1 << 5,
};
#define IN_LEVELS (IN_HTTP | IN_SERVER | IN_LOCATION)

/* The block that is being read. */
struct nginx_block {
    struct nginx_config *config;
    enum nginx_context context;
    struct nginx_settings *settings;
    struct nginx_server *server;     /* in a server, or a location of it */
    struct nginx_location *location; /* what stands in a server stands in its `root` */
    struct nginx_upstream *upstream;
};

typedef void nginx_reader_fn(struct nginx_block *block, const struct nginx_directive *directive);

static inline const char *nginx_arg(const struct nginx_directive *directive, size_t n)
{
    return directive->words[n].text;
}

static inline struct node *nginx_text_node(struct nginx_block *block, const struct nginx_word *word)
{
    return node_string(block->config->pool, word->place, word->text);
}

static inline void nginx_put(struct nginx_block *block, struct node *map, const char *key, struct node *value)
{
    (void)node_set(block->config->pool, map, key, value->place, value);
}

/* A number from 0 to `max` in `text`, which is all of the word or a part of it. */
int64_t nginx_number(struct nginx_block *block, const struct nginx_word *word, const char *text, int64_t max);

/* First what counts for the whole block, wherever in it that stands, then the blocks in it. */
void nginx_read_block(struct nginx_block *block, const struct nginx_directive *first);

/* nginx_blocks.c */
nginx_reader_fn nginx_read_peer, nginx_read_least_conn, nginx_read_ip_hash, nginx_read_hash, nginx_read_random,
    nginx_read_upstream, nginx_read_listen, nginx_read_server_name, nginx_read_server, nginx_read_location,
    nginx_read_if, nginx_read_access, nginx_read_proxy_pass, nginx_read_return, nginx_read_files, nginx_read_root,
    nginx_read_internal, nginx_read_rewrite;

#endif
