/* SPDX-License-Identifier: MIT */
#include "gateway/patience.h"

#include "base/clock.h"

#define LATENCY_MAX_US UINT64_C(100000000) /* more says nothing, and would take long to forget */

void gw_latency_add(struct latency *latency, uint64_t us)
{
    uint32_t now = us < LATENCY_MAX_US ? (uint32_t)us : (uint32_t)LATENCY_MAX_US;
    if (now == 0)
        now = 1;
    if (latency->mean_us == 0) {
        *latency = (struct latency){ .mean_us = now, .spread_us = now / 2 };
        return;
    }
    uint32_t off = now > latency->mean_us ? now - latency->mean_us : latency->mean_us - now;
    latency->spread_us = (uint32_t)((3 * (uint64_t)latency->spread_us + off) / 4);
    latency->mean_us = (uint32_t)((7 * (uint64_t)latency->mean_us + now + 7) / 8);
}

int64_t gw_patience(const struct latency *endpoint, const struct latency *service, int64_t min_ns, int64_t max_ns)
{
    const struct latency *known = endpoint->mean_us > 0 ? endpoint : service;
    int64_t span = (2 * (int64_t)known->mean_us + 4 * (int64_t)known->spread_us) * NS_PER_US;
    if (known->mean_us == 0 || span > max_ns)
        return max_ns;
    return span > min_ns ? span : min_ns;
}

enum hedge_verdict gw_hedge_decide(const struct hedge_case *facts)
{
    if (!facts->safe || !facts->replayable || !facts->wanted || facts->attempts >= facts->max_attempts)
        return HEDGE_NEVER;
    return facts->elsewhere && facts->well && facts->budget ? HEDGE_NOW : HEDGE_LATER;
}
