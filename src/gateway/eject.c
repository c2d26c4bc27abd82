/* SPDX-License-Identifier: MIT
 *
 * Which endpoints are left out for a while: those with errors in a row, those that fail far more often than the others of
 * their route, those that hang. A part of balance.h: works on the same struct, does no I/O.
 *
 *     in rotation ─ejected─▶ left out ─its time is over─▶ on trial ─placed─▶ left out, for twice as long
 *         ▲                                                                     │ an answer that is none of 5xx
 *         └─────────────────────────────────────────────────────────────────────┘
 */
#include "gateway/balance.h"

#include "base/clock.h"

enum {
    EJECT_AFTER = 3, /* errors in a row */
    HUNG_AFTER = 3,  /* attempts that nothing came back for */
    EJECT_DOUBLINGS = 5,
    OTHERS = 32, /* endpoints that one is compared with at most */
};
#define EJECT_FIRST_NS (1 * NS_PER_S)
#define EJECT_MAX_NS   (30 * NS_PER_S)
#define HUNG_FIRST_NS  (250 * NS_PER_MS)

/* Shares of outcomes that failed, of UINT16_MAX; the latest 16 weigh most. */
#define FAILING_OUTCOMES  16
#define FAILING_SUSPECT   (UINT16_MAX * 3 / 10)
#define FAILING_PROBATION (UINT16_MAX * 2 / 10) /* what is assumed of one that comes back */
#define FAILING_FORGIVEN  (UINT16_MAX / 20)     /* below it, the next ejection is a first one again */

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
    local->ejected_ns = now_ns;
    local->ejections += local->ejections < UINT16_MAX;
    local->out = true;
    local->trial = false;
    atomic_store_explicit(&balance->gauges->endpoints[endpoint].ejected, 1, memory_order_relaxed);
}

static void readmit(struct balance *balance, uint32_t endpoint)
{
    struct endpoint_local *local = &balance->local[endpoint];
    local->ejections -= local->trial;
    local->out = local->trial = false;
    local->ejected_until_ns = 0;
    if (local->failing > FAILING_PROBATION)
        local->failing = FAILING_PROBATION;
    atomic_store_explicit(&balance->gauges->endpoints[endpoint].ejected, 0, memory_order_relaxed);
}

void gw_balance_placed(struct balance *balance, uint32_t endpoint, int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    if (!local->out || local->ejected_until_ns > now_ns)
        return;
    eject(balance, endpoint, now_ns);
    local->trial = true;
}

void gw_balance_lives(struct balance *balance, uint32_t endpoint)
{
    struct endpoint_local *local = &balance->local[endpoint];
    struct endpoint_gauge *gauge = &balance->gauges->endpoints[endpoint];
    local->overdue = 0;
    if (local->hung) {
        local->hung = false;
        readmit(balance, endpoint);
    }
    if (atomic_load_explicit(&gauge->hung, memory_order_relaxed))
        atomic_store_explicit(&gauge->hung, 0, memory_order_relaxed);
}

static void add_outcome(struct endpoint_local *local, bool failed)
{
    int32_t gap = (failed ? UINT16_MAX : 0) - local->failing;
    local->failing = (uint16_t)(local->failing + gap / FAILING_OUTCOMES);
}

void gw_balance_answer(struct balance *balance, uint32_t endpoint, int64_t since_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    local->errors = 0;
    if (local->failing == 0 && local->ejections == 0)
        return;
    add_outcome(local, false);
    /* What was under way before says nothing about how it is since. */
    if (local->out && since_ns >= local->ejected_ns)
        readmit(balance, endpoint);
    if (!local->out && local->failing < FAILING_FORGIVEN)
        local->ejections = 0;
}

/* --- compared with others --------------------------------------------------------------------------------------- */

/* Some of the other endpoints of a route, from a random one on: enough to know how they are, whatever their number. */
struct others {
    const struct board_route *route;
    uint32_t total, at, left;
};

static struct others others_of(struct balance *balance, uint32_t route_index)
{
    const struct board_route *route = &balance->view->routes[route_index];
    uint32_t total = gw_balance_count(balance, route, BALANCE_ALL);
    return (struct others){
        .route = route,
        .total = total,
        .at = (uint32_t)rng_below(&balance->rng, total),
        .left = total < OTHERS ? total : OTHERS,
    };
}

/* The next one that is not `endpoint`, or GW_NONE. */
static uint32_t next_other(const struct balance *balance, struct others *others, uint32_t endpoint)
{
    while (others->left > 0) {
        others->left--;
        uint32_t other = gw_balance_nth(balance, others->route, BALANCE_ALL, others->at++ % others->total);
        if (other != endpoint)
            return other;
    }
    return GW_NONE;
}

/* Does it fail at least twice as often as the others of its route, on average? Those that were ejected lately are no
   measure. When all of them fail it is the program's fault, and leaving one out would not help. */
static bool fails_more_than_others(struct balance *balance, uint32_t endpoint, uint32_t route)
{
    struct others others = others_of(balance, route);
    uint32_t other, measured = 0, sum = 0;
    while ((other = next_other(balance, &others, endpoint)) != GW_NONE) {
        if (balance->local[other].ejections > 0)
            continue;
        measured++;
        sum += balance->local[other].failing;
    }
    return measured > 0 && balance->local[endpoint].failing / 2 >= sum / measured;
}

void gw_balance_failure(struct balance *balance, uint32_t endpoint, uint32_t route, enum balance_failure failure,
                        int64_t now_ns)
{
    struct endpoint_local *local = &balance->local[endpoint];
    add_outcome(local, true);
    if (local->ejected_until_ns > now_ns)
        return;
    if (failure == BALANCE_ERROR && ++local->errors >= EJECT_AFTER) {
        eject(balance, endpoint, now_ns);
        local->errors = EJECT_AFTER - 1; /* after that time one failed trial is enough */
    } else if (local->failing >= FAILING_SUSPECT && fails_more_than_others(balance, endpoint, route)) {
        eject(balance, endpoint, now_ns);
    }
}

/* Another endpoint of the route that may be used, and answers. */
static bool other_is_well(struct balance *balance, uint32_t endpoint, uint32_t route, int64_t since_ns, int64_t now_ns)
{
    struct others others = others_of(balance, route);
    uint32_t other;
    while ((other = next_other(balance, &others, endpoint)) != GW_NONE) {
        const struct endpoint_local *local = &balance->local[other];
        if (local->ejected_until_ns <= now_ns && !local->hung && gw_balance_well(balance, other, since_ns))
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
