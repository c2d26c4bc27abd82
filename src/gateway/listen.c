/* SPDX-License-Identifier: MIT */
#include "gateway/listen.h"

#include "base/clock.h"
#include "gateway/answer.h"
#include "gateway/conn.h"
#include "gateway/io.h"
#include "gateway/limit.h"
#include "gateway/mark.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 16 }; /* accepted in one turn, before others have theirs */
#define PAUSE_NS (100 * NS_PER_MS)

static void watch(struct gw_worker *worker, uint32_t index)
{
    struct gw_listener *listener = &worker->listeners[index];
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLEXCLUSIVE,
        .data.u64 = (uint64_t)GW_KIND_LISTENER << 56 | index,
    };
    if (listener->fd >= 0 && !listener->watched)
        listener->watched =
            epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) == 0 || errno == EEXIST; /* adopted */
}

static void unwatch(struct gw_worker *worker, uint32_t index)
{
    struct gw_listener *listener = &worker->listeners[index];
    if (listener->watched)
        (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
    listener->watched = false;
}

void gw_listen_close(struct gw_worker *worker, uint32_t index)
{
    struct gw_listener *listener = &worker->listeners[index];
    if (listener->fd < 0)
        return;
    unwatch(worker, index);
    (void)close(listener->fd);
    listener->fd = -1;
}

void gw_listen_close_all(struct gw_worker *worker)
{
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++)
        gw_listen_close(worker, i);
}

void gw_listen_add(struct gw_worker *worker, uint32_t index, uint32_t generation, int fd)
{
    gw_listen_close(worker, index);
    worker->listeners[index] = (struct gw_listener){ .fd = fd, .generation = generation };
    if (!worker->accept_paused)
        watch(worker, index);
}

void gw_listen_resume(struct gw_worker *worker)
{
    worker->accept_paused = false;
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++)
        watch(worker, i);
}

static void pause_all(struct gw_worker *worker)
{
    worker->accept_paused = true;
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++)
        unwatch(worker, i);
    gw_timers_set(&worker->timers, gw_timer_accept(worker), worker->now + PAUSE_NS);
}

/* It may not come in (gw_conn_open()): says so, without waiting for the request. What has arrived of it is read, or closing would send a
   reset that takes the answer with it. */
static void turn_away(struct gw_worker *worker, uint32_t index, int fd, int error)
{
    bool for_its_address = error == -EDQUOT;
    gw_limit_count(worker, error == -EPERM   ? GAUGE_PROXY
                           : for_its_address ? GAUGE_SOURCE_CONNECTIONS
                                             : GAUGE_CONNECTIONS);
    if (error == -EPERM) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    } else if (worker->view->listeners[index].protocol == BOARD_HTTP) {
        const struct gw_answer answer = {
            .status = for_its_address ? 429 : 503,
            .why = for_its_address ? "too many connections from this address" : "too many connections",
            .close = true,
        };
        size_t len = gw_answer_text(&answer, worker->scratch, sizeof(worker->scratch));
        (void)!send(fd, worker->scratch, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)shutdown(fd, SHUT_WR);
        (void)!recv(fd, worker->scratch, sizeof(worker->scratch), MSG_DONTWAIT);
    }
    (void)close(fd);
}

union client_address {
    struct sockaddr any;
    struct sockaddr_storage storage;
};

static void take(struct gw_worker *worker, uint32_t index, int fd, const union client_address *peer)
{
    gw_count(&worker->gauges->accepted);
    int opened = gw_conn_open(worker, fd, index, &peer->any);
    if (opened < 0)
        turn_away(worker, index, fd, opened);
}

void gw_listen_take(struct gw_worker *worker, uint32_t index, int fd)
{
    union client_address peer = { .any.sa_family = AF_UNIX };
    socklen_t len = sizeof(peer);
    (void)getpeername(fd, &peer.any, &len);
    gw_mark_accept(worker, index);
    take(worker, index, fd, &peer);
    gw_mark_none(worker);
}

/* One, as nearly always there is no other: asking for it would cost as much. Is there one, then the listener is ready in the
   next turn, too, and all are taken that have come. */
void gw_listen_accept(struct gw_worker *worker, uint32_t index)
{
    int most = worker->accepted ? BATCH : 1;
    worker->accepting = true;
    for (int i = 0; i < most; i++) {
        union client_address peer;
        socklen_t len = sizeof(peer);
        peer.any.sa_family = AF_UNIX; /* a Unix client has no name: accept4() then writes nothing */
        if (!worker->listeners[index].watched)
            return;
        gw_mark_accept(worker, index);
        int fd = accept4(worker->listeners[index].fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                gw_count(&worker->gauges->accept_errors);
                pause_all(worker);
                return;
            }
            continue; /* this one was lost on its way: ECONNABORTED, EINTR, network errors */
        }
        take(worker, index, fd, &peer);
    }
}
