/* SPDX-License-Identifier: MIT */
#include "gateway/failure.h"

#include "base/clock.h"
#include "gateway/attempt.h"
#include "gateway/channel.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/hold.h"
#include "gateway/limit.h"
#include "gateway/poison.h"
#include "gateway/upstream.h"

#include <errno.h>

#define QUARANTINE_NS (60 * NS_PER_S)
#define LOST_NS       (5 * NS_PER_S) /* so long an engine may take to say how an instance died */

void gw_failure_count(struct gw_worker *worker, uint32_t endpoint, uint32_t generation, uint32_t route, bool blame)
{
    if (generation != worker->balance.local[endpoint].generation)
        return;
    gw_count(&worker->gauges->endpoints[endpoint].errors);
    if (blame)
        gw_balance_failure(&worker->balance, endpoint, route, BALANCE_ERROR, worker->now);
}

static void count_failure(struct gw_worker *worker, const struct conn *conn, bool blame)
{
    gw_failure_count(worker, conn->endpoint, conn->endpoint_generation, conn->route, blame);
}

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
        .budget = gw_attempt_has_room(worker, conn, false),
        .retry_on = route->retry_on,
        .status = conn->status,
        .attempts = conn->attempts,
        .max_attempts = late ? conn->attempts : route->attempts,
        .suspects = worker->view->endpoints[conn->endpoint].suspects,
        .strikes = conn->strikes,
    };
}

static void quarantine(struct gw_worker *worker, struct conn *conn)
{
    struct http1_head head;
    const char *buf = gw_block(&worker->slots, conn->in);
    if (!(conn->flags & CONN_REPLAY_LOST) && http1_parse_request(buf, conn->in_len, &gw_limit_any, &head) > 0)
        gw_poison_add(&worker->shared->quarantine, gw_poison_fingerprint(buf, &head), worker->now + QUARANTINE_NS);
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
    int elsewhere = gw_attempt_elsewhere(worker, conn);
    struct retry_case facts = facts_of(worker, conn, failure, elsewhere);
    enum retry_verdict verdict = gw_retry_decide(&facts);

    gw_attempt_over(worker, conn);
    if (failure == RETRY_CRASHED && facts.sent)
        conn->strikes++;
    switch (verdict) {
    case RETRY_ELSEWHERE:
        gw_attempt_count_retry(worker, conn, failure);
        gw_attempt_or_hold(worker, conn);
        break;
    case RETRY_LATER:
        wait_for_budget(worker, conn);
        break;
    case RETRY_SAME:
        gw_attempt_count_retry(worker, conn, failure);
        if (worker->view->endpoints[conn->endpoint].state == BOARD_ENDPOINT_UP)
            gw_attempt(worker, conn, conn->endpoint, true);
        else
            gw_attempt_or_hold(worker, conn); /* it has left the rotation meanwhile */
        break;
    case RETRY_HOLD:
        gw_attempt_count_retry(worker, conn, failure);
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

/*
 * It is not dead as far as the board says; may it still turn out to be? On a busy machine the death of a process may be known
 * much later than that of its connections, and a request that killed one must not go on to the next one meanwhile. So the
 * supervisor is asked before the break counts as an ordinary one.
 */
static bool is_alive(struct gw_worker *worker, struct conn *conn, const struct board_endpoint *endpoint, bool last)
{
    struct endpoint_gauge *gauge = &worker->gauges->endpoints[conn->endpoint];

    if (endpoint->alive_ns == BOARD_UNSUPERVISED && conn->failure != RETRY_CONNECT)
        return true; /* nobody will say more */
    if (conn->flags & CONN_ASKED)
        return last || endpoint->alive_ns >= atomic_load_explicit(&gauge->doubt_ns, memory_order_relaxed);
    if (!last || endpoint->alive_ns >= worker->now)
        return last;
    conn->flags |= CONN_ASKED;
    atomic_store_explicit(&gauge->doubt_ns, worker->now, memory_order_relaxed);
    gw_channel_ring(worker);
    gw_conn_touch(worker, conn);
    return false;
}

void gw_failure_judge(struct gw_worker *worker, struct conn *conn, bool last)
{
    const struct board_endpoint *endpoint = &worker->view->endpoints[conn->endpoint];
    enum retry_failure failure = (enum retry_failure)conn->failure;
    bool replaced = endpoint->generation != conn->endpoint_generation;
    bool gone = replaced || endpoint->state == BOARD_ENDPOINT_GONE;

    if (!gone && endpoint->state == BOARD_ENDPOINT_LOST && worker->now - endpoint->since_ns < LOST_NS) {
        if (last)
            gw_conn_touch(worker, conn); /* dead for sure: its cause decides, and is worth waiting for */
        return;
    }
    if (!gone && !is_alive(worker, conn, endpoint, last))
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

void gw_failure(struct gw_worker *worker, struct conn *conn, enum retry_failure failure)
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
        gw_attempt_over(worker, conn);
        if (stale && worker->view->endpoints[conn->endpoint].state == BOARD_ENDPOINT_UP) {
            conn->attempts--;
            gw_attempt(worker, conn, conn->endpoint, true);
            return;
        }
        (void)gw_hedge_fall_back(worker, conn);
        return;
    }
    /* Whoever broke off may have died: the board will say so in a moment. A failed connect has lost nothing, and is only
       worth waiting for when nobody else is there. */
    if (failure == RETRY_BROKEN || (failure == RETRY_CONNECT && gw_attempt_elsewhere(worker, conn) == -ENOENT)) {
        conn->failure = (uint8_t)(stale ? RETRY_STALE : failure);
        gw_conn_step(worker, conn, CONN_EV_BROKEN);
        gw_failure_judge(worker, conn, false);
        return;
    }
    /* The table knows one way back to placement from a broken attempt. */
    gw_conn_step(worker, conn, CONN_EV_BROKEN);
    settle(worker, conn, failure);
}

/* An answer of a version that is being compared with another one. */
static bool is_judged(const struct gw_worker *worker, uint32_t index, uint32_t generation, unsigned status)
{
    const struct board_endpoint *endpoint = &worker->view->endpoints[index];
    return status >= 500 && endpoint->judged && endpoint->generation == generation;
}

bool gw_failure_is_unwelcome(struct gw_worker *worker, const struct conn *conn, uint32_t endpoint, uint32_t generation,
                             unsigned status)
{
    return is_judged(worker, endpoint, generation, status) ||
           (gw_conn_route(worker, conn)->retry_on & gw_retry_status_bit(status)) != 0;
}

bool gw_failure_of_status(struct gw_worker *worker, struct conn *conn, unsigned status)
{
    if (!gw_failure_is_unwelcome(worker, conn, conn->endpoint, conn->endpoint_generation, status))
        return false;
    bool judged = is_judged(worker, conn->endpoint, conn->endpoint_generation, status);
    conn->repeated |= judged;
    if (conn->rival != GW_NONE) { /* late, but it may have a better answer */
        gw_upstream_close(worker, gw_conn_upstream(worker, conn));
        gw_attempt_over(worker, conn);
        return gw_hedge_fall_back(worker, conn);
    }
    int elsewhere = gw_attempt_elsewhere(worker, conn);
    conn->status = (uint16_t)status;
    struct retry_case facts = facts_of(worker, conn, RETRY_STATUS, elsewhere);
    facts.judged = judged;
    enum retry_verdict verdict = gw_retry_decide(&facts);
    bool again = verdict == RETRY_ELSEWHERE || verdict == RETRY_LATER;
    if (!again || elsewhere < 0) { /* rather this answer than none for a while */
        if (verdict == RETRY_DENIED)
            gw_count(&gw_conn_gauge(worker, conn)->retry_denied);
        return false;
    }
    gw_upstream_close(worker, gw_conn_upstream(worker, conn));
    gw_attempt_over(worker, conn);
    conn->status = 0;
    gw_conn_step(worker, conn, CONN_EV_BROKEN);
    if (verdict == RETRY_LATER) {
        wait_for_budget(worker, conn);
        return true;
    }
    gw_attempt_count_retry(worker, conn, RETRY_STATUS);
    gw_attempt(worker, conn, (uint32_t)elsewhere, false);
    return true;
}
