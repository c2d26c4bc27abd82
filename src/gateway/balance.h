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
    uint16_t failing;    /* share of its latest outcomes that failed, of UINT16_MAX */
    uint16_t ejections;  /* lately: each lasts twice as long as the one before */
    bool out;            /* ejected, and no answer has brought it back */
    bool trial;          /* one request was let through, to see how it is */
    int64_t ejected_ns, ejected_until_ns;
    int64_t ewma_at_ns; /* 0: no latency known */
    struct latency latency;
    int64_t answered_ns; /* the last first byte of an answer; 0: none yet */
    uint32_t overdue;    /* attempts that have outlasted the patience since it answered anything */
    bool hung;           /* left out because of those */
};

struct balance {
    const struct board *view;
    struct worker_gauges *gauges;
    struct rng rng;
    uint32_t turn[BOARD_ROUTES]; /* round robin */
    uint32_t first[BOARD_SERVICES], count[BOARD_SERVICES];
    uint16_t up[BOARD_ENDPOINTS];           /* endpoints in rotation, by service: up[first … first + count) */
    struct latency service[BOARD_SERVICES]; /* of all its endpoints */
    struct endpoint_local local[BOARD_ENDPOINTS];
};

void gw_balance_init(struct balance *balance, const struct board *view, struct worker_gauges *gauges, uint64_t seed);

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

/* An answer has come, whatever it says: after that time there was its first whole head. Peaks count at once, and are
   forgotten slowly. An endpoint that hung is back. */
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

/* --- for eject.c -------------------------------------------------------------------------------------------------- */

/* Endpoints in rotation of all services of the route, and the `at`-th of them. */
uint32_t gw_balance_count(const struct balance *balance, const struct board_route *route);
uint32_t gw_balance_nth(const struct balance *balance, const struct board_route *route, uint32_t at);

/* It has answered something: it does not hang. */
void gw_balance_lives(struct balance *balance, uint32_t endpoint);

#endif
