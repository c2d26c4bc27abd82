/* SPDX-License-Identifier: MIT */
#include "gateway/replay.h"

#include "gateway/conn_fsm.h"
#include "gateway/pipe.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
    TRIES = 100,        /* at figures of one moment */
    AT_ONCE = GW_PASS,  /* bytes that one call moves at the most */
    STATE_SYN_SENT = 2, /* tcpi_state, as in tcp_states.h of the kernel */
    STATE_FIN_WAIT1 = 4,
    STATE_FIN_WAIT2 = 5,
    STATE_CLOSED = 7,
    STATE_CLOSE_WAIT = 8,
    STATE_LAST_ACK = 9,
    STATE_CLOSING = 11,
};

static_assert((int)AT_ONCE >= (int)GW_BLOCK + (int)GW_FORWARD_MAX, "a head and what is in its block");

uint32_t gw_replay_roll_back(struct gw_worker *worker)
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

/* What a Unix socket's last call has moved, as the kernel left it behind: in the arena, or in the pipe. `filled` is the pipe
   that is filled from the socket, `drained` the one that goes out on it. */
static void ask_unix(const struct arena *arena, const struct gw_pipe *filled, const struct gw_pipe *drained,
                     struct gw_replay *replay)
{
    if (arena->call_cookie == replay->socket->cookie && arena->call.msg_len != UINT32_MAX)
        *(arena->call_given ? &replay->given : &replay->taken) = arena->call.msg_len;
    if (gw_pipe_bytes(filled) > filled->held)
        replay->taken = gw_pipe_bytes(filled) - filled->held;
    if (gw_pipe_bytes(drained) < drained->held)
        replay->given = drained->held - gw_pipe_bytes(drained);
}

/* The three figures of one moment: the kernel goes on receiving while they are read. */
static bool ask_kernel(int fd, struct tcp_info *info, int *ret_unread, int *ret_unacked)
{
    for (int tries = 0; tries < TRIES; tries++) {
        socklen_t len = sizeof(*info);
        int unread, unacked;
        if (ioctl(fd, SIOCINQ, &unread) < 0 || ioctl(fd, SIOCOUTQ, &unacked) < 0 ||
            getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) < 0 || ioctl(fd, SIOCINQ, ret_unread) < 0 ||
            ioctl(fd, SIOCOUTQ, ret_unacked) < 0)
            return false;
        if (unread == *ret_unread && unacked == *ret_unacked)
            return true;
    }
    return false;
}

/* What TCP has moved on a socket since its slot was marked. `connected`: by us, else accepted. False when it cannot be what
   it was. */
static bool ask_tcp(const struct gw_socket *socket, bool connected, struct gw_replay *replay)
{
    struct tcp_info info;
    int unread, unacked;

    if (!ask_kernel(socket->fd, &info, &unread, &unacked))
        return false;
    if (info.tcpi_state == STATE_CLOSED || info.tcpi_state == STATE_SYN_SENT)
        return true; /* nothing more, or nothing yet */
    /* A FIN counts as a byte that was received, and one of our own and the SYN of who connects as given. */
    uint8_t state = info.tcpi_state;
    bool both = state == STATE_LAST_ACK || state == STATE_CLOSING, fin = both || state == STATE_CLOSE_WAIT,
         own_fin = both || state == STATE_FIN_WAIT1 || state == STATE_FIN_WAIT2;
    replay->taken = info.tcpi_bytes_received - fin - (uint64_t)unread - socket->taken;
    replay->given = info.tcpi_bytes_acked - connected - own_fin + (uint64_t)unacked - socket->given;
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

bool gw_replay_ask(struct gw_worker *worker, const struct conn *conn)
{
    return ask(worker, conn, false, &worker->replay[0]) &&
           (conn->upstream == GW_NONE || ask(worker, conn, true, &worker->replay[1]));
}
