/* SPDX-License-Identifier: MIT
 *
 * The table of addresses: what counts as one, buckets that fill again, room that is given to the next, and workers that
 * died.
 */
#include "gateway/gateway.h"
#include "gateway/shared.h"
#include "gateway/slots.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct gw_shared *shared;
static struct gw_sources *sources;

static int ready(void **unused)
{
    (void)unused;
    shared = gateway_shared_new(NULL);
    assert_non_null(shared);
    sources = &shared->sources;
    return 0;
}

static int over(void **unused)
{
    (void)unused;
    gateway_shared_free(shared);
    return 0;
}

static uint64_t v4(uint32_t number)
{
    uint8_t address[16] = { 10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };
    return gw_source_key(sources, 0, AF_INET, address);
}

static uint64_t v6(uint8_t network, uint8_t host)
{
    const uint8_t address[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, host };
    return gw_source_key(sources, 0, AF_INET6, address);
}

static void an_address_is_one_of_ipv4_or_a_64_of_ipv6(void **unused)
{
    (void)unused;
    assert_true(v4(1) == v4(1) && v4(1) != v4(2));
    assert_true(v6(1, 1) == v6(1, 2) && v6(1, 1) != v6(2, 1));
    const uint8_t address[16] = { 10, 0, 0, 1 };
    assert_true(gw_source_key(sources, 1, AF_INET, address) != v4(1));
}

static void connections_are_counted_over_all_workers(void **unused)
{
    (void)unused;
    uint32_t cell[4], other;
    for (unsigned i = 0; i < 3; i++)
        assert_true(gw_source_enter(sources, i, v4(1), 3, 0, &cell[i]));
    assert_int_equal(cell[0], cell[2]);
    assert_false(gw_source_enter(sources, 0, v4(1), 3, 0, &cell[3]));
    assert_true(gw_source_enter(sources, 0, v4(2), 3, 0, &other));
    assert_int_not_equal(other, cell[0]);
    gw_source_leave(sources, 2, cell[2]);
    assert_true(gw_source_enter(sources, 0, v4(1), 3, 0, &cell[3]));
    /* Worker 1 dies: its one is struck off, those of the others stay. */
    gw_source_forget(sources, 1);
    assert_true(gw_source_enter(sources, 1, v4(1), 3, 0, &cell[1]));
    assert_false(gw_source_enter(sources, 2, v4(1), 3, 0, &cell[2]));
}

static void a_bucket_lets_a_burst_through_and_then_one_an_interval(void **unused)
{
    (void)unused;
    const int64_t interval = 100, start = 1000000;
    const uint64_t key = v4(1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(gw_source_request(sources, key, interval, 5, start), 0);
    assert_int_equal(gw_source_request(sources, key, interval, 5, start), interval);
    assert_int_equal(gw_source_request(sources, key, interval, 5, start + 40), 60);
    assert_int_equal(gw_source_request(sources, key, interval, 5, start + 100), 0);
    assert_int_equal(gw_source_request(sources, key, interval, 5, start + 100), interval);
    /* Half a burst later half of it is there again, and after a long time no more than a burst. */
    int passed = 0;
    while (gw_source_request(sources, key, interval, 5, start + 400) == 0)
        passed++;
    assert_int_equal(passed, 3);
    for (passed = 0; gw_source_request(sources, key, interval, 5, start + 100000) == 0;)
        passed++;
    assert_int_equal(passed, 5);
}

static void who_is_gone_makes_room_and_who_finds_none_is_not_limited(void **unused)
{
    (void)unused;
    uint32_t cell, counted = 0, more = 0;
    /* Everybody stays: cells run out here and there, then everywhere. */
    for (uint32_t i = 0; i < 2 * GW_SOURCES; i++) {
        assert_true(gw_source_enter(sources, 0, v4(i), 1, 0, &cell));
        counted += cell != GW_NONE;
    }
    assert_in_range(counted, GW_SOURCES * 9 / 10, GW_SOURCES);
    assert_true(gw_source_enter(sources, 1, v4(1 << 22), 1, 0, &cell) && cell == GW_NONE);
    /* All leave: their cells are others'. */
    gw_source_forget(sources, 0);
    for (uint32_t i = 0; i < GW_SOURCES / 4; i++) {
        assert_true(gw_source_enter(sources, 0, v4(i + (1 << 20)), 1, 0, &cell));
        more += cell != GW_NONE;
    }
    assert_in_range(more, GW_SOURCES / 4 - 50, GW_SOURCES / 4);
}

static void a_cell_whose_bucket_is_not_full_is_not_given_away(void **unused)
{
    (void)unused;
    uint32_t cell;
    assert_int_equal(gw_source_request(sources, v4(7), NS_PER_S, 1, NS_PER_S), 0);
    for (uint32_t i = 0; i < 2 * GW_SOURCES; i++)
        (void)gw_source_enter(sources, 1, v4(i + 1000), 0, NS_PER_S, &cell);
    assert_true(gw_source_request(sources, v4(7), NS_PER_S, 1, NS_PER_S + 1) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_is_one_of_ipv4_or_a_64_of_ipv6, ready, over),
        cmocka_unit_test_setup_teardown(connections_are_counted_over_all_workers, ready, over),
        cmocka_unit_test_setup_teardown(a_bucket_lets_a_burst_through_and_then_one_an_interval, ready, over),
        cmocka_unit_test_setup_teardown(who_is_gone_makes_room_and_who_finds_none_is_not_limited, ready, over),
        cmocka_unit_test_setup_teardown(a_cell_whose_bucket_is_not_full_is_not_given_away, ready, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
