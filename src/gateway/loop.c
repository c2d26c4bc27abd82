/* SPDX-License-Identifier: MIT */
#include "gateway/loop.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "gateway/adopt.h"
#include "gateway/attempt.h"
#include "gateway/channel.h"
#include "gateway/conn.h"
#include "gateway/hedge.h"
#include "gateway/hold.h"
#include "gateway/io.h"
#include "gateway/listen.h"
#include "gateway/mark.h"
#include "gateway/upstream.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    OTHERS_MS = 2,      /* the longest sleep while what is waited for may come from another worker: a turn, or room */
    PROVE_MS = 1,       /* the longest sleep before some more of what was adopted are proven (adopt.h) */
    HEARTBEAT_MS = 150, /* the longest sleep: who watches the heart sees it beat (base/guard.h) */
};

static void conn_event(struct gw_worker *worker, uint32_t index, uint32_t generation, uint32_t events)
{
    struct conn *conn = &worker->slots.conns[index];
    if (conn->generation != generation || conn->state == CONN_FREE || !gw_adopt_holds(worker, conn))
        return;
    gw_mark(worker, conn);
    bool was_there = !(conn->io & GW_HUP);
    gw_io_event(&conn->io, events);
    bool ends = was_there && (conn->io & GW_HUP);
    if ((events & EPOLLERR) || (ends && gw_hold_given_up(worker, conn)))
        conn->io |= GW_ERROR;
    gw_conn_drive(worker, conn);
}

static void upstream_event(struct gw_worker *worker, uint32_t index, uint32_t generation, uint32_t events)
{
    struct upstream *upstream = &worker->slots.upstreams[index];
    if (upstream->generation != generation || upstream->state == UPSTREAM_FREE)
        return;
    if (upstream->state == UPSTREAM_IDLE) {
        gw_io_event(&upstream->io, events);
        /* What came may have been the end of the answer, and have been read in this turn already. */
        if ((upstream->io & GW_HUP) || !gw_upstream_quiet(upstream))
            gw_upstream_closed(worker, upstream);
        return;
    }
    struct conn *conn = &worker->slots.conns[upstream->conn];
    uint32_t conn_generation = conn->generation;
    gw_mark(worker, conn);
    gw_io_event(&upstream->io, events);
    if (conn->rival == index)
        gw_hedge_rival_event(worker, conn);
    else if (upstream->state == UPSTREAM_CONNECTING)
        gw_attempt_arrived(worker, conn);
    if (conn->generation == conn_generation)
        gw_conn_drive(worker, conn);
}

int gw_loop_watch_guard(struct gw_worker *worker)
{
    return gw_watch(worker, guard_fd(worker->guard), EPOLLIN, GW_KIND_GUARD, 0, 0);
}

static void tend_guard(struct gw_worker *worker)
{
    if (guard_tend(worker->guard))
        (void)gw_loop_watch_guard(worker);
}

void gw_loop_event(struct gw_worker *worker, struct epoll_event *event)
{
    uint32_t generation = event->data.u64 >> 32 & 0xffffff, index = (uint32_t)event->data.u64;
    switch ((enum gw_kind)(event->data.u64 >> 56)) {
    case GW_KIND_CONN:
        conn_event(worker, index, generation, event->events);
        break;
    case GW_KIND_UPSTREAM:
        upstream_event(worker, index, generation, event->events);
        break;
    case GW_KIND_LISTENER:
        gw_listen_accept(worker, index);
        break;
    case GW_KIND_CHANNEL:
        gw_channel_read(worker);
        break;
    case GW_KIND_BELL: {
        uint64_t rung;
        (void)!read(worker->setup->bell_fd, &rung, sizeof(rung));
        gw_channel_board(worker); /* again: the bell may have rung since the beginning of this turn */
        break;
    }
    case GW_KIND_GUARD:
        tend_guard(worker);
        break;
    case GW_KIND_ALARM: /* what is due is found without it; edge-triggered, it need not be read */
        break;
    }
    gw_mark_none(worker);
    event->events = 0; /* last: who comes after us carries it out once more rather than never */
}

static void expire(struct gw_worker *worker)
{
    uint32_t id, conns = worker->slots.arena->conns;
    while (gw_timers_pop(&worker->timers, worker->now, &id)) {
        if (id < conns) {
            if (!gw_adopt_holds(worker, &worker->slots.conns[id]))
                continue;
            gw_mark(worker, &worker->slots.conns[id]);
            gw_conn_expire(worker, &worker->slots.conns[id]);
            gw_mark_none(worker);
        } else if (id == gw_timer_accept(worker))
            gw_listen_resume(worker);
        else
            gw_upstream_close(worker, &worker->slots.upstreams[id - conns]);
    }
}

void gw_loop_again(struct gw_worker *worker, struct conn *conn)
{
    uint32_t index = gw_conn_index(worker, conn);
    if (conn->flags & CONN_READY)
        return;
    conn->flags |= CONN_READY;
    conn->ready_next = GW_NONE;
    if (worker->ready_last != GW_NONE)
        worker->slots.conns[worker->ready_last].ready_next = index;
    else
        worker->ready_first = index;
    worker->ready_last = index;
}

/* Those that could have gone on in the last turn. Who is put on the list meanwhile has to wait for the next one. */
static void drive_ready(struct gw_worker *worker)
{
    uint32_t next = worker->ready_first;
    worker->ready_first = worker->ready_last = GW_NONE;
    while (next != GW_NONE) {
        struct conn *conn = &worker->slots.conns[next];
        next = conn->ready_next;
        conn->flags &= ~(uint32_t)CONN_READY;
        if (conn->state == CONN_FREE)
            continue;
        gw_mark(worker, conn);
        gw_conn_drive(worker, conn);
        gw_mark_none(worker);
    }
}

/* Nothing is in hand. Returns only when we are to go on. */
static void upgrade(struct gw_worker *worker)
{
    (void)guard_upgrade(worker->guard, TAKE_FD(worker->program));
    (void)gw_loop_watch_guard(worker);
    gw_channel_ring(worker);
}

/*
 * Sets the alarm to when the worker has to be awake at the latest. It stays set from one sleep to the next: a timeout of
 * epoll_wait(2) would be started and stopped by the kernel at each, which costs a busy worker a tenth of its time.
 */
static void set_alarm(struct gw_worker *worker)
{
    bool others = worker->turns_held || (worker->queued > 0 && worker->setup->gauges->workers > 1);
    int64_t longest_ms = worker->proven != GW_NONE ? PROVE_MS : others ? OTHERS_MS : HEARTBEAT_MS;
    int64_t latest = worker->now + longest_ms * NS_PER_MS;

    if (worker->alarm_ns > worker->now && worker->alarm_ns < latest)
        latest = worker->alarm_ns;
    int64_t due = gw_timers_next(&worker->timers, latest);
    if (due == worker->alarm_ns)
        return;
    const struct itimerspec at = { .it_value = { .tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S } };
    (void)timerfd_settime(worker->slots.arena->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
    worker->alarm_ns = due;
}

void gw_loop_turn(struct gw_worker *worker)
{
    struct epoll_event *events = worker->slots.arena->events;
    bool again = worker->ready_first != GW_NONE;
    if (!again)
        set_alarm(worker);
    int n = epoll_wait(worker->epoll_fd, events, GW_EVENTS, again ? 0 : -1);
    worker->now = clock_now();
    atomic_store_explicit(&worker->gauges->heartbeat_ns, worker->now, memory_order_relaxed);
    if (guard_beat(worker->guard, worker->now))
        tend_guard(worker);
    /* Before anything else, whether its bell is among the events or not: what follows goes by the latest news. */
    gw_channel_board(worker);
    worker->accepted = worker->accepting;
    worker->accepting = false;
    for (int i = 0; i < n && !worker->over; i++)
        gw_loop_event(worker, &events[i]);
    expire(worker);
    drive_ready(worker);
    if (worker->proven != GW_NONE)
        gw_adopt_go_on(worker);
    if (worker->turns_held)
        gw_hold_wake(worker);
    if (worker->queued > 0)
        gw_hold_serve(worker);
    if (worker->draining && worker->slots.arena->used_conns == 0)
        worker->over = true;
    if (worker->program >= 0 && worker->guard && !worker->over)
        upgrade(worker);
}
