/* SPDX-License-Identifier: MIT
 *
 * What clients got from a service, as the gateway counted it: for a deploy's receipt.
 */
#ifndef DARUMA_SUPERVISE_TRAFFIC_H
#define DARUMA_SUPERVISE_TRAFFIC_H

#include "base/board.h"
#include "base/gauges.h"

/* Of all routes that lead to the service; a route with several services counts as a whole. */
struct traffic {
    uint64_t requests;
    uint64_t failed; /* answered 500 … 599, or not at all */
    uint64_t held;   /* had to wait for an endpoint */
    uint64_t retried;
};

/* How long they waited; as in struct route_gauge. */
struct traffic_waits {
    uint64_t latency[GAUGES_LATENCY], quiet[GAUGES_LATENCY];
};

/* All that was counted since the gateway began. */
struct traffic traffic_of(const struct board *board, const struct gauges *gauges, const char *service);
struct traffic_waits traffic_waits_of(const struct board *board, const struct gauges *gauges, const char *service);

/* What came to it after `before`. */
struct traffic traffic_since(const struct traffic *now, const struct traffic *before);
struct traffic_waits traffic_waits_since(const struct traffic_waits *now, const struct traffic_waits *before);

/* The time within which 99 % of the good answers began, as clients saw it; 0: there was none. Microseconds. */
uint64_t traffic_p99_us(const struct traffic_waits *waits);
/* The longest time for which requests waited at a worker of the gateway and none of them was answered. Microseconds, to within a
   fifth. */
uint64_t traffic_gap_us(const struct traffic_waits *waits);

#endif
