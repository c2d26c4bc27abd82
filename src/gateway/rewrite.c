/* SPDX-License-Identifier: MIT */
#include "gateway/rewrite.h"

#include "gateway/expand.h"
#include "gateway/relay.h"

#include <string.h>

enum { ROUNDS_MAX = 10 }; /* of finding a route again: rules may lead in circles */

enum outcome { UNCHANGED, CHANGED, STAYS, SENT_AWAY, FAILED };

/* Asks a rule for the query to be dropped? */
static bool drops_query(const struct gw_rule *rule)
{
    return rule->to.len > 0 && rule->to.text[rule->to.len - 1] == '?';
}

/* The path has become `text`; a query of its own goes in front of the one before, which a `?` at its end takes away. */
static bool take_target(struct gw_worker *worker, struct gw_rewritten *ret, char *text, size_t len, bool drops)
{
    struct gw_span query = worker->path.query;
    const char *mark = memchr(text, '?', len);
    struct text target = { .at = worker->target, .end = worker->target + sizeof(worker->target) };
    /* The query may lie in worker->target itself. */
    char *kept = text + len;
    if (query.len > GW_PATH)
        return false;
    memcpy(kept, query.text, query.len);

    text_add(&target, text, drops ? len - 1 : len);
    if (query.len > 1 && !drops) {
        text_put(&target, mark ? "&" : "?");
        text_add(&target, kept + 1, query.len - 1);
    }
    ret->target = (struct gw_span){ worker->target, (size_t)(target.at - worker->target) };
    return !target.full;
}

/* Where the client is sent: a query behind it as above, and no two slashes in front. */
static enum outcome send_away(struct gw_worker *worker, struct gw_rewritten *ret, char *text, size_t len,
                              const struct gw_rule *rule)
{
    while (len > 1 && text[0] == '/' && text[1] == '/') {
        text++;
        len--;
    }
    ret->status = rule->then == BOARD_THEN_PERMANENT ? 301 : 302;
    return take_target(worker, ret, text, len, drops_query(rule)) ? SENT_AWAY : FAILED;
}

/* The groups stay what they are while the path becomes another one. */
static void keep_groups(struct gw_worker *worker)
{
    struct gw_path *path = &worker->path;
    memcpy(worker->matched, path->text, path->len);
    for (int i = 0; i < REGEX_GROUPS; i++)
        if (path->group[i].text)
            path->group[i].text = worker->matched + (path->group[i].text - path->text);
}

static enum outcome apply(struct gw_worker *worker, const struct conn *conn, const struct gw_rule *rule,
                          struct gw_rewritten *ret)
{
    struct gw_path *path = &worker->path;
    struct gw_gathered gathered;
    struct text text = { .at = worker->scratch, .end = worker->scratch + GW_PATH };

    if (path->len > sizeof(worker->matched))
        return FAILED;
    if (!rule->regex || regex_match(rule->regex, path->text, path->len, path->group) <= 0)
        return UNCHANGED;
    path->grouped = true;
    keep_groups(worker);
    gw_relay_gather_request(worker, conn, &gathered);
    gathered.facts.path = path;
    gathered.facts.target = ret->target;
    gw_expand(&text, rule->to, &gathered.facts);
    size_t len = (size_t)(text.at - worker->scratch);
    if (text.full || len == 0)
        return FAILED;
    if (rule->then == BOARD_THEN_REDIRECT || rule->then == BOARD_THEN_PERMANENT)
        return send_away(worker, ret, worker->scratch, len, rule);
    if (worker->scratch[0] != '/' || !take_target(worker, ret, worker->scratch, len, drops_query(rule)) ||
        !gw_path_normalise(ret->target.text, ret->target.len, path))
        return FAILED;
    path->grouped = true;
    ret->whole = rule->then == BOARD_THEN_BREAK;
    return rule->then == BOARD_THEN_BREAK ? STAYS : CHANGED;
}

/* The rules of a route, one after the other. */
static enum outcome apply_all(struct gw_worker *worker, const struct conn *conn, uint32_t route,
                              struct gw_rewritten *ret)
{
    enum outcome outcome = UNCHANGED;
    for (uint32_t at = worker->routes.rules_of[route]; at > 0; at = worker->routes.rule[at - 1].next) {
        const struct gw_rule *rule = &worker->routes.rule[at - 1];
        enum outcome one = apply(worker, conn, rule, ret);
        if (one == UNCHANGED)
            continue;
        outcome = one;
        if (one != CHANGED || rule->then == BOARD_THEN_LAST)
            break;
    }
    return outcome;
}

struct gw_rewritten gw_rewrite_find(struct gw_worker *worker, const struct conn *conn)
{
    const struct http1_head *head = &worker->head;
    const char *buf = gw_block(&worker->slots, conn->in);
    struct gw_rewritten ret = { .route = GW_ROUTE_NONE, .target = { buf + head->path.at, head->path.len } };
    bool passed = false;

    if (!gw_path_normalise(ret.target.text, ret.target.len, &worker->path)) {
        ret.status = 400;
        return ret;
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        ret.whole = false;
        ret.route = gw_route_find(&worker->routes, worker->view, conn->listener, buf + head->host.at, head->host.len,
                                  passed, &worker->path);
        if (ret.route == GW_ROUTE_NONE) {
            ret.status = 404;
            return ret;
        }
        bool passes = worker->view->routes[ret.route].action == BOARD_PASS;
        enum outcome outcome = apply_all(worker, conn, ret.route, &ret);
        if (outcome == SENT_AWAY)
            return ret;
        if (outcome == FAILED)
            break;
        if (!passes && outcome != CHANGED)
            return ret;
        passed |= passes;
    }
    ret.status = 500;
    return ret;
}
