/* SPDX-License-Identifier: MIT
 *
 * Which endpoint a request goes to, and which endpoints are left out for a while because they fail. Works on the
 * worker's private view of the board and on its own part of the gauges; does no I/O.
 */
#ifndef DARUMA_GATEWAY_BALANCE_H
#define DARUMA_GATEWAY_BALANCE_H

#include "base/board.h"
#include "base/gauges.h"
#include "base/rng.h"
#include "gateway/patience.h"
#include "gateway/slots.h"

#include <stdbool.h>
#include <stdint.h>

/* What this worker alone knows of an endpoint; starts anew with each generation. */
struct endpoint_local {
    uint32_t generation;
    uint32_t state;      /* enum board_endpoint_state when it was last looked at */
    uint32_t idle_first; /* upstream slots, GW_NONE: none */
    uint16_t errors;     /* in a row */
    uint16_t ejections;  /* in a row: each lasts twice as long as the one before */
    int64_t ejected_until_ns;
    int64_t ewma_at_ns; /* 0: no latency known */
    struct latency latency;
    int64_t answered_ns;  /* the last first byte of an answer; 0: none yet */
    int64_t idle_life_ns; /* after which it closes idle connections, as far as it was seen; 0: it was not */
    uint32_t overdue;     /* attempts that have outlasted the patience since it answered anything */
    bool hung;            /* left out because of those */
};

struct balance {
    const struct board *view;
    struct worker_gauges *gauges;
    struct rng rng;
    uint32_t turn[BOARD_ROUTES]; /* round robin */
    uint32_t first[BOARD_SERVICES], count[BOARD_SERVICES];
    uint16_t up[BOARD_ENDPOINTS];           /* endpoints in rotation, by service: up[first … first + count) */
    struct latency service[BOARD_SERVICES]; /* of all its endpoints */
    struct endpoint_local *local; /* [BOARD_ENDPOINTS], by index on the board; not owned: it outlives a worker */
};

/* `local` is zeroes, or what a worker before has left: latencies and ejections stay, idle connections are forgotten. */
void gw_balance_init(struct balance *balance, const struct board *view, struct worker_gauges *gauges,
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
    bool safe; /* may be sent twice: fit for trying whether an endpoint that hung answers again */
};

/* An endpoint for a request, none of `tried`; -1 when there is none. An ejected one only when nothing else is left: the
   last endpoint is never ejected. */
int gw_balance_pick(struct balance *balance, const struct balance_request *request);

/* A request goes to `endpoint`. Is its ejection over, then this one is the trial: it is left out again, for twice as
   long, until an answer comes. */
void gw_balance_placed(struct balance *balance, uint32_t endpoint, int64_t now_ns);

/* Latency to the first byte of an answer: peaks count at once, and are forgotten slowly. Also ends a row of errors. */
void gw_balance_success(struct balance *balance, uint32_t endpoint, int64_t latency_ns, int64_t now_ns);

/* It has not answered for `waited_ns` when another one did: the same for its peaks, and for nothing else. */
void gw_balance_lost(struct balance *balance, uint32_t endpoint, int64_t waited_ns, int64_t now_ns);

/* How long the first byte of an answer is waited for; 0: the route sets no such limit. */
int64_t gw_balance_patience(const struct balance *balance, uint32_t endpoint, uint32_t route);

/* Is it idle, or has it answered anything since then? */
bool gw_balance_well(const struct balance *balance, uint32_t endpoint, int64_t since_ns);

/* An attempt of `route` that began at `since_ns` has outlasted the patience. True when that makes three since the endpoint
   answered anything: it hangs. It is left out like one that fails (250 ms, then twice as long) as long as another one of
   that route is well; when none is, they are all slow, and leaving one out would make it worse. */
bool gw_balance_overdue(struct balance *balance, uint32_t endpoint, uint32_t route, int64_t since_ns, int64_t now_ns);

/* It failed; the third time in a row it is left out for a second, then two … at most 30. */
void gw_balance_failure(struct balance *balance, uint32_t endpoint, int64_t now_ns);

#endif
