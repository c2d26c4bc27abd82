/* SPDX-License-Identifier: MIT */
#include "gateway/tunnel.h"

#include "gateway/conn.h"
#include "gateway/io.h"
#include "gateway/pipe.h"
#include "gateway/upstream.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct end {
    struct gw_socket *socket;
    enum gw_kind kind;
    uint32_t generation, index;
};

/* What is on its way from one end to the other: block[at … len), or what the pipe holds. */
struct underway {
    uint32_t *block, *at, *len;
    struct gw_pipe *pipe;
};

static bool has_bytes(const struct underway *bytes)
{
    return (*bytes->block != GW_NONE && *bytes->at < *bytes->len) || bytes->pipe->held > 0;
}

static ssize_t send_block(struct gw_worker *worker, struct conn *conn, const struct end *to,
                          const struct underway *bytes)
{
    struct iovec piece = { gw_block(&worker->slots, *bytes->block) + *bytes->at, *bytes->len - *bytes->at };
    ssize_t n = gw_send(worker, conn, to->socket, &piece, 1, 0);
    if (n > 0)
        *bytes->at += (uint32_t)n;
    return n;
}

/* Sends what there is. 1: nothing is left, 0: blocked, -1: the end takes no more. */
static int drain(struct gw_worker *worker, struct conn *conn, const struct end *to, const struct underway *bytes)
{
    while (has_bytes(bytes)) {
        if (!(to->socket->io & GW_WRITABLE))
            return 0;
        ssize_t n = bytes->pipe->held > 0 ? gw_pipe_drain(worker, conn, bytes->pipe, to->socket)
                                          : send_block(worker, conn, to, bytes);
        if (n < 0)
            return -1;
        if (n == 0) {
            gw_watch_out(worker, to->socket->fd, &to->socket->io, to->kind, to->generation, to->index);
            return 0;
        }
    }
    gw_block_put(&worker->slots, bytes->block);
    return 1;
}

static ssize_t read_more(struct gw_worker *worker, struct conn *conn, const struct end *from,
                         const struct underway *bytes)
{
    if (gw_pipe_worth(worker, from->socket->io, UINT64_MAX))
        return gw_pipe_fill(worker, conn, bytes->pipe, from->socket, UINT64_MAX);
    *bytes->block = gw_block_take(&worker->slots);
    *bytes->at = *bytes->len = 0;
    ssize_t n = gw_recv(worker, conn, from->socket, gw_block(&worker->slots, *bytes->block), GW_BLOCK);
    if (n > 0)
        *bytes->len = (uint32_t)n;
    return n;
}

/* One step in one direction. 1: something moved, 0: nothing can, -1: it is over for both. */
static int pump(struct gw_worker *worker, struct conn *conn, const struct end *from, const struct end *to,
                const struct underway *bytes)
{
    int drained = drain(worker, conn, to, bytes);
    if (drained <= 0)
        return drained;
    if (from->socket->io & GW_EOF) {
        if (!(to->socket->io & GW_SHUT)) {
            to->socket->io |= GW_SHUT;
            (void)shutdown(to->socket->fd, SHUT_WR);
        }
        return 0;
    }
    if (!(from->socket->io & GW_READABLE))
        return 0;
    ssize_t n = read_more(worker, conn, from, bytes);
    if (from->socket->io & GW_ERROR)
        return -1;
    return drain(worker, conn, to, bytes) < 0 ? -1 : n != 0;
}

bool gw_tunnel(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    const struct end client = { &conn->socket, GW_KIND_CONN, conn->generation, gw_conn_index(worker, conn) };
    const struct end server = { &upstream->socket, GW_KIND_UPSTREAM, upstream->generation, conn->upstream };
    const struct underway up = { &conn->in, &conn->in_sent, &conn->in_len, &conn->up };
    const struct underway down = { &conn->out, &conn->out_at, &conn->out_len, &conn->down };

    int upwards = pump(worker, conn, &client, &server, &up);
    int downwards = upwards < 0 ? -1 : pump(worker, conn, &server, &client, &down);
    if (downwards < 0) {
        gw_conn_abort(worker, conn);
        return false;
    }
    if ((conn->io & GW_SHUT) && (upstream->io & GW_SHUT)) {
        gw_conn_close(worker, conn);
        return false;
    }
    if (upwards > 0 || downwards > 0) {
        conn->deaths = 0;
        gw_conn_touch(worker, conn);
    }
    return upwards > 0 || downwards > 0;
}
