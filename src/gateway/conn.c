/* SPDX-License-Identifier: MIT */
#include "gateway/conn.h"

#include "base/clock.h"
#include "gateway/adopt.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/failure.h"
#include "gateway/hedge.h"
#include "gateway/hold.h"
#include "gateway/io.h"
#include "gateway/limit.h"
#include "gateway/loop.h"
#include "gateway/mark.h"
#include "gateway/pipe.h"
#include "gateway/proxy.h"
#include "gateway/relay.h"
#include "gateway/tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_NS   (5 * NS_PER_S)  /* an answer of our own, which has room in the buffer of a client that reads */
#define LINGER_NS  (5 * NS_PER_S)  /* without a byte of what a client still sends, and … */
#define LONGEST_NS (30 * NS_PER_S) /* … however much it sends */
#define VERDICT_NS (20 * NS_PER_MS)
#define ASKED_NS   (1 * NS_PER_S) /* a supervisor that has not answered by then hangs, or is dead */
#define CONNECT_NS (5 * NS_PER_S) /* for a route that names none */

enum {
    ROUNDS = 16,    /* of up to a block each, before others have their turn */
    LOOKED_AT = 64, /* slots, for an idle one that could make room */
};

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

/* A head that begins now has to be whole by then; 0: whenever it likes. */
static int64_t head_due(const struct gw_worker *worker, const struct conn *conn)
{
    int64_t span = gw_conn_limits(worker, conn)->header_timeout_ns;
    return span > 0 ? worker->now + span : 0;
}

/* SENDING: counts from the last byte of the request; while that is still coming, what matters is that it comes. */
static int64_t response_due(const struct gw_worker *worker, struct conn *conn, const struct board_route *route)
{
    if (conn->flags & CONN_REQUEST_WHOLE)
        return arm_attempt(worker, conn, route ? route->response_timeout_ns : 0, !(conn->flags & CONN_ANSWERED));
    int64_t idle = arm_attempt(worker, conn, route ? route->idle_timeout_ns : 0, false);
    int64_t body = gw_limit_body_due(worker, conn);
    return body > 0 && (body < idle || idle == 0) ? body : idle;
}

/* When the present state is over at the latest; 0: never. */
static int64_t deadline(const struct gw_worker *worker, struct conn *conn)
{
    const struct board_route *route = conn->route == GW_NONE ? NULL : gw_conn_route(worker, conn);
    int64_t span = 0;

    switch (conn_fsm_deadline((enum conn_state)conn->state)) {
    case CONN_UNTIL_KEEP_ALIVE:
        span = gw_conn_limits(worker, conn)->keep_alive_ns;
        break;
    case CONN_UNTIL_HEAD:
    case CONN_UNTIL_HOLD:
        return conn->due_ns; /* counts from its beginning */
    case CONN_UNTIL_CONNECT:
        span = route && route->connect_timeout_ns > 0 ? route->connect_timeout_ns : CONNECT_NS;
        return arm_attempt(worker, conn, span, true);
    case CONN_UNTIL_RESPONSE:
        return response_due(worker, conn, route);
    case CONN_UNTIL_QUIET:
        span = route ? route->idle_timeout_ns : 0;
        break;
    case CONN_UNTIL_VERDICT:
        span = conn->flags & CONN_ASKED ? ASKED_NS : VERDICT_NS;
        break;
    case CONN_UNTIL_WRITTEN:
        span = WRITE_NS;
        break;
    case CONN_UNTIL_SILENT:
        return worker->now + LINGER_NS < conn->due_ns ? worker->now + LINGER_NS : conn->due_ns;
    case CONN_UNTIL_NEVER:
        break;
    }
    return span > 0 ? worker->now + span : 0;
}

static void set_due(struct gw_worker *worker, const struct conn *conn, int64_t due_ns)
{
    if (due_ns > 0)
        gw_timers_set(&worker->timers, gw_conn_index(worker, conn), due_ns);
    else
        gw_timers_cancel(&worker->timers, gw_conn_index(worker, conn));
}

void gw_conn_touch(struct gw_worker *worker, struct conn *conn)
{
    set_due(worker, conn, deadline(worker, conn));
}

void gw_conn_look_again(struct gw_worker *worker, struct conn *conn, int64_t at_ns)
{
    conn->patience_ns = at_ns;
    set_due(worker, conn, attempt_due(conn));
}

void gw_conn_step(struct gw_worker *worker, struct conn *conn, enum conn_event event)
{
    enum conn_state state = (enum conn_state)conn->state, next;
    if (!conn_fsm(state, event, &next)) {
        conn->io |= GW_ERROR;
        return;
    }
    if (state == CONN_HELD)
        gw_hold_leave(worker, conn);
    if (state == CONN_VERDICT)
        gw_list_remove(&worker->slots, &worker->verdicts, conn);
    conn->state = (uint8_t)next;
    if (next == CONN_HELD)
        gw_hold_enter(worker, conn);
    if (next == CONN_VERDICT)
        gw_list_add(&worker->slots, &worker->verdicts, conn);
    if (next == CONN_HEAD)
        conn->due_ns = head_due(worker, conn);
    if (next == CONN_LINGERING)
        conn->due_ns = worker->now + LONGEST_NS;
    gw_conn_touch(worker, conn);
}

/* --- beginning and end ------------------------------------------------------------------------------------------ */

/* May it come in? Its slot is given back when it may not. */
static int admit(struct gw_worker *worker, struct conn *conn, int fd)
{
    bool proxied = worker->view->listeners[conn->listener].proxy; /* then it is not known yet whose connection it is */
    if (proxied && !gw_proxy_allowed(worker, conn))
        return -EPERM;
    if (!proxied && !gw_limit_enter(worker, conn))
        return -EDQUOT;
    if (gw_watch(worker, fd, EPOLLIN | EPOLLRDHUP, GW_KIND_CONN, conn->generation, gw_conn_index(worker, conn)) == 0)
        return 0;
    gw_limit_leave(worker, conn);
    return -ENOBUFS;
}

static bool has_bytes(const struct conn *conn)
{
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* Closes an idle connection for a new one: of those that are looked at, which would be closed first anyway. False when
   there is none. */
static bool make_room(struct gw_worker *worker, uint32_t listener)
{
    struct conn *conns = worker->slots.conns, *first = NULL;
    uint32_t count = worker->slots.arena->fresh_conn;
    for (uint32_t i = 0; i < LOOKED_AT && i < count; i++) {
        uint32_t at = worker->hand = (worker->hand + 1) % count;
        if (conns[at].state == CONN_IDLE &&
            (!first ||
             gw_timers_due(&worker->timers, at) < gw_timers_due(&worker->timers, gw_conn_index(worker, first))))
            first = &conns[at];
    }
    if (!first || !gw_adopt_holds(worker, first) || has_bytes(first))
        return false;
    gw_limit_count(worker, GAUGE_MADE_ROOM);
    gw_conn_close(worker, first);
    gw_mark_accept(worker, listener); /* what is in hand is still the new one */
    return true;
}

int gw_conn_open(struct gw_worker *worker, int fd, uint32_t listener, const struct sockaddr *peer)
{
    bool room = gw_limit_room(worker) && worker->slots.arena->used_conns < worker->slots.arena->conns;
    uint32_t index = room || make_room(worker, listener) ? gw_conn_take(&worker->slots) : GW_NONE;
    if (index == GW_NONE)
        return -ENOBUFS;
    struct conn *conn = &worker->slots.conns[index];
    conn->listener = listener;
    gw_proxy_peer(conn, peer);
    int admitted = admit(worker, conn, fd);
    if (admitted < 0) {
        gw_conn_put(&worker->slots, index);
        return admitted;
    }
    conn->fd = fd;
    conn->cookie = gw_cookie(fd);
    conn->io = GW_WRITABLE;
    conn->is_unix = peer->sa_family == AF_UNIX;
    atomic_store_explicit(&worker->gauges->connections, worker->slots.arena->used_conns, memory_order_relaxed);
    const struct board_listener *from = &worker->view->listeners[listener];
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on the slot says whose socket it is (mark.h) */
    conn->state = from->proxy ? CONN_PROXY : CONN_IDLE;
    conn->due_ns = head_due(worker, conn);
    if (conn->state == CONN_IDLE && from->protocol == BOARD_TCP)
        gw_exchange_tcp(worker, conn);
    else
        gw_conn_touch(worker, conn);
    return 0;
}

void gw_conn_close(struct gw_worker *worker, struct conn *conn)
{
    uint32_t index = gw_conn_index(worker, conn);
    gw_exchange_drop(worker, conn);
    gw_conn_step(worker, conn, CONN_EV_CLOSE);
    gw_timers_cancel(&worker->timers, index);
    gw_block_put(&worker->slots, &conn->in);
    gw_block_put(&worker->slots, &conn->out);
    gw_limit_leave(worker, conn);
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
    const struct board_limits *limits = gw_conn_limits(worker, conn);
    const struct http1_limits heads = {
        .head = limits->header_size,
        .target = limits->target_size,
        .headers = limits->header_count,
    };
    int len = http1_parse_request(gw_block(&worker->slots, conn->in), conn->in_len, &heads, &worker->head);
    if (len == 0)
        return false;
    if (len < 0) {
        gw_count(&worker->gauges->bad_requests);
        if (len == -431 || len == -414)
            gw_limit_count(worker, GAUGE_HEADER_SIZE);
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
    /* A head that comes byte by byte is looked at once a line: it begins, ends, or is too large with no other byte. */
    const char *came = gw_block(&worker->slots, conn->in) + conn->in_len;
    conn->in_len += (uint32_t)n;
    bool worth = conn->state == CONN_IDLE || memchr(came, '\n', (size_t)n) ||
                 conn->in_len >= gw_conn_limits(worker, conn)->header_size;
    if (conn->state == CONN_IDLE)
        gw_conn_step(worker, conn, CONN_EV_BYTES);
    return (worth && read_head(worker, conn)) || (conn->io & GW_READABLE);
}

/* --- answers and the end ---------------------------------------------------------------------------------------- */

bool gw_conn_has_output(const struct conn *conn)
{
    return (conn->out != GW_NONE && conn->out_at < conn->out_ready) || conn->down.held > 0;
}

static ssize_t send_output(struct gw_worker *worker, struct conn *conn)
{
    if (conn->out_at == conn->out_ready)
        return gw_pipe_drain(worker, conn, &conn->down, &conn->socket);
    struct iovec piece = { gw_block(&worker->slots, conn->out) + conn->out_at, conn->out_ready - conn->out_at };
    ssize_t n = gw_send(worker, conn, &conn->socket, &piece, 1, 0);
    if (n > 0)
        conn->out_at += (uint32_t)n;
    return n;
}

int gw_conn_flush(struct gw_worker *worker, struct conn *conn)
{
    while (gw_conn_has_output(conn)) {
        if (!(conn->io & GW_WRITABLE))
            return 0;
        ssize_t n = send_output(worker, conn);
        if (n < 0)
            return -1;
        if (n == 0) {
            gw_watch_out(worker, conn->fd, &conn->io, GW_KIND_CONN, conn->generation, gw_conn_index(worker, conn));
            return 0;
        }
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
    ssize_t n = gw_recv(worker, conn, &conn->socket, worker->scratch, sizeof(worker->scratch));
    if (n < 0) {
        gw_conn_close(worker, conn);
        return false;
    }
    if (n > 0)
        gw_conn_touch(worker, conn);
    return true;
}

/* --- driving ---------------------------------------------------------------------------------------------------- */

static bool drive_once(struct gw_worker *worker, struct conn *conn)
{
    switch ((enum conn_state)conn->state) {
    case CONN_PROXY:
        return gw_proxy_read(worker, conn);
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
    gw_loop_again(worker, conn);
}

static bool body_is_late(const struct gw_worker *worker, const struct conn *conn)
{
    return conn->state == CONN_SENDING && !(conn->flags & CONN_REQUEST_WHOLE) && conn->body_due_ns > 0 &&
           conn->body_due_ns <= worker->now;
}

void gw_conn_expire(struct gw_worker *worker, struct conn *conn)
{
    uint32_t generation = conn->generation;
    switch ((enum conn_state)conn->state) {
    case CONN_PROXY:
        gw_limit_count(worker, GAUGE_HEADER_TIMEOUT);
        gw_conn_abort(worker, conn);
        return;
    case CONN_IDLE:
        gw_limit_count(worker, GAUGE_KEEP_ALIVE);
        gw_conn_close(worker, conn);
        return;
    case CONN_HEAD:
        gw_limit_count(worker, GAUGE_HEADER_TIMEOUT);
        conn->flags &= ~(uint32_t)(CONN_KEEP_ALIVE | CONN_REQUEST_WHOLE);
        gw_answer(worker, conn, 408, NULL);
        break;
    case CONN_HELD:
        gw_hold_expired(worker, conn);
        break;
    case CONN_CONNECTING:
    case CONN_SENDING:
        if (conn->patience_ns > 0 && conn->patience_ns <= worker->now &&
            (conn->answer_ns == 0 || conn->answer_ns > worker->now)) {
            gw_hedge_overdue(worker, conn);
            break;
        }
        if (body_is_late(worker, conn)) {
            if (gw_limit_body_due(worker, conn) == 0) {
                gw_conn_look_again(worker, conn, 0); /* meanwhile it is the upstream that takes nothing */
                return;
            }
            gw_limit_count(worker, GAUGE_BODY_TIMEOUT);
            gw_exchange_refuse(worker, conn, 408, "the request body did not arrive in time");
            break;
        }
        gw_failure(worker, conn, RETRY_TIMEOUT);
        break;
    case CONN_VERDICT:
        gw_failure_judge(worker, conn, true);
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
