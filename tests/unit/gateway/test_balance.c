/* SPDX-License-Identifier: MIT
 *
 * Placement and ejection on a board in memory; time is a number.
 */
#include "gateway/balance.h"

#include "base/clock.h"
#include "base/hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct board *board;
static struct gauges *gauges;
static struct balance *balance;

static struct endpoint_local local[BOARD_ENDPOINTS];
enum { ROUTE = 0 };

static void begin(enum board_placement placement, int endpoints)
{
    struct board_route route = { .targets = 1, .placement = placement };
    board = board_new(NULL);
    gauges = gauges_new(1, NULL);
    balance = aligned_alloc(alignof(struct balance), sizeof(*balance));
    assert_true(board && gauges && balance);
    route.service[0] = (uint16_t)board_service_add(board, "app");
    assert_int_equal(board_route_add(board, &route), ROUTE);
    for (int i = 0; i < endpoints; i++) {
        char name[BOARD_NAME];
        (void)snprintf(name, sizeof(name), "app-%d", i + 1);
        assert_int_equal(board_endpoint_add(board, 0, name, &(struct board_address){ 0 }, 0), i);
    }
    memset(local, 0, sizeof(local));
    gw_balance_init(balance, board, gauges, 0, local, 7);
    gw_balance_rebuild(balance);
}

static int over(void **unused)
{
    (void)unused;
    board_free(board);
    gauges_free(gauges);
    free(balance);
    return 0;
}

static int pick_for(const struct conn_tried *tried, unsigned tried_len, bool safe, int64_t now)
{
    const struct balance_request request = {
        .route = ROUTE, .tried = tried, .tried_len = tried_len, .now_ns = now, .safe = safe
    };
    return gw_balance_pick(balance, &request);
}

static int pick(int64_t now)
{
    return pick_for(NULL, 0, true, now);
}

/* An error, as no connection is one. */
static void breaks(uint32_t endpoint, int64_t now)
{
    gw_balance_failure(balance, endpoint, ROUTE, BALANCE_ERROR, now);
}

/* A good answer to an attempt that began just now. */
static void answer(uint32_t endpoint, int64_t now)
{
    gw_balance_success(balance, endpoint, NS_PER_MS, now);
    gw_balance_answer(balance, endpoint, now);
}

static void round_robin_takes_turns_and_skips_who_is_not_in_rotation(void **unused)
{
    (void)unused;
    begin(BOARD_ROUND_ROBIN, 3);
    int first = pick(0);
    for (int i = 1; i < 9; i++)
        assert_int_equal(pick(0), (first + i) % 3);
    board_endpoint_set(board, 1, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0, 0);
    gw_balance_rebuild(balance);
    for (int i = 0; i < 6; i++)
        assert_int_not_equal(pick(0), 1);
}

static void a_request_never_meets_the_same_endpoint_twice_but_its_successor(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    struct conn_tried tried[] = { { 0, 1 }, { 1, 1 } };
    for (int i = 0; i < 20; i++)
        assert_int_equal(pick_for(tried, 1, true, 0), 1);
    assert_int_equal(pick_for(tried, 2, true, 0), -ENOENT);
    board_endpoint_set(board, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0, 0);
    assert_int_equal(board_endpoint_add(board, 0, "app", &(struct board_address){ 0 }, BOARD_GONE_NS), 0);
    gw_balance_rebuild(balance);
    assert_int_equal(pick_for(tried, 2, true, 0), 0);
}

static void the_slower_one_of_two_gets_less(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    gw_balance_success(balance, 0, 100 * NS_PER_MS, NS_PER_S);
    gw_balance_success(balance, 1, NS_PER_MS, NS_PER_S);
    for (int i = 0; i < 50; i++)
        assert_int_equal(pick(NS_PER_S), 1);
    /* Under load the slow one gets its share. */
    gauges->worker[0].endpoints[1].inflight = 300;
    assert_int_equal(pick(NS_PER_S), 0);
    gauges->worker[0].endpoints[1].inflight = 0;
    /* A peak that nothing has confirmed for a long time is forgotten. */
    int64_t later = 3600 * NS_PER_S;
    gw_balance_success(balance, 1, NS_PER_MS, later);
    int slow = 0;
    for (int i = 0; i < 50; i++)
        slow += pick(later) == 0;
    assert_true(slow > 5);
}

static void equal_ones_get_equal_shares(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 4);
    int share[4] = { 0 };
    for (int i = 0; i < 4; i++)
        gw_balance_success(balance, (uint32_t)i, (1000 + i * 100) * NS_PER_US, NS_PER_S);
    for (int i = 0; i < 4000; i++)
        share[pick(NS_PER_S)]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(share[i], 800, 1200);
}

static void least_in_flight_is_just_that(void **unused)
{
    (void)unused;
    begin(BOARD_LEAST_INFLIGHT, 3);
    gauges->worker[0].endpoints[0].inflight = 2;
    gauges->worker[0].endpoints[1].inflight = 1;
    gauges->worker[0].endpoints[2].inflight = 2;
    for (int i = 0; i < 6; i++)
        assert_int_equal(pick(0), 1);
}

static void idle_ones_have_their_turns_and_the_busy_are_passed(void **unused)
{
    (void)unused;
    begin(BOARD_LEAST_INFLIGHT, 100);
    for (int i = 0; i < 50; i++)
        gauges->worker[0].endpoints[2 * i].inflight = 1;
    for (int i = 0; i < 100; i++)
        assert_int_equal(pick(0), (2 * i + 1) % 100);
}

static void three_errors_in_a_row_eject_and_time_readmits(void **unused)
{
    (void)unused;
    begin(BOARD_ROUND_ROBIN, 2);
    int64_t now = NS_PER_S;
    for (int i = 0; i < 2; i++)
        breaks(0, now);
    answer(0, now); /* not in a row */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
        breaks(0, now);
    }
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pick(now), 1);
    now += NS_PER_S;
    assert_true(pick(now) == 0 || pick(now) == 0);
    /* A failed trial ejects at once, and for longer. */
    breaks(0, now);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pick(now + NS_PER_S), 1);
    assert_true(pick(now + 2 * NS_PER_S) == 0 || pick(now + 2 * NS_PER_S) == 0);
    /* What was under way when it was left out is no sign of its recovery; what comes later is. */
    gw_balance_answer(balance, 0, now - 1);
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 1);
    answer(0, now);
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
}

/* Each tenth of `share` outcomes of ten is a 500; the requests go wherever placement sends them. How many fail. */
static unsigned traffic(const unsigned share[], unsigned requests, int64_t *now)
{
    static unsigned turn[64];
    unsigned failed = 0;
    for (unsigned i = 0; i < requests; i++) {
        *now += 2 * NS_PER_MS;
        uint32_t at = (uint32_t)pick(*now);
        gw_balance_placed(balance, at, *now);
        gw_balance_success(balance, at, NS_PER_MS, *now);
        if (turn[at]++ * 7 % 10 < share[at]) {
            gw_balance_failure(balance, at, ROUTE, BALANCE_STATUS, *now);
            failed++;
        } else {
            gw_balance_answer(balance, at, *now);
        }
    }
    return failed;
}

static void an_endpoint_that_fails_half_of_its_requests_is_left_out_for_ever_longer(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 2);
        int64_t now = NS_PER_S;
        assert_in_range(traffic((unsigned[]){ 5, 0 }, 500, &now), 4, 25);
        assert_int_equal(gauges->worker[0].endpoints[0].ejected, 1);
        /* A minute and a half: trials after 1, 2, 4 … s, a handful of failures each; it is well again and stays in. */
        assert_in_range(traffic((unsigned[]){ 5, 0 }, 45000, &now), 4, 80);
        assert_true(balance->local[0].ejections >= 4);
        now += 31 * NS_PER_S;
        (void)traffic((unsigned[]){ 0, 0 }, 400, &now);
        assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
        assert_int_equal(balance->local[0].ejections, 0);
        assert_int_equal(gauges->worker[0].endpoints[1].ejected, 0);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

static void when_all_fail_alike_nobody_is_left_out(void **unused)
{
    (void)unused;
    begin(BOARD_ROUND_ROBIN, 4);
    int64_t now = NS_PER_S;
    for (unsigned share = 3; share <= 10; share++) {
        (void)traffic((unsigned[]){ share, share, share, share }, 2000, &now);
        for (int i = 0; i < 4; i++)
            assert_int_equal(gauges->worker[0].endpoints[i].ejected, 0);
    }
    /* One failure in ten is not worth it either. */
    (void)traffic((unsigned[]){ 0, 0, 0, 0 }, 1000, &now);
    (void)traffic((unsigned[]){ 1, 0, 0, 0 }, 4000, &now);
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
}

static void half_of_a_fleet_may_be_left_out_and_the_rest_serves(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 40);
    unsigned share[40] = { 0 };
    int64_t now = NS_PER_S;
    for (unsigned i = 0; i < 20; i++)
        share[2 * i] = 5;
    (void)traffic(share, 8000, &now);
    assert_in_range(traffic(share, 1000, &now), 0, 60);
    for (int i = 0; i < 40; i++)
        assert_true(share[i] > 0 || !gauges->worker[0].endpoints[i].ejected);
}

static void the_last_one_is_never_ejected(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 1);
        for (int i = 0; i < 10; i++)
            breaks(0, 0);
        assert_int_equal(pick(0), 0);
        board_endpoint_set(board, 0, BOARD_ENDPOINT_GONE, CAUSE_EXIT, 0, 0);
        gw_balance_rebuild(balance);
        assert_int_equal(pick(0), -ENOENT);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

static void a_route_spreads_over_all_of_its_services(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    int other = board_service_add(board, "other");
    int endpoint = board_endpoint_add(board, other, "other-1", &(struct board_address){ 0 }, 0);
    board->routes[ROUTE].targets = 2;
    board->routes[ROUTE].service[1] = (uint16_t)other;
    gw_balance_rebuild(balance);
    int seen[3] = { 0 };
    for (int i = 0; i < 300; i++)
        seen[pick(0)]++;
    assert_int_equal(endpoint, 2);
    for (int i = 0; i < 3; i++)
        assert_in_range(seen[i], 50, 150);
}

/* --- weights, backups, fresh ones ------------------------------------------------------------------------------- */

static void in_flight(int endpoint, uint32_t n)
{
    atomic_store(&gauges->worker[0].endpoints[endpoint].inflight, n);
}

/* Another service behind the same route, with so many endpoints. The index of its first one. */
static int add_target(int endpoints)
{
    struct board_route *route = &board->routes[ROUTE];
    char name[BOARD_NAME];
    int first = -1;
    (void)snprintf(name, sizeof(name), "other-%u", route->targets);
    int service = board_service_add(board, name);
    for (int i = 0; i < endpoints; i++) {
        (void)snprintf(name, sizeof(name), "other-%u-%d", route->targets, i);
        int endpoint = board_endpoint_add(board, service, name, &(struct board_address){ 0 }, 0);
        first = first < 0 ? endpoint : first;
    }
    route->service[route->targets++] = (uint16_t)service;
    gw_balance_rebuild(balance);
    return first;
}

static void weigh(int endpoint, uint32_t weight)
{
    board_endpoint_weigh(board, endpoint, weight);
    gw_balance_rebuild(balance);
}

/* How many of so many requests go to each of the first ones. */
static void spread(int requests, int endpoints, int share[])
{
    memset(share, 0, (size_t)endpoints * sizeof(*share));
    for (int i = 0; i < requests; i++)
        share[pick(NS_PER_S)]++;
}

static void a_light_endpoint_gets_its_share_by_every_placement(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t weights[3];
        int low[3], high[3]; /* of 1,200 */
    } cases[] = {
        { { 100, 100, 100 }, { 320, 320, 320 }, { 480, 480, 480 } },
        { { 100, 10, 100 }, { 480, 30, 480 }, { 650, 90, 650 } },
        { { 500, 100, 100 }, { 790, 130, 130 }, { 920, 215, 215 } },
        { { 1000, 1, 1 }, { 1180, 0, 0 }, { 1200, 12, 12 } },
    };
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++)
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
            begin((enum board_placement)placement, 3);
            for (int i = 0; i < 3; i++)
                weigh(i, cases[c].weights[i]);
            int share[3];
            spread(1200, 3, share);
            for (int i = 0; i < 3; i++)
                assert_in_range(share[i], cases[c].low[i], cases[c].high[i]);
            over(NULL);
        }
    begin(BOARD_P2C_EWMA, 1);
}

static void turns_of_a_light_one_are_spread(void **unused)
{
    (void)unused;
    begin(BOARD_ROUND_ROBIN, 4);
    weigh(3, 25);
    int last = -1, longest = 0, shortest = 1000;
    for (int i = 0; i < 1000; i++) {
        if (pick(0) != 3)
            continue;
        if (last >= 0) {
            longest = i - last > longest ? i - last : longest;
            shortest = i - last < shortest ? i - last : shortest;
        }
        last = i;
    }
    assert_int_equal(shortest, 13); /* 100 + 100 + 100 + 25 : 25 */
    assert_int_equal(longest, 13);
}

/* Whether they rest or everything is busy: 10 to 1. */
static void the_least_in_flight_is_that_for_its_weight(void **unused)
{
    (void)unused;
    begin(BOARD_LEAST_INFLIGHT, 2);
    weigh(0, 10);
    weigh(1, 1);
    int share[2] = { 0 };
    for (int i = 0; i < 1100; i++)
        share[pick(0)]++;
    assert_in_range(share[1], 90, 110);
    for (int i = 0; i < 1100; i++)
        gauges->worker[0].endpoints[pick(0)].inflight++;
    assert_in_range(gauges->worker[0].endpoints[1].inflight, 90, 110);
}

static void loads_are_even_for_the_weights(void **unused)
{
    (void)unused;
    static const enum board_placement placements[] = { BOARD_P2C_EWMA, BOARD_LEAST_INFLIGHT };
    for (int i = 0; i < 2; i++) {
        begin(placements[i], 2);
        weigh(1, 25);
        in_flight(0, 8);
        in_flight(1, 2);
        int share[2];
        spread(400, 2, share);
        assert_in_range(share[1], placements[i] == BOARD_P2C_EWMA ? 40 : 0, 130);
        in_flight(1, 4); /* twice as much as its weight allows for */
        for (int n = 0; n < 100; n++)
            assert_int_equal(pick(NS_PER_S), 0);
        in_flight(0, 16);
        in_flight(1, 1);
        for (int n = 0; n < 100; n++)
            assert_int_equal(pick(NS_PER_S), 1);
        if (i == 0)
            over(NULL);
    }
}

static void targets_get_the_shares_that_they_were_given(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 1);
        int other = add_target(3);
        board->routes[ROUTE].weight[0] = 90; /* whatever the number of their endpoints */
        board->routes[ROUTE].weight[1] = 10;
        int share[4];
        spread(1000, 4, share);
        assert_in_range(share[0], 895, 905);
        for (int i = other; i < other + 3; i++)
            assert_in_range(share[i], 15, 55);
        /* Whoever has nobody leaves all to the other. */
        board_endpoint_set(board, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0, 0);
        gw_balance_rebuild(balance);
        spread(300, 4, share);
        assert_int_equal(share[0], 0);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

static void a_backup_is_used_when_nobody_else_can_be(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 2);
        int spare = add_target(1);
        board->routes[ROUTE].backups = 1 << 1;
        for (int i = 0; i < 100; i++)
            assert_int_not_equal(pick(NS_PER_S), spare);
        struct conn_tried tried[] = { { 0, 1 }, { 1, 1 } };
        assert_int_equal(pick_for(tried, 2, true, NS_PER_S), spare);
        for (int i = 0; i < 3; i++)
            breaks(0, NS_PER_S);
        for (int i = 0; i < 20; i++)
            assert_int_equal(pick(NS_PER_S), 1);
        board_endpoint_set(board, 1, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0, 0);
        gw_balance_rebuild(balance);
        for (int i = 0; i < 20; i++)
            assert_int_equal(pick(NS_PER_S), spare); /* rather than the one that fails */
        board_endpoint_set(board, spare, BOARD_ENDPOINT_GONE, CAUSE_EXIT, 0, 0);
        gw_balance_rebuild(balance);
        assert_int_equal(pick(NS_PER_S), 0);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

static void a_fresh_endpoint_begins_slowly_unless_it_is_alone(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 2);
        board->services[0].slow_start_ns = 10 * NS_PER_S;
        int64_t now = 100 * NS_PER_S;
        board_endpoint_set(board, 1, BOARD_ENDPOINT_UP, CAUSE_NONE, 0, now);
        gw_balance_rebuild(balance);
        int early = 0, late = 0;
        for (int i = 0; i < 1000; i++)
            early += pick(now) == 1;
        for (int i = 0; i < 1000; i++)
            late += pick(now + 10 * NS_PER_S) == 1;
        assert_in_range(early, 30, 200);
        assert_in_range(late, 400, 600);
        board_endpoint_set(board, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0, 0);
        gw_balance_rebuild(balance);
        for (int i = 0; i < 20; i++)
            assert_int_equal(pick(now), 1);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

/* --- limits ----------------------------------------------------------------------------------------------------- */

static void nobody_gets_more_than_it_may_have(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 2);
        int spare = add_target(1);
        board->routes[ROUTE].backups = 1 << 1;
        board->services[0].max_inflight = 2;
        in_flight(0, 2);
        for (int i = 0; i < 20; i++)
            assert_int_equal(pick(NS_PER_S), 1);
        in_flight(1, 2);
        assert_int_equal(pick(NS_PER_S), -EBUSY); /* a backup is no relief */
        for (int i = 0; i < 2; i++)
            board_endpoint_set(board, i, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0, 0);
        gw_balance_rebuild(balance);
        assert_int_equal(pick(NS_PER_S), spare);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

static void who_came_first_and_waits_goes_first(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 1);
    board->services[0].max_inflight = 1;
    struct worker_gauges *other = &gauges->worker[1]; /* another worker's queue */
    gauges->workers = 2;
    int64_t now = 10 * NS_PER_S;
    atomic_store(&other->heartbeat_ns, now);
    atomic_store(&other->waiting_ns[0], now - 5);
    struct balance_request request = { .route = ROUTE, .now_ns = now, .since_ns = now - 4, .safe = true };
    assert_int_equal(gw_balance_pick(balance, &request), -EBUSY);
    request.since_ns = now - 5;
    assert_int_equal(gw_balance_pick(balance, &request), 0);
    /* A worker that is dead or hangs holds nobody up. */
    request.since_ns = now - 4;
    request.now_ns = now + 2 * NS_PER_S;
    assert_int_equal(gw_balance_pick(balance, &request), 0);
    /* What other workers have in flight counts. */
    atomic_store(&other->endpoints[0].generation, board->endpoints[0].generation);
    atomic_store(&other->endpoints[0].inflight, 1);
    assert_int_equal(gw_balance_pick(balance, &request), -EBUSY);
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

enum { KEYS = 4000 };

static int pick_key(uint64_t key)
{
    const struct balance_request request = { .route = ROUTE, .now_ns = NS_PER_S, .key = key, .safe = true };
    return gw_balance_pick(balance, &request);
}

static uint64_t key(int i)
{
    return hash_mix((uint64_t)i + 1) | 1;
}

static void place_keys(int where[KEYS], int count[])
{
    for (int i = 0; i < KEYS; i++) {
        where[i] = pick_key(key(i));
        assert_int_equal(pick_key(key(i)), where[i]);
        count[where[i]]++;
    }
}

static void a_key_stays_where_it_is_while_others_come_and_go(void **unused)
{
    (void)unused;
    static int before[KEYS], after[KEYS];
    int count[16] = { 0 };
    begin(BOARD_HASH, 5);
    int other = add_target(5); /* two rings, which count as one */
    place_keys(before, count);
    for (int i = 0; i < 10; i++)
        assert_in_range(count[i], KEYS / 10 * 7 / 10, KEYS / 10 * 13 / 10);

    board_endpoint_set(board, other, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0, 0);
    gw_balance_rebuild(balance);
    place_keys(after, count);
    for (int i = 0; i < KEYS; i++)
        assert_true(before[i] == other ? after[i] != other : after[i] == before[i]);

    /* Its successor has the same name: it gets the same keys, and nothing else moves. */
    assert_int_equal(board_endpoint_add(board, 1, "other-1-0", &(struct board_address){ 0 }, BOARD_GONE_NS), other);
    gw_balance_rebuild(balance);
    place_keys(after, count);
    assert_memory_equal(before, after, sizeof(before));
}

static void a_key_goes_on_when_its_endpoint_cannot_take_it(void **unused)
{
    (void)unused;
    static int before[KEYS];
    int count[8] = { 0 }, next[8] = { 0 };
    begin(BOARD_HASH, 8);
    place_keys(before, count);
    for (int i = 0; i < 3; i++)
        breaks(3, NS_PER_S);
    for (int i = 0; i < KEYS; i++)
        if (before[i] == 3)
            next[pick_key(key(i))]++;
        else
            assert_int_equal(pick_key(key(i)), before[i]);
    int neighbours = 0;
    for (int i = 0; i < 8; i++)
        neighbours += next[i] > 0;
    assert_int_equal(next[3], 0);
    assert_true(neighbours >= 5); /* many take a part of it, not one all */
    /* Without a key nothing binds it. */
    int share[8];
    spread(800, 8, share);
    for (int i = 0; i < 8; i++)
        assert_in_range(share[i], i == 3 ? 0 : 60, i == 3 ? 0 : 180);
}

static void a_sticky_cookie_leads_back_as_long_as_its_endpoint_is_there(void **unused)
{
    (void)unused;
    begin(BOARD_ROUND_ROBIN, 1);
    int other = add_target(3);
    board->routes[ROUTE].sticky = (struct board_text){ .len = 1 };
    gw_balance_rebuild(balance);
    uint64_t cookie = gw_balance_sticky_key(balance, (uint32_t)other + 1);
    assert_int_not_equal(cookie, gw_balance_sticky_key(balance, (uint32_t)other));
    for (int i = 0; i < 20; i++)
        assert_int_equal(pick_key(cookie), other + 1);
    /* Gone: whoever's turn it is. Forged: the same. */
    board_endpoint_set(board, other + 1, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0, 0);
    gw_balance_rebuild(balance);
    int seen[4] = { 0 };
    for (int i = 0; i < 30; i++) {
        seen[pick_key(cookie)]++;
        seen[pick_key(0xdeadbeef00000001)]++;
    }
    assert_true(seen[0] == 20 && seen[other] == 20 && seen[other + 2] == 20);
}

static void many_endpoints_are_placed_on_evenly(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 1000);
        static int share[1000];
        memset(share, 0, sizeof(share));
        for (int i = 0; i < 50000; i++) {
            int at = pick_key(placement == BOARD_HASH ? key(i) : 0);
            assert_true(at >= 0);
            share[at]++;
            in_flight(at, (uint32_t)share[at]); /* none of them ends */
        }
        for (int i = 0; i < 1000; i++)
            assert_in_range(share[i], placement == BOARD_HASH ? 15 : 40, placement == BOARD_HASH ? 100 : 60);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

/* --- endpoints that hang ---------------------------------------------------------------------------------------- */

/* Three attempts of `endpoint` are overdue, and it has answered nothing since they began. */
static bool hang(int endpoint, int64_t since, int64_t now)
{
    bool told = false;
    in_flight(endpoint, 3);
    for (int i = 0; i < 3; i++)
        told = gw_balance_overdue(balance, endpoint, ROUTE, since, now) || told;
    return told;
}

static void an_endpoint_that_hangs_is_left_out_and_comes_back_by_a_trial(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    int64_t now = NS_PER_S;
    assert_true(hang(0, now - 50 * NS_PER_MS, now));
    assert_false(gw_balance_overdue(balance, 0, ROUTE, now - 50 * NS_PER_MS, now)); /* told once */
    for (int i = 0; i < 50; i++)
        assert_int_equal(pick(now + 249 * NS_PER_MS), 1);

    /* Only what may be sent twice tries it, and one such request is enough for now. */
    now += 251 * NS_PER_MS;
    bool tried = false;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pick_for(NULL, 0, false, now), 1);
        tried = tried || pick(now) == 0;
    }
    assert_true(tried);
    gw_balance_placed(balance, 0, now);
    for (int i = 0; i < 50; i++)
        assert_int_equal(pick(now + 499 * NS_PER_MS), 1);

    in_flight(0, 0);
    gw_balance_success(balance, 0, 20 * NS_PER_MS, now + 20 * NS_PER_MS);
    assert_int_equal(gauges->worker[0].endpoints[0].hung, 0);
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
    tried = false;
    for (int i = 0; i < 50; i++)
        tried = tried || pick_for(NULL, 0, false, now + 21 * NS_PER_MS) == 0;
    assert_true(tried);
}

static void a_worker_that_knows_nothing_goes_by_what_others_know(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    struct endpoint_gauge *gauge = &gauges->worker[1].endpoints[0];
    gauges->workers = 2;
    board->routes[ROUTE].patience_min_ns = 25 * NS_PER_MS;
    board->routes[ROUTE].patience_max_ns = NS_PER_S;
    assert_int_equal(gw_balance_patience(balance, 0, ROUTE), NS_PER_S);
    atomic_store(&gauge->ewma_us, 20000); /* of the instance before */
    assert_int_equal(gw_balance_patience(balance, 0, ROUTE), NS_PER_S);
    atomic_store(&gauge->generation, board->endpoints[0].generation);
    assert_int_equal(gw_balance_patience(balance, 0, ROUTE), 80 * NS_PER_MS);
    gw_balance_success(balance, 1, NS_PER_MS, NS_PER_S); /* what it knows of the service itself is worth more */
    assert_int_equal(gw_balance_patience(balance, 0, ROUTE), 25 * NS_PER_MS);
}

static void one_slow_request_among_others_is_no_hang(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    gw_balance_success(balance, 0, NS_PER_MS, 2 * NS_PER_S);
    for (int i = 0; i < 10; i++)
        assert_false(gw_balance_overdue(balance, 0, ROUTE, 1 * NS_PER_S, 2 * NS_PER_S));
    /* An answer in between starts the counting anew. */
    for (int i = 0; i < 10; i++) {
        int64_t now = (3 + i) * NS_PER_S;
        assert_false(gw_balance_overdue(balance, 0, ROUTE, now, now));
        assert_false(gw_balance_overdue(balance, 0, ROUTE, now, now));
        gw_balance_success(balance, 0, NS_PER_MS, now + 1);
    }
    assert_int_equal(gauges->worker[0].endpoints[0].hung, 0);
}

static void when_all_are_slow_nobody_is_left_out(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 3);
    int64_t now = 5 * NS_PER_S;
    for (int i = 0; i < 3; i++)
        in_flight(i, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(hang(i, now - NS_PER_S, now)); /* the supervisor shall ask them */
        assert_int_equal(gauges->worker[0].endpoints[i].ejected, 0);
    }
    /* One has answered since: the others are left out, never that one. */
    gw_balance_success(balance, 2, NS_PER_MS, now);
    assert_false(hang(0, now - NS_PER_S, now));
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 1);
    assert_false(hang(1, now - NS_PER_S, now));
    assert_int_equal(gauges->worker[0].endpoints[1].ejected, 1);
    (void)hang(2, now + 1, now + NS_PER_MS);
    assert_int_equal(gauges->worker[0].endpoints[2].ejected, 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pick(now + NS_PER_MS), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(round_robin_takes_turns_and_skips_who_is_not_in_rotation, over),
        cmocka_unit_test_teardown(a_request_never_meets_the_same_endpoint_twice_but_its_successor, over),
        cmocka_unit_test_teardown(the_slower_one_of_two_gets_less, over),
        cmocka_unit_test_teardown(equal_ones_get_equal_shares, over),
        cmocka_unit_test_teardown(least_in_flight_is_just_that, over),
        cmocka_unit_test_teardown(idle_ones_have_their_turns_and_the_busy_are_passed, over),
        cmocka_unit_test_teardown(three_errors_in_a_row_eject_and_time_readmits, over),
        cmocka_unit_test_teardown(an_endpoint_that_fails_half_of_its_requests_is_left_out_for_ever_longer, over),
        cmocka_unit_test_teardown(when_all_fail_alike_nobody_is_left_out, over),
        cmocka_unit_test_teardown(half_of_a_fleet_may_be_left_out_and_the_rest_serves, over),
        cmocka_unit_test_teardown(the_last_one_is_never_ejected, over),
        cmocka_unit_test_teardown(a_route_spreads_over_all_of_its_services, over),
        cmocka_unit_test_teardown(a_light_endpoint_gets_its_share_by_every_placement, over),
        cmocka_unit_test_teardown(turns_of_a_light_one_are_spread, over),
        cmocka_unit_test_teardown(the_least_in_flight_is_that_for_its_weight, over),
        cmocka_unit_test_teardown(loads_are_even_for_the_weights, over),
        cmocka_unit_test_teardown(targets_get_the_shares_that_they_were_given, over),
        cmocka_unit_test_teardown(a_backup_is_used_when_nobody_else_can_be, over),
        cmocka_unit_test_teardown(a_fresh_endpoint_begins_slowly_unless_it_is_alone, over),
        cmocka_unit_test_teardown(nobody_gets_more_than_it_may_have, over),
        cmocka_unit_test_teardown(who_came_first_and_waits_goes_first, over),
        cmocka_unit_test_teardown(a_key_stays_where_it_is_while_others_come_and_go, over),
        cmocka_unit_test_teardown(a_key_goes_on_when_its_endpoint_cannot_take_it, over),
        cmocka_unit_test_teardown(a_sticky_cookie_leads_back_as_long_as_its_endpoint_is_there, over),
        cmocka_unit_test_teardown(many_endpoints_are_placed_on_evenly, over),
        cmocka_unit_test_teardown(an_endpoint_that_hangs_is_left_out_and_comes_back_by_a_trial, over),
        cmocka_unit_test_teardown(a_worker_that_knows_nothing_goes_by_what_others_know, over),
        cmocka_unit_test_teardown(one_slow_request_among_others_is_no_hang, over),
        cmocka_unit_test_teardown(when_all_are_slow_nobody_is_left_out, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
