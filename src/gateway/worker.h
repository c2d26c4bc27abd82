/* SPDX-License-Identifier: MIT
 *
 * A worker's own state, private to its process, and short ways to it. What a successor would need is in the arena
 * (slots.h), not here.
 */
#ifndef DARUMA_GATEWAY_WORKER_H
#define DARUMA_GATEWAY_WORKER_H

#include "gateway/balance.h"
#include "gateway/forward.h"
#include "gateway/gateway.h"
#include "gateway/route.h"
#include "gateway/shared.h"
#include "gateway/slots.h"
#include "gateway/text.h"
#include "gateway/timers.h"

enum {
    GW_PIPES_IDLE = 32,   /* empty ones that are kept */
    GW_PASS = 256 * 1024, /* bytes of a request's body that are passed on at once */
};

/* Bytes that a worker before us has moved without living to see it: the next call on that socket and in that direction
   returns their number and is not made. */
struct gw_replay {
    const struct gw_socket *socket; /* NULL: nothing to replay */
    uint64_t taken, given;
};

struct gw_worker {
    const struct gateway_worker_setup *setup;
    struct guard *guard; /* NULL: none */
    struct worker_gauges *gauges;
    struct gw_shared *shared;
    struct board *view; /* private copy of the board */
    struct slots slots;
    struct timers timers; /* ids: connections, then upstreams, then GW_TIMER_ACCEPT */
    int epoll_fd;
    int64_t now;       /* of this turn */
    int64_t alarm_ns;  /* when the alarm goes off, or went off last */
    bool epoll_is_new; /* nothing of what the arena holds is registered in it */
    uint32_t proven;   /* connections below have been checked since they were adopted; GW_NONE: all */
    bool draining, accept_paused, over;
    bool accepting, accepted;      /* a listener was ready in this turn, in the one before */
    int program;                   /* to go on as after this turn; -1: none */
    struct gw_listener *listeners; /* in the arena, by index on the board */
    struct gw_replay replay[2];    /* of the client, of the upstream */
    struct gw_list held, verdicts;
    struct gw_list queues[BOARD_SERVICES]; /* of those that wait for room at a service */
    uint32_t queued;                       /* in all of them */
    bool turns_held; /* some of the held wait for their turn (trial of suspects, retry budget), not for an endpoint */
    uint32_t ready_first, ready_last;  /* through conn.ready_next */
    uint32_t hand;                     /* the slot that was looked at last for one that could make room */
    uint32_t active, retrying, hedged; /* exchanges; those that count against the budgets (retry.h) */
    uint32_t parsed;                   /* the connection whose request head is in `head`; GW_NONE: none */
    struct http1_head head;            /* of the request parsed last */
    struct http1_head response;        /* of the response parsed last */
    struct balance balance;
    struct gw_routes routes;
    struct gw_path path; /* of the request that is being looked at */
    struct gw_pipe pipes[GW_PIPES_IDLE];
    uint32_t pipes_idle;
    time_t date_at; /* which second `date` says */
    char date[TEXT_DATE];
    char matched[GW_PATH]; /* the path that its groups lie in, when it is another one by now */
    char target[GW_PATH];  /* what became of its path and query (rewrite.h) */
    char scratch[GW_FORWARD_MAX];
    char passing[GW_PASS]; /* a copy of what is being passed on; the bytes themselves lie in the client's socket */
};

static inline uint32_t gw_conn_index(const struct gw_worker *worker, const struct conn *conn)
{
    return (uint32_t)(conn - worker->slots.conns);
}

static inline struct upstream *gw_conn_upstream(const struct gw_worker *worker, const struct conn *conn)
{
    return conn->upstream == GW_NONE ? NULL : &worker->slots.upstreams[conn->upstream];
}

static inline const struct board_route *gw_conn_route(const struct gw_worker *worker, const struct conn *conn)
{
    return &worker->view->routes[conn->route];
}

static inline struct route_gauge *gw_conn_gauge(struct gw_worker *worker, const struct conn *conn)
{
    return &worker->gauges->routes[conn->route];
}

static inline uint32_t gw_timer_upstream(const struct gw_worker *worker, uint32_t index)
{
    return worker->slots.arena->conns + index;
}

static inline uint32_t gw_timer_accept(const struct gw_worker *worker)
{
    return worker->slots.arena->conns + worker->slots.arena->upstreams;
}

/* Gauges have one writer, this worker: no locked instruction is needed. */
static inline void gw_count(_Atomic uint64_t *gauge)
{
    atomic_store_explicit(gauge, atomic_load_explicit(gauge, memory_order_relaxed) + 1, memory_order_relaxed);
}

#endif
