/* SPDX-License-Identifier: MIT */
#include "gateway/conn.h"

#include "base/clock.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/mark.h"
#include "gateway/relay.h"
#include "gateway/tunnel.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define KEEP_ALIVE_NS (75 * NS_PER_S)
#define HEAD_NS       (60 * NS_PER_S)
#define LINGER_NS     (5 * NS_PER_S)
#define VERDICT_NS    (20 * NS_PER_MS)
#define CONNECT_NS    (5 * NS_PER_S) /* for a route that names none */

enum { ROUNDS = 16 }; /* of up to a block each, before others have their turn */

/* --- the setter ------------------------------------------------------------------------------------------------- */

/* The next thing that is due in an attempt; 0: nothing. */
static int64_t attempt_due(const struct conn *conn)
{
    if (conn->patience_ns > 0 && (conn->answer_ns == 0 || conn->patience_ns < conn->answer_ns))
        return conn->patience_ns;
    return conn->answer_ns;
}

/* An attempt has moved, or has begun: it may last for `span` from now on. `waiting`: all is said, it is its turn. */
static int64_t arm_attempt(const struct gw_worker *worker, struct conn *conn, int64_t span, bool waiting)
{
    conn->answer_ns = span > 0 ? worker->now + span : 0;
    if (!(conn->flags & CONN_OVERDUE)) {
        int64_t patience = waiting ? gw_balance_patience(&worker->balance, conn->endpoint, conn->route) : 0;
        conn->patience_ns = patience > 0 ? worker->now + patience : 0;
    }
    return attempt_due(conn);
}

/* When the present state is over at the latest; 0: never. */
static int64_t deadline(const struct gw_worker *worker, struct conn *conn)
{
    const struct board_route *route = conn->route == GW_NONE ? NULL : gw_conn_route(worker, conn);
    int64_t span = 0;

    switch (conn_fsm_deadline((enum conn_state)conn->state)) {
    case CONN_UNTIL_KEEP_ALIVE:
        span = KEEP_ALIVE_NS;
        break;
    case CONN_UNTIL_HEAD:
    case CONN_UNTIL_HOLD:
        return conn->due_ns; /* counts from its beginning */
    case CONN_UNTIL_CONNECT:
        span = route && route->connect_timeout_ns > 0 ? route->connect_timeout_ns : CONNECT_NS;
        return arm_attempt(worker, conn, span, true);
    case CONN_UNTIL_RESPONSE:
        /* Counts from the last byte of the request; while it is still coming, what matters is that it comes. */
        if (route)
            span = conn->flags & CONN_REQUEST_WHOLE ? route->response_timeout_ns : route->idle_timeout_ns;
        return arm_attempt(worker, conn, span,
                           (conn->flags & (CONN_REQUEST_WHOLE | CONN_FIRST_BYTE)) == CONN_REQUEST_WHOLE);
    case CONN_UNTIL_QUIET:
        span = route ? route->idle_timeout_ns : 0;
        break;
    case CONN_UNTIL_VERDICT:
        span = VERDICT_NS;
        break;
    case CONN_UNTIL_LINGER:
        span = LINGER_NS;
        break;
    case CONN_UNTIL_NEVER:
        break;
    }
    return span > 0 ? worker->now + span : 0;
}

void gw_conn_touch(struct gw_worker *worker, struct conn *conn)
{
    int64_t due = deadline(worker, conn);
    if (due > 0)
        gw_timers_set(&worker->timers, gw_conn_index(worker, conn), due);
    else
        gw_timers_cancel(&worker->timers, gw_conn_index(worker, conn));
}

void gw_conn_look_again(struct gw_worker *worker, struct conn *conn, int64_t at_ns)
{
    conn->patience_ns = at_ns;
    int64_t due = attempt_due(conn);
    if (due > 0)
        gw_timers_set(&worker->timers, gw_conn_index(worker, conn), due);
}

static struct gw_list *list_of(struct gw_worker *worker, enum conn_state state)
{
    return state == CONN_HELD ? &worker->held : state == CONN_VERDICT ? &worker->verdicts : NULL;
}

void gw_conn_step(struct gw_worker *worker, struct conn *conn, enum conn_event event)
{
    enum conn_state state = (enum conn_state)conn->state, next;
    if (!conn_fsm(state, event, &next)) {
        conn->io |= GW_ERROR;
        return;
    }
    struct gw_list *from = list_of(worker, state), *to = list_of(worker, next);
    if (from)
        gw_list_remove(worker, from, conn);
    conn->state = (uint8_t)next;
    if (to)
        gw_list_add(worker, to, conn);
    if (from == &worker->held)
        conn->held_ns += worker->now;
    if (to == &worker->held)
        conn->held_ns -= worker->now;
    if (from == &worker->held || to == &worker->held)
        atomic_store_explicit(&worker->gauges->holding, worker->held.count, memory_order_relaxed);
    if (next == CONN_HEAD)
        conn->due_ns = worker->now + HEAD_NS;
    gw_conn_touch(worker, conn);
}

/* --- beginning and end ------------------------------------------------------------------------------------------ */

static void remember_peer(struct conn *conn, const struct sockaddr *peer)
{
    conn->peer_family = peer->sa_family;
    if (peer->sa_family == AF_INET) {
        memcpy(conn->peer, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    } else if (peer->sa_family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(address); /* an IPv4 client of a listener for both */
        memcpy(conn->peer, &address->s6_addr[mapped ? 12 : 0], mapped ? 4 : 16);
        conn->peer_family = mapped ? AF_INET : AF_INET6;
    }
}

bool gw_conn_open(struct gw_worker *worker, int fd, uint32_t listener, const struct sockaddr *peer)
{
    uint32_t index = gw_conn_take(&worker->slots);
    if (index == GW_NONE)
        return false;
    struct conn *conn = &worker->slots.conns[index];
    if (gw_watch(worker, fd, EPOLLIN | EPOLLRDHUP, GW_KIND_CONN, conn->generation, index) < 0) {
        gw_conn_put(&worker->slots, index);
        return false;
    }
    conn->fd = fd;
    conn->cookie = gw_cookie(fd);
    conn->listener = listener;
    conn->io = GW_WRITABLE;
    conn->local = peer->sa_family == AF_UNIX;
    remember_peer(conn, peer);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on the slot says whose socket it is (mark.h) */
    conn->state = CONN_IDLE;
    atomic_store_explicit(&worker->gauges->connections, worker->slots.arena->used_conns, memory_order_relaxed);
    if (worker->view->listeners[listener].protocol == BOARD_TCP)
        gw_exchange_tcp(worker, conn);
    else
        gw_conn_touch(worker, conn);
    return true;
}

void gw_conn_close(struct gw_worker *worker, struct conn *conn)
{
    uint32_t index = gw_conn_index(worker, conn);
    gw_exchange_drop(worker, conn);
    gw_conn_step(worker, conn, CONN_EV_CLOSE);
    gw_timers_cancel(&worker->timers, index);
    gw_block_put(&worker->slots, &conn->in);
    gw_block_put(&worker->slots, &conn->out);
    if (worker->parsed == index)
        worker->parsed = GW_NONE;
    int fd = conn->fd;
    gw_conn_put(&worker->slots, index);
    gw_mark_none(worker); /* whoever comes after us closes a descriptor that is no slot's */
    (void)close(fd);
    atomic_store_explicit(&worker->gauges->connections, worker->slots.arena->used_conns, memory_order_relaxed);
}

void gw_conn_abort(struct gw_worker *worker, struct conn *conn)
{
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    gw_conn_close(worker, conn);
}

/* --- request heads ---------------------------------------------------------------------------------------------- */

/* Tries what has arrived. True when the state has changed. */
static bool read_head(struct gw_worker *worker, struct conn *conn)
{
    int len =
        http1_parse_request(gw_block(&worker->slots, conn->in), conn->in_len, &http1_default_limits, &worker->head);
    if (len == 0)
        return false;
    if (len < 0) {
        gw_count(&worker->gauges->bad_requests);
        conn->flags &= ~(uint32_t)(CONN_KEEP_ALIVE | CONN_REQUEST_WHOLE);
        gw_answer(worker, conn, (unsigned)-len, NULL);
        return true;
    }
    worker->parsed = gw_conn_index(worker, conn);
    gw_exchange_request(worker, conn);
    return true;
}

/* IDLE and HEAD. */
static bool await_request(struct gw_worker *worker, struct conn *conn)
{
    if (conn->flags & CONN_LEFTOVER) {
        conn->flags &= ~(uint32_t)CONN_LEFTOVER;
        gw_conn_step(worker, conn, CONN_EV_BYTES);
        if (read_head(worker, conn))
            return true;
    }
    if (!(conn->io & GW_READABLE))
        return false;
    if (conn->in == GW_NONE) {
        conn->in = gw_block_take(&worker->slots);
        conn->in_len = 0;
    }
    ssize_t n = gw_recv(worker, conn, &conn->socket, gw_block(&worker->slots, conn->in) + conn->in_len,
                        GW_BLOCK - conn->in_len);
    if (n < 0) {
        gw_conn_close(worker, conn);
        return false;
    }
    if (n == 0) {
        if (conn->in_len == 0)
            gw_block_put(&worker->slots, &conn->in);
        return false;
    }
    conn->in_len += (uint32_t)n;
    if (conn->state == CONN_IDLE)
        gw_conn_step(worker, conn, CONN_EV_BYTES);
    return read_head(worker, conn) || (conn->io & GW_READABLE);
}

/* --- answers and the end ---------------------------------------------------------------------------------------- */

int gw_conn_flush(struct gw_worker *worker, struct conn *conn)
{
    while (conn->out_at < conn->out_ready) {
        if (!(conn->io & GW_WRITABLE))
            return 0;
        struct iovec piece = { gw_block(&worker->slots, conn->out) + conn->out_at, conn->out_ready - conn->out_at };
        ssize_t n = gw_send(worker, conn, &conn->socket, &piece, 1);
        if (n < 0)
            return -1;
        if (n == 0) {
            gw_watch_out(worker, conn->fd, &conn->io, GW_KIND_CONN, conn->generation, gw_conn_index(worker, conn));
            return 0;
        }
        conn->out_at += (uint32_t)n;
        conn->sent += (uint64_t)n;
    }
    return 1;
}

void gw_conn_next(struct gw_worker *worker, struct conn *conn)
{
    gw_block_put(&worker->slots, &conn->out);
    gw_exchange_drop(worker, conn);
    bool whole = conn->flags & CONN_REQUEST_WHOLE, keep = conn->flags & CONN_KEEP_ALIVE;
    uint32_t left = whole ? conn->in_len - conn->request_end : 0;

    if (!whole || !keep || worker->draining) {
        gw_block_put(&worker->slots, &conn->in);
        /* With bytes unread, close() would send a reset, and that could overtake the answer. */
        if (whole && left == 0 && !(conn->io & GW_READABLE)) {
            gw_conn_close(worker, conn);
            return;
        }
        (void)shutdown(conn->fd, SHUT_WR);
        gw_conn_step(worker, conn, CONN_EV_LINGER);
        return;
    }
    if (left > 0) /* what follows moves in its block */
        gw_mark_bytes(worker, conn->in, 0, conn->in_len);
    conn->deaths = 0;
    conn->flags &= CONN_TCP | CONN_READY;
    conn->method = HTTP1_OTHER;
    conn->route = GW_NONE;
    conn->in_len = left;
    if (left > 0) {
        char *block = gw_block(&worker->slots, conn->in);
        memmove(block, block + conn->request_end, left);
        conn->flags |= CONN_LEFTOVER;
    } else {
        gw_block_put(&worker->slots, &conn->in);
    }
    gw_conn_step(worker, conn, CONN_EV_COMPLETE);
}

static bool write_answer(struct gw_worker *worker, struct conn *conn)
{
    int flushed = gw_conn_flush(worker, conn);
    if (flushed > 0)
        gw_conn_next(worker, conn);
    return flushed > 0;
}

static bool linger(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->io & GW_READABLE))
        return false;
    if (gw_recv(worker, conn, &conn->socket, worker->scratch, sizeof(worker->scratch)) < 0) {
        gw_conn_close(worker, conn);
        return false;
    }
    return true;
}

/* --- driving ---------------------------------------------------------------------------------------------------- */

static bool drive_once(struct gw_worker *worker, struct conn *conn)
{
    switch ((enum conn_state)conn->state) {
    case CONN_IDLE:
    case CONN_HEAD:
        return await_request(worker, conn);
    case CONN_SENDING:
    case CONN_RELAYING:
        return gw_relay(worker, conn);
    case CONN_TUNNEL:
        return gw_tunnel(worker, conn);
    case CONN_ANSWERING:
        return write_answer(worker, conn);
    case CONN_LINGERING:
        return linger(worker, conn);
    default: /* waits for the upstream, the board or its deadline */
        return false;
    }
}

void gw_conn_drive(struct gw_worker *worker, struct conn *conn)
{
    uint32_t generation = conn->generation;
    for (int round = 0; round < ROUNDS; round++) {
        bool more = !(conn->io & GW_ERROR) && drive_once(worker, conn);
        if (conn->generation != generation)
            return;
        if (conn->io & GW_ERROR) {
            gw_conn_close(worker, conn);
            return;
        }
        if (!more)
            return;
    }
    gw_worker_again(worker, conn);
}

void gw_conn_expire(struct gw_worker *worker, struct conn *conn)
{
    uint32_t generation = conn->generation;
    switch ((enum conn_state)conn->state) {
    case CONN_HEAD:
        conn->flags &= ~(uint32_t)(CONN_KEEP_ALIVE | CONN_REQUEST_WHOLE);
        gw_answer(worker, conn, 408, NULL);
        break;
    case CONN_HELD:
        gw_exchange_hold_expired(worker, conn);
        break;
    case CONN_CONNECTING:
    case CONN_SENDING:
        if (conn->patience_ns > 0 && conn->patience_ns <= worker->now &&
            (conn->answer_ns == 0 || conn->answer_ns > worker->now)) {
            gw_hedge_overdue(worker, conn);
            break;
        }
        gw_exchange_fail(worker, conn, RETRY_TIMEOUT);
        break;
    case CONN_VERDICT:
        gw_exchange_judge(worker, conn, true);
        break;
    case CONN_RELAYING:
        gw_count(&gw_conn_gauge(worker, conn)->truncated);
        gw_conn_abort(worker, conn);
        return;
    default:
        gw_conn_close(worker, conn);
        return;
    }
    if (conn->generation == generation)
        gw_conn_drive(worker, conn);
}
