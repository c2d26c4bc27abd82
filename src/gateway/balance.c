/* SPDX-License-Identifier: MIT */
#include "gateway/balance.h"

#include "base/clock.h"

#include <string.h>

#define EWMA_US UINT64_C(10000000) /* in which a peak loses half its weight */

/* --- what is in rotation ---------------------------------------------------------------------------------------- */

void gw_balance_init(struct balance *balance, const struct board *view, struct gauges *gauges, unsigned number,
                     struct endpoint_local *local, uint64_t seed)
{
    balance->view = view;
    balance->all = gauges;
    balance->gauges = &gauges->worker[number];
    balance->local = local;
    rng_seed(&balance->rng, seed);
    memset(balance->shares, 0, sizeof(balance->shares));
    memset(balance->services, 0, sizeof(balance->services));
    for (uint32_t i = 0; i < BOARD_ROUTES; i++) /* each worker begins with another endpoint */
        balance->turn[i] = number;
    for (uint32_t i = 0; i < BOARD_SERVICES; i++)
        balance->services[i].turn = number;
    for (uint32_t i = 0; i < BOARD_ENDPOINTS; i++)
        if (balance->local[i].idle_first !=
            GW_NONE) /* a page that is only read is mapped together with its neighbours */
            balance->local[i].idle_first = GW_NONE;
}

static void begin_generation(struct balance *balance, uint32_t endpoint)
{
    const struct board_endpoint *begun = &balance->view->endpoints[endpoint];
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    balance->local[endpoint] = (struct endpoint_local){
        .generation = begun->generation,
        .idle_first = GW_NONE,
        .credit = (uint32_t)rng_next(&balance->rng), /* light ones shall not all have their turn at once */
        .name = gw_ring_name(begun->instance),
    };
    atomic_store_explicit(&gauge->inflight, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->upgraded, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->errors, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->ewma_us, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->ejected, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->hung, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->doubt_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->failures, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->latency_us, 0, memory_order_relaxed);
    for (unsigned i = 0; i < GAUGES_LATENCY; i++)
        atomic_store_explicit(&gauge->latency[i], 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->generation, begun->generation, memory_order_release);
}

static bool in_rotation(const struct board_endpoint *endpoint)
{
    return endpoint->state == BOARD_ENDPOINT_UP && endpoint->service < BOARD_SERVICES;
}

/* Counting sort by service. */
static void sort_endpoints(struct balance *balance)
{
    const struct board *view = balance->view;
    uint32_t first = 0;

    for (uint32_t i = 0; i < view->used_endpoints; i++)
        if (in_rotation(&view->endpoints[i]))
            balance->services[view->endpoints[i].service].count++;
    for (uint32_t i = 0; i < view->used_services; i++) {
        balance->services[i].first = first;
        first += balance->services[i].count;
        balance->services[i].count = 0;
    }
    for (uint32_t i = 0; i < view->used_endpoints; i++) {
        const struct board_endpoint *endpoint = &view->endpoints[i];
        struct balance_service *service = &balance->services[endpoint->service];
        if (!in_rotation(endpoint))
            continue;
        balance->up[service->first + service->count++] = (uint16_t)i;
        if (endpoint->weight > service->heaviest)
            service->heaviest = endpoint->weight;
    }
}

static void build_ring(struct balance *balance, struct balance_service *service)
{
    struct gw_ring_point *points = &balance->points[service->first * GW_RING_POINTS];
    for (uint32_t i = 0; i < service->count; i++) {
        uint16_t endpoint = balance->up[service->first + i];
        service->ring += gw_ring_add(points + service->ring, endpoint, balance->local[endpoint].name,
                                     balance->view->endpoints[endpoint].weight, service->heaviest);
    }
    gw_ring_sort(points, balance->scratch, service->ring);
}

static void build_rings(struct balance *balance)
{
    const struct board *view = balance->view;
    for (uint32_t i = 0; i < view->used_routes; i++) {
        const struct board_route *route = &view->routes[i];
        if (route->used && (route->placement == BOARD_HASH || route->sticky.len > 0))
            for (uint32_t t = 0; t < route->targets; t++)
                balance->services[route->service[t]].hashed = true;
    }
    for (uint32_t i = 0; i < view->used_services; i++)
        if (balance->services[i].hashed)
            build_ring(balance, &balance->services[i]);
}

void gw_balance_rebuild(struct balance *balance)
{
    const struct board *view = balance->view;

    for (uint32_t i = 0; i < view->used_endpoints; i++) {
        if (balance->local[i].generation != view->endpoints[i].generation)
            begin_generation(balance, i);
        balance->local[i].state = view->endpoints[i].state;
        balance->local[i].judged = view->endpoints[i].judged;
        balance->local[i].weight = view->endpoints[i].weight;
        balance->local[i].service = view->endpoints[i].service;
    }
    for (uint32_t i = 0; i < BOARD_SERVICES; i++)
        balance->services[i] =
            (struct balance_service){ .latency = balance->services[i].latency, .turn = balance->services[i].turn };
    sort_endpoints(balance);
    build_rings(balance);
}

uint32_t gw_balance_count(const struct balance *balance, const struct board_route *route, uint32_t targets)
{
    uint32_t total = 0;
    for (uint32_t t = 0; t < route->targets; t++)
        if (targets >> t & 1)
            total += balance->services[route->service[t]].count;
    return total;
}

uint32_t gw_balance_nth(const struct balance *balance, const struct board_route *route, uint32_t targets, uint32_t at)
{
    for (uint32_t t = 0; t < route->targets; t++) {
        const struct balance_service *service = &balance->services[route->service[t]];
        if (!(targets >> t & 1))
            continue;
        if (at < service->count)
            return balance->up[service->first + at];
        at -= service->count;
    }
    return GW_NONE;
}

/* --- latencies -------------------------------------------------------------------------------------------------- */

uint64_t gw_balance_expected_us(const struct balance *balance, uint32_t endpoint, int64_t now_ns)
{
    const struct endpoint_local *local = &balance->local[endpoint];
    uint64_t us = atomic_load_explicit(&balance->gauges->endpoints[endpoint].ewma_us, memory_order_relaxed);
    uint64_t idle_us = (uint64_t)((now_ns - local->ewma_at_ns) / NS_PER_US);
    return local->ewma_at_ns == 0 ? 0 : us * EWMA_US / (EWMA_US + idle_us) + 1;
}

/* Peaks count at once, and are forgotten slowly. */
static void add_latency(struct balance *balance, uint32_t endpoint, int64_t latency_ns, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    uint64_t us = (uint64_t)(latency_ns / NS_PER_US), old = gauge->ewma_us;

    if (us == 0)
        us = 1;
    if (local->ewma_at_ns != 0 && us < old) {
        uint64_t elapsed = (uint64_t)((now_ns - local->ewma_at_ns) / NS_PER_US);
        us = (old * EWMA_US + us * elapsed) / (EWMA_US + elapsed);
    }
    local->ewma_at_ns = now_ns;
    atomic_store_explicit(&gauge->ewma_us, us < UINT32_MAX ? (uint32_t)us : UINT32_MAX, memory_order_relaxed);
}

void gw_balance_lost(struct balance *balance, uint32_t endpoint, int64_t waited_ns, int64_t now_ns)
{
    uint32_t known_us = atomic_load_explicit(&balance->gauges->endpoints[endpoint].ewma_us, memory_order_relaxed);
    if (waited_ns / NS_PER_US > known_us)
        add_latency(balance, endpoint, waited_ns, now_ns);
}

void gw_balance_measure(struct balance *balance, uint32_t endpoint, int64_t latency_ns)
{
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    uint64_t us = (uint64_t)(latency_ns / NS_PER_US);
    _Atomic uint32_t *cell = &gauge->latency[gauges_latency_cell(us)];
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + 1, memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&gauge->latency_us, memory_order_relaxed);
    atomic_store_explicit(&gauge->latency_us, sum + us, memory_order_relaxed);
}

void gw_balance_success(struct balance *balance, uint32_t endpoint, int64_t latency_ns, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    uint64_t us = (uint64_t)(latency_ns / NS_PER_US);

    add_latency(balance, endpoint, latency_ns, now_ns);
    gw_latency_add(&local->latency, us);
    gw_latency_add(&balance->services[balance->view->endpoints[endpoint].service].latency, us);
    local->answered_ns = now_ns;
    gw_balance_lives(balance, endpoint);
}

/* As if the least that any worker expects of it had been its first answer; nothing when none knows it. */
static struct latency known_to_others(const struct balance *balance, uint32_t endpoint)
{
    struct latency latency = { 0 };
    uint32_t least = 0;
    for (uint32_t w = 0; w < balance->all->workers; w++) {
        const struct endpoint_gauge *gauge = &balance->all->worker[w].endpoints[endpoint];
        uint32_t us = atomic_load_explicit(&gauge->ewma_us, memory_order_relaxed);
        if (atomic_load_explicit(&gauge->generation, memory_order_relaxed) == balance->local[endpoint].generation &&
            us > 0 && (least == 0 || us < least))
            least = us;
    }
    if (least > 0)
        gw_latency_add(&latency, least);
    return latency;
}

int64_t gw_balance_patience(const struct balance *balance, uint32_t endpoint, uint32_t route_index)
{
    const struct board_route *route = &balance->view->routes[route_index];
    const struct latency *own = &balance->local[endpoint].latency;
    struct latency service = balance->services[balance->view->endpoints[endpoint].service].latency;
    if (route->patience_max_ns <= 0)
        return 0;
    if (own->mean_us == 0 && service.mean_us == 0) /* this worker is new here */
        service = known_to_others(balance, endpoint);
    return gw_patience(own, &service, route->patience_min_ns, route->patience_max_ns);
}

bool gw_balance_well(const struct balance *balance, uint32_t endpoint, int64_t since_ns)
{
    return gw_balance_inflight(balance, endpoint) == 0 || balance->local[endpoint].answered_ns >= since_ns;
}
