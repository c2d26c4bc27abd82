/* SPDX-License-Identifier: MIT */
#include "gateway/claim.h"

#include "base/cleanup.h"
#include "base/handover.h"
#include "gateway/conn_fsm.h"
#include "gateway/io.h"
#include "gateway/pipe.h"
#include "gateway/retry.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DEATHS = 2,   /* of workers with the same request in hand before that one is given up */
    BEYOND = 256, /* how far above the last slot's descriptor an accepted one can be: between were few, for a moment */
    EACH = 6,     /* descriptors that a connection has at the most: its own, an upstream's, those of two pipes */
    SPARE = 1024, /* those that belong to no connection */
};

/* Owners of descriptors beside connections, which are named by their index + 1. */
#define NOBODY  0
#define ANOTHER UINT32_MAX

static void set(uint64_t *bits, uint32_t at, bool value)
{
    uint64_t bit = UINT64_C(1) << at % 64;
    bits[at / 64] = value ? bits[at / 64] | bit : bits[at / 64] & ~bit;
}

static bool is_set(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

/* ---- whose what is ---- */

static void claim(struct gw_claims *a, int fd, uint32_t owner)
{
    if (fd < 0 || fd >= a->limit)
        return;
    a->owners[fd] = owner;
    a->highest = fd > a->highest ? fd : a->highest;
}

/* From now on nobody else may have what it has; or everybody may. */
static void claim_conn(struct gw_claims *a, const struct conn *conn, bool claimed)
{
    const int fds[] = { conn->fd, conn->up.read_fd, conn->up.write_fd, conn->down.read_fd, conn->down.write_fd };
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        claim(a, fds[i], claimed ? gw_conn_index(a->worker, conn) + 1 : NOBODY);
    if (conn->in != GW_NONE)
        set(a->blocks, conn->in, claimed);
    if (conn->out != GW_NONE)
        set(a->blocks, conn->out, claimed);
}

/* Its slot is given up; the descriptor is then nobody's and is closed with the others. */
static void drop(struct gw_claims *a, struct conn *conn)
{
    conn->state = CONN_FREE;
    a->dropped++;
}

/* Whoever has the descriptor gives it up when its socket is another one than it thinks. */
static void contest(struct gw_claims *a, int fd)
{
    uint32_t owner = a->owners[fd];
    if (owner == NOBODY || owner == ANOTHER)
        return;
    struct conn *conn = &a->worker->slots.conns[owner - 1];
    if (!(conn->flags & CONN_UNPROVEN))
        return;
    conn->flags &= ~(uint32_t)CONN_UNPROVEN;
    if (gw_cookie(fd) == conn->cookie)
        return;
    claim_conn(a, conn, false);
    drop(a, conn);
}

static bool is_free(struct gw_claims *a, int fd)
{
    if (fd <= 2 || fd >= a->limit)
        return false;
    contest(a, fd);
    return a->owners[fd] == NOBODY;
}

/* ---- checks ---- */

static bool socket_holds(struct gw_claims *a, const struct gw_socket *socket)
{
    return is_free(a, socket->fd) && socket->cookie != 0 && gw_cookie(socket->fd) == socket->cookie;
}

/* It waits for its client's next request, and the worker before us had left nothing of it to be done. */
static bool rests(const struct gw_claims *a, const struct conn *conn)
{
    const struct gw_worker *worker = a->worker;
    return conn->state == CONN_IDLE && conn->in == GW_NONE && conn->out == GW_NONE && conn->upstream == GW_NONE &&
           !(conn->flags & (CONN_LEFTOVER | CONN_READY | CONN_ACTIVE)) &&
           !(conn->io & (GW_READABLE | GW_HUP | GW_ERROR)) && gw_conn_index(worker, conn) != a->victim &&
           worker->view->listeners[conn->listener].protocol == BOARD_HTTP && !worker->epoll_is_new;
}

/* Sets or clears CONN_UNPROVEN. */
static bool client_holds(struct gw_claims *a, struct conn *conn)
{
    if (!rests(a, conn)) {
        conn->flags &= ~(uint32_t)CONN_UNPROVEN;
        return socket_holds(a, &conn->socket);
    }
    conn->flags |= CONN_UNPROVEN;
    return is_free(a, conn->fd);
}

static bool block_holds(const struct gw_claims *a, uint32_t block)
{
    return block == GW_NONE || (block < a->worker->slots.arena->fresh_block && !is_set(a->blocks, block));
}

/* A pipe holds what its slot says; or, with the connection in hand, what the last call has left in it. */
static bool pipe_holds(struct gw_claims *a, const struct gw_pipe *pipe, bool in_hand)
{
    if (pipe->read_fd < 0 && pipe->held == 0)
        return true;
    return is_free(a, pipe->read_fd) && is_free(a, pipe->write_fd) && lseek(pipe->read_fd, 0, SEEK_CUR) < 0 &&
           errno == ESPIPE && (in_hand || gw_pipe_bytes(pipe) == pipe->held);
}

/* Only those that the state uses: others are what an earlier request has left. */
static bool lengths_hold(const struct conn *conn)
{
    bool in = conn->in == GW_NONE || conn->in_len <= GW_BLOCK, out = conn->out == GW_NONE || conn->out_len <= GW_BLOCK;

    switch ((enum conn_state)conn->state) {
    case CONN_CONNECTING:
    case CONN_SENDING:
    case CONN_RELAYING:
        in = in && conn->in_sent <= conn->in_len && conn->head_len <= GW_BLOCK && conn->passed <= conn->in_left;
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

static bool conn_holds(struct gw_claims *a, struct conn *conn)
{
    const struct gw_worker *worker = a->worker;
    bool in_hand = gw_conn_index(worker, conn) == a->victim;
    return conn->state < CONN_STATES && conn->listener < BOARD_LISTENERS && conn->in_framing <= HTTP1_UNTIL_CLOSE &&
           (conn->source < GW_SOURCES || conn->source == GW_NONE) &&
           (conn->queue < BOARD_SERVICES || conn->queue == GW_NONE) && conn->out_framing <= HTTP1_UNTIL_CLOSE &&
           conn->failure < RETRY_FAILURES && (conn->route < BOARD_ROUTES || !(conn->flags & CONN_ACTIVE)) &&
           (conn->rival == GW_NONE || conn->rival_endpoint < BOARD_ENDPOINTS) && parts_hold(conn) &&
           lengths_hold(conn) && belongs(worker, conn, conn->upstream) && belongs(worker, conn, conn->rival) &&
           conn->deaths < DEATHS && client_holds(a, conn) && block_holds(a, conn->in) && block_holds(a, conn->out) &&
           (conn->in == GW_NONE || conn->in != conn->out) && pipe_holds(a, &conn->up, in_hand) &&
           pipe_holds(a, &conn->down, in_hand);
}

static void check_conns(struct gw_claims *a)
{
    struct slots *slots = &a->worker->slots;
    for (uint32_t i = 0; i < slots->arena->fresh_conn; i++) {
        struct conn *conn = &slots->conns[i];
        if (conn->state == CONN_FREE)
            continue;
        if (conn_holds(a, conn))
            claim_conn(a, conn, true);
        else
            drop(a, conn);
    }
}

/* The upstream of the connection in hand may have been closed by the dead one: then it has broken off. */
static bool upstream_holds(struct gw_claims *a, uint32_t index)
{
    struct upstream *upstream = &a->worker->slots.upstreams[index];
    bool holds = upstream->endpoint < BOARD_ENDPOINTS && socket_holds(a, &upstream->socket);
    if (upstream->state == UPSTREAM_IDLE)
        return holds;
    if (upstream->state > UPSTREAM_IDLE || upstream->conn >= a->worker->slots.count)
        return false;
    struct conn *conn = &a->worker->slots.conns[upstream->conn];
    if (conn->state == CONN_FREE || (conn->upstream != index && conn->rival != index))
        return false;
    if (holds)
        return true;
    if (upstream->conn != a->victim || upstream->endpoint >= BOARD_ENDPOINTS) {
        claim_conn(a, conn, false);
        drop(a, conn);
        return false;
    }
    upstream->fd = -1;
    upstream->io = GW_READABLE | GW_HUP;
    return true;
}

static void check_upstreams(struct gw_claims *a)
{
    struct slots *slots = &a->worker->slots;
    for (uint32_t i = 0; i < slots->arena->fresh_upstream; i++) {
        struct upstream *upstream = &slots->upstreams[i];
        if (upstream->state == UPSTREAM_FREE)
            continue;
        if (upstream_holds(a, i))
            claim(a, upstream->fd, ANOTHER);
        else
            upstream->state = UPSTREAM_FREE;
    }
}

/* ---- descriptors ---- */

/* Those that are no slot's and are there all the same. */
static void claim_own(struct gw_claims *a)
{
    const struct gateway_worker_setup *setup = a->worker->setup;
    const int fixed[] = { STDIN_FILENO,
                          STDOUT_FILENO,
                          STDERR_FILENO,
                          a->worker->epoll_fd,
                          a->worker->slots.arena->alarm_fd,
                          setup->channel_fd,
                          setup->bell_fd,
                          setup->supervisor_bell_fd };
    int others[GUARD_FDS + HANDOVER_PARTS];
    size_t n = setup->guard ? guard_area_fds(setup->guard, others) : 0;

    n += handover_fds(others + n);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        claim(a, fixed[i], ANOTHER);
    for (size_t i = 0; i < n; i++)
        claim(a, others[i], ANOTHER);
}

/* Listening sockets: those that are, are watched again once the view is there. */
static void claim_listeners(struct gw_claims *a)
{
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++) {
        struct gw_listener *listener = &a->worker->listeners[i];
        int listens = 0;
        socklen_t len = sizeof(listens);
        if (listener->fd < 0)
            continue;
        if (!is_free(a, listener->fd) || getsockopt(listener->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
            !listens)
            listener->fd = -1;
        claim(a, listener->fd, ANOTHER);
    }
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* Descriptors first … last are no slot's. One of them may be a client that the dead one had just accepted. */
static void close_unclaimed(struct gw_claims *a, unsigned first, unsigned last)
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

static void sort_descriptors(struct gw_claims *a)
{
    unsigned first = 3;
    for (unsigned fd = 3; fd <= (unsigned)a->highest; fd++) {
        if (a->owners[fd] == NOBODY)
            continue;
        if (fd > first)
            close_unclaimed(a, first, fd - 1);
        first = fd + 1;
    }
    close_unclaimed(a, first, ~0U);
}

/* The lowest free number is given to each new descriptor: there is none above what slots and all else may have at once. */
static int limit_of(const struct gw_worker *worker)
{
    long files = sysconf(_SC_OPEN_MAX), most = SPARE + (long)worker->slots.count * EACH;
    return (int)(files > 0 && files < most ? files : most);
}

int gw_claims_take(struct gw_claims *claims, struct gw_worker *worker, uint32_t victim)
{
    *claims = (struct gw_claims){ .worker = worker, .victim = victim, .accepted = -1, .limit = limit_of(worker) };
    size_t owners = ((size_t)claims->limit / 2 + 1) * 8, blocks = ((size_t)worker->slots.arena->blocks / 64 + 1) * 8;
    claims->size = owners + blocks;
    char *room = mmap(NULL, claims->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return -ENOMEM;
    claims->owners = (uint32_t *)room;
    claims->blocks = (uint64_t *)(room + owners);
    claim_own(claims);
    claim_listeners(claims);
    check_conns(claims);
    check_upstreams(claims);
    sort_descriptors(claims);
    return 0;
}

void gw_claims_close(const struct gw_worker *worker, int fd)
{
    const struct slots *slots = &worker->slots;
    uint64_t cookie = gw_cookie(fd);
    for (uint32_t i = 0; i < slots->arena->fresh_conn; i++)
        if (slots->conns[i].state != CONN_FREE && slots->conns[i].cookie == cookie)
            return;
    for (uint32_t i = 0; i < slots->arena->fresh_upstream; i++)
        if (slots->upstreams[i].state != UPSTREAM_FREE && slots->upstreams[i].cookie == cookie)
            return;
    if (is_connected(fd))
        (void)close(fd);
}

bool gw_claims_has_block(const struct gw_claims *claims, uint32_t block)
{
    return is_set(claims->blocks, block);
}

void gw_claims_free(struct gw_claims *claims)
{
    (void)munmap(claims->owners, claims->size);
}
