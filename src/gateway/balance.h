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
};

struct balance {
    const struct board *view;
    struct worker_gauges *gauges;
    struct rng rng;
    uint32_t turn[BOARD_ROUTES]; /* round robin */
    uint32_t first[BOARD_SERVICES], count[BOARD_SERVICES];
    uint16_t up[BOARD_ENDPOINTS]; /* endpoints in rotation, by service: up[first … first + count) */
    struct endpoint_local local[BOARD_ENDPOINTS];
};

void gw_balance_init(struct balance *balance, const struct board *view, struct worker_gauges *gauges, uint64_t seed);

/* The view has changed: sorts the endpoints anew. What belonged to an earlier generation is forgotten, but for the
   idle connections, which the caller has closed before. */
void gw_balance_rebuild(struct balance *balance);

/* An endpoint for a request of `route`, none of `tried`; -1 when there is none. An ejected one only when nothing else
   is left: the last endpoint is never ejected. */
int gw_balance_pick(struct balance *balance, uint32_t route, const struct conn_tried *tried, unsigned tried_len,
                    int64_t now_ns);

/* Latency to the first byte of an answer: peaks count at once, and are forgotten slowly. Also ends a row of errors. */
void gw_balance_success(struct balance *balance, uint32_t endpoint, int64_t latency_ns, int64_t now_ns);

/* It failed; the third time in a row it is left out for a second, then two … at most 30. */
void gw_balance_failure(struct balance *balance, uint32_t endpoint, int64_t now_ns);

#endif
