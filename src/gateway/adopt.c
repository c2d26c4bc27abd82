/* SPDX-License-Identifier: MIT */
#include "gateway/adopt.h"

#include "base/clock.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/hold.h"
#include "gateway/listen.h"
#include "gateway/mark.h"
#include "gateway/retry.h"
#include "gateway/upstream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ATTEMPTS = 3,     /* adoptions that may fail in a row before the arena is given up */
    DEATHS = 2,       /* of workers with the same request in hand before that one is given up */
    BEYOND = 256,     /* how far above the last slot's descriptor an accepted one can be: below are at most the few that
                          were open for a moment */
    BEAT_EVERY = 256, /* events between two beats of the heart */
    STATE_CLOSED = 7, /* tcpi_state: TCP_CLOSE … as in tcp_states.h of the kernel */
    STATE_SYN_SENT = 2,
    AT_ONCE = GW_BLOCK + GW_FORWARD_MAX, /* bytes that one call moves at the most */
};

struct adoption {
    struct gw_worker *worker;
    int64_t begun_ns;
    uint32_t victim;                /* the connection that was in hand; GW_NONE: none */
    uint32_t state;                 /* of that one: enum conn_state */
    uint64_t *descriptors, *blocks; /* bit sets: claimed by a slot */
    int highest;                    /* descriptor that any slot claims */
    uint32_t adopted, dropped;
    int accepted;           /* a socket that has no slot yet; -1: none */
    uint32_t accepted_from; /* its listener */
    struct pollfd *polled;
    uint32_t *polled_slot; /* index of a connection, or of an upstream behind those */
    uint32_t polls;
    uint32_t *held; /* connections in that state */
    uint32_t helds;
};

static bool test_and_set(uint64_t *bits, uint32_t at)
{
    uint64_t bit = UINT64_C(1) << at % 64, before = bits[at / 64];
    bits[at / 64] |= bit;
    return before & bit;
}

static bool is_set(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

/* ---- the arena as a whole ---- */

bool gw_adopt_possible(const struct gw_worker *worker)
{
    const struct arena *arena = worker->slots.arena;
    uint32_t conns = worker->slots.count;
    return arena->magic == GW_ARENA_MAGIC && arena->layout == GW_ARENA_LAYOUT && arena->conns == conns &&
           arena->upstreams == conns && arena->blocks == 2 * conns && arena->fresh_conn <= conns &&
           arena->fresh_upstream <= conns && arena->fresh_block <= 2 * conns && arena->adopting < ATTEMPTS;
}

int gw_adopt_epoll(struct gw_worker *worker)
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

/* ---- the connection that was in hand ---- */

/* What was half done is undone. The index of the connection, or GW_NONE. */
static uint32_t roll_back(struct gw_worker *worker)
{
    struct slots *slots = &worker->slots;
    uint32_t hand = slots->arena->hand & 0xff;
    if (hand != GW_HAND_MARK_0 && hand != GW_HAND_MARK_1)
        return GW_NONE;
    const struct gw_mark *mark = &slots->arena->mark[hand - GW_HAND_MARK_0];
    if (mark->conn >= slots->count || mark->before.state == CONN_FREE)
        return GW_NONE;

    struct conn *conn = &slots->conns[mark->conn];
    *conn = mark->before;
    if (conn->upstream < slots->count)
        slots->upstreams[conn->upstream] = mark->upstream;
    if (conn->rival < slots->count)
        slots->upstreams[conn->rival] = mark->rival;
    if (mark->kept_block < slots->arena->blocks && mark->kept_at <= GW_BLOCK &&
        mark->kept_len <= GW_BLOCK - mark->kept_at)
        memcpy(gw_block(slots, mark->kept_block) + mark->kept_at, mark->kept, mark->kept_len);
    conn->deaths += conn->deaths < UINT8_MAX;
    return mark->conn;
}

static uint32_t bytes_in(const struct gw_pipe *pipe)
{
    int bytes;
    return pipe->read_fd >= 0 && ioctl(pipe->read_fd, FIONREAD, &bytes) == 0 ? (uint32_t)bytes : pipe->held;
}

/* What a Unix socket's last call has moved, as the kernel left it behind: in the arena, or in the pipe. `filled` is the pipe
   that is filled from the socket, `drained` the one that goes out on it. */
static void ask_unix(const struct arena *arena, const struct gw_pipe *filled, const struct gw_pipe *drained,
                     struct gw_replay *replay)
{
    if (arena->call_cookie == replay->socket->cookie && arena->call.msg_len != UINT32_MAX)
        *(arena->call_given ? &replay->given : &replay->taken) = arena->call.msg_len;
    if (bytes_in(filled) > filled->held)
        replay->taken = bytes_in(filled) - filled->held;
    if (bytes_in(drained) < drained->held)
        replay->given = drained->held - bytes_in(drained);
}

/* What TCP has moved on a socket since its slot was marked. `connected`: by us, else accepted. False when it cannot be what
   it was. */
static bool ask_tcp(const struct gw_socket *socket, bool connected, struct gw_replay *replay)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    int unread, unacked;

    if (getsockopt(socket->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return false;
    if (info.tcpi_state == STATE_CLOSED || info.tcpi_state == STATE_SYN_SENT)
        return true; /* nothing more, or nothing yet */
    if (ioctl(socket->fd, SIOCINQ, &unread) < 0 || ioctl(socket->fd, SIOCOUTQ, &unacked) < 0)
        return false;
    /* The SYN of the side that connects is counted as acknowledged; a FIN that has come, as received. */
    bool fin = socket->io & GW_EOF;
    struct pollfd look = { .fd = socket->fd, .events = POLLRDHUP };
    if (poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP)))
        fin = true;
    replay->taken = info.tcpi_bytes_received - fin - (uint64_t)unread - socket->taken;
    if (!(socket->io & GW_SHUT))
        replay->given = info.tcpi_bytes_acked - connected + (uint64_t)unacked - socket->given;
    return replay->taken <= AT_ONCE && replay->given <= AT_ONCE;
}

static bool ask(const struct gw_worker *worker, const struct conn *conn, bool upstream, struct gw_replay *replay)
{
    const struct gw_socket *socket = upstream ? &gw_conn_upstream(worker, conn)->socket : &conn->socket;

    *replay = (struct gw_replay){ .socket = socket };
    if (socket->fd < 0)
        return true;
    if (!socket->is_unix)
        return ask_tcp(socket, upstream, replay);
    ask_unix(worker->slots.arena, upstream ? &conn->down : &conn->up, upstream ? &conn->up : &conn->down, replay);
    return true;
}

/* ---- checks ---- */

static bool claim_descriptor(struct adoption *a, const struct gw_socket *socket)
{
    return socket->fd > 2 && socket->fd <= a->highest && socket->cookie != 0 &&
           gw_cookie(socket->fd) == socket->cookie && !test_and_set(a->descriptors, (uint32_t)socket->fd);
}

static bool claim_block(struct adoption *a, uint32_t block)
{
    return block == GW_NONE || (block < a->worker->slots.arena->fresh_block && !test_and_set(a->blocks, block));
}

/* A pipe holds what its slot says; or, with the connection in hand, what the last call has left in it. */
static bool claim_pipe(struct adoption *a, struct gw_pipe *pipe, bool in_hand)
{
    if (pipe->read_fd < 0 && pipe->held == 0)
        return true;
    if (pipe->read_fd <= 2 || pipe->read_fd > a->highest || pipe->write_fd <= 2 || pipe->write_fd > a->highest ||
        lseek(pipe->read_fd, 0, SEEK_CUR) >= 0 || errno != ESPIPE)
        return false;
    bool holds = in_hand || bytes_in(pipe) == pipe->held;
    return holds && !test_and_set(a->descriptors, (uint32_t)pipe->read_fd) &&
           !test_and_set(a->descriptors, (uint32_t)pipe->write_fd);
}

/* Only those that the state uses: others are what an earlier request has left. */
static bool lengths_hold(const struct conn *conn)
{
    bool in = conn->in == GW_NONE || conn->in_len <= GW_BLOCK, out = conn->out == GW_NONE || conn->out_len <= GW_BLOCK;

    switch ((enum conn_state)conn->state) {
    case CONN_CONNECTING:
    case CONN_SENDING:
    case CONN_RELAYING:
        in = in && conn->in_sent <= conn->in_len && conn->head_len <= GW_BLOCK;
        __attribute__((fallthrough));
    case CONN_HELD:
    case CONN_VERDICT:
    case CONN_ANSWERING:
        in = in && (conn->in == GW_NONE || conn->request_end <= conn->in_len);
        out = out && (conn->out == GW_NONE || (conn->out_ready <= conn->out_len && conn->out_at <= conn->out_ready));
        return in && out;
    case CONN_TUNNEL:
        return in && out && (conn->in == GW_NONE || conn->in_sent <= conn->in_len) &&
               (conn->out == GW_NONE || conn->out_at <= conn->out_len);
    default:
        return in && out;
    }
}

static bool belongs(const struct gw_worker *worker, const struct conn *conn, uint32_t upstream)
{
    if (upstream == GW_NONE)
        return true;
    return upstream < worker->slots.count && worker->slots.upstreams[upstream].conn == gw_conn_index(worker, conn);
}

/* What the state rests on is there. */
static bool parts_hold(const struct conn *conn)
{
    bool tcp = conn->flags & CONN_TCP, placed = conn_fsm_in_flight((enum conn_state)conn->state);
    if (placed && conn->endpoint >= BOARD_ENDPOINTS)
        return false;
    switch ((enum conn_state)conn->state) {
    case CONN_TUNNEL:
        return conn->upstream != GW_NONE;
    case CONN_ANSWERING:
        return conn->out != GW_NONE;
    case CONN_HEAD:
    case CONN_HELD:
    case CONN_CONNECTING:
    case CONN_SENDING:
    case CONN_RELAYING:
    case CONN_VERDICT:
        return tcp || conn->in != GW_NONE;
    default:
        return true;
    }
}

static bool conn_holds(struct adoption *a, struct conn *conn)
{
    const struct gw_worker *worker = a->worker;
    bool in_hand = gw_conn_index(worker, conn) == a->victim;
    return conn->state < CONN_STATES && conn->listener < BOARD_LISTENERS && conn->in_framing <= HTTP1_UNTIL_CLOSE &&
           (conn->source < GW_SOURCES || conn->source == GW_NONE) &&
           (conn->queue < BOARD_SERVICES || conn->queue == GW_NONE) && conn->out_framing <= HTTP1_UNTIL_CLOSE &&
           conn->failure < RETRY_FAILURES && (conn->route < BOARD_ROUTES || !(conn->flags & CONN_ACTIVE)) &&
           (conn->rival == GW_NONE || conn->rival_endpoint < BOARD_ENDPOINTS) && parts_hold(conn) &&
           lengths_hold(conn) && belongs(worker, conn, conn->upstream) && belongs(worker, conn, conn->rival) &&
           conn->deaths < DEATHS && claim_descriptor(a, &conn->socket) && claim_block(a, conn->in) &&
           claim_block(a, conn->out) && claim_pipe(a, &conn->up, in_hand) && claim_pipe(a, &conn->down, in_hand);
}

/* Its slot is given up; the descriptor is then nobody's and is closed with the others. */
static void drop(struct adoption *a, struct conn *conn)
{
    conn->state = CONN_FREE;
    a->dropped++;
}

static void check_conns(struct adoption *a)
{
    struct slots *slots = &a->worker->slots;
    for (uint32_t i = 0; i < slots->arena->fresh_conn; i++) {
        struct conn *conn = &slots->conns[i];
        if (conn->state != CONN_FREE && !conn_holds(a, conn))
            drop(a, conn);
    }
}

/* The upstream of the connection in hand may have been closed by the dead one: then it has broken off. */
static bool upstream_holds(struct adoption *a, uint32_t index)
{
    struct upstream *upstream = &a->worker->slots.upstreams[index];
    if (upstream->state == UPSTREAM_IDLE)
        return upstream->endpoint < BOARD_ENDPOINTS && claim_descriptor(a, &upstream->socket);
    if (upstream->state > UPSTREAM_IDLE || upstream->conn >= a->worker->slots.count)
        return false;
    struct conn *conn = &a->worker->slots.conns[upstream->conn];
    if (conn->state == CONN_FREE || (conn->upstream != index && conn->rival != index))
        return false;
    if (claim_descriptor(a, &upstream->socket))
        return true;
    if (upstream->conn != a->victim) {
        drop(a, conn);
        return false;
    }
    upstream->fd = -1;
    upstream->io = GW_READABLE | GW_HUP;
    return true;
}

static void check_upstreams(struct adoption *a)
{
    struct slots *slots = &a->worker->slots;
    for (uint32_t i = 0; i < slots->arena->fresh_upstream; i++)
        if (slots->upstreams[i].state != UPSTREAM_FREE && !upstream_holds(a, i))
            slots->upstreams[i].state = UPSTREAM_FREE;
}

/* ---- descriptors ---- */

/* The descriptors that are no slot's and are there all the same; -1: none. */
enum { OWN = 9 };
static void own_descriptors(const struct adoption *a, int own[OWN])
{
    const struct gateway_worker_setup *setup = a->worker->setup;
    const struct guard_member *pair = setup->guard ? setup->guard->member : NULL;

    memcpy(own,
           (const int[OWN]){ STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, a->worker->epoll_fd, setup->channel_fd,
                             setup->bell_fd, setup->supervisor_bell_fd, pair ? pair[GUARD_SIDE_GUARD].pidfd : -1,
                             pair ? pair[GUARD_SIDE_ROLE].pidfd : -1 },
           OWN * sizeof(int));
}

static void find_highest(struct adoption *a)
{
    const struct slots *slots = &a->worker->slots;
    int limit = (int)sysconf(_SC_OPEN_MAX), own[OWN];

    own_descriptors(a, own);
    for (int i = 0; i < OWN; i++)
        a->highest = own[i] > a->highest ? own[i] : a->highest;
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++)
        if (a->worker->listeners[i].fd > a->highest && a->worker->listeners[i].fd < limit)
            a->highest = a->worker->listeners[i].fd;
    for (uint32_t i = 0; i < slots->arena->fresh_conn; i++) {
        const struct conn *conn = &slots->conns[i];
        const int fds[] = { conn->fd, conn->up.read_fd, conn->up.write_fd, conn->down.read_fd, conn->down.write_fd };
        for (size_t f = 0; conn->state != CONN_FREE && f < sizeof(fds) / sizeof(fds[0]); f++)
            if (fds[f] > a->highest && fds[f] < limit)
                a->highest = fds[f];
    }
    for (uint32_t i = 0; i < slots->arena->fresh_upstream; i++) {
        const struct upstream *upstream = &slots->upstreams[i];
        if (upstream->state != UPSTREAM_FREE && upstream->fd > a->highest && upstream->fd < limit)
            a->highest = upstream->fd;
    }
}

static void claim_own(struct adoption *a)
{
    int own[OWN];
    own_descriptors(a, own);
    for (int i = 0; i < OWN; i++)
        if (own[i] >= 0)
            (void)test_and_set(a->descriptors, (uint32_t)own[i]);
}

/* Listening sockets: those that are, are watched again once the view is there. */
static void claim_listeners(struct adoption *a)
{
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++) {
        struct gw_listener *listener = &a->worker->listeners[i];
        int listens = 0;
        socklen_t len = sizeof(listens);
        if (listener->fd < 0)
            continue;
        if (listener->fd > a->highest || getsockopt(listener->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
            !listens || test_and_set(a->descriptors, (uint32_t)listener->fd))
            listener->fd = -1;
    }
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* Descriptors first … last are no slot's. One of them may be a client that the dead one had just accepted. */
static void close_unclaimed(struct adoption *a, unsigned first, unsigned last)
{
    unsigned likely = last < first + BEYOND ? last : first + BEYOND;
    uint32_t hand = a->worker->slots.arena->hand;

    for (unsigned fd = first; (hand & 0xff) == GW_HAND_ACCEPT && a->accepted < 0 && fd <= likely; fd++)
        if (is_connected((int)fd)) {
            a->accepted = (int)fd;
            a->accepted_from = hand >> 8;
            if (fd > first)
                (void)syscall(SYS_close_range, first, fd - 1, 0);
            first = fd + 1;
        }
    if (first <= last)
        (void)syscall(SYS_close_range, first, last, 0);
}

static void sort_descriptors(struct adoption *a)
{
    unsigned first = 3;
    for (unsigned fd = 3; fd <= (unsigned)a->highest; fd++) {
        if (!is_set(a->descriptors, fd))
            continue;
        if (fd > first)
            close_unclaimed(a, first, fd - 1);
        first = fd + 1;
    }
    close_unclaimed(a, first, ~0U);
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
        if (!is_set(a->blocks, i)) {
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
        gw_list_add(worker, &worker->verdicts, conn);
    worker->active += (conn->flags & CONN_ACTIVE) != 0;
    worker->retrying += (conn->flags & CONN_RETRYING) != 0;
    if (conn->flags & CONN_IN_FLIGHT)
        count_in_flight(worker, conn->endpoint, conn->endpoint_generation);
    if (conn->rival != GW_NONE)
        count_in_flight(worker, conn->rival_endpoint, conn->rival_generation);
    if (worker->slots.due[index] > 0)
        gw_timers_set(&worker->timers, index, worker->slots.due[index]);
    else
        gw_conn_touch(worker, conn);
    if (worker->epoll_is_new)
        (void)gw_watch(worker, conn->fd, EPOLLIN | EPOLLRDHUP | (conn->io & GW_WANT_OUT ? EPOLLOUT : 0), GW_KIND_CONN,
                       conn->generation, index);
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
    for (uint32_t i = 0; i < worker->view->used_endpoints; i++)
        atomic_store_explicit(&worker->gauges->endpoints[i].inflight, 0, memory_order_relaxed);
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
        worker->listeners[i].watched = false;
        if (worker->draining)
            gw_listen_close(worker, i);
    }
    gw_listen_resume(worker);
}

/* ---- going on ---- */

/* The connection in hand, from its mark on. */
static void replay(struct adoption *a)
{
    struct gw_worker *worker = a->worker;
    if (a->victim == GW_NONE || worker->slots.conns[a->victim].state == CONN_FREE)
        return;
    struct conn *conn = &worker->slots.conns[a->victim];
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    uint32_t generation = conn->generation;
    bool known =
        ask(worker, conn, false, &worker->replay[0]) && (!upstream || ask(worker, conn, true, &worker->replay[1]));

    gw_mark(worker, conn);
    if (known && conn->state == CONN_CONNECTING && upstream)
        gw_exchange_arrived(worker, conn);
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

static void look_at_client(struct gw_worker *worker, struct conn *conn, uint32_t events)
{
    bool idle = conn->state == CONN_IDLE;
    if (idle && worker->view->listeners[conn->listener].protocol == BOARD_TCP)
        gw_exchange_tcp(worker, conn); /* it had just come in */
    else if (idle && !(events & ~(uint32_t)POLLOUT) && !(conn->flags & CONN_LEFTOVER))
        gw_io_event(&conn->io, events);
    else
        gw_worker_event(worker, GW_KIND_CONN, conn->generation, gw_conn_index(worker, conn), events);
}

/* Events that the dead one had fetched will not come again: what each socket is ready for is asked in one call. */
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
            gw_worker_event(worker, GW_KIND_UPSTREAM, upstream->generation, slot - count, events);
    }
}

static void greet_accepted(struct adoption *a)
{
    struct gw_worker *worker = a->worker;
    if (a->accepted < 0)
        return;
    if (a->accepted_from < BOARD_LISTENERS)
        gw_listen_take(worker, a->accepted_from, a->accepted);
    else
        (void)close(a->accepted);
}

static void tell(struct adoption *a)
{
    struct adoption_gauge *gauge = &a->worker->gauges->adoption;

    atomic_store(&gauge->adopted, a->adopted);
    atomic_store(&gauge->state, a->state);
    atomic_fetch_add(&gauge->dropped, a->dropped);
    atomic_store(&gauge->took_ns, clock_now() - a->begun_ns);
    atomic_fetch_add(&gauge->adoptions, 1);
    (void)!write(a->worker->setup->supervisor_bell_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* Room for the bit sets and the polls, in one mapping. NULL when there is no memory: then the pair begins anew. */
static void *make_room(struct adoption *a, size_t *ret_size)
{
    uint32_t sockets = 2 * a->worker->slots.count;
    size_t descriptors = ((size_t)a->highest / 64 + 1) * 8,
           blocks = ((size_t)a->worker->slots.arena->blocks / 64 + 1) * 8;
    size_t size = descriptors + blocks + sockets * (sizeof(struct pollfd) + 2 * sizeof(uint32_t));
    char *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    a->descriptors = (uint64_t *)room;
    a->blocks = (uint64_t *)(room + descriptors);
    a->polled = (struct pollfd *)(room + descriptors + blocks);
    a->polled_slot = (uint32_t *)(a->polled + sockets);
    a->held = a->polled_slot + sockets;
    *ret_size = size;
    return room;
}

int gw_adopt(struct gw_worker *worker)
{
    struct arena *arena = worker->slots.arena;
    struct adoption a = { .worker = worker, .begun_ns = clock_now(), .accepted = -1 };
    size_t size;

    if (arena->lives == 1)
        return 0;
    arena->adopting++;
    a.victim = roll_back(worker);
    if (a.victim != GW_NONE)
        a.state = worker->slots.conns[a.victim].state;
    find_highest(&a);
    void *room = make_room(&a, &size);
    if (!room)
        return -ENOMEM;
    claim_own(&a);
    claim_listeners(&a);
    check_conns(&a);
    check_upstreams(&a);
    sort_descriptors(&a);
    build(&a);
    replay(&a);
    greet_accepted(&a);
    look_at_all(&a);
    gw_hold_wake(worker);
    (void)munmap(room, size);
    arena->adopting = 0;
    tell(&a);
    return 0;
}
