/* SPDX-License-Identifier: MIT */
#include "gateway/balance.h"

#include "base/clock.h"

#include <string.h>

enum {
    EJECT_AFTER = 3, /* errors in a row */
    HUNG_AFTER = 3,  /* attempts that nothing came back for */
    EJECT_DOUBLINGS = 5,
};
#define EJECT_FIRST_NS (1 * NS_PER_S)
#define EJECT_MAX_NS   (30 * NS_PER_S)
#define HUNG_FIRST_NS  (250 * NS_PER_MS)
#define EWMA_US        UINT64_C(10000000) /* in which a peak loses half its weight */

void gw_balance_init(struct balance *balance, const struct board *view, struct worker_gauges *gauges,
                     struct endpoint_local *local, uint64_t seed)
{
    memset(balance, 0, sizeof(*balance));
    balance->view = view;
    balance->gauges = gauges;
    balance->local = local;
    rng_seed(&balance->rng, seed);
    for (uint32_t i = 0; i < BOARD_ENDPOINTS; i++)
        balance->local[i].idle_first = GW_NONE;
}

static void begin_generation(struct balance *balance, uint32_t endpoint, uint32_t generation)
{
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    balance->local[endpoint] = (struct endpoint_local){ .generation = generation, .idle_first = GW_NONE };
    atomic_store_explicit(&gauge->inflight, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->errors, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->ewma_us, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->ejected, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->hung, 0, memory_order_relaxed);
    atomic_store_explicit(&gauge->generation, generation, memory_order_release);
}

/* Counting sort by service. */
void gw_balance_rebuild(struct balance *balance)
{
    const struct board *view = balance->view;

    memset(balance->count, 0, sizeof(balance->count));
    for (uint32_t i = 0; i < view->used_endpoints; i++) {
        const struct board_endpoint *endpoint = &view->endpoints[i];
        if (balance->local[i].generation != endpoint->generation)
            begin_generation(balance, i, endpoint->generation);
        balance->local[i].state = endpoint->state;
        if (endpoint->state == BOARD_ENDPOINT_UP && endpoint->service < BOARD_SERVICES)
            balance->count[endpoint->service]++;
    }
    uint32_t first = 0;
    for (uint32_t service = 0; service < BOARD_SERVICES; service++) {
        balance->first[service] = first;
        first += balance->count[service];
        balance->count[service] = 0;
    }
    for (uint32_t i = 0; i < view->used_endpoints; i++) {
        const struct board_endpoint *endpoint = &view->endpoints[i];
        if (endpoint->state == BOARD_ENDPOINT_UP && endpoint->service < BOARD_SERVICES)
            balance->up[balance->first[endpoint->service] + balance->count[endpoint->service]++] = (uint16_t)i;
    }
}

/* The `at`-th endpoint of all services of the route. */
static uint32_t nth(const struct balance *balance, const struct board_route *route, uint32_t at)
{
    for (uint32_t t = 0; t < route->targets; t++) {
        uint32_t service = route->service[t];
        if (at < balance->count[service])
            return balance->up[balance->first[service] + at];
        at -= balance->count[service];
    }
    return GW_NONE;
}

static bool was_tried(const struct balance *balance, uint32_t endpoint, const struct conn_tried *tried, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        if (tried[i].endpoint == endpoint && tried[i].generation == balance->view->endpoints[endpoint].generation)
            return true;
    return false;
}

static uint64_t inflight(const struct balance *balance, uint32_t endpoint)
{
    return atomic_load_explicit(&balance->gauges->endpoints[endpoint].inflight, memory_order_relaxed);
}

/* The latency that is expected of it: what was measured, forgotten while nothing new is. 0: unknown. */
static uint64_t expected_us(const struct balance *balance, uint32_t endpoint, int64_t now_ns)
{
    const struct endpoint_local *local = &balance->local[endpoint];
    uint64_t us = atomic_load_explicit(&balance->gauges->endpoints[endpoint].ewma_us, memory_order_relaxed);
    uint64_t idle_us = (uint64_t)((now_ns - local->ewma_at_ns) / NS_PER_US);
    return local->ewma_at_ns == 0 ? 0 : us * EWMA_US / (EWMA_US + idle_us) + 1;
}

/* Should one more go to `a` rather than to `b`? Latencies that differ by less than two times are noise: then the load
   decides, so that equal instances get equal shares. */
static bool better(const struct balance *balance, uint32_t a, uint32_t b, enum board_placement placement,
                   int64_t now_ns)
{
    uint64_t load_a = inflight(balance, a) + 1, load_b = inflight(balance, b) + 1;
    uint64_t us_a = expected_us(balance, a, now_ns), us_b = expected_us(balance, b, now_ns);
    if (placement == BOARD_P2C_EWMA && us_a > 0 && us_b > 0) {
        if (load_a * us_a * 2 <= load_b * us_b)
            return true;
        if (load_b * us_b * 2 <= load_a * us_a)
            return false;
    }
    return load_a < load_b;
}

struct choice {
    const struct balance *balance;
    const struct balance_request *request;
    bool ejected_too;
};

static bool usable(const struct choice *choice, uint32_t endpoint)
{
    const struct endpoint_local *local = &choice->balance->local[endpoint];
    const struct balance_request *request = choice->request;
    bool left_out = local->ejected_until_ns > request->now_ns || (local->hung && !request->safe);
    return (choice->ejected_too || !left_out) &&
           !was_tried(choice->balance, endpoint, request->tried, request->tried_len);
}

/* All of them, from `start` on: the first usable one (round robin), or the cheapest. */
static uint32_t scan(const struct choice *choice, const struct board_route *route, uint32_t total, uint32_t start,
                     enum board_placement placement)
{
    uint32_t best = GW_NONE;
    for (uint32_t i = 0; i < total; i++) {
        uint32_t endpoint = nth(choice->balance, route, (start + i) % total);
        if (!usable(choice, endpoint))
            continue;
        if (placement == BOARD_ROUND_ROBIN)
            return endpoint;
        if (best == GW_NONE || better(choice->balance, endpoint, best, placement, choice->request->now_ns))
            best = endpoint;
    }
    return best;
}

/* It was left out, and it is time to see whether it answers again. Its bad figures would keep it from being chosen. */
static bool trial_is_due(const struct choice *choice, uint32_t endpoint)
{
    const struct endpoint_local *local = &choice->balance->local[endpoint];
    return local->ejections > 0 && local->ejected_until_ns <= choice->request->now_ns;
}

/* Two at random, the better one. When either may not be used, all are looked at. */
static uint32_t two_choices(struct balance *balance, const struct choice *choice, const struct board_route *route,
                            uint32_t total)
{
    uint32_t a = (uint32_t)rng_below(&balance->rng, total);
    uint32_t b = total > 1 ? (uint32_t)rng_below(&balance->rng, total - 1) : a;
    b += b >= a && total > 1;
    uint32_t first = nth(balance, route, a), second = nth(balance, route, b);
    if (!usable(choice, first) || !usable(choice, second))
        return scan(choice, route, total, a, BOARD_P2C_EWMA);
    if (trial_is_due(choice, first) != trial_is_due(choice, second))
        return trial_is_due(choice, first) ? first : second;
    return better(balance, second, first, BOARD_P2C_EWMA, choice->request->now_ns) ? second : first;
}

int gw_balance_pick(struct balance *balance, const struct balance_request *request)
{
    const struct board_route *route = &balance->view->routes[request->route];
    struct choice choice = { .balance = balance, .request = request };
    enum board_placement placement = BOARD_P2C_EWMA;
    uint32_t total = 0;

    for (uint32_t t = 0; t < route->targets; t++)
        total += balance->count[route->service[t]];
    if (total == 0)
        return -1;
    if (route->targets > 0)
        placement = (enum board_placement)balance->view->services[route->service[0]].placement;

    for (int ejected_too = 0; ejected_too < 2; ejected_too++) {
        choice.ejected_too = ejected_too;
        uint32_t endpoint = GW_NONE;
        if (placement == BOARD_P2C_EWMA) {
            endpoint = two_choices(balance, &choice, route, total);
        } else {
            uint32_t start = balance->turn[request->route]++;
            endpoint = scan(&choice, route, total, start % total, placement);
        }
        if (endpoint != GW_NONE)
            return (int)endpoint;
    }
    return -1;
}

static int64_t ejection_span(const struct endpoint_local *local)
{
    int64_t first = local->hung ? HUNG_FIRST_NS : EJECT_FIRST_NS;
    int64_t span = first << (local->ejections < EJECT_DOUBLINGS ? local->ejections : EJECT_DOUBLINGS);
    return span < EJECT_MAX_NS ? span : EJECT_MAX_NS;
}

static void eject(struct balance *balance, uint32_t endpoint, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    local->ejected_until_ns = now_ns + ejection_span(local);
    local->ejections += local->ejections < UINT16_MAX;
    atomic_store_explicit(&balance->gauges->endpoints[endpoint].ejected, 1, memory_order_relaxed);
}

void gw_balance_placed(struct balance *balance, uint32_t endpoint, int64_t now_ns)
{
    const struct endpoint_local *local = &balance->local[endpoint];
    if (local->ejections > 0 && local->ejected_until_ns <= now_ns)
        eject(balance, endpoint, now_ns);
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

void gw_balance_success(struct balance *balance, uint32_t endpoint, int64_t latency_ns, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    uint64_t us = (uint64_t)(latency_ns / NS_PER_US);

    if (local->hung)
        local->ewma_at_ns = 0; /* those peaks were of the hang, which is over */
    add_latency(balance, endpoint, latency_ns, now_ns);
    gw_latency_add(&local->latency, us);
    gw_latency_add(&balance->service[balance->view->endpoints[endpoint].service], us);
    local->answered_ns = now_ns;
    local->overdue = 0;
    if (local->errors > 0 || local->ejections > 0) {
        local->errors = 0;
        local->ejections = 0;
        local->ejected_until_ns = 0;
        atomic_store_explicit(&gauge->ejected, 0, memory_order_relaxed);
    }
    local->hung = false;
    if (atomic_load_explicit(&gauge->hung, memory_order_relaxed))
        atomic_store_explicit(&gauge->hung, 0, memory_order_relaxed);
}

int64_t gw_balance_patience(const struct balance *balance, uint32_t endpoint, uint32_t route_index)
{
    const struct board_route *route = &balance->view->routes[route_index];
    const struct latency *service = &balance->service[balance->view->endpoints[endpoint].service];
    if (route->patience_max_ns <= 0)
        return 0;
    return gw_patience(&balance->local[endpoint].latency, service, route->patience_min_ns, route->patience_max_ns);
}

bool gw_balance_well(const struct balance *balance, uint32_t endpoint, int64_t since_ns)
{
    return inflight(balance, endpoint) == 0 || balance->local[endpoint].answered_ns >= since_ns;
}

/* Another endpoint of the route that may be used, and answers. */
static bool other_is_well(const struct balance *balance, uint32_t endpoint, uint32_t route_index, int64_t since_ns,
                          int64_t now_ns)
{
    const struct board_route *route = &balance->view->routes[route_index];
    for (uint32_t t = 0; t < route->targets; t++)
        for (uint32_t i = 0; i < balance->count[route->service[t]]; i++) {
            uint32_t other = balance->up[balance->first[route->service[t]] + i];
            const struct endpoint_local *local = &balance->local[other];
            if (other != endpoint && local->ejected_until_ns <= now_ns && !local->hung &&
                gw_balance_well(balance, other, since_ns))
                return true;
        }
    return false;
}

bool gw_balance_overdue(struct balance *balance, uint32_t endpoint, uint32_t route, int64_t since_ns, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    if (local->answered_ns >= since_ns || ++local->overdue < HUNG_AFTER)
        return false; /* it works: that one request takes longer */
    if (!local->hung && local->ejected_until_ns <= now_ns &&
        other_is_well(balance, endpoint, route, since_ns, now_ns)) {
        local->hung = true;
        eject(balance, endpoint, now_ns);
    }
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    return atomic_exchange_explicit(&gauge->hung, 1, memory_order_relaxed) == 0;
}

void gw_balance_failure(struct balance *balance, uint32_t endpoint, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    if (local->ejected_until_ns > now_ns || ++local->errors < EJECT_AFTER)
        return;
    eject(balance, endpoint, now_ns);
    local->errors = EJECT_AFTER - 1; /* after that time one failed trial is enough */
}
