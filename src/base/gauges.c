/* SPDX-License-Identifier: MIT */
#include "base/gauges.h"

#include "base/handover.h"

#include <stddef.h>

struct gauges *gauges_new(unsigned workers, struct err *err)
{
    struct gauges *gauges = handover_memory("gauges", sizeof(*gauges), err);
    if (!gauges)
        return NULL;
    if (gauges->magic != GAUGES_MAGIC)
        gauges->workers = workers < GAUGES_WORKERS ? workers : GAUGES_WORKERS;
    gauges->magic = GAUGES_MAGIC;
    gauges->layout = GAUGES_LAYOUT;
    return gauges;
}

void gauges_free(struct gauges *gauges)
{
    handover_memory_free(gauges);
}

uint32_t gauges_inflight(const struct gauges *gauges, int endpoint, uint32_t generation)
{
    uint32_t sum = 0;
    for (uint32_t w = 0; w < gauges->workers; w++) {
        const struct endpoint_gauge *gauge = &gauges->worker[w].endpoints[endpoint];
        if (atomic_load_explicit(&gauge->generation, memory_order_acquire) == generation)
            sum += atomic_load_explicit(&gauge->inflight, memory_order_relaxed);
    }
    return sum;
}

uint32_t gauges_upgraded(const struct gauges *gauges, int endpoint, uint32_t generation)
{
    uint32_t sum = 0;
    for (uint32_t w = 0; w < gauges->workers; w++) {
        const struct endpoint_gauge *gauge = &gauges->worker[w].endpoints[endpoint];
        if (atomic_load_explicit(&gauge->generation, memory_order_acquire) == generation)
            sum += atomic_load_explicit(&gauge->upgraded, memory_order_relaxed);
    }
    return sum;
}

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

struct route_sum gauges_route(const struct gauges *gauges, uint32_t route)
{
    struct route_sum sum = { 0 };

    for (uint32_t w = 0; w < gauges->workers; w++) {
        const struct route_gauge *gauge = &gauges->worker[w].routes[route];
        sum.requests += LOAD(gauge->requests);
        for (int i = 0; i < 6; i++)
            sum.status[i] += LOAD(gauge->status[i]);
        sum.own_5xx += LOAD(gauge->own_5xx);
        sum.held += LOAD(gauge->held);
        sum.hold_expired += LOAD(gauge->hold_expired);
        sum.retried += LOAD(gauge->retried);
        sum.hedged += LOAD(gauge->hedged);
        sum.hedge_won += LOAD(gauge->hedge_won);
        sum.retry_denied += LOAD(gauge->retry_denied);
        sum.poisoned += LOAD(gauge->poisoned);
        sum.truncated += LOAD(gauge->truncated);
    }
    return sum;
}

struct endpoint_sum gauges_endpoint(const struct gauges *gauges, uint32_t endpoint, uint32_t generation)
{
    struct endpoint_sum sum = { 0 };

    for (uint32_t w = 0; w < gauges->workers; w++) {
        const struct endpoint_gauge *gauge = &gauges->worker[w].endpoints[endpoint];
        if (atomic_load_explicit(&gauge->generation, memory_order_acquire) != generation)
            continue;
        sum.inflight += LOAD(gauge->inflight);
        sum.requests += LOAD(gauge->requests);
        sum.errors += LOAD(gauge->errors);
        sum.failures += LOAD(gauge->failures);
        sum.ejected += LOAD(gauge->ejected);
        sum.latency_us += LOAD(gauge->latency_us);
        for (unsigned i = 0; i < GAUGES_LATENCY; i++)
            sum.latency[i] += LOAD(gauge->latency[i]);
    }
    return sum;
}

bool gauges_hung(const struct gauges *gauges, int endpoint, uint32_t generation)
{
    for (uint32_t w = 0; w < gauges->workers; w++) {
        const struct endpoint_gauge *gauge = &gauges->worker[w].endpoints[endpoint];
        if (atomic_load_explicit(&gauge->generation, memory_order_acquire) == generation &&
            atomic_load_explicit(&gauge->hung, memory_order_relaxed))
            return true;
    }
    return false;
}

/* The ends of the quarters of an octave, in 1/256 of its beginning: 2^(1/4), 2^(2/4), 2^(3/4), 2. */
static const unsigned quarters[] = { 304, 362, 431, 512 };

enum { FIRST_BIT = 5 }; /* 32 µs */

uint64_t gauges_latency_us(unsigned cell)
{
    return (uint64_t)quarters[cell % 4] << (FIRST_BIT + cell / 4) >> 8;
}

unsigned gauges_latency_cell(uint64_t us)
{
    if (us <= 1U << FIRST_BIT)
        return 0;
    unsigned octave = 63 - (unsigned)__builtin_clzll(us - 1), cell = (octave - FIRST_BIT) * 4;
    if (cell >= GAUGES_LATENCY)
        return GAUGES_LATENCY - 1;
    while (us > gauges_latency_us(cell))
        cell++;
    return cell;
}

uint64_t gauges_quantile_us(const uint64_t counts[GAUGES_LATENCY], double quantile)
{
    uint64_t all = 0, sum = 0;

    for (unsigned i = 0; i < GAUGES_LATENCY; i++)
        all += counts[i];
    for (unsigned i = 0; i < GAUGES_LATENCY; i++) {
        sum += counts[i];
        if (sum > 0 && (double)sum >= quantile * (double)all)
            return gauges_latency_us(i);
    }
    return 0;
}

const char *gauges_limit_name(enum gauge_limit limit)
{
    static const char *const names[GAUGE_LIMITS] = {
        [GAUGE_CONNECTIONS] = "connections",
        [GAUGE_SOURCE_CONNECTIONS] = "source_connections",
        [GAUGE_SOURCE_REQUESTS] = "source_requests",
        [GAUGE_HEADER_TIMEOUT] = "header_timeout",
        [GAUGE_BODY_TIMEOUT] = "body_timeout",
        [GAUGE_KEEP_ALIVE] = "keep_alive",
        [GAUGE_MADE_ROOM] = "made_room",
        [GAUGE_HEADER_SIZE] = "header_size",
        [GAUGE_BODY_SIZE] = "body_size",
        [GAUGE_PROXY] = "proxy",
    };
    return (unsigned)limit < GAUGE_LIMITS ? names[limit] : "?";
}

uint32_t gauges_connections(const struct gauges *gauges)
{
    uint32_t sum = 0;
    for (uint32_t w = 0; w < gauges->workers; w++)
        sum += atomic_load_explicit(&gauges->worker[w].connections, memory_order_relaxed);
    return sum;
}
