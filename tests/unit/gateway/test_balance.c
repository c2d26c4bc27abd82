/* SPDX-License-Identifier: MIT
 *
 * Placement and ejection on a board in memory; time is a number.
 */
#include "gateway/balance.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
    struct board_route route = { .targets = 1 };
    board = board_new(NULL);
    gauges = gauges_new(1, NULL);
    balance = malloc(sizeof(*balance));
    assert_true(board && gauges && balance);
    route.service[0] = (uint16_t)board_service_add(board, "app", placement);
    assert_int_equal(board_route_add(board, &route), ROUTE);
    for (int i = 0; i < endpoints; i++)
        assert_int_equal(board_endpoint_add(board, 0, "app", &(struct board_address){ 0 }, 0), i);
    memset(local, 0, sizeof(local));
    gw_balance_init(balance, board, &gauges->worker[0], local, 7);
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
    assert_int_equal(pick_for(tried, 2, true, 0), -1);
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

static void three_errors_in_a_row_eject_and_time_readmits(void **unused)
{
    (void)unused;
    begin(BOARD_ROUND_ROBIN, 2);
    int64_t now = NS_PER_S;
    for (int i = 0; i < 2; i++)
        gw_balance_failure(balance, 0, now);
    gw_balance_success(balance, 0, NS_PER_MS, now); /* not in a row */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
        gw_balance_failure(balance, 0, now);
    }
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pick(now), 1);
    now += NS_PER_S;
    assert_true(pick(now) == 0 || pick(now) == 0);
    /* A failed trial ejects at once, and for longer. */
    gw_balance_failure(balance, 0, now);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pick(now + NS_PER_S), 1);
    assert_true(pick(now + 2 * NS_PER_S) == 0 || pick(now + 2 * NS_PER_S) == 0);
    gw_balance_success(balance, 0, NS_PER_MS, now);
    assert_int_equal(gauges->worker[0].endpoints[0].ejected, 0);
}

static void the_last_one_is_never_ejected(void **unused)
{
    (void)unused;
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        begin((enum board_placement)placement, 1);
        for (int i = 0; i < 10; i++)
            gw_balance_failure(balance, 0, 0);
        assert_int_equal(pick(0), 0);
        board_endpoint_set(board, 0, BOARD_ENDPOINT_GONE, CAUSE_EXIT, 0, 0);
        gw_balance_rebuild(balance);
        assert_int_equal(pick(0), -1);
        if (placement + 1 < BOARD_PLACEMENTS)
            over(NULL);
    }
}

static void a_route_spreads_over_all_of_its_services(void **unused)
{
    (void)unused;
    begin(BOARD_P2C_EWMA, 2);
    int other = board_service_add(board, "other", BOARD_P2C_EWMA);
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

/* --- endpoints that hang ---------------------------------------------------------------------------------------- */

static void in_flight(int endpoint, uint32_t n)
{
    atomic_store(&gauges->worker[0].endpoints[endpoint].inflight, n);
}

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
        cmocka_unit_test_teardown(three_errors_in_a_row_eject_and_time_readmits, over),
        cmocka_unit_test_teardown(the_last_one_is_never_ejected, over),
        cmocka_unit_test_teardown(a_route_spreads_over_all_of_its_services, over),
        cmocka_unit_test_teardown(an_endpoint_that_hangs_is_left_out_and_comes_back_by_a_trial, over),
        cmocka_unit_test_teardown(one_slow_request_among_others_is_no_hang, over),
        cmocka_unit_test_teardown(when_all_are_slow_nobody_is_left_out, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
