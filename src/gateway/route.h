/* SPDX-License-Identifier: MIT
 *
 * Which route a request takes: pure, over the worker's private view of the board.
 *
 * A host in full goes before a wildcard in front, that before one behind, the longest wildcard before a shorter one, all of
 * them before regular expressions, and any before a route without a host. Within a host the order is: regular expressions
 * that want to be first, an exact path, the longest prefix if it wants to be first, regular expressions as they are written,
 * the longest prefix. Where a host has no route for the path, the next less special one is asked.
 *
 * The index is built when the routes on the board change. A lookup costs one hash probe for each label of the host (only
 * where there are wildcards) and for each segment of the path (as many as the longest route of that host has; for routes that
 * match by bytes, for each byte), however many routes there are; regular expressions are tried one after the other.
 *
 * What is matched is the normalised path (path.h). Forwarded is the path as the client wrote it; only a route that strips a
 * prefix from a path that was not in this form forwards the normalised rest.
 */
#ifndef DARUMA_GATEWAY_ROUTE_H
#define DARUMA_GATEWAY_ROUTE_H

#include "base/board.h"
#include "base/regex.h"
#include "gateway/forward.h"
#include "gateway/path.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GW_ROUTE_NONE UINT32_MAX

enum {
    GW_ROUTE_SLOTS = 2 * BOARD_ROUTES, /* of each hash table; a power of two */
    GW_ROUTE_DEPTH = 32,               /* segments of a route's path */
    GW_ROUTE_LABELS = 16,              /* of a host that a wildcard is looked for behind */
};

/* The routes of one host at one listener. */
struct gw_route_group {
    uint64_t hash;
    uint32_t listener;
    uint32_t depth;           /* segments of its longest prefix */
    uint32_t begins;          /* bytes of its longest path that is matched by bytes; 0: none */
    uint32_t regex;           /* its first route with a regular expression, through regex_next; NONE: none */
    uint32_t order;           /* of the first of its routes, as the file has them */
    uint32_t next;            /* the next group of the listener whose host is a regular expression */
    struct regex *host_regex; /* NULL: none */
    struct board_text host;
};

/* A rule that rewrites paths, ready to be used. */
struct gw_rule {
    struct regex *regex;
    struct gw_span to; /* a template; on the view */
    enum board_then then;
    uint32_t next; /* of the same route; index + 1, 0: none */
};

struct gw_routes {
    uint32_t version; /* of the board's routes when it was built */
    bool built;
    uint32_t groups;
    uint32_t only[BOARD_LISTENERS];       /* the listener's one route, that asks for neither host nor path; else NONE */
    bool wildcards[BOARD_LISTENERS];      /* it has any in front */
    bool tails[BOARD_LISTENERS];          /* it has any behind */
    uint32_t host_regex[BOARD_LISTENERS]; /* the first group with one, through group.next; NONE: none */
    uint32_t group_slots[GW_ROUTE_SLOTS], path_slots[GW_ROUTE_SLOTS]; /* index + 1; 0: free */
    struct gw_route_group group[BOARD_ROUTES];
    uint64_t path_hash[BOARD_ROUTES]; /* of each route */
    uint32_t route_group[BOARD_ROUTES];
    struct regex *regex[BOARD_ROUTES]; /* NULL: none, or one that does not compile and never matches */
    struct gw_rule rule[BOARD_RULES];
    uint32_t rules;
    uint32_t rules_of[BOARD_ROUTES];   /* the first of each route; index + 1, 0: none */
    bool rewrites[BOARD_LISTENERS];    /* any of its routes does */
    uint32_t regex_next[BOARD_ROUTES]; /* of the same group, in the order in which they are asked */
};

/* Builds the index when the view's routes are not those that it was built from. */
void gw_routes_update(struct gw_routes *routes, const struct board *view);

void gw_routes_free(struct gw_routes *routes);

/* The route, or GW_ROUTE_NONE. `host` is that of the request, with its port, in any case. The groups of a regular expression
   that matched are the path's afterwards. `passed`: routes that only rewrite have had their turn. */
uint32_t gw_route_find(const struct gw_routes *routes, const struct board *view, uint32_t listener, const char *host,
                       size_t host_len, bool passed, struct gw_path *path);

/*
 * The path with `with` in place of what the route's own path takes of it: three pieces, one behind the other, into `ret`; the
 * last one ends with the query. Without `with` it is the rest.
 */
void gw_route_replace(const struct board *view, const struct board_route *route, struct gw_span with,
                      const char *target, size_t len, const struct gw_path *path, struct gw_span ret[3]);

#endif
