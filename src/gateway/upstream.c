/* SPDX-License-Identifier: MIT */
#include "gateway/upstream.h"

#include "base/clock.h"
#include "gateway/io.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_NS   (60 * NS_PER_S)   /* an idle connection is kept */
#define MARGIN_NS (500 * NS_PER_MS) /* and given up before the endpoint does, if it says when that is */
#define FRESH_NS  NS_PER_S          /* see fresh_span() */

enum { RECEIVE = 512 * 1024 }; /* bytes of an answer that may wait to be read, as SO_RCVBUF counts them: socket(7) */

static uint32_t index_of(const struct gw_worker *worker, const struct upstream *upstream)
{
    return (uint32_t)(upstream - worker->slots.upstreams);
}

/* Takes it off the endpoint's list of idle ones. */
static void unlink_idle(struct gw_worker *worker, struct upstream *upstream)
{
    struct upstream *all = worker->slots.upstreams;
    if (upstream->prev != GW_NONE)
        all[upstream->prev].next = upstream->next;
    else
        worker->balance.local[upstream->endpoint].idle_first = upstream->next;
    if (upstream->next != GW_NONE)
        all[upstream->next].prev = upstream->prev;
    upstream->prev = GW_NONE;
    upstream->next = GW_NONE;
}

/* Its connection forgets it. */
static void leave_conn(struct gw_worker *worker, struct upstream *upstream)
{
    if (upstream->conn == GW_NONE)
        return;
    struct conn *conn = &worker->slots.conns[upstream->conn];
    uint32_t index = index_of(worker, upstream);
    if (conn->upstream == index)
        conn->upstream = GW_NONE;
    if (conn->rival == index)
        conn->rival = GW_NONE;
    upstream->conn = GW_NONE;
}

static int64_t keep_span(const struct upstream *upstream)
{
    int64_t span = upstream->keep_s * NS_PER_S - MARGIN_NS;
    return upstream->keep_s > 0 && span < IDLE_NS ? span : IDLE_NS;
}

void gw_upstream_link(struct gw_worker *worker, struct upstream *upstream)
{
    uint32_t index = index_of(worker, upstream);
    struct endpoint_local *local = &worker->balance.local[upstream->endpoint];

    upstream->prev = GW_NONE;
    upstream->next = local->idle_first;
    if (local->idle_first != GW_NONE)
        worker->slots.upstreams[local->idle_first].prev = index;
    local->idle_first = index;
    gw_timers_set(&worker->timers, gw_timer_upstream(worker, index), upstream->idle_ns + keep_span(upstream));
}

/* Has the peer neither closed it, nor sent something that nobody asked for? */
static bool still_fresh(const struct upstream *upstream)
{
    char byte;
    return recv(upstream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool gw_upstream_quiet(struct upstream *upstream)
{
    if ((upstream->io & GW_READABLE) && !still_fresh(upstream))
        return false;
    upstream->io &= (uint8_t)~GW_READABLE;
    return true;
}

void gw_upstream_keep(struct gw_worker *worker, struct upstream *upstream)
{
    struct endpoint_local *local = &worker->balance.local[upstream->endpoint];

    if (local->idle_life_ns > 0 && upstream->idle_ns > local->idle_life_ns)
        local->idle_life_ns = upstream->idle_ns;
    leave_conn(worker, upstream);
    upstream->state = UPSTREAM_IDLE;
    upstream->served++;
    upstream->idle_ns = worker->now;
    gw_upstream_link(worker, upstream);
}

void gw_upstream_close(struct gw_worker *worker, struct upstream *upstream)
{
    uint32_t index = index_of(worker, upstream);
    if (upstream->state == UPSTREAM_IDLE)
        unlink_idle(worker, upstream);
    leave_conn(worker, upstream);
    gw_timers_cancel(&worker->timers, gw_timer_upstream(worker, index));
    int fd = upstream->fd;
    gw_upstream_put(&worker->slots, index);
    if (fd >= 0)
        (void)close(fd); /* it is no slot's any more: whoever comes after us would do the same */
}

void gw_upstream_closed(struct gw_worker *worker, struct upstream *upstream)
{
    int64_t *life = &worker->balance.local[upstream->endpoint].idle_life_ns, seen = worker->now - upstream->idle_ns;
    /* Not every end is that of its time: a shorter one is believed at once, a longer one by and by. */
    if (*life == 0 || seen < *life)
        *life = seen > 0 ? seen : 1;
    else
        *life += (seen - *life) / 8;
    gw_upstream_close(worker, upstream);
}

void gw_upstream_close_idle(struct gw_worker *worker, uint32_t endpoint)
{
    uint32_t index;
    while ((index = worker->balance.local[endpoint].idle_first) != GW_NONE)
        gw_upstream_close(worker, &worker->slots.upstreams[index]);
}

/* What may not be sent twice goes on none that was idle for longer: its end may be on the way to us. */
static int64_t fresh_span(const struct gw_worker *worker, uint32_t endpoint)
{
    int64_t life = worker->balance.local[endpoint].idle_life_ns;
    return life > 0 && life / 2 < FRESH_NS ? life / 2 : FRESH_NS;
}

bool gw_upstream_reuse(struct gw_worker *worker, struct conn *conn, bool certain)
{
    for (;;) {
        uint32_t index = worker->balance.local[conn->endpoint].idle_first;
        if (index == GW_NONE)
            return false;
        struct upstream *upstream = &worker->slots.upstreams[index];
        if ((upstream->io & (GW_READABLE | GW_HUP)) || (certain && !still_fresh(upstream))) {
            gw_upstream_closed(worker, upstream);
            continue;
        }
        /* The newest comes first: the others have been idle for even longer. */
        if (certain && worker->now - upstream->idle_ns > fresh_span(worker, conn->endpoint))
            return false;
        unlink_idle(worker, upstream);
        gw_timers_cancel(&worker->timers, gw_timer_upstream(worker, index));
        upstream->state = UPSTREAM_BUSY;
        upstream->idle_ns = worker->now - upstream->idle_ns;
        upstream->given_before = upstream->given;
        upstream->conn = gw_conn_index(worker, conn);
        conn->upstream = index;
        return true;
    }
}

bool gw_upstream_closed_before(const struct upstream *upstream)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);
    if (upstream->is_unix || (upstream->io & (GW_EOF | GW_ERROR)) != GW_EOF ||
        getsockopt(upstream->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    /* Our SYN counts as one byte. */
    return size >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked) &&
           info.tcpi_bytes_acked <= upstream->given_before + 1;
}

/* Closes one idle connection, whosever. False when there is none. */
static bool evict_idle(struct gw_worker *worker)
{
    for (uint32_t i = 0; i < worker->view->used_endpoints; i++) {
        uint32_t idle = worker->balance.local[i].idle_first;
        if (idle == GW_NONE)
            continue;
        gw_upstream_close(worker, &worker->slots.upstreams[idle]);
        return true;
    }
    return false;
}

/* When slots or descriptors have run out, an idle connection makes room. */
static uint32_t take_slot(struct gw_worker *worker)
{
    uint32_t index = gw_upstream_take(&worker->slots);
    return index == GW_NONE && evict_idle(worker) ? gw_upstream_take(&worker->slots) : index;
}

/* An answer should leave the instance in few strides, and neither stall it nor lie about by the many megabytes that the kernel
   would find room for by and by (tcp_rmem). What is outside may be far away: there the kernel knows better. */
static void tune(const struct gw_worker *worker, const struct upstream *upstream)
{
    if (upstream->is_unix)
        return;
    (void)setsockopt(upstream->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (!worker->view->services[worker->view->endpoints[upstream->endpoint].service].outside)
        (void)setsockopt(upstream->fd, SOL_SOCKET, SO_RCVBUF, &(int){ RECEIVE }, sizeof(int));
}

static int open_socket(struct gw_worker *worker, int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && evict_idle(worker))
        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int gw_upstream_connect(struct gw_worker *worker, struct conn *conn)
{
    const struct board_address *address = &worker->view->endpoints[conn->endpoint].address;
    uint32_t index = take_slot(worker);
    if (index == GW_NONE)
        return -ENOBUFS;
    struct upstream *upstream = &worker->slots.upstreams[index];
    upstream->endpoint = conn->endpoint;
    upstream->endpoint_generation = conn->endpoint_generation;
    upstream->is_unix = address->u.any.sa_family == AF_UNIX;
    upstream->fd = open_socket(worker, address->u.any.sa_family);
    upstream->cookie = upstream->fd < 0 ? 0 : gw_cookie(upstream->fd);
    int result = upstream->fd < 0 ? upstream->fd : 0;
    if (result == 0) {
        tune(worker, upstream);
        result = connect(upstream->fd, &address->u.any, address->len) == 0 ? 1 : -errno;
    }
    if (result == -EINPROGRESS)
        result = 0;
    /* While it is on its way EPOLLOUT tells of its arrival; TCP then reports it only after a write that would block. A
       Unix socket reports it each time the peer has read, so there it is added when it is needed. */
    uint32_t events = EPOLLIN | EPOLLRDHUP | (upstream->is_unix ? 0 : EPOLLOUT);
    if (result >= 0) {
        int watched = gw_watch(worker, upstream->fd, events, GW_KIND_UPSTREAM, upstream->generation, index);
        result = watched < 0 ? watched : result;
    }
    if (result < 0) {
        gw_upstream_close(worker, upstream);
        return result;
    }
    upstream->io = (uint8_t)((result > 0 ? GW_WRITABLE : 0) | (upstream->is_unix ? 0 : GW_WANT_OUT));
    upstream->state = result > 0 ? UPSTREAM_BUSY : UPSTREAM_CONNECTING;
    upstream->conn = gw_conn_index(worker, conn);
    conn->upstream = index;
    return result;
}

int gw_upstream_connected(struct gw_worker *worker, struct upstream *upstream)
{
    int failed = 0;
    socklen_t size = sizeof(failed);
    if (!(upstream->io & (GW_WRITABLE | GW_HUP | GW_ERROR)))
        return 0;
    if (getsockopt(upstream->fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0)
        return -errno;
    if (failed != 0)
        return -failed;
    if (!(upstream->io & GW_WRITABLE))
        return 0;
    upstream->state = UPSTREAM_BUSY;
    return 1;
}

void gw_upstream_acknowledge(const struct upstream *upstream)
{
    if (!upstream->is_unix)
        (void)setsockopt(upstream->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, sizeof(int));
}
