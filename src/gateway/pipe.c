/* SPDX-License-Identifier: MIT */
#include "gateway/pipe.h"

#include "gateway/io.h"
#include "gateway/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    /* Bytes moved at once, before others have their turn: what a pipe of the usual size holds of pages. */
    MOST = 64 * 1024,
    FILES_LEFT = 512, /* the last descriptors, a quarter at most, are for connections */
};

static void close_both(const struct gw_pipe *pipe)
{
    (void)close(pipe->read_fd);
    (void)close(pipe->write_fd);
}

/* A new descriptor is the lowest that is free. */
static bool is_among_last(int fd)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return true;
    rlim_t left = files.rlim_cur / 4 < FILES_LEFT ? files.rlim_cur / 4 : FILES_LEFT;
    return (rlim_t)fd >= files.rlim_cur - left;
}

/* An empty one goes back to the pool. */
static void put_back(struct gw_worker *worker, struct gw_pipe *pipe)
{
    const struct gw_pipe empty = *pipe;
    *pipe = GW_NO_PIPE;
    if (worker->pipes_idle < GW_PIPES_IDLE)
        worker->pipes[worker->pipes_idle++] = empty;
    else
        close_both(&empty);
}

bool gw_pipe_worth(struct gw_worker *worker, uint8_t io, uint64_t to_come)
{
    int fds[2];
    if (!(io & GW_BULK) || to_come < GW_BLOCK)
        return false;
    if (worker->pipes_idle > 0)
        return true;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    struct gw_pipe pipe = { .read_fd = fds[0], .write_fd = fds[1] };
    if (is_among_last(pipe.write_fd)) {
        close_both(&pipe);
        return false;
    }
    put_back(worker, &pipe);
    return true;
}

ssize_t gw_pipe_fill(struct gw_worker *worker, struct conn *conn, struct gw_pipe *pipe, struct gw_socket *socket,
                     uint64_t most)
{
    if (pipe->read_fd < 0) /* else a worker before us has begun to fill it */
        *pipe = worker->pipes[--worker->pipes_idle];
    gw_mark(worker, conn);
    ssize_t n = (ssize_t)gw_replayed(worker, socket, false);
    if (n == 0)
        n = splice(socket->fd, NULL, pipe->write_fd, NULL, most < MOST ? (size_t)most : MOST, SPLICE_F_NONBLOCK);
    if (n > 0) {
        socket->taken += (uint64_t)n;
        pipe->held = (uint32_t)n;
        if (n < GW_BLOCK)
            socket->io &= (uint8_t)~GW_BULK;
        return n;
    }
    int error = errno;
    put_back(worker, pipe);
    errno = error;
    return gw_read_nothing(&socket->io, n);
}

ssize_t gw_pipe_drain(struct gw_worker *worker, struct conn *conn, struct gw_pipe *pipe, struct gw_socket *socket)
{
    gw_mark(worker, conn);
    ssize_t n = (ssize_t)gw_replayed(worker, socket, true);
    if (n == 0)
        n = splice(pipe->read_fd, NULL, socket->fd, NULL, pipe->held, SPLICE_F_NONBLOCK);
    if (n <= 0)
        return gw_wrote_nothing(&socket->io);
    socket->given += (uint64_t)n;
    pipe->held -= (uint32_t)n;
    if (pipe->held == 0)
        put_back(worker, pipe);
    return n;
}

uint32_t gw_pipe_bytes(const struct gw_pipe *pipe)
{
    int bytes;
    return pipe->read_fd >= 0 && ioctl(pipe->read_fd, FIONREAD, &bytes) == 0 ? (uint32_t)bytes : pipe->held;
}

void gw_pipe_drop(struct gw_pipe *pipe)
{
    if (pipe->read_fd >= 0)
        close_both(pipe);
    *pipe = GW_NO_PIPE;
}
