/* SPDX-License-Identifier: MIT */
#include "gateway/hold.h"

#include "base/clock.h"
#include "gateway/answer.h"
#include "gateway/attempt.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/failure.h"
#include "gateway/loop.h"
#include "gateway/mark.h"

#include <errno.h>

enum { HOLD_MAX = 8192 /* requests that one worker lets wait */ };
#define SAID_ALL_NS NS_PER_S /* see gw_hold_given_up() */

/* --- lists ------------------------------------------------------------------------------------------------------ */

static struct gw_list *list_of(struct gw_worker *worker, const struct conn *conn)
{
    return conn->queue == GW_NONE ? &worker->held : &worker->queues[conn->queue];
}

/* Since when the first of the queue waits: the other workers want to know. */
static void publish(struct gw_worker *worker, uint32_t service)
{
    uint32_t first = worker->queues[service].first;
    atomic_store_explicit(&worker->gauges->waiting_ns[service],
                          first == GW_NONE ? 0 : worker->slots.conns[first].begun_ns, memory_order_relaxed);
}

static void add(struct gw_worker *worker, struct conn *conn)
{
    gw_list_add(&worker->slots, list_of(worker, conn), conn);
    if (conn->queue == GW_NONE)
        return;
    worker->queued++;
    publish(worker, conn->queue);
}

static void take_off(struct gw_worker *worker, struct conn *conn)
{
    gw_list_remove(&worker->slots, list_of(worker, conn), conn);
    if (conn->queue == GW_NONE)
        return;
    worker->queued--;
    publish(worker, conn->queue);
}

static void count(struct gw_worker *worker)
{
    atomic_store_explicit(&worker->gauges->holding, worker->held.count + worker->queued, memory_order_relaxed);
}

void gw_hold_enter(struct gw_worker *worker, struct conn *conn)
{
    add(worker, conn);
    conn->held_ns -= worker->now;
    count(worker);
}

void gw_hold_adopt(struct gw_worker *worker, struct conn *conn)
{
    worker->turns_held = true; /* the first look will tell */
    add(worker, conn);
    count(worker);
}

void gw_hold_leave(struct gw_worker *worker, struct conn *conn)
{
    take_off(worker, conn);
    conn->held_ns += worker->now;
    count(worker);
}

/* The shortest queue of those services of the route that have endpoints, all of them full. GW_NONE: it waits for none. */
static uint32_t queue_for(const struct gw_worker *worker, const struct conn *conn, int why)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    uint32_t best = GW_NONE;
    for (uint32_t t = 0; why == -EBUSY && t < route->targets; t++) {
        uint32_t service = route->service[t];
        if (worker->view->services[service].max_inflight > 0 && worker->balance.services[service].count > 0 &&
            (best == GW_NONE || worker->queues[service].count < worker->queues[best].count))
            best = service;
    }
    return best;
}

/* --- waiting ---------------------------------------------------------------------------------------------------- */

bool gw_hold_given_up(const struct gw_worker *worker, const struct conn *conn)
{
    return conn->state == CONN_HELD && !(conn->flags & CONN_TCP) && worker->now - conn->begun_ns >= SAID_ALL_NS;
}

void gw_hold_expired(struct gw_worker *worker, struct conn *conn)
{
    gw_count(&gw_conn_gauge(worker, conn)->hold_expired);
    gw_exchange_give_up(worker, conn, 503, NULL);
}

/* Nobody is there, and nobody is on the way. */
static bool is_in_vain(const struct gw_worker *worker, const struct conn *conn, int why)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    if (why != -ENOENT)
        return false;
    for (uint32_t t = 0; t < route->targets; t++)
        if (!worker->view->services[route->service[t]].vacant)
            return false;
    return true;
}

static void give_up(struct gw_worker *worker, struct conn *conn)
{
    gw_exchange_give_up(worker, conn, 503, "nothing runs that could answer this");
}

void gw_hold(struct gw_worker *worker, struct conn *conn, int why)
{
    if (is_in_vain(worker, conn, why)) {
        give_up(worker, conn);
        return;
    }
    if (conn->due_ns == 0)
        conn->due_ns = worker->now + gw_conn_route(worker, conn)->hold_ns;
    if (conn->due_ns <= worker->now || worker->held.count + worker->queued >= HOLD_MAX) {
        gw_hold_expired(worker, conn);
        return;
    }
    if (!(conn->flags & CONN_WAS_HELD))
        gw_count(&gw_conn_gauge(worker, conn)->held);
    conn->flags |= CONN_WAS_HELD;
    conn->queue = queue_for(worker, conn, why);
    worker->turns_held |= why == -EAGAIN;
    gw_conn_step(worker, conn, CONN_EV_HOLD);
}

/* One that waits already gets its turn. False when it has to go on waiting, for whatever it is now. */
static bool try_again(struct gw_worker *worker, struct conn *conn)
{
    gw_mark(worker, conn);
    int why = gw_attempt_place(worker, conn);
    bool in_vain = is_in_vain(worker, conn, why);
    if (in_vain)
        give_up(worker, conn);
    gw_mark_none(worker);
    if (why == 0 || in_vain) {
        gw_loop_again(worker, conn);
        return true;
    }
    worker->turns_held |= why == -EAGAIN;
    uint32_t queue = queue_for(worker, conn, why);
    if ((queue == GW_NONE) != (conn->queue == GW_NONE)) {
        take_off(worker, conn);
        conn->queue = queue;
        add(worker, conn);
    }
    return false;
}

/* Each that is there now gets one turn; those that fail at once queue up behind. */
static void try_all(struct gw_worker *worker, const struct gw_list *list)
{
    uint32_t next = list->first;
    for (uint32_t left = list->count; left > 0 && next != GW_NONE; left--) {
        struct conn *conn = &worker->slots.conns[next];
        next = conn->next;
        (void)try_again(worker, conn);
    }
}

void gw_hold_wake(struct gw_worker *worker)
{
    uint32_t next = worker->verdicts.first;
    for (uint32_t left = worker->verdicts.count; left > 0 && next != GW_NONE; left--) {
        struct conn *conn = &worker->slots.conns[next];
        next = conn->next;
        gw_mark(worker, conn);
        gw_failure_judge(worker, conn, false);
        gw_mark_none(worker);
        gw_loop_again(worker, conn);
    }
    worker->turns_held = false;
    for (uint32_t i = 0; i < worker->view->used_services && worker->queued > 0; i++)
        try_all(worker, &worker->queues[i]);
    try_all(worker, &worker->held);
}

void gw_hold_serve(struct gw_worker *worker)
{
    for (uint32_t i = 0; i < worker->view->used_services && worker->queued > 0; i++) {
        const struct gw_list *queue = &worker->queues[i];
        for (uint32_t left = queue->count; left > 0 && queue->first != GW_NONE; left--) {
            struct conn *first = &worker->slots.conns[queue->first];
            if (!try_again(worker, first) && first->queue == i)
                break;
        }
    }
}
