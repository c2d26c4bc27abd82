/* SPDX-License-Identifier: MIT */
#include "gateway/hedge.h"

#include "base/clock.h"
#include "gateway/attempt.h"
#include "gateway/channel.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/failure.h"
#include "gateway/loop.h"
#include "gateway/response.h"
#include "gateway/retry.h"
#include "gateway/upstream.h"

#include <errno.h>
#include <sys/socket.h>

#define LOOK_AGAIN_NS (10 * NS_PER_MS)

/* What could not be done at once (no budget, nobody else is well) is looked at again soon, and the later the longer it
   lasts already. */
static int64_t later(const struct gw_worker *worker, const struct conn *conn)
{
    int64_t waited = worker->now - conn->attempt_ns;
    return worker->now + (waited / 16 > LOOK_AGAIN_NS ? waited / 16 : LOOK_AGAIN_NS);
}

void gw_hedge_drop_rival(struct gw_worker *worker, struct conn *conn)
{
    if (conn->rival == GW_NONE)
        return;
    gw_upstream_close(worker, &worker->slots.upstreams[conn->rival]);
    if (worker->balance.local[conn->rival_endpoint].generation == conn->rival_generation)
        gw_balance_lost(&worker->balance, conn->rival_endpoint, worker->now - conn->rival_ns, worker->now);
    gw_attempt_landed(worker, conn->rival_endpoint, conn->rival_generation);
}

/* The rival is the attempt again; whatever was begun beside it is over. */
static void restore_rival(struct gw_worker *worker, struct conn *conn)
{
    const struct upstream *rival = &worker->slots.upstreams[conn->rival];
    conn->upstream = conn->rival;
    conn->rival = GW_NONE;
    conn->endpoint = conn->rival_endpoint;
    conn->endpoint_generation = conn->rival_generation;
    conn->attempt_ns = conn->rival_ns;
    conn->head_sent = GW_HEAD_DONE;
    conn->in_sent = conn->request_end;
    conn->flags &= ~(uint32_t)(CONN_SEND_BROKEN | CONN_ANSWERED | CONN_REUSED | CONN_SEEN);
    conn->flags |= CONN_IN_FLIGHT | CONN_OVERDUE | (rival->served > 0 ? CONN_REUSED : 0);
    gw_block_put(&worker->slots, &conn->out);
    if (conn->state == CONN_CONNECTING)
        gw_conn_step(worker, conn, CONN_EV_SEND);
}

bool gw_hedge_fall_back(struct gw_worker *worker, struct conn *conn)
{
    if (conn->rival == GW_NONE)
        return false;
    restore_rival(worker, conn);
    gw_conn_look_again(worker, conn, later(worker, conn));
    gw_loop_again(worker, conn); /* a part of its head may have come meanwhile */
    return true;
}

/* What makes the socket readable: more than 0: a whole head, 0: its end, or no HTTP; -EAGAIN: less than a head. Bytes are
   left where they are: who drips must not win against somebody who answers. */
static int look_at(struct gw_worker *worker, const struct conn *conn, const struct upstream *upstream)
{
    ssize_t n = recv(upstream->fd, worker->scratch, sizeof(worker->scratch), MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : 0;
    int len = http1_parse_response(worker->scratch, (size_t)n, (enum http1_method)conn->method, &gw_response_limits,
                                   &worker->response);
    return len == 0 && !(upstream->io & GW_HUP) ? -EAGAIN : len > 0 ? len : 0;
}

void gw_hedge_rival_event(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *rival = &worker->slots.upstreams[conn->rival];
    if (!(rival->io & (GW_READABLE | GW_HUP)))
        return;
    int seen = look_at(worker, conn, rival);
    if (seen < 0)
        return;
    if (seen == 0) {
        gw_failure_count(worker, conn->rival_endpoint, conn->rival_generation, conn->route, rival->served == 0);
        gw_hedge_drop_rival(worker, conn);
        return;
    }
    unsigned status = worker->response.status;
    if (gw_failure_is_unwelcome(worker, conn, conn->rival_endpoint, conn->rival_generation, status)) {
        if (status >= 500 && worker->balance.local[conn->rival_endpoint].generation == conn->rival_generation)
            gw_exchange_count_5xx(worker, conn, conn->rival_endpoint);
        gw_hedge_drop_rival(worker, conn); /* the second attempt may have a better one */
        return;
    }
    struct upstream *second = gw_conn_upstream(worker, conn);
    if (second)
        gw_upstream_close(worker, second);
    gw_attempt_over(worker, conn);
    restore_rival(worker, conn);
}

/* The attempt steps aside for another one. */
static void become_rival(struct gw_worker *worker, struct conn *conn)
{
    gw_hedge_drop_rival(worker, conn); /* one that was there even earlier is the least likely to answer */
    conn->rival = conn->upstream;
    conn->rival_endpoint = conn->endpoint;
    conn->rival_generation = conn->endpoint_generation;
    conn->rival_ns = conn->attempt_ns;
    conn->upstream = GW_NONE;
    conn->flags &= ~(uint32_t)CONN_IN_FLIGHT;
}

static bool all_sent(const struct conn *conn)
{
    return conn->head_sent == GW_HEAD_DONE && (conn->flags & CONN_REQUEST_WHOLE) &&
           !(conn->flags & (CONN_SEND_BROKEN | CONN_ANSWERED)) && conn->in_sent == conn->request_end;
}

void gw_hedge_overdue(struct gw_worker *worker, struct conn *conn)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    bool connecting = conn->state == CONN_CONNECTING, first = !(conn->flags & CONN_OVERDUE);
    bool in_vain = connecting || gw_conn_half_answered(conn); /* nothing was sent, or it drips: no need to keep it */
    int elsewhere = gw_attempt_elsewhere(worker, conn);
    const struct hedge_case facts = {
        .safe = connecting || gw_attempt_is_safe(worker, conn),
        .replayable = !(conn->flags & CONN_REPLAY_LOST) && (connecting || all_sent(conn)),
        .wanted = route->retry_on & BOARD_RETRY_TIMEOUT,
        .elsewhere = elsewhere >= 0,
        .well = elsewhere >= 0 && gw_balance_well(&worker->balance, (uint32_t)elsewhere, conn->attempt_ns),
        .budget = gw_attempt_has_room(worker, conn, !in_vain),
        .attempts = conn->attempts,
        .max_attempts = route->attempts,
    };

    conn->flags |= CONN_OVERDUE;
    if (first && conn->endpoint_generation == worker->balance.local[conn->endpoint].generation &&
        gw_balance_overdue(&worker->balance, conn->endpoint, conn->route, conn->attempt_ns, worker->now))
        gw_channel_ring(worker);
    switch (gw_hedge_decide(&facts)) {
    case HEDGE_NEVER:
        gw_conn_look_again(worker, conn, 0);
        break;
    case HEDGE_LATER:
        gw_conn_look_again(worker, conn, later(worker, conn));
        break;
    case HEDGE_NOW:
        if (in_vain) {
            gw_failure(worker, conn, RETRY_TIMEOUT);
            break;
        }
        become_rival(worker, conn);
        gw_attempt_second(worker, conn, (uint32_t)elsewhere);
        break;
    }
}
