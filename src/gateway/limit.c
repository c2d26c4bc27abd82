/* SPDX-License-Identifier: MIT */
#include "gateway/limit.h"

#include "base/clock.h"
#include "gateway/gateway.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    FILES_SPARE = 64 + BOARD_LISTENERS, /* descriptors that are no connections */
    FILES_UPSTREAMS = 1024,             /* at least that many are left for connections to instances, and for pipes */
    CONNECTIONS_MAX = 256 * 1024,       /* of one worker: their slots take 33 KiB of address space each */
};

const struct http1_limits gw_limit_any = { .head = GW_BLOCK, .target = GW_BLOCK, .headers = HTTP1_HEADERS };
static_assert((int)GW_BLOCK == (int)BOARD_HEADER_SIZE, "a head has to fit into a block");

uint32_t gateway_worker_room(void)
{
    struct rlimit files = { .rlim_max = 1024 };
    (void)getrlimit(RLIMIT_NOFILE, &files);
    rlim_t quarter = files.rlim_max / 4, spare = FILES_SPARE + FILES_UPSTREAMS;
    rlim_t clients = files.rlim_max - (quarter < spare ? quarter : spare);
    return clients < 1 ? 1 : clients < CONNECTIONS_MAX ? (uint32_t)clients : CONNECTIONS_MAX;
}

bool gw_limit_room(const struct gw_worker *worker)
{
    uint32_t limit = worker->view->connections;
    return limit == 0 || gauges_connections(worker->setup->gauges) < limit;
}

bool gw_limit_is_in(const struct conn *conn, const struct board_network *networks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct board_network *network = &networks[i];
        unsigned bytes = network->bits / 8, rest = network->bits % 8;
        if (network->family == conn->peer_family && memcmp(network->address, conn->peer, bytes) == 0 &&
            (rest == 0 || ((network->address[bytes] ^ conn->peer[bytes]) >> (8 - rest)) == 0))
            return true;
    }
    return false;
}

/* Counts it, if it has an address that is counted. False: `limit` is reached. */
static bool enter(struct gw_worker *worker, struct conn *conn, uint32_t limit)
{
    const struct board *view = worker->view;
    struct gw_sources *sources = &worker->shared->sources;
    if ((conn->peer_family != AF_INET && conn->peer_family != AF_INET6) ||
        gw_limit_is_in(conn, view->trusted, view->used_trusted))
        return true;
    uint64_t key = gw_source_key(sources, conn->listener, (int)conn->peer_family, conn->peer);
    return gw_source_enter(sources, worker->setup->number, key, limit, worker->now, &conn->source);
}

bool gw_limit_enter(struct gw_worker *worker, struct conn *conn)
{
    const struct board_limits *limits = gw_conn_limits(worker, conn);
    return (limits->source_connections == 0 && limits->source_interval_ns == 0) ||
           enter(worker, conn, limits->source_connections);
}

void gw_limit_leave(struct gw_worker *worker, struct conn *conn)
{
    if (conn->source != GW_NONE)
        gw_source_leave(&worker->shared->sources, worker->setup->number, conn->source);
    conn->source = GW_NONE;
}

uint32_t gw_limit_request(struct gw_worker *worker, struct conn *conn)
{
    const struct board_limits *limits = gw_conn_limits(worker, conn);
    if (limits->source_interval_ns == 0)
        return 0;
    if (conn->source == GW_NONE)
        (void)enter(worker, conn, 0); /* the limit is younger than the connection */
    if (conn->source == GW_NONE)
        return 0;
    int64_t wait = gw_source_request(&worker->shared->sources, conn->source, limits->source_interval_ns,
                                     limits->source_burst, worker->now);
    return (uint32_t)((wait + NS_PER_S - 1) / NS_PER_S);
}

/* --- slow bodies ------------------------------------------------------------------------------------------------ */

/*
 * body_due_ns is the moment at which the client is too late: body_timeout after the last byte, but each byte moves it by
 * no more than body_rate says. So whoever sends a byte now and then is as late as who sends nothing.
 */
int64_t gw_limit_body_due(const struct gw_worker *worker, struct conn *conn)
{
    const struct upstream *upstream = gw_conn_upstream(worker, conn);
    int64_t timeout = gw_conn_limits(worker, conn)->body_timeout_ns;
    bool blocked = !upstream || !(upstream->io & GW_WRITABLE); /* it is not the client that keeps us waiting */
    if (timeout == 0 || blocked)
        conn->body_due_ns = 0;
    else if (conn->body_due_ns == 0)
        conn->body_due_ns = worker->now + timeout;
    return conn->body_due_ns;
}

void gw_limit_body_came(const struct gw_worker *worker, struct conn *conn, size_t len)
{
    const struct board_limits *limits = gw_conn_limits(worker, conn);
    int64_t latest = worker->now + limits->body_timeout_ns;
    if (conn->body_due_ns == 0)
        return;
    conn->body_due_ns += limits->body_rate > 0 ? (int64_t)len * NS_PER_S / limits->body_rate : latest;
    if (conn->body_due_ns > latest)
        conn->body_due_ns = latest;
}
