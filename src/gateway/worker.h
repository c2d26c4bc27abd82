/* SPDX-License-Identifier: MIT
 *
 * A worker's own state, private to its process, and what its parts ask of its loop. What a successor would need is in
 * the arena (slots.h), not here.
 */
#ifndef DARUMA_GATEWAY_WORKER_H
#define DARUMA_GATEWAY_WORKER_H

#include "gateway/balance.h"
#include "gateway/forward.h"
#include "gateway/gateway.h"
#include "gateway/route.h"
#include "gateway/shared.h"
#include "gateway/slots.h"
#include "gateway/timers.h"

/* What an epoll event is about: kind (8 bits), generation of the slot (24), index (32). Never a pointer: an event may
   be older than the slot's present use. */
enum gw_kind {
    GW_KIND_LISTENER,
    GW_KIND_CHANNEL,
    GW_KIND_BELL,
    GW_KIND_GUARD,
    GW_KIND_ALARM,
    GW_KIND_CONN,
    GW_KIND_UPSTREAM
};
uint64_t gw_tag(enum gw_kind kind, uint32_t generation, uint32_t index);

enum { GW_PIPES_IDLE = 32 }; /* empty ones that are kept */

/* A list through conn.prev and conn.next. */
struct gw_list {
    uint32_t first, last, count;
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
    char matched[GW_PATH]; /* the path that its groups lie in, when it is another one by now */
    char target[GW_PATH];  /* what became of its path and query (rewrite.h) */
    char scratch[GW_FORWARD_MAX];
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

/* SO_COOKIE: the number of the socket behind a descriptor, never used twice. 0: there is none. */
uint64_t gw_cookie(int fd);

/* Registers a descriptor; one that is registered already gets what is said now. 0 or a negative errno. */
int gw_watch(struct gw_worker *worker, int fd, uint32_t events, enum gw_kind kind, uint32_t generation, uint32_t index);
/* Adds EPOLLOUT to the registration of a slot's descriptor that would block, once: nearly none ever does. */
void gw_watch_out(struct gw_worker *worker, int fd, uint8_t *io, enum gw_kind kind, uint32_t generation,
                  uint32_t index);

/*
 * The two calls that everything is read and written with; they mark the connection first (mark.h). `flags` are send(2)'s.
 * More than 0: bytes. 0: nothing now, the next edge will tell.
 * -1: gw_recv: end (GW_EOF, and GW_ERROR when it was a reset); gw_send: the other side takes no more (GW_ERROR).
 */
ssize_t gw_recv(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, char *buf, size_t len);
struct iovec;
ssize_t gw_send(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, const struct iovec *pieces,
                int count, int flags);
/* For others like them: the number of bytes that a worker before us has moved, instead of a call. 0: make the call. */
size_t gw_replayed(struct gw_worker *worker, const struct gw_socket *socket, bool given);
/* What they return when no byte has moved; `n` is what the system call returned, errno as it left it. */
ssize_t gw_read_nothing(uint8_t *io, ssize_t n);
ssize_t gw_wrote_nothing(uint8_t *io);
/* Takes the bits of an epoll event into `io`. */
void gw_io_event(uint8_t *io, uint32_t events);

/* Carries out what epoll has to say, or would have had, and clears `event->events`. */
struct epoll_event;
void gw_worker_event(struct gw_worker *worker, struct epoll_event *event);

/* Puts the connection on the list of those to be driven in the next turn: it could go on, but others want to as well. */
void gw_worker_again(struct gw_worker *worker, struct conn *conn);

void gw_list_add(struct gw_worker *worker, struct gw_list *list, struct conn *conn);
void gw_list_remove(struct gw_worker *worker, struct gw_list *list, struct conn *conn);

#endif
