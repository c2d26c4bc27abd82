/* SPDX-License-Identifier: MIT
 *
 * Endpoints that nobody supervises: they stay on the board from one `up` to the next, and from one supervisor to the next.
 */
#include "daemon/outside.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct board *board;

static int setup(void **state)
{
    board = board_new(NULL);
    return board ? 0 : -1;
}

static int teardown(void **state)
{
    board_free(board);
    return 0;
}

/* What a supervisor does at an `up`, or when it begins. */
static void apply(struct outsides *outsides, const char *host, uint16_t port)
{
    struct spec_outside outside = { .name = "them", .host = (char *)(uintptr_t)host, .port = port };
    const struct spec spec = { .outside = &outside, .outside_len = 1 };
    struct problems problems = { 0 };
    outsides_find(outsides, &spec, &problems);
    problems_free(&problems);
    assert_int_equal(outsides_publish(outsides, board), 0);
}

static unsigned count(enum board_endpoint_state state)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < board->used_endpoints; i++)
        n += board->endpoints[i].state == state;
    return n;
}

static void an_address_stays_until_the_file_names_another(void **state)
{
    struct outsides outsides = { 0 };
    apply(&outsides, "127.0.0.1", 80);
    apply(&outsides, "127.0.0.1", 80);
    assert_int_equal(board->used_endpoints, 1);
    apply(&outsides, "127.0.0.1", 81);
    assert_int_equal(count(BOARD_ENDPOINT_UP), 1);
    assert_int_equal(count(BOARD_ENDPOINT_GONE), 1);
    assert_int_equal(board->endpoints[1].state, BOARD_ENDPOINT_UP);
    outsides_free(&outsides);
}

static void a_successor_finds_what_its_predecessor_has_published(void **state)
{
    struct outsides before = { 0 }, after = { 0 };
    apply(&before, "127.0.0.1", 80);
    outsides_free(&before);
    apply(&after, "127.0.0.1", 80);
    assert_int_equal(board->used_endpoints, 1);
    assert_int_equal(board->endpoints[0].state, BOARD_ENDPOINT_UP);
    apply(&after, "127.0.0.1", 81);
    assert_int_equal(board->endpoints[0].state, BOARD_ENDPOINT_GONE);
    outsides_free(&after);
}

static void a_name_that_cannot_be_looked_up_means_what_it_meant(void **state)
{
    struct outsides before = { 0 }, after = { 0 };
    apply(&before, "127.0.0.1", 80);
    outsides_free(&before);
    apply(&after, "no-such-host.invalid", 80);
    assert_int_equal(count(BOARD_ENDPOINT_UP), 1);
    outsides_free(&after);
}

#define OUTSIDE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTSIDE_TEST(an_address_stays_until_the_file_names_another),
        OUTSIDE_TEST(a_successor_finds_what_its_predecessor_has_published),
        OUTSIDE_TEST(a_name_that_cannot_be_looked_up_means_what_it_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
