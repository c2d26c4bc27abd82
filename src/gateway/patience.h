/* SPDX-License-Identifier: MIT
 *
 * How long the first byte of an answer may take before something else is tried, and whether it may be tried: pure
 * decisions over plain numbers. No I/O, no clock.
 */
#ifndef DARUMA_GATEWAY_PATIENCE_H
#define DARUMA_GATEWAY_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* How long the first byte usually takes: a moving mean, and how far single answers are from it (RFC 6298 §2). */
struct latency {
    uint32_t mean_us; /* 0: nothing is known */
    uint32_t spread_us;
};

void gw_latency_add(struct latency *latency, uint64_t us);

/* How long an attempt is waited for: twice the mean and four times the spread of the endpoint, or of all endpoints of
   its service while the endpoint has not answered yet; within `min_ns` … `max_ns`. Nothing known: `max_ns`. */
int64_t gw_patience(const struct latency *endpoint, const struct latency *service, int64_t min_ns, int64_t max_ns);

/* An attempt has outlasted the patience. */
struct hedge_case {
    bool safe; /* the request may be sent twice: by method, Idempotency-Key, or the route's rule; or not sent yet */
    bool replayable; /* all of it has been received, and is still at hand */
    bool wanted;     /* the route tries again after timeouts */
    bool elsewhere;  /* an endpoint that has not been tried is there */
    bool well;   /* that one is idle, or has answered since this attempt began: it is not all of them that are slow */
    bool budget; /* there is room for another attempt */
    unsigned attempts, max_attempts;
};

enum hedge_verdict {
    HEDGE_NEVER, /* waits for the answer, as long as the route lets it */
    HEDGE_LATER, /* not now; asked again in a moment */
    HEDGE_NOW,   /* the request goes to the other endpoint as well */
};

enum hedge_verdict gw_hedge_decide(const struct hedge_case *facts);

#endif
