/* SPDX-License-Identifier: MIT */
#include "gateway/io.h"

#include "gateway/mark.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

uint64_t gw_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

uint64_t gw_tag(enum gw_kind kind, uint32_t generation, uint32_t index)
{
    return (uint64_t)kind << 56 | (uint64_t)generation << 32 | index;
}

int gw_watch(struct gw_worker *worker, int fd, uint32_t events, enum gw_kind kind, uint32_t generation, uint32_t index)
{
    struct epoll_event event = { .events = events | EPOLLET, .data.u64 = gw_tag(kind, generation, index) };
    int r = epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (r < 0 && errno == EEXIST) /* by a worker before us */
        r = epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    return r < 0 ? -errno : 0;
}

void gw_watch_out(struct gw_worker *worker, int fd, uint8_t *io, enum gw_kind kind, uint32_t generation, uint32_t index)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.u64 = gw_tag(kind, generation, index),
    };
    if (*io & GW_WANT_OUT)
        return;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0)
        *io |= GW_ERROR; /* without the event it would hang for ever */
    *io |= GW_WANT_OUT;
}

void gw_io_event(uint8_t *io, uint32_t events)
{
    if (events & EPOLLIN)
        *io |= GW_READABLE;
    if (events & EPOLLOUT)
        *io |= GW_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        *io |= GW_READABLE | GW_HUP;
}

size_t gw_replayed(struct gw_worker *worker, const struct gw_socket *socket, bool given)
{
    for (int i = 0; i < 2; i++) {
        struct gw_replay *replay = &worker->replay[i];
        uint64_t *moved = given ? &replay->given : &replay->taken, n = *moved;
        if (replay->socket == socket && n > 0) {
            *moved = 0;
            return n;
        }
    }
    return 0;
}

/* The message in shared memory, for a Unix socket: who dies in the call leaves its result there. */
static struct mmsghdr *unix_call(struct gw_worker *worker, const struct gw_socket *socket, bool given,
                                 const struct iovec *pieces, int count)
{
    struct arena *arena = worker->slots.arena;
    struct mmsghdr *call = &arena->call;
    arena->call_cookie = socket->cookie;
    arena->call_given = given;
    call->msg_hdr = (struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count };
    return call;
}

static ssize_t receive(struct gw_worker *worker, const struct gw_socket *socket, char *buf, size_t len)
{
    if (!socket->is_unix)
        return recv(socket->fd, buf, len, 0);
    struct mmsghdr *call = unix_call(worker, socket, false, &(struct iovec){ buf, len }, 1);
    int n = recvmmsg(socket->fd, call, 1, 0, NULL);
    return n < 0 ? n : (ssize_t)call->msg_len;
}

static ssize_t transmit(struct gw_worker *worker, const struct gw_socket *socket, const struct iovec *pieces, int count,
                        int flags)
{
    if (socket->is_unix) {
        struct mmsghdr *call = unix_call(worker, socket, true, pieces, count);
        int n = sendmmsg(socket->fd, call, 1, flags);
        return n < 0 ? n : (ssize_t)call->msg_len;
    }
    const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count };
    return count == 1 ? send(socket->fd, pieces[0].iov_base, pieces[0].iov_len, flags)
                      : sendmsg(socket->fd, &message, flags);
}

ssize_t gw_read_nothing(uint8_t *io, ssize_t n)
{
    if (n < 0 && errno == EINTR)
        return 0;
    *io &= (uint8_t)~GW_READABLE;
    if (n < 0 && errno == EAGAIN)
        return 0;
    *io |= n < 0 ? GW_EOF | GW_ERROR : GW_EOF;
    return -1;
}

ssize_t gw_recv(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, char *buf, size_t len)
{
    gw_mark(worker, conn);
    size_t before = gw_replayed(worker, socket, false);
    ssize_t n = before > 0 ? (ssize_t)before : receive(worker, socket, buf, len);
    if (n <= 0)
        return gw_read_nothing(&socket->io, n);
    if ((size_t)n > len) {
        socket->io |= GW_EOF | GW_ERROR; /* they are not where they should be */
        return -1;
    }
    socket->taken += (uint64_t)n;
    if ((size_t)n == len)
        socket->io |= GW_BULK;
    else if (before == 0) /* else nobody has told us what else there is */
        socket->io &= (uint8_t) ~(socket->io & GW_HUP ? GW_BULK : GW_BULK | GW_READABLE);
    return n;
}

ssize_t gw_wrote_nothing(uint8_t *io)
{
    if (errno == EINTR)
        return 0;
    *io &= (uint8_t)~GW_WRITABLE;
    return errno == EAGAIN ? 0 : -1;
}

ssize_t gw_send(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, const struct iovec *pieces,
                int count, int flags)
{
    gw_mark(worker, conn);
    ssize_t n = (ssize_t)gw_replayed(worker, socket, true);
    if (n == 0)
        n = transmit(worker, socket, pieces, count, MSG_NOSIGNAL | flags);
    if (n < 0)
        return gw_wrote_nothing(&socket->io);
    socket->given += (uint64_t)n;
    return n;
}
