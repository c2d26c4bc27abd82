/* SPDX-License-Identifier: MIT
 *
 * The choice of an endpoint: by the placement that the route asks for, among those that may be used. A part of balance.h.
 */
#include "gateway/balance.h"

#include "base/clock.h"

#include <errno.h>

enum {
    P2C_DRAWS = 2,
    LEAST_LOOKS = 16, /* of up to so many the least loaded one is found; of more an idle one, or the best of so many */
    TRIES = 64,       /* until all are looked at */
};
#define HEARTBEAT_NS NS_PER_S             /* a worker that is silent for so long waits for nothing any more */
#define GOLDEN       UINT32_C(0x9e3779b9) /* 2^32 / φ: its multiples are spread evenly, however many there are */

/* --- who may be used -------------------------------------------------------------------------------------------- */

/* One look for an endpoint. */
struct choice {
    struct balance *balance;
    const struct balance_request *request;
    const struct board_route *route;
    uint32_t targets; /* of the route, a bit each: those that are looked at */
    uint32_t total;   /* endpoints in rotation that they have */
    uint32_t heaviest;
    bool ejected_too;
    bool busy; /* found: there is one that could be used if it had room */
};

static bool was_tried(const struct choice *choice, uint32_t endpoint)
{
    const struct balance_request *request = choice->request;
    for (unsigned i = 0; i < request->tried_len; i++)
        if (request->tried[i].endpoint == endpoint &&
            request->tried[i].generation == choice->balance->local[endpoint].generation)
            return true;
    return false;
}

/* Does anybody wait for room at the service who came before this request? */
static bool others_come_first(const struct choice *choice, uint32_t service)
{
    const struct gauges *all = choice->balance->all;
    for (uint32_t w = 0; w < all->workers; w++) {
        int64_t waiting_ns = atomic_load_explicit(&all->worker[w].waiting_ns[service], memory_order_relaxed);
        if (waiting_ns > 0 && waiting_ns < choice->request->since_ns &&
            choice->request->now_ns - atomic_load_explicit(&all->worker[w].heartbeat_ns, memory_order_relaxed) <
                HEARTBEAT_NS)
            return true;
    }
    return false;
}

static bool has_room(const struct choice *choice, uint32_t endpoint)
{
    const struct endpoint_local *local = &choice->balance->local[endpoint];
    uint32_t limit = choice->balance->view->services[local->service].max_inflight;
    return limit == 0 || gauges_inflight(choice->balance->all, (int)endpoint, local->generation) < limit;
}

static bool usable(struct choice *choice, uint32_t endpoint)
{
    const struct endpoint_local *local = &choice->balance->local[endpoint];
    const struct balance_request *request = choice->request;
    bool left_out = local->ejected_until_ns > request->now_ns || (local->hung && !request->safe) ||
                    (local->judged && request->proven);
    if ((left_out && !choice->ejected_too) || was_tried(choice, endpoint))
        return false;
    bool room = has_room(choice, endpoint);
    choice->busy |= !room;
    return room;
}

/* An endpoint that has just come is passed over, by chance: nine times in ten at first, and ever less. */
static bool passed_over(struct choice *choice, uint32_t endpoint)
{
    int64_t span = choice->balance->view->services[choice->balance->local[endpoint].service].slow_start_ns;
    if (span <= 0)
        return false;
    int64_t age = choice->request->now_ns - choice->balance->view->endpoints[endpoint].since_ns;
    if (age >= span)
        return false;
    int64_t part = age > span / 10 ? age : span / 10;
    return (int64_t)rng_below(&choice->balance->rng, (uint64_t)span) >= part;
}

static uint32_t nth(const struct choice *choice, uint32_t at)
{
    return gw_balance_nth(choice->balance, choice->route, choice->targets, at);
}

static uint32_t random_one(const struct choice *choice)
{
    return nth(choice, (uint32_t)rng_below(&choice->balance->rng, choice->total));
}

/* The first one that may be used at all, from a random one on. */
static uint32_t any(struct choice *choice)
{
    uint32_t start = (uint32_t)rng_below(&choice->balance->rng, choice->total);
    for (uint32_t i = 0; i < choice->total; i++) {
        uint32_t endpoint = nth(choice, (start + i) % choice->total);
        if (usable(choice, endpoint))
            return endpoint;
    }
    return GW_NONE;
}

/* --- the best of some ------------------------------------------------------------------------------------------- */

/* It was left out, and it is time to see whether it answers again. Its bad figures would keep it from being chosen. */
static bool trial_is_due(const struct choice *choice, uint32_t endpoint)
{
    const struct endpoint_local *local = &choice->balance->local[endpoint];
    return local->out && local->ejected_until_ns <= choice->request->now_ns;
}

/*
 * Should the request go to `other` rather than to `one`, which was drawn by weight? Only if `other` would not have more
 * for its weight with this request than `one` has without it: so idle endpoints get requests by their weights, and loaded
 * ones get even loads. Latencies that differ by two times outweigh that among endpoints of the same weight; where weights
 * differ, somebody wants these shares.
 */
static bool better(const struct choice *choice, uint32_t other, uint32_t one)
{
    const struct balance *balance = choice->balance;
    uint64_t load = gw_balance_inflight(balance, other) + 1, load_one = gw_balance_inflight(balance, one);
    uint64_t weight = balance->local[other].weight, weight_one = balance->local[one].weight;
    if (trial_is_due(choice, other) != trial_is_due(choice, one))
        return trial_is_due(choice, other);
    if (weight == weight_one) {
        uint64_t us = gw_balance_expected_us(balance, other, choice->request->now_ns);
        uint64_t us_one = gw_balance_expected_us(balance, one, choice->request->now_ns);
        if (us > 0 && us_one > 0 && load * us * 2 <= (load_one + 1) * us_one)
            return true;
        if (us > 0 && us_one > 0 && (load_one + 1) * us_one * 2 <= load * us)
            return false;
    }
    return load * weight_one <= load_one * weight;
}

/* One at random, each as often as its weight says. */
static uint32_t draw(struct choice *choice)
{
    for (unsigned i = 0; i < TRIES; i++) {
        uint32_t endpoint = random_one(choice), weight = choice->balance->local[endpoint].weight;
        bool light = weight < choice->heaviest && rng_below(&choice->balance->rng, choice->heaviest) >= weight;
        if (!light && usable(choice, endpoint) && !passed_over(choice, endpoint))
            return endpoint;
    }
    return any(choice);
}

/* The best of so many drawn ones; of all, when there are no more. */
static uint32_t best_drawn(struct choice *choice)
{
    bool all = choice->total <= P2C_DRAWS;
    uint32_t best = draw(choice), looks = all ? choice->total : 2 * P2C_DRAWS;
    for (uint32_t i = 0, compared = 1; best != GW_NONE && i < looks && compared < P2C_DRAWS; i++) {
        uint32_t other = all ? nth(choice, i) : random_one(choice);
        if (other == best || !usable(choice, other) || passed_over(choice, other))
            continue;
        compared++;
        if (better(choice, other, best))
            best = other;
    }
    return best;
}

/* --- in turn ---------------------------------------------------------------------------------------------------- */

/* Lighter ones do not have a turn each time round: they save until it is enough. */
static bool has_turn(const struct choice *choice, uint32_t endpoint)
{
    struct endpoint_local *local = &choice->balance->local[endpoint];
    uint64_t weight = local->weight;
    uint32_t before = local->credit;
    if (weight >= choice->heaviest)
        return true;
    local->credit += (uint32_t)((weight << 32) / choice->heaviest);
    return local->credit < before;
}

/* Whose turn it is. */
static uint32_t *turn_of(struct choice *choice)
{
    bool several = choice->targets & (choice->targets - 1);
    return several ? &choice->balance->turn[choice->request->route]
                   : &choice->balance->services[choice->balance->local[nth(choice, 0)].service].turn;
}

static uint32_t in_turn(struct choice *choice)
{
    uint32_t *turn = turn_of(choice), tries = choice->total < TRIES ? TRIES : choice->total;
    for (uint32_t i = 0; i < tries; i++) {
        uint32_t endpoint = nth(choice, (*turn)++ % choice->total);
        if (usable(choice, endpoint) && !passed_over(choice, endpoint) && has_turn(choice, endpoint))
            return endpoint;
    }
    return any(choice);
}

/* Would it have less for its weight with this request? */
static bool less_loaded(const struct choice *choice, uint32_t other, uint32_t one)
{
    const struct balance *balance = choice->balance;
    uint64_t load = gw_balance_inflight(balance, other) + 1, load_one = gw_balance_inflight(balance, one) + 1;
    return load * balance->local[one].weight < load_one * balance->local[other].weight;
}

/* The next one that is idle, none is better, or the least loaded of those that were looked at. With many endpoints an idle
   one is soon found. */
static uint32_t least_loaded(struct choice *choice)
{
    uint32_t *turn = turn_of(choice), looks = choice->total < LEAST_LOOKS ? choice->total : LEAST_LOOKS, best = GW_NONE;
    for (uint32_t i = 0; i < looks; i++) {
        uint32_t endpoint = nth(choice, (*turn)++ % choice->total);
        if (!usable(choice, endpoint) || passed_over(choice, endpoint))
            continue;
        if (gw_balance_inflight(choice->balance, endpoint) == 0 && has_turn(choice, endpoint))
            return endpoint;
        if (best == GW_NONE || less_loaded(choice, endpoint, best))
            best = endpoint;
    }
    (*turn)++; /* when all were looked at, another one comes first the next time */
    return best == GW_NONE ? any(choice) : best;
}

/* --- on the ring ------------------------------------------------------------------------------------------------ */

/* The points of the ring of a target; NULL: it has none, or is not looked at. */
static const struct gw_ring_point *ring_of(const struct choice *choice, uint32_t target, uint32_t *ret_len)
{
    const struct balance_service *service = &choice->balance->services[choice->route->service[target]];
    if (service->ring == 0 || !(choice->targets >> target & 1))
        return NULL;
    *ret_len = service->ring;
    return &choice->balance->points[service->first * GW_RING_POINTS];
}

/* The point that lies next behind the place, of those that the rings have got to. NULL: there is no ring. */
static const struct gw_ring_point *next_point(const struct choice *choice, uint32_t place, const uint32_t at[],
                                              uint32_t *ret_target)
{
    const struct gw_ring_point *next = NULL;
    uint32_t len;
    for (uint32_t t = 0; t < choice->route->targets; t++) {
        const struct gw_ring_point *points = ring_of(choice, t, &len);
        if (!points || (next && points[at[t]].at - place >= next->at - place))
            continue;
        next = &points[at[t]];
        *ret_target = t;
    }
    return next;
}

/*
 * The endpoint of the key: that of the first point behind it, of the rings of all services that are looked at, as if they
 * were one. When it may not be used, that of the next point, and so on.
 */
static uint32_t on_ring(struct choice *choice)
{
    uint32_t place = (uint32_t)(choice->request->key >> 32), at[BOARD_TARGETS] = { 0 }, len = 0, target = 0;
    const struct gw_ring_point *point;

    for (uint32_t t = 0; t < choice->route->targets; t++) {
        const struct gw_ring_point *points = ring_of(choice, t, &len);
        if (points)
            at[t] = gw_ring_find(points, len, place);
    }
    for (unsigned i = 0; i < TRIES && (point = next_point(choice, place, at, &target)); i++) {
        if (usable(choice, point->endpoint) && !passed_over(choice, point->endpoint))
            return point->endpoint;
        (void)ring_of(choice, target, &len);
        at[target] = (at[target] + 1) % len;
    }
    return any(choice);
}

uint64_t gw_balance_sticky_key(const struct balance *balance, uint32_t endpoint)
{
    return (uint64_t)gw_ring_place(balance->local[endpoint].name, 0) << 32 | 1;
}

/* The endpoint that the cookie names, if it is there and may be used. */
static uint32_t stuck_to(struct choice *choice, uint32_t targets)
{
    uint32_t place = (uint32_t)(choice->request->key >> 32), len;
    choice->targets = targets;
    for (uint32_t t = 0; t < choice->route->targets; t++) {
        const struct gw_ring_point *points = ring_of(choice, t, &len);
        if (!points)
            continue;
        const struct gw_ring_point *point = &points[gw_ring_find(points, len, place)];
        if (point->at == place && usable(choice, point->endpoint))
            return point->endpoint;
    }
    return GW_NONE;
}

/* --- picking ---------------------------------------------------------------------------------------------------- */

static uint32_t by_placement(struct choice *choice, uint32_t targets)
{
    choice->targets = targets;
    choice->total = gw_balance_count(choice->balance, choice->route, targets);
    choice->heaviest = 0;
    for (uint32_t t = 0; t < choice->route->targets; t++) {
        uint32_t heaviest = choice->balance->services[choice->route->service[t]].heaviest;
        if (targets >> t & 1 && heaviest > choice->heaviest)
            choice->heaviest = heaviest;
    }
    if (choice->total == 0)
        return GW_NONE;
    switch ((enum board_placement)choice->route->placement) {
    case BOARD_ROUND_ROBIN:
        return in_turn(choice);
    case BOARD_LEAST_INFLIGHT:
        return least_loaded(choice);
    case BOARD_HASH:
        if (choice->request->key != 0)
            return on_ring(choice);
        break;
    default:
        break;
    }
    return best_drawn(choice);
}

/* One of the targets, as often as its weight says, among those that have anybody. */
static uint32_t share(struct choice *choice, uint32_t targets)
{
    const struct board_route *route = choice->route;
    bool hashed = route->placement == BOARD_HASH && choice->request->key != 0;
    uint32_t at = hashed ? (uint32_t)choice->request->key : choice->balance->shares[choice->request->route]++ * GOLDEN;
    uint64_t sum = 0;

    for (uint32_t t = 0; t < route->targets; t++) {
        if (choice->balance->services[route->service[t]].count == 0)
            targets &= ~(UINT32_C(1) << t);
        if (targets >> t & 1)
            sum += route->weight[t];
    }
    uint64_t left = at * sum >> 32;
    for (uint32_t t = 0; t < route->targets; t++) {
        if (!(targets >> t & 1))
            continue;
        if (left < route->weight[t])
            return UINT32_C(1) << t;
        left -= route->weight[t];
    }
    return targets;
}

static uint32_t pick_of(struct choice *choice, uint32_t targets)
{
    uint32_t one = choice->route->weight[0] > 0 ? share(choice, targets) : targets;
    uint32_t endpoint = by_placement(choice, one);
    return endpoint == GW_NONE && one != targets ? by_placement(choice, targets) : endpoint;
}

/* The targets but for those at which somebody waits for room who came before. */
static uint32_t open_targets(struct choice *choice)
{
    const struct board_route *route = choice->route;
    uint32_t targets = 0;
    for (uint32_t t = 0; t < route->targets; t++) {
        uint32_t service = route->service[t];
        if (choice->balance->view->services[service].max_inflight > 0 && others_come_first(choice, service))
            choice->busy = true;
        else
            targets |= UINT32_C(1) << t;
    }
    return targets;
}

int gw_balance_pick(struct balance *balance, const struct balance_request *request)
{
    const struct board_route *route = &balance->view->routes[request->route];
    struct choice choice = { .balance = balance, .request = request, .route = route };
    uint32_t targets = open_targets(&choice), endpoint = GW_NONE;
    bool busy = choice.busy;

    if (route->sticky.len > 0 && request->key != 0)
        endpoint = stuck_to(&choice, targets);
    choice.busy = busy;
    for (unsigned pass = 0; pass < 2 && endpoint == GW_NONE && !choice.busy; pass++) {
        choice.ejected_too = pass > 0;
        endpoint = pick_of(&choice, targets & ~route->backups);
        if (endpoint == GW_NONE && !choice.busy)
            endpoint = pick_of(&choice, targets & route->backups);
    }
    if (endpoint == GW_NONE)
        return choice.busy ? -EBUSY : -ENOENT;
    return (int)endpoint;
}
