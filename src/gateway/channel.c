/* SPDX-License-Identifier: MIT */
#include "gateway/channel.h"

#include "base/cleanup.h"
#include "gateway/adopt.h"
#include "gateway/conn.h"
#include "gateway/hold.h"
#include "gateway/listen.h"
#include "gateway/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void gw_channel_ring(const struct gw_worker *worker)
{
    (void)!write(worker->setup->supervisor_bell_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* An endpoint that leaves the rotation keeps no idle connections; one that drains and is idle is reported. */
static void leave_rotation(struct gw_worker *worker, uint32_t index)
{
    const struct board_endpoint *endpoint = &worker->view->endpoints[index];
    const struct endpoint_local *local = &worker->balance.local[index];
    bool replaced = local->generation != endpoint->generation;

    if (replaced || endpoint->state != BOARD_ENDPOINT_UP)
        gw_upstream_close_idle(worker, index);
    if (endpoint->state == BOARD_ENDPOINT_DRAINING && (replaced || local->state != BOARD_ENDPOINT_DRAINING) &&
        (replaced || atomic_load(&worker->gauges->endpoints[index].inflight) == 0))
        gw_channel_ring(worker);
}

void gw_channel_board(struct gw_worker *worker)
{
    if (!board_refresh(worker->setup->board, worker->view))
        return;
    for (uint32_t i = 0; i < worker->view->used_endpoints; i++)
        leave_rotation(worker, i);
    gw_balance_rebuild(&worker->balance);
    gw_routes_update(&worker->routes, worker->view);
    gw_hold_wake(worker);
}

static void begin_drain(struct gw_worker *worker)
{
    worker->draining = true;
    worker->slots.arena->draining = true;
    gw_listen_close_all(worker);
    for (uint32_t i = 0; i < worker->slots.arena->fresh_conn; i++) {
        struct conn *conn = &worker->slots.conns[i];
        if ((conn->state == CONN_IDLE || conn->state == CONN_PROXY) && gw_adopt_holds(worker, conn))
            gw_conn_close(worker, conn);
    }
}

static void take_message(struct gw_worker *worker, const struct gateway_message *message, int fd)
{
    CLEANUP_CLOSE int owned = fd;
    if (message->index >= BOARD_LISTENERS)
        return;
    switch ((enum gateway_message_kind)message->kind) {
    case GATEWAY_LISTEN:
        if (owned < 0 || worker->draining)
            return;
        gw_channel_board(worker); /* the listener's protocol and routes stand there */
        (void)fcntl(owned, F_SETFL, fcntl(owned, F_GETFL) | O_NONBLOCK);
        gw_listen_add(worker, message->index, message->generation, TAKE_FD(owned));
        break;
    case GATEWAY_CLOSE:
        gw_listen_close(worker, message->index);
        break;
    case GATEWAY_DRAIN:
        begin_drain(worker);
        break;
    case GATEWAY_UPGRADE:
        if (worker->program >= 0)
            (void)close(worker->program);
        worker->program = TAKE_FD(owned);
        break;
    }
}

/* A message is looked at, carried out, and only then taken off the channel: a death in between repeats it. */
void gw_channel_read(struct gw_worker *worker)
{
    for (;;) {
        struct gateway_message message;
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec piece = { &message, sizeof(message) };
        struct msghdr envelope = {
            .msg_iov = &piece,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(worker->setup->channel_fd, &envelope, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            worker->over = true;
            return;
        }
        int fd = -1;
        struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        if ((size_t)n == sizeof(message))
            take_message(worker, &message, fd);
        else if (fd >= 0)
            (void)close(fd);
        (void)!recv(worker->setup->channel_fd, &message, sizeof(message), MSG_DONTWAIT); /* without its descriptor */
    }
}
