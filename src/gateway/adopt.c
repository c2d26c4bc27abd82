/* SPDX-License-Identifier: MIT */
#include "gateway/adopt.h"

#include "base/clock.h"
#include "gateway/attempt.h"
#include "gateway/channel.h"
#include "gateway/claim.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/hold.h"
#include "gateway/io.h"
#include "gateway/listen.h"
#include "gateway/loop.h"
#include "gateway/mark.h"
#include "gateway/replay.h"
#include "gateway/upstream.h"
#include "gateway/waits.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    ATTEMPTS = 3,     /* adoptions that may fail in a row before the arena is given up */
    BEAT_EVERY = 256, /* events between two beats of the heart */
    PROVEN = 256,     /* slots that are proven in one turn */
};

struct adoption {
    struct gw_worker *worker;
    struct gw_claims claims;
    int64_t begun_ns;
    uint32_t state; /* of the connection that was in hand: enum conn_state; 0: none was */
    uint32_t adopted, dropped;
    struct pollfd *polled;
    uint32_t *polled_slot; /* index of a connection, or of an upstream behind those */
    uint32_t polls;
    uint32_t *held; /* connections in that state */
    uint32_t helds;
};

/* ---- the arena as a whole ---- */

bool gw_adopt_possible(const struct gw_worker *worker)
{
    const struct arena *arena = worker->slots.arena;
    uint32_t conns = worker->slots.count;
    return arena->magic == GW_ARENA_MAGIC && arena->layout == GW_ARENA_LAYOUT && arena->conns == conns &&
           arena->upstreams == conns && arena->blocks == 2 * conns && arena->fresh_conn <= conns &&
           arena->fresh_upstream <= conns && arena->fresh_block <= 2 * conns && arena->draining <= 1 &&
           arena->adopting < ATTEMPTS;
}

/* The epoll set. */
static int open_epoll(struct gw_worker *worker)
{
    struct arena *arena = worker->slots.arena;

    worker->epoll_fd = arena->epoll_fd;
    if (arena->lives++ > 0 && worker->epoll_fd >= 0 &&
        gw_watch(worker, worker->setup->channel_fd, EPOLLIN | EPOLLRDHUP, GW_KIND_CHANNEL, 0, 0) == 0)
        return 0;
    arena->epoll_fd = worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->epoll_is_new = true;
    if (worker->epoll_fd < 0)
        return -errno;
    return gw_watch(worker, worker->setup->channel_fd, EPOLLIN | EPOLLRDHUP, GW_KIND_CHANNEL, 0, 0);
}

/* One that is there is not taken over as it is set, but its descriptor: there may be no other one to be had. */
static int open_alarm(struct gw_worker *worker)
{
    struct arena *arena = worker->slots.arena;

    if (timerfd_settime(arena->alarm_fd, 0, &(struct itimerspec){ 0 }, NULL) < 0)
        arena->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (arena->alarm_fd < 0)
        return -errno;
    return gw_watch(worker, arena->alarm_fd, EPOLLIN, GW_KIND_ALARM, 0, 0);
}

int gw_adopt_epoll(struct gw_worker *worker)
{
    int result = open_epoll(worker);
    return result < 0 ? result : open_alarm(worker);
}

/* ---- building anew ---- */

static void rebuild_free(struct adoption *a)
{
    struct slots *slots = &a->worker->slots;
    struct arena *arena = slots->arena;

    arena->free_conn = arena->free_upstream = arena->free_block = GW_NONE;
    arena->used_conns = 0;
    for (uint32_t i = arena->fresh_conn; i-- > 0;)
        if (slots->conns[i].state == CONN_FREE) {
            slots->conns[i].next = arena->free_conn;
            arena->free_conn = i;
        } else {
            arena->used_conns++;
        }
    for (uint32_t i = arena->fresh_upstream; i-- > 0;)
        if (slots->upstreams[i].state == UPSTREAM_FREE) {
            slots->upstreams[i].next = arena->free_upstream;
            arena->free_upstream = i;
        }
    for (uint32_t i = arena->fresh_block; i-- > 0;)
        if (!gw_claims_has_block(&a->claims, i)) {
            slots->free_next[i] = arena->free_block;
            arena->free_block = i;
        }
}

static void count_in_flight(struct gw_worker *worker, uint32_t endpoint, uint32_t generation)
{
    struct endpoint_gauge *gauge = &worker->gauges->endpoints[endpoint];
    if (atomic_load_explicit(&gauge->generation, memory_order_relaxed) == generation)
        atomic_fetch_add_explicit(&gauge->inflight, 1, memory_order_relaxed);
}

/* It is to be asked what it is ready for. */
static void expect(struct adoption *a, const struct gw_socket *socket, uint32_t slot)
{
    if (socket->fd < 0)
        return;
    a->polled[a->polls] = (struct pollfd){ .fd = socket->fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    a->polled_slot[a->polls++] = slot;
}

static void adopt_conn(struct adoption *a, uint32_t index)
{
    struct gw_worker *worker = a->worker;
    struct conn *conn = &worker->slots.conns[index];

    conn->flags &= ~(uint32_t)CONN_READY;
    conn->prev = conn->next = GW_NONE;
    if (conn->source != GW_NONE)
        gw_source_again(&worker->shared->sources, worker->setup->number, conn->source);
    if (conn->state == CONN_HELD)
        a->held[a->helds++] = index;
    if (conn->state == CONN_VERDICT)
        gw_list_add(&worker->slots, &worker->verdicts, conn);
    gw_waits_adopt(worker, conn);
    worker->active += (conn->flags & CONN_ACTIVE) != 0;
    worker->retrying += (conn->flags & CONN_RETRYING) != 0;
    worker->hedged += (conn->flags & CONN_HEDGED) != 0;
    if (conn->flags & CONN_IN_FLIGHT)
        count_in_flight(worker, conn->endpoint, conn->endpoint_generation);
    if (conn->flags & CONN_UPGRADED)
        gw_attempt_upgraded(worker, conn);
    if (conn->rival != GW_NONE)
        count_in_flight(worker, conn->rival_endpoint, conn->rival_generation);
    if (worker->slots.due[index] > 0)
        gw_timers_set(&worker->timers, index, worker->slots.due[index]);
    else
        gw_conn_touch(worker, conn);
    if (worker->epoll_is_new)
        (void)gw_watch(worker, conn->fd, EPOLLIN | EPOLLRDHUP | (conn->io & GW_WANT_OUT ? EPOLLOUT : 0), GW_KIND_CONN,
                       conn->generation, index);
    if (!(conn->flags & CONN_UNPROVEN))
        expect(a, &conn->socket, index);
    a->adopted++;
}

static void adopt_upstream(struct adoption *a, uint32_t index)
{
    struct gw_worker *worker = a->worker;
    struct upstream *upstream = &worker->slots.upstreams[index];
    const struct board_endpoint *endpoint = &worker->view->endpoints[upstream->endpoint];

    if (worker->epoll_is_new && upstream->fd >= 0)
        (void)gw_watch(worker, upstream->fd, EPOLLIN | EPOLLRDHUP | EPOLLOUT, GW_KIND_UPSTREAM, upstream->generation,
                       index);
    expect(a, &upstream->socket, worker->slots.count + index);
    if (upstream->state != UPSTREAM_IDLE)
        return;
    gw_upstream_link(worker, upstream);
    if (endpoint->state != BOARD_ENDPOINT_UP || endpoint->generation != upstream->endpoint_generation)
        gw_upstream_close(worker, upstream);
}

static int compare_begun(const void *a, const void *b, void *data)
{
    const struct conn *conns = data;
    int64_t first = conns[*(const uint32_t *)a].begun_ns, second = conns[*(const uint32_t *)b].begun_ns;
    return first < second ? -1 : first > second;
}

static void build(struct adoption *a)
{
    struct gw_worker *worker = a->worker;

    rebuild_free(a);
    for (uint32_t i = 0; i < worker->view->used_endpoints; i++) {
        atomic_store_explicit(&worker->gauges->endpoints[i].inflight, 0, memory_order_relaxed);
        atomic_store_explicit(&worker->gauges->endpoints[i].upgraded, 0, memory_order_relaxed);
    }
    gw_waits_forget(worker);
    for (uint32_t i = 0; i < worker->slots.arena->fresh_conn; i++)
        if (worker->slots.conns[i].state != CONN_FREE)
            adopt_conn(a, i);
        else
            worker->slots.due[i] = 0;
    for (uint32_t i = 0; i < worker->slots.arena->fresh_upstream; i++)
        if (worker->slots.upstreams[i].state != UPSTREAM_FREE)
            adopt_upstream(a, i);
        else
            worker->slots.due[worker->slots.count + i] = 0;
    worker->slots.due[gw_timer_accept(worker)] = 0;
    qsort_r(a->held, a->helds, sizeof(a->held[0]), compare_begun, worker->slots.conns);
    atomic_store_explicit(&worker->gauges->holding, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < a->helds; i++)
        gw_hold_adopt(worker, &worker->slots.conns[a->held[i]]);
    atomic_store_explicit(&worker->gauges->connections, worker->slots.arena->used_conns, memory_order_relaxed);
    worker->draining = worker->slots.arena->draining;
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++) {
        if (worker->draining)
            gw_listen_close(worker, i);
        worker->listeners[i].watched = false;
    }
    gw_listen_resume(worker);
}

/* ---- going on ---- */

/* The connection in hand, from its mark on. */
static void replay(struct adoption *a)
{
    struct gw_worker *worker = a->worker;
    uint32_t victim = a->claims.victim;
    if (victim == GW_NONE || worker->slots.conns[victim].state == CONN_FREE)
        return;
    struct conn *conn = &worker->slots.conns[victim];
    uint32_t generation = conn->generation;
    bool known = gw_replay_ask(worker, conn);

    gw_mark(worker, conn);
    if (known && conn->state == CONN_CONNECTING && conn->upstream != GW_NONE)
        gw_attempt_arrived(worker, conn);
    if (known && conn->generation == generation)
        gw_conn_drive(worker, conn);
    /* What was moved and cannot be told to anybody is lost, and the stream of bytes with it. */
    for (int i = 0; i < 2; i++) {
        known &= worker->replay[i].taken == 0 && worker->replay[i].given == 0;
        worker->replay[i] = (struct gw_replay){ .socket = NULL };
    }
    if (!known && conn->generation == generation) {
        gw_conn_abort(worker, conn);
        a->dropped++;
    }
    gw_mark_none(worker);
}

/* Events that the dead one had fetched will not come again. Whoever is not at rest is asked in any case. */
static void carry_out_events(struct gw_worker *worker)
{
    struct arena *arena = worker->slots.arena;
    for (struct epoll_event *event = arena->events; event < arena->events + GW_EVENTS; event++)
        if (event->events && event->data.u64 >> 56 == GW_KIND_CONN && (uint32_t)event->data.u64 < arena->fresh_conn)
            gw_loop_event(worker, event);
        else
            event->events = 0;
}

static void look_at_client(struct gw_worker *worker, struct conn *conn, uint32_t events)
{
    uint64_t tag = gw_tag(GW_KIND_CONN, conn->generation, gw_conn_index(worker, conn));
    if (conn->state == CONN_IDLE && worker->view->listeners[conn->listener].protocol == BOARD_TCP)
        gw_exchange_tcp(worker, conn); /* it had just come in */
    else
        gw_loop_event(worker, &(struct epoll_event){ .events = events, .data.u64 = tag });
}

static void look_at_upstream(struct gw_worker *worker, const struct upstream *upstream, uint32_t index, uint32_t events)
{
    uint64_t tag = gw_tag(GW_KIND_UPSTREAM, upstream->generation, index);
    gw_loop_event(worker, &(struct epoll_event){ .events = events, .data.u64 = tag });
}

/* What each socket is ready for is asked in one call. */
static void look_at_all(struct adoption *a)
{
    struct gw_worker *worker = a->worker;
    uint32_t count = worker->slots.count;

    if (poll(a->polled, a->polls, 0) < 0)
        return;
    for (uint32_t i = 0; i < a->polls; i++) {
        uint32_t slot = a->polled_slot[i], events = (uint16_t)a->polled[i].revents;
        bool client = slot < count;
        struct conn *conn = &worker->slots.conns[client ? slot : 0];
        struct upstream *upstream = &worker->slots.upstreams[client ? 0 : slot - count];
        if (i % BEAT_EVERY == 0)
            (void)guard_beat(worker->guard, 0);
        if (client && conn->fd == a->polled[i].fd)
            look_at_client(worker, conn, events);
        else if (!client && upstream->fd == a->polled[i].fd && events)
            look_at_upstream(worker, upstream, slot - count, events);
    }
}

static void greet_accepted(struct adoption *a)
{
    struct gw_worker *worker = a->worker;
    if (a->claims.accepted < 0)
        return;
    if (a->claims.accepted_from < BOARD_LISTENERS)
        gw_listen_take(worker, a->claims.accepted_from, a->claims.accepted);
    else
        (void)close(a->claims.accepted);
}

static void write_down(const struct adoption *a)
{
    struct adoption_gauge *gauge = &a->worker->gauges->adoption;

    atomic_store(&gauge->adopted, a->adopted);
    atomic_store(&gauge->state, a->state);
    atomic_fetch_add(&gauge->dropped, a->dropped + a->claims.dropped);
    atomic_store(&gauge->took_ns, clock_now() - a->begun_ns);
}

/* Room for what is collected. NULL when there is no memory. */
static void *make_room(struct adoption *a, size_t *ret_size)
{
    uint32_t sockets = 2 * a->worker->slots.count;
    size_t size = sockets * (sizeof(struct pollfd) + 2 * sizeof(uint32_t));
    char *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    a->polled = (struct pollfd *)room;
    a->polled_slot = (uint32_t *)(a->polled + sockets);
    a->held = a->polled_slot + sockets;
    *ret_size = size;
    return room;
}

int gw_adopt(struct gw_worker *worker)
{
    struct arena *arena = worker->slots.arena;
    struct adoption a = { .worker = worker, .begun_ns = clock_now() };
    size_t size;

    if (arena->lives == 1)
        return 0;
    arena->adopting++;
    uint32_t victim = gw_replay_roll_back(worker);
    if (victim != GW_NONE)
        a.state = worker->slots.conns[victim].state;
    void *room = make_room(&a, &size);
    if (!room || gw_claims_take(&a.claims, worker, victim) < 0)
        return -ENOMEM;
    build(&a);
    replay(&a);
    greet_accepted(&a);
    carry_out_events(worker);
    look_at_all(&a);
    gw_hold_wake(worker);
    gw_claims_free(&a.claims);
    (void)munmap(room, size);
    arena->adopting = 0;
    write_down(&a);
    worker->proven = 0;
    return 0;
}

/* ---- afterwards ---- */

bool gw_adopt_prove(struct gw_worker *worker, struct conn *conn)
{
    struct adoption_gauge *gauge = &worker->gauges->adoption;

    conn->flags &= ~(uint32_t)CONN_UNPROVEN;
    if (conn->cookie != 0 && gw_cookie(conn->fd) == conn->cookie)
        return true;
    int fd = conn->fd;
    conn->fd = -1;
    gw_conn_close(worker, conn);
    gw_claims_close(worker, fd);
    atomic_fetch_sub(&gauge->adopted, 1);
    atomic_fetch_add(&gauge->dropped, 1);
    return false;
}

void gw_adopt_go_on(struct gw_worker *worker)
{
    uint32_t conns = worker->slots.arena->fresh_conn;

    for (unsigned i = 0; i < PROVEN && worker->proven < conns; i++, worker->proven++) {
        struct conn *conn = &worker->slots.conns[worker->proven];
        if (conn->state != CONN_FREE)
            (void)gw_adopt_holds(worker, conn);
    }
    if (worker->proven < conns)
        return;
    worker->proven = GW_NONE;
    atomic_fetch_add(&worker->gauges->adoption.adoptions, 1);
    gw_channel_ring(worker);
}
