/* SPDX-License-Identifier: MIT
 *
 * Which endpoint a request goes to, and which endpoints are left out for a while because they fail. Works on the
 * worker's private view of the board and on the gauges; does no I/O.
 *
 * Placing costs the same for two endpoints and for a thousand: who is chosen at random, in turn or on a ring is tried
 * first, and all are only looked at when none of those may be used.
 */
#ifndef DARUMA_GATEWAY_BALANCE_H
#define DARUMA_GATEWAY_BALANCE_H

#include "base/board.h"
#include "base/gauges.h"
#include "base/rng.h"
#include "gateway/patience.h"
#include "gateway/ring.h"
#include "gateway/slots.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

/* What this worker alone knows of an endpoint; starts anew with each generation. What placement looks at comes first, and
   lies in one cache line: with many endpoints, each look is at memory that has gone cold. */
struct endpoint_local {
    alignas(64) int64_t ejected_until_ns;
    int64_t ewma_at_ns; /* 0: no latency known */
    uint32_t generation;
    uint32_t weight;      /* as on the board */
    uint32_t credit;      /* round robin: of a lighter one, what it has saved for its next turn; 2^32: a turn */
    uint16_t service;     /* as on the board */
    bool out;             /* ejected, and no answer has brought it back */
    bool hung;            /* left out because attempts are overdue */
    bool trial;           /* one request was let through, to see how it is */
    bool judged;          /* as on the board */
    uint8_t state;        /* enum board_endpoint_state when it was last looked at */
    uint16_t errors;      /* in a row */
    uint16_t failing;     /* share of its latest outcomes that failed, of UINT16_MAX */
    uint16_t ejections;   /* lately: each lasts twice as long as the one before */
    uint32_t idle_first;  /* upstream slots, GW_NONE: none */
    uint32_t overdue;     /* attempts that have outlasted the patience since it answered anything */
    int64_t ejected_ns;   /* the last time */
    int64_t answered_ns;  /* the last whole head of an answer; 0: none yet */
    int64_t idle_life_ns; /* after which it closes idle connections, as far as it was seen; 0: it was not */
    struct latency latency;
    uint64_t name; /* gw_ring_name() of its instance */
};

/* What is in rotation of a service. */
struct balance_service {
    uint32_t first, count;  /* its endpoints: up[first … first + count) */
    uint32_t turn;          /* round robin, least in flight */
    uint32_t heaviest;      /* the largest weight among them */
    uint32_t ring;          /* points on its ring, from points[first * GW_RING_POINTS] on; 0: no route asks for one */
    bool hashed;            /* a route does */
    struct latency latency; /* of all its endpoints */
};

struct balance {
    const struct board *view;
    const struct gauges *all;
    struct worker_gauges *gauges; /* this worker's part of them */
    struct rng rng;
    uint32_t turn[BOARD_ROUTES];   /* the same, where several targets take part */
    uint32_t shares[BOARD_ROUTES]; /* how many were given to the targets by their weights */
    struct balance_service services[BOARD_SERVICES];
    uint16_t up[BOARD_ENDPOINTS]; /* endpoints in rotation, by service */
    struct endpoint_local *local; /* [BOARD_ENDPOINTS], by index on the board; not owned: it outlives a worker */
    struct gw_ring_point points[BOARD_ENDPOINTS * GW_RING_POINTS]; /* only those that a ring needs are ever touched */
    struct gw_ring_point scratch[BOARD_ENDPOINTS * GW_RING_POINTS];
};

/* For worker `number`, whose part of the gauges this is. `local` is zeroes, or what a worker before has left: latencies and
   ejections stay, idle connections are forgotten. */
void gw_balance_init(struct balance *balance, const struct board *view, struct gauges *gauges, unsigned number,
                     struct endpoint_local *local, uint64_t seed);

/* The view has changed: sorts the endpoints anew. What belonged to an earlier generation is forgotten, but for the
   idle connections, which the caller has closed before. */
void gw_balance_rebuild(struct balance *balance);

/* What is looked for an endpoint for. */
struct balance_request {
    uint32_t route;
    const struct conn_tried *tried;
    unsigned tried_len;
    int64_t now_ns;
    int64_t since_ns; /* when the request came: who came earlier and waits for room goes first */
    uint64_t key;     /* affinity.h; 0: it has none */
    bool proven;      /* rather to one that is not being judged */
    bool safe;        /* may be sent twice: fit for trying whether an endpoint that hung answers again */
};

/*
 * An endpoint for a request, none of `tried`. -ENOENT when there is none; -EBUSY when there are, but all that may be used
 * have as much in flight as they may. A target that is a backup is used when no other one has an endpoint in rotation that
 * may be used; an ejected endpoint only when nothing else is left at all: the last one is never ejected.
 */
int gw_balance_pick(struct balance *balance, const struct balance_request *request);

/* What names the endpoint in a sticky cookie; never 0. */
uint64_t gw_balance_sticky_key(const struct balance *balance, uint32_t endpoint);

/* A request goes to `endpoint`. Is its ejection over, then this one is the trial: it is left out again, for twice as
   long, until an answer comes. */
void gw_balance_placed(struct balance *balance, uint32_t endpoint, int64_t now_ns);

/* An answer has come, whatever it says: after that time there was its first whole head. Peaks count at once, and are
   forgotten slowly. An endpoint that hung is back. */
void gw_balance_success(struct balance *balance, uint32_t endpoint, int64_t latency_ns, int64_t now_ns);

/* The same answer, for the figures by which versions of a service are compared. */
void gw_balance_measure(struct balance *balance, uint32_t endpoint, int64_t latency_ns);

/* It has not answered for `waited_ns` when another one did: the same for its peaks, and for nothing else. */
void gw_balance_lost(struct balance *balance, uint32_t endpoint, int64_t waited_ns, int64_t now_ns);

/* How long the head of an answer is waited for; 0: the route sets no such limit. A worker that has had no answer of the service
   yet goes by what others have. */
int64_t gw_balance_patience(const struct balance *balance, uint32_t endpoint, uint32_t route);

/* Is it idle, or has it answered anything since then? */
bool gw_balance_well(const struct balance *balance, uint32_t endpoint, int64_t since_ns);

/* An attempt of `route` that began at `since_ns` has outlasted the patience. True when that makes three since the endpoint
   answered anything: it hangs. It is left out like one that fails (250 ms, then twice as long) as long as another one of
   that route is well; when none is, they are all slow, and leaving one out would make it worse. */
bool gw_balance_overdue(struct balance *balance, uint32_t endpoint, uint32_t route, int64_t since_ns, int64_t now_ns);

enum balance_failure {
    BALANCE_ERROR,  /* no connection, it broke, or there was no answer in time */
    BALANCE_STATUS, /* it answered with one of 5xx */
};

/* It failed. The third error in a row, or three failures in ten while the other endpoints of the route fail half as often
   at most: then it is left out for a second; the next time for two … at most 30. */
void gw_balance_failure(struct balance *balance, uint32_t endpoint, uint32_t route, enum balance_failure failure,
                        int64_t now_ns);

/* An attempt that began at `since_ns` was answered with none of 5xx: ends a row of errors, and a trial. */
void gw_balance_answer(struct balance *balance, uint32_t endpoint, int64_t since_ns);

/* --- for its own files: pick.c and eject.c ------------------------------------------------------------------------ */

#define BALANCE_ALL UINT32_MAX

/* Endpoints in rotation of those targets of the route (a bit each), and the `at`-th of them. */
uint32_t gw_balance_count(const struct balance *balance, const struct board_route *route, uint32_t targets);
uint32_t gw_balance_nth(const struct balance *balance, const struct board_route *route, uint32_t targets, uint32_t at);

/* Requests on it, of this worker. */
static inline uint32_t gw_balance_inflight(const struct balance *balance, uint32_t endpoint)
{
    return atomic_load_explicit(&balance->gauges->endpoints[endpoint].inflight, memory_order_relaxed);
}

/* The latency that is expected of it: what was measured, forgotten while nothing new is. 0: unknown. */
uint64_t gw_balance_expected_us(const struct balance *balance, uint32_t endpoint, int64_t now_ns);

/* It has answered something: it does not hang. */
void gw_balance_lives(struct balance *balance, uint32_t endpoint);

#endif
