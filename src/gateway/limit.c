/* SPDX-License-Identifier: MIT */
#include "gateway/limit.h"

#include "base/clock.h"
#include "gateway/client.h"
#include "gateway/gateway.h"

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

static bool is_trusted(const struct gw_worker *worker, const struct gw_client *client)
{
    return gw_client_is_in(client, worker->view->trusted, worker->view->used_trusted);
}

static bool has_address(const struct gw_client *client)
{
    return client->family == AF_INET || client->family == AF_INET6;
}

bool gw_limit_enter(struct gw_worker *worker, struct conn *conn)
{
    const struct board_limits *limits = gw_conn_limits(worker, conn);
    const struct gw_client client = gw_client_peer(conn);
    if (limits->source_connections == 0 || !has_address(&client) || is_trusted(worker, &client))
        return true;
    uint64_t key = gw_source_key(&worker->shared->sources, conn->listener, client.family, client.address);
    return gw_source_enter(&worker->shared->sources, worker->setup->number, key, limits->source_connections,
                           worker->now, &conn->source);
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
    const struct board *view = worker->view;
    struct gw_sources *sources = &worker->shared->sources;
    if (limits->source_interval_ns == 0)
        return 0;
    const struct gw_client client = gw_client_behind(gw_client_peer(conn), gw_block(&worker->slots, conn->in),
                                                     &worker->head, view->trusted, view->used_trusted);
    if (!has_address(&client) || is_trusted(worker, &client))
        return 0;
    uint64_t key = gw_source_key(sources, conn->listener, client.family, client.address);
    int64_t wait = gw_source_request(sources, key, limits->source_interval_ns, limits->source_burst, worker->now);
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
    bool asked = !(conn->flags & CONN_EXPECTS) || (conn->flags & CONN_ANSWERED) || conn->request_end > conn->head_len;
    bool blocked = !upstream || !(upstream->io & GW_WRITABLE); /* it is not the client that keeps us waiting */
    if (timeout == 0 || blocked || !asked)
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
    if (limits->body_rate > 0)
        conn->body_due_ns += (int64_t)len * NS_PER_S / limits->body_rate;
    if (limits->body_rate == 0 || conn->body_due_ns > latest)
        conn->body_due_ns = latest;
}
