/* SPDX-License-Identifier: MIT */
#include "gateway/exchange.h"

#include "base/clock.h"
#include "base/hash.h"
#include "gateway/access.h"
#include "gateway/affinity.h"
#include "gateway/answer.h"
#include "gateway/client.h"
#include "gateway/conn.h"
#include "gateway/hedge.h"
#include "gateway/hold.h"
#include "gateway/limit.h"
#include "gateway/mark.h"
#include "gateway/pipe.h"
#include "gateway/poison.h"
#include "gateway/proxy.h"
#include "gateway/relay.h"
#include "gateway/rewrite.h"
#include "gateway/upstream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUARANTINE_NS (60 * NS_PER_S)
#define LOST_NS       (5 * NS_PER_S) /* so long an engine may take to say how an instance died */
#define TRIAL_NS      NS_PER_S       /* a suspect that takes longer has the next one tried beside it */

enum { HOPS_MAX = 8 /* gateways of our kind that a request may come through */ };

/* Flags that belong to one attempt. */
#define ATTEMPT_FLAGS                                                                                                  \
    (uint32_t)(CONN_SEND_BROKEN | CONN_ANSWERED | CONN_RESPONSE_WHOLE | CONN_KEEP_UPSTREAM | CONN_REUSED | CONN_SEEN | \
               CONN_OVERDUE)

/* --- counting --------------------------------------------------------------------------------------------------- */

static void begin_active(struct gw_worker *worker, struct conn *conn)
{
    conn->flags |= CONN_ACTIVE;
    worker->active++;
    conn->begun_ns = worker->now;
    conn->due_ns = 0;
    conn->status = 0;
    conn->attempts = 0;
    conn->strikes = 0;
    conn->tried_len = 0;
    conn->sent = 0;
    conn->held_ns = 0;
    conn->head_sent = 0;
    conn->body_due_ns = 0;
    gw_count(&gw_conn_gauge(worker, conn)->requests);
}

void gw_exchange_landed(struct gw_worker *worker, uint32_t endpoint, uint32_t generation)
{
    struct endpoint_gauge *gauge = &worker->gauges->endpoints[endpoint];
    if (atomic_load_explicit(&gauge->generation, memory_order_relaxed) != generation)
        return;
    uint32_t left = atomic_load_explicit(&gauge->inflight, memory_order_relaxed) - 1;
    atomic_store_explicit(&gauge->inflight, left, memory_order_relaxed);
    if (left == 0 && worker->view->endpoints[endpoint].state == BOARD_ENDPOINT_DRAINING)
        (void)!write(worker->setup->supervisor_bell_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* Who it is in the trial of suspects (poison.h): never 0. */
static uint64_t trial_owner(const struct gw_worker *worker, const struct conn *conn)
{
    return (uint64_t)worker->setup->number << 32 | (gw_conn_index(worker, conn) + 1);
}

/* A request under which an instance has died by itself waits for its turn. */
static bool may_be_tried(struct gw_worker *worker, const struct conn *conn)
{
    return conn->strikes == 0 ||
           gw_poison_trial(&worker->shared->quarantine, trial_owner(worker, conn), worker->now, worker->now + TRIAL_NS);
}

void gw_exchange_attempt_over(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->flags & CONN_IN_FLIGHT))
        return;
    if (conn->strikes > 0)
        gw_poison_trial_over(&worker->shared->quarantine, trial_owner(worker, conn));
    conn->flags &= ~(uint32_t)CONN_IN_FLIGHT;
    gw_exchange_landed(worker, conn->endpoint, conn->endpoint_generation);
}

void gw_exchange_drop(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    if (upstream)
        gw_upstream_close(worker, upstream);
    gw_exchange_attempt_over(worker, conn);
    gw_hedge_drop_rival(worker, conn);
    gw_pipe_drop(&conn->up);
    gw_pipe_drop(&conn->down);
    if (conn->flags & CONN_RETRYING)
        worker->retrying--;
    if (conn->flags & CONN_ACTIVE) {
        worker->active--;
        if (conn->state != CONN_TUNNEL) /* logged when it began */
            gw_access_log(worker, conn);
        gw_count(&gw_conn_gauge(worker, conn)->status[conn->status < 600 ? conn->status / 100 : 0]);
    }
    conn->flags &= ~(uint32_t)(CONN_RETRYING | CONN_ACTIVE);
}

void gw_exchange_count_failure(struct gw_worker *worker, uint32_t endpoint, uint32_t generation, uint32_t route,
                               bool blame)
{
    if (generation != worker->balance.local[endpoint].generation)
        return;
    gw_count(&worker->gauges->endpoints[endpoint].errors);
    if (blame)
        gw_balance_failure(&worker->balance, endpoint, route, BALANCE_ERROR, worker->now);
}

static void count_failure(struct gw_worker *worker, const struct conn *conn, bool blame)
{
    gw_exchange_count_failure(worker, conn->endpoint, conn->endpoint_generation, conn->route, blame);
}

/* --- attempts --------------------------------------------------------------------------------------------------- */

static void remember_tried(struct conn *conn)
{
    conn->tried[conn->tried_len % GW_TRIED] =
        (struct conn_tried){ .endpoint = conn->endpoint, .generation = conn->endpoint_generation };
    conn->tried_len++;
}

static unsigned tried_len(const struct conn *conn)
{
    return conn->tried_len < GW_TRIED ? conn->tried_len : GW_TRIED;
}

bool gw_exchange_is_safe(const struct gw_worker *worker, const struct conn *conn)
{
    return !(conn->flags & CONN_TCP) &&
           (http1_method_idempotent((enum http1_method)conn->method) || (conn->flags & CONN_REPEATABLE) ||
            (gw_conn_route(worker, conn)->retry_on & BOARD_RETRY_NON_IDEMPOTENT));
}

int gw_exchange_elsewhere(struct gw_worker *worker, const struct conn *conn)
{
    const struct balance_request request = {
        .route = conn->route,
        .tried = conn->tried,
        .tried_len = tried_len(conn),
        .now_ns = worker->now,
        .since_ns = conn->begun_ns,
        .key = conn->key,
        .safe = gw_exchange_is_safe(worker, conn),
    };
    return gw_balance_pick(&worker->balance, &request);
}

void gw_exchange_give_up(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why)
{
    if (conn->flags & CONN_TCP)
        gw_conn_close(worker, conn);
    else
        gw_answer(worker, conn, status, why);
}

/* Not the endpoint's fault, and another one would not help. */
static bool our_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM || error == -EADDRNOTAVAIL;
}

static void attempt_connected(struct gw_worker *worker, struct conn *conn)
{
    if (gw_proxy_send(worker, conn) < 0) {
        gw_exchange_fail(worker, conn, RETRY_CONNECT);
        return;
    }
    if (conn->flags & CONN_TCP) {
        conn->status = 200;                      /* for the gauges: it is served */
        gw_exchange_answered(worker, conn, 200); /* the only latency that a stream of bytes has */
        gw_conn_step(worker, conn, CONN_EV_TUNNEL);
        return;
    }
    gw_conn_step(worker, conn, CONN_EV_SEND);
    gw_relay_request(worker, conn);
}

/* Will all of the request be at hand, should it have to be sent again? */
static bool fits_in_block(const struct conn *conn)
{
    return (conn->flags & CONN_REQUEST_WHOLE) ||
           (conn->in_framing == HTTP1_LENGTH && conn->in_left <= GW_BLOCK - conn->in_len);
}

/* One attempt on `endpoint`. `fresh`: another one on the same endpoint, and on no kept connection. */
static void attempt(struct gw_worker *worker, struct conn *conn, uint32_t endpoint, bool fresh)
{
    struct endpoint_gauge *gauge = &worker->gauges->endpoints[endpoint];
    bool certain = !http1_method_idempotent((enum http1_method)conn->method);

    bool seen = fresh && (conn->head_sent > 0 || (conn->flags & CONN_SEEN));

    conn->endpoint = endpoint;
    conn->endpoint_generation = worker->view->endpoints[endpoint].generation;
    conn->flags = (conn->flags & ~ATTEMPT_FLAGS) | CONN_IN_FLIGHT | (seen ? CONN_SEEN : 0);
    conn->attempts += conn->attempts < UINT8_MAX;
    conn->head_sent = 0;
    conn->in_sent = conn->head_len;
    conn->attempt_ns = worker->now;
    conn->patience_ns = 0;
    gw_balance_placed(&worker->balance, endpoint, worker->now);
    gw_block_put(&worker->slots, &conn->out);
    if (conn->tried_len > 0)
        gw_count(&gw_conn_gauge(worker, conn)->retried);
    remember_tried(conn);
    gw_count(&gauge->requests);
    atomic_store_explicit(&gauge->inflight, atomic_load_explicit(&gauge->inflight, memory_order_relaxed) + 1,
                          memory_order_relaxed);

    if (!fresh && !(conn->flags & CONN_TCP) && fits_in_block(conn) && gw_upstream_reuse(worker, conn, certain)) {
        conn->flags |= CONN_REUSED;
        gw_conn_step(worker, conn, CONN_EV_SEND);
        gw_relay_request(worker, conn);
        return;
    }
    gw_conn_step(worker, conn, CONN_EV_CONNECT);
    int connected = gw_upstream_connect(worker, conn);
    if (connected > 0) {
        attempt_connected(worker, conn);
    } else if (connected < 0 && our_shortage(connected)) {
        gw_exchange_attempt_over(worker, conn);
        if (!gw_hedge_fall_back(worker, conn))
            gw_exchange_give_up(worker, conn, 503, "the gateway is out of connections");
    } else if (connected < 0) {
        gw_exchange_fail(worker, conn, RETRY_CONNECT);
    }
}

void gw_exchange_arrived(struct gw_worker *worker, struct conn *conn)
{
    int connected = gw_upstream_connected(worker, gw_conn_upstream(worker, conn));
    if (connected > 0)
        attempt_connected(worker, conn);
    else if (connected < 0)
        gw_exchange_fail(worker, conn, connected == -ETIMEDOUT ? RETRY_TIMEOUT : RETRY_CONNECT);
}

/* --- placement -------------------------------------------------------------------------------------------------- */

int gw_exchange_try(struct gw_worker *worker, struct conn *conn)
{
    if ((conn->flags & CONN_LATER) && !gw_retry_budget(worker->retrying, worker->active))
        return -EAGAIN;
    int endpoint = gw_exchange_elsewhere(worker, conn);
    if (endpoint < 0)
        return endpoint;
    if (!may_be_tried(worker, conn))
        return -EAGAIN;
    if (conn->flags & CONN_LATER) {
        conn->flags = (conn->flags & ~(uint32_t)CONN_LATER) | CONN_RETRYING;
        worker->retrying++;
    }
    attempt(worker, conn, (uint32_t)endpoint, false);
    return 0;
}

static void place(struct gw_worker *worker, struct conn *conn)
{
    int result = gw_exchange_try(worker, conn);
    if (result < 0)
        gw_hold(worker, conn, result);
}

/* --- the beginning ---------------------------------------------------------------------------------------------- */

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
        /* What follows may be the tunnel's first bytes, sent in hope: never a request. So this one has no end. */
        conn->flags &= ~(uint32_t)CONN_REQUEST_WHOLE;
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

static uint64_t fingerprint(const char *buf, const struct http1_head *head)
{
    uint64_t hash = hash_bytes(HASH_SEED, buf + head->method_name.at, head->method_name.len);
    hash = hash_bytes(hash_bytes(hash, "\n", 1), buf + head->host.at, head->host.len);
    return hash_bytes(hash_bytes(hash, "\n", 1), buf + head->path.at, head->path.len);
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
        if (head->header[i].field == HTTP1_FIELD_IDEMPOTENCY_KEY)
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
        gw_poison_has(&worker->shared->quarantine, fingerprint(buf, head), worker->now)) {
        gw_count(&gw_conn_gauge(worker, conn)->poisoned);
        gw_answer(worker, conn, 502, "this request is in quarantine: instances died while they served it");
    } else {
        conn->key = gw_affinity_key(worker->view, gw_conn_route(worker, conn), buf, head, gw_client_peer(conn));
        place(worker, conn);
    }
}

void gw_exchange_tcp(struct gw_worker *worker, struct conn *conn)
{
    gw_mark(worker, conn);
    conn->route = worker->view->listeners[conn->listener].route;
    conn->flags |= CONN_TCP | CONN_REQUEST_WHOLE;
    begin_active(worker, conn);
    conn->key = gw_affinity_key(worker->view, gw_conn_route(worker, conn), NULL, NULL, gw_client_peer(conn));
    place(worker, conn);
}

void gw_exchange_answered(struct gw_worker *worker, struct conn *conn, unsigned status)
{
    struct balance *balance = &worker->balance;
    bool known = conn->endpoint_generation == balance->local[conn->endpoint].generation;

    if (!(conn->flags & CONN_ANSWERED)) {
        conn->flags |= CONN_ANSWERED;
        conn->patience_ns = 0;
        if (conn->rival != GW_NONE)
            gw_count(&gw_conn_gauge(worker, conn)->hedge_won);
        gw_hedge_drop_rival(worker, conn);
        if (known)
            gw_balance_success(balance, conn->endpoint, worker->now - conn->attempt_ns, worker->now);
    }
    if (!known || (status < 200 && status != 101))
        return;
    if (status < 500) {
        gw_balance_answer(balance, conn->endpoint, conn->attempt_ns);
    } else {
        gw_count(&worker->gauges->endpoints[conn->endpoint].errors);
        gw_count(&worker->gauges->endpoints[conn->endpoint].failures);
        gw_balance_failure(balance, conn->endpoint, conn->route, BALANCE_STATUS, worker->now);
    }
}

/* --- failure ---------------------------------------------------------------------------------------------------- */

static struct retry_case facts_of(struct gw_worker *worker, const struct conn *conn, enum retry_failure failure,
                                  int elsewhere)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    bool late = route->retry_timeout_ns > 0 && worker->now - conn->begun_ns >= route->retry_timeout_ns;
    return (struct retry_case){
        .failure = failure,
        .idempotent = (conn->flags & CONN_TCP) || http1_method_idempotent((enum http1_method)conn->method),
        .repeatable = conn->flags & CONN_REPEATABLE,
        .sent = conn->head_sent > 0 || (conn->flags & CONN_SEEN),
        .replayable = !(conn->flags & CONN_REPLAY_LOST),
        .begun = conn->flags & CONN_BEGUN,
        .elsewhere = elsewhere != -ENOENT,
        .alone = elsewhere == -ENOENT && conn->tried_len == 1,
        .died = conn->flags & CONN_DIED,
        .patient = route->hold_ns > 0,
        .budget = (conn->flags & CONN_RETRYING) || gw_retry_budget(worker->retrying, worker->active),
        .retry_on = route->retry_on,
        .status = conn->status,
        .attempts = conn->attempts,
        .max_attempts = late ? conn->attempts : route->attempts,
        .suspects = worker->view->endpoints[conn->endpoint].suspects,
        .strikes = conn->strikes,
    };
}

static void count_retry(struct gw_worker *worker, struct conn *conn, enum retry_failure failure)
{
    if (!gw_retry_counts(failure)) {
        conn->attempts--;
    } else if (!(conn->flags & CONN_RETRYING)) {
        conn->flags |= CONN_RETRYING;
        worker->retrying++;
    }
}

void gw_exchange_second(struct gw_worker *worker, struct conn *conn, uint32_t endpoint)
{
    gw_count(&gw_conn_gauge(worker, conn)->hedged);
    count_retry(worker, conn, RETRY_TIMEOUT);
    attempt(worker, conn, endpoint, false);
}

static void quarantine(struct gw_worker *worker, struct conn *conn)
{
    struct http1_head head;
    const char *buf = gw_block(&worker->slots, conn->in);
    if (!(conn->flags & CONN_REPLAY_LOST) && http1_parse_request(buf, conn->in_len, &gw_limit_any, &head) > 0)
        gw_poison_add(&worker->shared->quarantine, fingerprint(buf, &head), worker->now + QUARANTINE_NS);
}

static void refuse(struct gw_worker *worker, struct conn *conn, enum retry_failure failure)
{
    if (conn->flags & CONN_BEGUN) {
        /* Half an answer is out. A body that lasts until close would look whole after an orderly end. */
        gw_count(&gw_conn_gauge(worker, conn)->truncated);
        bool until_close = conn->out_framing == HTTP1_UNTIL_CLOSE && !(conn->flags & CONN_ENCHUNK);
        if (until_close || (conn->flags & CONN_DECHUNK))
            gw_conn_abort(worker, conn);
        else
            gw_conn_close(worker, conn);
    } else if (failure == RETRY_TIMEOUT) {
        gw_exchange_give_up(worker, conn, 504, NULL);
    } else {
        gw_exchange_give_up(worker, conn, 502, failure == RETRY_CONNECT ? "no connection to the instance" : NULL);
    }
}

void gw_exchange_refuse(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why)
{
    gw_upstream_close(worker, gw_conn_upstream(worker, conn));
    gw_exchange_attempt_over(worker, conn);
    conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
    gw_answer(worker, conn, status, why);
}

/* As many retries as the budget allows run already, all others wait: that stops a storm as well, and loses nothing. */
static void wait_for_budget(struct gw_worker *worker, struct conn *conn)
{
    conn->flags |= CONN_LATER;
    gw_block_put(&worker->slots, &conn->out);
    gw_hold(worker, conn, -EAGAIN);
}

/* What the failure was is known: goes on as the rules say. */
static void settle(struct gw_worker *worker, struct conn *conn, enum retry_failure failure)
{
    struct route_gauge *gauge = gw_conn_gauge(worker, conn);
    int elsewhere = gw_exchange_elsewhere(worker, conn);
    struct retry_case facts = facts_of(worker, conn, failure, elsewhere);
    enum retry_verdict verdict = gw_retry_decide(&facts);

    gw_exchange_attempt_over(worker, conn);
    if (failure == RETRY_CRASHED && facts.sent)
        conn->strikes++;
    switch (verdict) {
    case RETRY_ELSEWHERE:
        count_retry(worker, conn, failure);
        place(worker, conn);
        break;
    case RETRY_LATER:
        wait_for_budget(worker, conn);
        break;
    case RETRY_SAME:
        count_retry(worker, conn, failure);
        if (worker->view->endpoints[conn->endpoint].state == BOARD_ENDPOINT_UP)
            attempt(worker, conn, conn->endpoint, true);
        else
            place(worker, conn); /* it has left the rotation meanwhile */
        break;
    case RETRY_HOLD:
        count_retry(worker, conn, failure);
        gw_hold(worker, conn, -ENOENT);
        break;
    case RETRY_POISON:
        quarantine(worker, conn);
        __attribute__((fallthrough));
    case RETRY_SUSPECT:
        gw_count(&gauge->poisoned);
        if (conn->flags & CONN_BEGUN)
            refuse(worker, conn, failure);
        else
            gw_exchange_give_up(worker, conn, 502, "the instance died while it served this request");
        break;
    case RETRY_DENIED:
        gw_count(&gauge->retry_denied);
        __attribute__((fallthrough));
    case RETRY_GIVE_UP:
        refuse(worker, conn, failure);
        break;
    }
}

void gw_exchange_judge(struct gw_worker *worker, struct conn *conn, bool last)
{
    const struct board_endpoint *endpoint = &worker->view->endpoints[conn->endpoint];
    enum retry_failure failure = (enum retry_failure)conn->failure;
    bool replaced = endpoint->generation != conn->endpoint_generation;
    bool gone = replaced || endpoint->state == BOARD_ENDPOINT_GONE;

    if (!gone && last && endpoint->state == BOARD_ENDPOINT_LOST && worker->now - endpoint->since_ns < LOST_NS) {
        gw_conn_touch(worker, conn); /* dead for sure: its cause decides, and is worth waiting for */
        return;
    }
    if (!gone && !last)
        return;
    if (gone) {
        enum cause cause = replaced ? CAUSE_UNKNOWN : (enum cause)endpoint->cause;
        conn->flags |= CONN_DIED;
        if (cause_self_inflicted(cause))
            failure = RETRY_CRASHED;
        else if (cause == CAUSE_KILLED || cause_asked_for(cause))
            failure = RETRY_KILLED;
        else if (failure == RETRY_STALE)
            failure = RETRY_BROKEN;
    }
    if (conn->failure == RETRY_STALE && failure != RETRY_STALE)
        count_failure(worker, conn, false);
    settle(worker, conn, failure);
}

void gw_exchange_fail(struct gw_worker *worker, struct conn *conn, enum retry_failure failure)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    bool stale = failure == RETRY_BROKEN && (conn->flags & CONN_REUSED) && !(conn->flags & CONN_ANSWERED) &&
                 !gw_conn_half_answered(conn);
    if (stale && upstream && gw_upstream_closed_before(upstream))
        conn->head_sent = 0; /* as good as not sent */
    if (upstream)
        gw_upstream_close(worker, upstream);
    /* At once, whatever the board will say: until then others would be placed on it. Who died is of no use anyway. */
    if (!stale)
        count_failure(worker, conn, true);
    /* The rival was there first: it has had its time as well. */
    if (failure == RETRY_TIMEOUT && conn->state == CONN_SENDING)
        gw_hedge_drop_rival(worker, conn);
    if (conn->rival != GW_NONE) {
        gw_exchange_attempt_over(worker, conn);
        if (stale && worker->view->endpoints[conn->endpoint].state == BOARD_ENDPOINT_UP) {
            conn->attempts--;
            attempt(worker, conn, conn->endpoint, true);
            return;
        }
        (void)gw_hedge_fall_back(worker, conn);
        return;
    }
    /* Whoever broke off may have died: the board will say so in a moment. A failed connect has lost nothing, and is only
       worth waiting for when nobody else is there. */
    if (failure == RETRY_BROKEN || (failure == RETRY_CONNECT && gw_exchange_elsewhere(worker, conn) == -ENOENT)) {
        conn->failure = (uint8_t)(stale ? RETRY_STALE : failure);
        gw_conn_step(worker, conn, CONN_EV_BROKEN);
        gw_exchange_judge(worker, conn, false);
        return;
    }
    /* The table knows one way back to placement from a broken attempt. */
    gw_conn_step(worker, conn, CONN_EV_BROKEN);
    settle(worker, conn, failure);
}

bool gw_exchange_retry_status(struct gw_worker *worker, struct conn *conn, unsigned status)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    if (!(route->retry_on & gw_retry_status_bit(status)))
        return false;
    int elsewhere = gw_exchange_elsewhere(worker, conn);
    conn->status = (uint16_t)status;
    struct retry_case facts = facts_of(worker, conn, RETRY_STATUS, elsewhere);
    enum retry_verdict verdict = gw_retry_decide(&facts);
    bool again = verdict == RETRY_ELSEWHERE || verdict == RETRY_LATER;
    if (!again || elsewhere < 0) { /* rather this answer than none for a while */
        if (verdict == RETRY_DENIED)
            gw_count(&gw_conn_gauge(worker, conn)->retry_denied);
        return false;
    }
    gw_upstream_close(worker, gw_conn_upstream(worker, conn));
    gw_exchange_attempt_over(worker, conn);
    conn->status = 0;
    gw_conn_step(worker, conn, CONN_EV_BROKEN);
    if (verdict == RETRY_LATER) {
        wait_for_budget(worker, conn);
        return true;
    }
    count_retry(worker, conn, RETRY_STATUS);
    attempt(worker, conn, (uint32_t)elsewhere, false);
    return true;
}
