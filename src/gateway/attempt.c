/* SPDX-License-Identifier: MIT */
#include "gateway/attempt.h"

#include "base/clock.h"
#include "gateway/channel.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/failure.h"
#include "gateway/hedge.h"
#include "gateway/hold.h"
#include "gateway/poison.h"
#include "gateway/proxy.h"
#include "gateway/relay.h"
#include "gateway/upstream.h"

#include <errno.h>

#define TRIAL_NS NS_PER_S /* a suspect that takes longer has the next one tried beside it */

/* Flags that belong to one attempt. */
#define ATTEMPT_FLAGS                                                                                                  \
    (uint32_t)(CONN_SEND_BROKEN | CONN_ANSWERED | CONN_RESPONSE_WHOLE | CONN_KEEP_UPSTREAM | CONN_REUSED | CONN_SEEN | \
               CONN_OVERDUE | CONN_DECHUNK | CONN_ENCHUNK | CONN_ASKED)

void gw_attempt_landed(struct gw_worker *worker, uint32_t endpoint, uint32_t generation)
{
    struct endpoint_gauge *gauge = &worker->gauges->endpoints[endpoint];
    if (atomic_load_explicit(&gauge->generation, memory_order_relaxed) != generation)
        return;
    uint32_t left = atomic_load_explicit(&gauge->inflight, memory_order_relaxed) - 1;
    atomic_store_explicit(&gauge->inflight, left, memory_order_relaxed);
    if (left == 0 && worker->view->endpoints[endpoint].state == BOARD_ENDPOINT_DRAINING)
        gw_channel_ring(worker);
}

enum { OWNER_BITS = 26 }; /* behind the worker's number: more connections than there are descriptors */
static_assert(GAUGES_WORKERS <= 1 << (32 - OWNER_BITS), "workers and connections fit into an owner");

/* Who it is in the trial of suspects (poison.h): never 0. */
static uint32_t trial_owner(const struct gw_worker *worker, const struct conn *conn)
{
    return worker->setup->number << OWNER_BITS | (gw_conn_index(worker, conn) + 1);
}

/* A request under which an instance has died by itself waits for its turn. */
static bool may_be_tried(struct gw_worker *worker, const struct conn *conn)
{
    return conn->strikes == 0 ||
           gw_poison_trial(&worker->shared->quarantine, trial_owner(worker, conn), worker->now, worker->now + TRIAL_NS);
}

static void count_upgraded(struct gw_worker *worker, const struct conn *conn, int by)
{
    struct endpoint_gauge *gauge = &worker->gauges->endpoints[conn->endpoint];
    uint32_t now = atomic_load_explicit(&gauge->upgraded, memory_order_relaxed);

    if (atomic_load_explicit(&gauge->generation, memory_order_relaxed) == conn->endpoint_generation)
        atomic_store_explicit(&gauge->upgraded, now + (uint32_t)by, memory_order_relaxed);
}

void gw_attempt_upgraded(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->flags & CONN_IN_FLIGHT))
        return;
    conn->flags |= CONN_UPGRADED;
    count_upgraded(worker, conn, 1);
}

void gw_attempt_over(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->flags & CONN_IN_FLIGHT))
        return;
    if (conn->strikes > 0)
        gw_poison_trial_over(&worker->shared->quarantine, trial_owner(worker, conn));
    if (conn->flags & CONN_UPGRADED)
        count_upgraded(worker, conn, -1);
    conn->flags &= ~(uint32_t)(CONN_IN_FLIGHT | CONN_UPGRADED);
    gw_attempt_landed(worker, conn->endpoint, conn->endpoint_generation);
}

/* --- attempts ----------------------------------------------------------------------------------------------------- */

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

bool gw_attempt_is_safe(const struct gw_worker *worker, const struct conn *conn)
{
    return !(conn->flags & CONN_TCP) &&
           (http1_method_idempotent((enum http1_method)conn->method) || (conn->flags & CONN_REPEATABLE) ||
            (gw_conn_route(worker, conn)->retry_on & BOARD_RETRY_NON_IDEMPOTENT));
}

int gw_attempt_elsewhere(struct gw_worker *worker, const struct conn *conn)
{
    const struct balance_request request = {
        .route = conn->route,
        .tried = conn->tried,
        .tried_len = tried_len(conn),
        .now_ns = worker->now,
        .since_ns = conn->begun_ns,
        .key = conn->key,
        .proven = conn->repeated,
        .safe = gw_attempt_is_safe(worker, conn),
    };
    return gw_balance_pick(&worker->balance, &request);
}

/* Not the endpoint's fault, and another one would not help. */
static bool our_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM || error == -EADDRNOTAVAIL;
}

static void attempt_connected(struct gw_worker *worker, struct conn *conn)
{
    if (gw_proxy_send(worker, conn) < 0) {
        gw_failure(worker, conn, RETRY_CONNECT);
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

void gw_attempt(struct gw_worker *worker, struct conn *conn, uint32_t endpoint, bool fresh)
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
        gw_attempt_over(worker, conn);
        if (!gw_hedge_fall_back(worker, conn))
            gw_exchange_give_up(worker, conn, 503, "the gateway is out of connections");
    } else if (connected < 0) {
        gw_failure(worker, conn, RETRY_CONNECT);
    }
}

void gw_attempt_arrived(struct gw_worker *worker, struct conn *conn)
{
    int connected = gw_upstream_connected(worker, gw_conn_upstream(worker, conn));
    if (connected > 0)
        attempt_connected(worker, conn);
    else if (connected < 0)
        gw_failure(worker, conn, connected == -ETIMEDOUT ? RETRY_TIMEOUT : RETRY_CONNECT);
}

/* --- placement ---------------------------------------------------------------------------------------------------- */

bool gw_attempt_has_room(const struct gw_worker *worker, const struct conn *conn, bool beside)
{
    if (conn->flags & (beside ? CONN_HEDGED : CONN_RETRYING))
        return true;
    return gw_retry_budget(beside ? worker->hedged : worker->retrying, worker->active);
}

/* Once for each request, however often it is tried. */
static void take_room(struct gw_worker *worker, struct conn *conn, bool beside)
{
    uint32_t flag = beside ? CONN_HEDGED : CONN_RETRYING;
    if (conn->flags & flag)
        return;
    conn->flags |= flag;
    *(beside ? &worker->hedged : &worker->retrying) += 1;
}

int gw_attempt_place(struct gw_worker *worker, struct conn *conn)
{
    if ((conn->flags & CONN_LATER) && !gw_attempt_has_room(worker, conn, false))
        return -EAGAIN;
    int endpoint = gw_attempt_elsewhere(worker, conn);
    if (endpoint < 0)
        return endpoint;
    if (!may_be_tried(worker, conn))
        return -EAGAIN;
    if (conn->flags & CONN_LATER) {
        conn->flags &= ~(uint32_t)CONN_LATER;
        take_room(worker, conn, false);
    }
    gw_attempt(worker, conn, (uint32_t)endpoint, false);
    return 0;
}

void gw_attempt_or_hold(struct gw_worker *worker, struct conn *conn)
{
    int result = gw_attempt_place(worker, conn);
    if (result < 0)
        gw_hold(worker, conn, result);
}

void gw_attempt_count_retry(struct gw_worker *worker, struct conn *conn, enum retry_failure failure)
{
    if (gw_retry_counts(failure))
        take_room(worker, conn, false);
    else
        conn->attempts--;
}

void gw_attempt_second(struct gw_worker *worker, struct conn *conn, uint32_t endpoint)
{
    gw_count(&gw_conn_gauge(worker, conn)->hedged);
    take_room(worker, conn, true);
    gw_attempt(worker, conn, endpoint, false);
}
