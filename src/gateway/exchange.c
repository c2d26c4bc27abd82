/* SPDX-License-Identifier: MIT */
#include "gateway/exchange.h"

#include "gateway/access.h"
#include "gateway/affinity.h"
#include "gateway/answer.h"
#include "gateway/attempt.h"
#include "gateway/client.h"
#include "gateway/conn.h"
#include "gateway/failure.h"
#include "gateway/hedge.h"
#include "gateway/limit.h"
#include "gateway/mark.h"
#include "gateway/pipe.h"
#include "gateway/poison.h"
#include "gateway/relay.h"
#include "gateway/rewrite.h"
#include "gateway/upstream.h"
#include "gateway/waits.h"

enum { HOPS_MAX = 8 /* gateways of our kind that a request may come through */ };

/* --- counting ----------------------------------------------------------------------------------------------------- */

static void begin_active(struct gw_worker *worker, struct conn *conn)
{
    conn->flags |= CONN_ACTIVE;
    worker->active++;
    conn->begun_ns = worker->now;
    conn->due_ns = 0;
    conn->status = 0;
    conn->attempts = 0;
    conn->strikes = 0;
    conn->repeated = false;
    conn->tried_len = 0;
    conn->sent = 0;
    conn->held_ns = 0;
    conn->head_sent = 0;
    conn->body_due_ns = 0;
    gw_count(&gw_conn_gauge(worker, conn)->requests);
}

void gw_exchange_drop(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    if (upstream)
        gw_upstream_close(worker, upstream);
    gw_attempt_over(worker, conn);
    gw_hedge_drop_rival(worker, conn);
    gw_pipe_drop(&conn->up);
    gw_pipe_drop(&conn->down);
    if (conn->flags & CONN_RETRYING)
        worker->retrying--;
    if (conn->flags & CONN_HEDGED)
        worker->hedged--;
    gw_waits_over(worker, conn);
    if (conn->flags & CONN_ACTIVE) {
        worker->active--;
        if (conn->state != CONN_TUNNEL) /* logged when it began */
            gw_access_log(worker, conn);
        gw_count(&gw_conn_gauge(worker, conn)->status[conn->status < 600 ? conn->status / 100 : 0]);
    }
    conn->flags &= ~(uint32_t)(CONN_RETRYING | CONN_HEDGED | CONN_ACTIVE);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

/* Where the request leads to; what it says is in worker->path afterwards. `ret` is what came of rewriting. */
static void find_route(struct gw_worker *worker, struct conn *conn, const char *buf, const struct http1_head *head,
                       struct gw_rewritten *ret)
{
    ret->status = 0;
    conn->route = worker->routes.only[conn->listener];
    if (worker->routes.rewrites[conn->listener]) {
        *ret = gw_rewrite_find(worker, conn);
        conn->route = ret->route;
        return;
    }
    bool looked = conn->route == GW_NONE || worker->view->routes[conn->route].action == BOARD_REDIRECT;
    if (looked && !gw_path_normalise(buf + head->path.at, head->path.len, &worker->path))
        ret->status = 400;
    else if (conn->route == GW_NONE)
        conn->route = gw_route_find(&worker->routes, worker->view, conn->listener, buf + head->host.at, head->host.len,
                                    false, &worker->path);
    if (conn->route == GW_NONE && ret->status == 0)
        ret->status = 404;
}

/* What the route answers by itself, or does not let through. True when that was the answer. */
static bool answer_here(struct gw_worker *worker, struct conn *conn, const char *buf, const struct http1_head *head)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    if (conn->method == HTTP1_CONNECT) {
        gw_answer(worker, conn, 501, "CONNECT is not served here");
        return true;
    }
    uint32_t too_early_s = gw_limit_request(worker, conn);
    if (too_early_s > 0) {
        gw_limit_count(worker, GAUGE_SOURCE_REQUESTS);
        gw_answer_too_often(worker, conn, too_early_s);
        return true;
    }
    if (gw_relay_body_too_large(worker, conn, head)) {
        gw_limit_count(worker, GAUGE_BODY_SIZE);
        gw_answer(worker, conn, 413, NULL);
        return true;
    }
    if (worker->view->via && gw_forward_hops(buf, head) >= HOPS_MAX)
        gw_answer(worker, conn, 508, NULL);
    else if (route->flags & BOARD_MAINTENANCE)
        gw_answer_page(worker, conn, &route->closed);
    else if (route->action == BOARD_REDIRECT)
        gw_answer_redirect(worker, conn);
    else if (route->action == BOARD_RESPOND)
        gw_answer_page(worker, conn, &route->page);
    else
        return false;
    return true;
}

static void read_flags(struct conn *conn, const struct http1_head *head)
{
    conn->flags &= CONN_READY;
    if (head->keep_alive)
        conn->flags |= CONN_KEEP_ALIVE;
    if (head->minor == 0)
        conn->flags |= CONN_HTTP10;
    if (head->upgrade)
        conn->flags |= CONN_UPGRADE;
    if (head->expect_continue)
        conn->flags |= CONN_EXPECTS;
    for (unsigned i = 0; i < head->headers; i++)
        if (head->header[i].field == HTTP1_FIELD_IDEMPOTENCY_KEY && !head->header[i].hop_by_hop)
            conn->flags |= CONN_REPEATABLE;
}

void gw_exchange_request(struct gw_worker *worker, struct conn *conn)
{
    const struct http1_head *head = &worker->head;
    const char *buf = gw_block(&worker->slots, conn->in);

    read_flags(conn, head);
    conn->method = head->method;
    conn->head_len = head->len;
    conn->in_framing = head->framing;
    conn->in_left = head->content_length;
    conn->in_chunked = (struct http1_chunked){ 0 };
    conn->serial++;
    struct gw_rewritten found;
    find_route(worker, conn, buf, head, &found);
    unsigned refused = found.status >= 400 ? found.status : 0;
    if (refused == 400 || gw_relay_take_body(worker, conn, head->len) < 0) {
        gw_count(&worker->gauges->bad_requests);
        conn->flags &= ~(uint32_t)CONN_REQUEST_WHOLE;
        gw_answer(worker, conn, 400,
                  refused == 400 ? "the path is malformed" : "the chunked request body is malformed");
        return;
    }
    /* What follows may be the tunnel's first bytes, sent in hope: never a request. So this one has no end. */
    if (conn->method == HTTP1_CONNECT)
        conn->flags &= ~(uint32_t)CONN_REQUEST_WHOLE;
    if (refused) {
        gw_count(&worker->gauges->unrouted);
        gw_answer(worker, conn, refused, NULL);
        return;
    }
    begin_active(worker, conn);
    if (found.status > 0) {
        gw_answer_location(worker, conn, found.status, found.target);
        return;
    }
    if (answer_here(worker, conn, buf, head))
        return;
    if (gw_poison_any(&worker->shared->quarantine, worker->now) &&
        gw_poison_has(&worker->shared->quarantine, gw_poison_fingerprint(buf, head), worker->now)) {
        gw_count(&gw_conn_gauge(worker, conn)->poisoned);
        gw_answer(worker, conn, 502, "this request is in quarantine: instances died while they served it");
    } else {
        conn->key = gw_affinity_key(worker->view, gw_conn_route(worker, conn), buf, head, gw_client_peer(conn));
        gw_waits_begin(worker, conn);
        gw_attempt_or_hold(worker, conn);
    }
}

void gw_exchange_tcp(struct gw_worker *worker, struct conn *conn)
{
    gw_mark(worker, conn);
    conn->route = worker->view->listeners[conn->listener].route;
    conn->flags |= CONN_TCP | CONN_REQUEST_WHOLE;
    begin_active(worker, conn);
    conn->key = gw_affinity_key(worker->view, gw_conn_route(worker, conn), NULL, NULL, gw_client_peer(conn));
    gw_attempt_or_hold(worker, conn);
}

void gw_exchange_count_5xx(struct gw_worker *worker, const struct conn *conn, uint32_t endpoint)
{
    gw_count(&worker->gauges->endpoints[endpoint].errors);
    if (!conn->repeated)
        gw_count(&worker->gauges->endpoints[endpoint].failures);
    if (!worker->view->endpoints[endpoint].judged) /* left out, nobody would find out how bad it is */
        gw_balance_failure(&worker->balance, endpoint, conn->route, BALANCE_STATUS, worker->now);
}

void gw_exchange_answered(struct gw_worker *worker, struct conn *conn, unsigned status)
{
    struct balance *balance = &worker->balance;
    bool known = conn->endpoint_generation == balance->local[conn->endpoint].generation;

    if (!(conn->flags & CONN_ANSWERED)) {
        conn->flags |= CONN_ANSWERED;
        conn->patience_ns = 0;
        if (conn->rival != GW_NONE &&
            !gw_failure_is_unwelcome(worker, conn, conn->endpoint, conn->endpoint_generation, status)) {
            gw_count(&gw_conn_gauge(worker, conn)->hedge_won);
            gw_hedge_drop_rival(worker, conn);
        }
        if (known)
            gw_balance_success(balance, conn->endpoint, worker->now - conn->attempt_ns, worker->now);
        if (known && !conn->repeated)
            gw_balance_measure(balance, conn->endpoint, worker->now - conn->attempt_ns);
    }
    if (status < 500 && (status >= 200 || status == 101))
        gw_waits_answered(worker, conn);
    if (!known || (status < 200 && status != 101))
        return;
    if (status < 500)
        gw_balance_answer(balance, conn->endpoint, conn->attempt_ns);
    else
        gw_exchange_count_5xx(worker, conn, conn->endpoint);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

void gw_exchange_give_up(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why)
{
    if (conn->flags & CONN_TCP)
        gw_conn_close(worker, conn);
    else
        gw_answer(worker, conn, status, why);
}

void gw_exchange_refuse(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why)
{
    gw_upstream_close(worker, gw_conn_upstream(worker, conn));
    gw_attempt_over(worker, conn);
    gw_hedge_drop_rival(worker, conn);
    conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
    gw_answer(worker, conn, status, why);
}
