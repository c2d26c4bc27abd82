/* SPDX-License-Identifier: MIT
 *
 * Which instance a request goes to, as x-gateway says it: the targets of a route with their weights, how one of their
 * instances is chosen, and cookies that keep a client where it was.
 */
#include "compose/spec_build.h"

#include "base/board.h"
#include "base/clock.h"

#include <ctype.h>
#include <string.h>

enum { COOKIE_MAX = 64 }; /* it has to fit into the head of an answer */

/* --- targets ---------------------------------------------------------------------------------------------------- */

static void check_together(struct loading *load, const struct node *to, const struct spec_route *route)
{
    size_t weighted = 0, backups = 0;

    if (to->len == 0 || to->len > BOARD_TARGETS)
        problem_error(load->problems, to->place, "a route goes to at least one and at most %d services", BOARD_TARGETS);
    for (size_t i = 0; i < route->to_len; i++) {
        weighted += route->to[i].weight > 0;
        backups += route->to[i].backup;
    }
    if (weighted > 0 && weighted < route->to_len)
        problem_error(load->problems, to->place,
                      "either every target of a route has a `weight`, which is its share of the requests, or none has");
    if (backups > 0 && backups == route->to_len)
        problem_error(load->problems, to->place, "a `backup` stands in for other targets; this route has none");
}

/* It counts for whoever leads there. */
static void limit_target(struct spec *spec, const char *name, uint32_t max_inflight)
{
    uint16_t port;
    const struct spec_service *service = spec_target_service(spec, name, &port);

    if (service)
        spec->services[service - spec->services].max_inflight = max_inflight;
    for (size_t i = 0; i < spec->outside_len; i++)
        if (strcmp(spec->outside[i].name, name) == 0)
            spec->outside[i].max_inflight = max_inflight;
}

void spec_build_targets(struct loading *load, struct spec *spec, const struct node *to, struct spec_route *ret)
{
    ret->to_len = to ? to->len : 0;
    ret->to = POOL_ARRAY(load->pool, struct spec_target, ret->to_len);
    for (size_t i = 0; i < ret->to_len; i++) {
        const struct node *item = node_at(to, i), *name = node_is(item, NODE_MAP) ? node_get(item, "service") : item;
        if (!node_str(name))
            continue; /* told by schema_require() */
        ret->to[i] = (struct spec_target){
            .name = spec_build_target(load, spec, name),
            .weight = (uint32_t)read_int(item, "weight", 0),
            .backup = read_bool(item, "backup", false),
        };
        if (node_get(item, "max_inflight"))
            limit_target(spec, ret->to[i].name, (uint32_t)read_int(item, "max_inflight", 0));
    }
    if (to)
        check_together(load, to, ret);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

/* RFC 9110 §5.6.2: what header fields and, by RFC 6265 §4.1.1, cookies are called. */
static char *read_token(struct loading *load, const struct node *node, const char *what)
{
    const char *text = node_str(node);
    bool good = text && *text && strlen(text) <= COOKIE_MAX;

    for (const char *c = good ? text : ""; *c; c++)
        good = good && (isalnum((unsigned char)*c) || strchr("!#$%&'*+-.^_`|~", *c));
    if (!good)
        problem_error(load->problems, node->place,
                      "`%s` is no name of a %s: letters, digits, - and _, at most %d of them", text ? text : "", what,
                      COOKIE_MAX);
    return pool_strdup(load->pool, text ? text : "");
}

/* --- how one is chosen ------------------------------------------------------------------------------------------ */

static struct spec_balance read_hash(struct loading *load, const struct node *hash)
{
    const struct node *header = node_get(hash, "header"), *cookie = node_get(hash, "cookie");
    struct spec_balance balance = { .placement = BOARD_HASH, .hash_of = BOARD_HASH_SOURCE, .name = "" };

    if (node_is(hash, NODE_STRING) && strcmp(node_str(hash), "uri") == 0)
        balance.hash_of = BOARD_HASH_URI;
    if (node_is(hash, NODE_STRING))
        return balance;
    if (!header == !cookie) {
        problem_error(load->problems, hash->place,
                      "a `hash` is of one thing: `source`, `uri`, or {header: NAME}, or {cookie: NAME}");
        return balance;
    }
    balance.hash_of = header ? BOARD_HASH_HEADER : BOARD_HASH_COOKIE;
    balance.name = read_token(load, header ? header : cookie, header ? "header field" : "cookie");
    return balance;
}

struct spec_balance spec_read_balance(struct loading *load, const struct node *node,
                                      const struct spec_balance *otherwise)
{
    const struct node *hash = node_get(node, "hash");
    const char *word = node_str(node);

    if (hash)
        return read_hash(load, hash);
    if (!word)
        return *otherwise;
    return (struct spec_balance){
        .placement = strcmp(word, "round_robin") == 0  ? BOARD_ROUND_ROBIN
                     : strcmp(word, "least_conn") == 0 ? BOARD_LEAST_INFLIGHT
                                                       : BOARD_P2C_EWMA,
        .name = "",
    };
}

void spec_build_sticky(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *cookie = node_is(node, NODE_MAP) ? node_get(node, "cookie") : node;

    ret->sticky = (struct spec_sticky){
        .cookie = cookie ? read_token(load, cookie, "cookie") : "",
        .max_age_s = read_duration(node, "max_age", 0) / NS_PER_S,
        .secure = read_bool(node, "secure", false),
    };
    if (cookie && ret->balance.placement == BOARD_HASH)
        problem_error(load->problems, node->place,
                      "`sticky` and a `hash` both say where a client goes; take one of them");
}
