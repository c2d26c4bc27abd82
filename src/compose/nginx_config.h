/* SPDX-License-Identifier: MIT
 *
 * What the directives of an nginx configuration say, level by level as nginx inherits it, before it is told in the words
 * of x-gateway. Inside of compose/ only.
 */
#ifndef DARUMA_COMPOSE_NGINX_CONFIG_H
#define DARUMA_COMPOSE_NGINX_CONFIG_H

#include "compose/nginx_syntax.h"
#include "compose/node.h"

#include <stdint.h>

/* A list that a level takes over from the one around it unless it begins one of its own. */
struct nginx_list {
    struct node *items; /* NULL: none */
    int level;          /* where it was begun */
};

/* What counts inside of a block. Times in ns, -1: not said. */
struct nginx_settings {
    int level; /* http is 1; no two blocks have the same */
    int64_t connect_timeout_ns, read_timeout_ns, send_timeout_ns;
    int64_t keep_alive_ns, header_timeout_ns;
    int64_t target_size, header_size; /* bytes of large_client_header_buffers; -1: not said */
    int64_t body_limit;               /* bytes; 0: any */
    struct nginx_list request;        /* proxy_set_header: maps of `name`, `value` */
    struct nginx_list response;       /* add_header: the same, with `always` */
    struct nginx_list redirects; /* proxy_redirect: maps of `from`, `to`; `default` is one without; NULL: the same */
    struct nginx_list hidden;    /* proxy_hide_header: names */
    struct nginx_list next_upstream; /* words of retry.on */
    struct nginx_list error_pages;   /* maps of `codes`, `uri`, `as` */
    int64_t tries;                   /* of proxy_next_upstream_tries; 0: all */
    int64_t tries_ns;                /* proxy_next_upstream_timeout; 0: none */
    bool intercept;                  /* proxy_intercept_errors */
    const char *root;                /* of files; NULL: not said */
    const char *default_type;        /* Content-Type of a `return` with a text; NULL: not said */
    bool denied;                     /* `deny all` */
    int access_level;                /* where `denied` was decided; 0: nowhere */
    struct nginx_list constants;     /* `set $name text` without variables: a map, with those around it */
};

enum nginx_match {
    NGINX_PREFIX,
    NGINX_PREFIX_FINAL,
    NGINX_EXACT,
    NGINX_REGEX,
    NGINX_REGEX_CASELESS,
    NGINX_NAMED, /* "@name": reached by `error_page` only */
};

struct nginx_rewrite {
    struct nginx_word regex, to;
    const char *flag; /* "last", "break", "redirect", "permanent", "" */
    struct place place;
    struct nginx_rewrite *next;
};

/* A location; also what stands directly in a server. */
struct nginx_location {
    enum nginx_match match;
    struct nginx_word path;
    struct nginx_settings settings;
    const struct nginx_directive *proxy_pass, *returns, *files; /* the first of their kind; NULL: none */
    struct nginx_rewrite *rewrites, **rewrites_end;             /* those before `returns` */
    bool internal;
    const struct nginx_location *parent; /* around it; NULL: the server */
    int depth;                           /* how many are around it */
    struct place place;
    struct nginx_location *next;
};

/* `if ($host = name) { return …; }` of a server. */
struct nginx_host {
    struct nginx_word name;
    const struct nginx_directive *returns;
    struct nginx_host *next;
};

struct nginx_listen {
    const char *host; /* "" : all addresses of IPv4 */
    uint16_t port;
    bool is_default;
    struct place place;
    struct nginx_listen *next;
};

struct nginx_server {
    struct nginx_listen *listens;
    struct nginx_word *names;
    size_t names_len;
    struct nginx_location root;
    struct nginx_location *locations, **locations_end;
    struct nginx_host *hosts; /* in the order of the file */
    int depth;                /* of the deepest location */
    struct place place;
    struct nginx_server *next;
};

struct nginx_peer {
    struct nginx_word address;
    int64_t weight, max_conns;
    bool backup, down;
    struct nginx_peer *next;
};

struct nginx_upstream {
    const char *name;
    struct nginx_peer *peers, **peers_end;
    const char *balance;   /* a word of x-gateway's `balance` */
    struct nginx_word key; /* of `hash`; text NULL: none */
    struct place place;
    struct nginx_upstream *next;
};

struct nginx_config {
    struct pool *pool;
    struct problems *problems;
    struct node *told;    /* what was warned about once */
    int levels;           /* how many blocks there were */
    struct node *ignored; /* variables of `map` that only carry `Connection` */
    const struct nginx_directive *access_log;
    struct nginx_upstream *upstreams, **upstreams_end;
    struct nginx_server *servers, **servers_end;
};

/* Reads the tree; what is wrong or not understood is told. */
void nginx_config_read(struct nginx_config *config, const struct nginx_directive *directives);

struct nginx_upstream *nginx_config_upstream(const struct nginx_config *config, const char *name);

/* Why that directive is refused and what to do about it; NULL: nothing is known of it. */
const char *nginx_refused(const char *name);

/* What variables of the file have fixed values where they stand. */
struct nginx_scope {
    struct nginx_config *config;
    const struct nginx_settings *settings;
    const char *server_name, *proxy_host, *proxy_port; /* NULL: not known there, an error */
    const char *regex;                                 /* whose groups have names; NULL: none */
};

/* "$scheme://$host" → "{scheme}://{host}". NULL when a variable is not understood (told). */
const char *nginx_template(const struct nginx_scope *scope, const struct nginx_word *word);

#endif
