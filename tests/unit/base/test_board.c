/* SPDX-License-Identifier: MIT
 *
 * The board: a reader never sees half a change, and a dead endpoint's slot stays readable for a while.
 */
#include "base/board.h"

#include "base/clock.h"
#include "base/gauges.h"
#include "base/rng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct board *board, *view;

static int setup(void **unused)
{
    (void)unused;
    struct err err = { 0 };
    board = board_new(&err);
    view = calloc(1, sizeof(*view));
    return board && view ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    board_free(board);
    free(view);
    return 0;
}

static struct board_address loopback(uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct board_address address = { .len = sizeof(in) };
    memcpy(&address.u, &in, sizeof(in));
    return address;
}

static void a_reader_copies_only_when_something_changed(void **unused)
{
    (void)unused;
    assert_false(board_refresh(board, view));
    int service = board_service_add(board, "app");
    struct board_address address = loopback(8000);
    assert_int_equal(board_endpoint_add(board, service, "app-1", &address, 1), 0);

    assert_true(board_refresh(board, view));
    assert_false(board_refresh(board, view));
    assert_string_equal(view->services[0].name, "app");
    assert_string_equal(view->endpoints[0].instance, "app-1");
    assert_int_equal(view->endpoints[0].state, BOARD_ENDPOINT_UP);
}

static void a_dead_endpoint_stays_readable_and_a_new_one_has_another_slot(void **unused)
{
    (void)unused;
    struct board_address address = loopback(8000);
    int first = board_endpoint_add(board, 0, "app-1", &address, 0);
    uint32_t generation = board->endpoints[first].generation;
    board_endpoint_set(board, first, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 3, 1000);

    assert_int_not_equal(board_endpoint_add(board, 0, "app-1", &address, 1000 + BOARD_GONE_NS - 1), first);
    assert_int_equal(board->endpoints[first].cause, CAUSE_KILLED);
    assert_int_equal(board->endpoints[first].suspects, 3);

    assert_int_equal(board_endpoint_add(board, 0, "app-1", &address, 1000 + BOARD_GONE_NS), first);
    assert_int_not_equal(board->endpoints[first].generation, generation);
}

static void a_service_has_one_slot_however_often_it_is_added(void **unused)
{
    (void)unused;
    int app = board_service_add(board, "app");
    int db = board_service_add(board, "db");
    assert_int_not_equal(app, db);
    assert_int_equal(board_service_add(board, "app"), app);
}

static void full_is_an_error_and_not_an_overflow(void **unused)
{
    (void)unused;
    struct board_route route = { .attempts = 1 };
    for (int i = 0; i < BOARD_ROUTES; i++)
        assert_int_equal(board_route_add(board, &route), i);
    assert_int_equal(board_route_add(board, &route), -ENOSPC);
}

/*
 * One process changes two slots that belong together, far enough apart that most changes fall into somebody's copy;
 * the other process must never see them differ.
 */
static void a_reader_never_sees_half_a_change(void **unused)
{
    (void)unused;
    enum { LAST = 4000 };
    struct board_address address = loopback(1);
    for (int i = 0; i <= LAST; i++)
        assert_int_equal(board_endpoint_add(board, 0, "app-1", &address, 0), i);

    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct rng rng;
        rng_seed(&rng, 1);
        for (uint32_t n = 1;; n++) {
            board_write_begin(board);
            board_endpoint_set(board, 0, BOARD_ENDPOINT_DRAINING, CAUSE_STOP, n, n);
            board_endpoint_set(board, LAST, BOARD_ENDPOINT_DRAINING, CAUSE_STOP, n, n);
            board_write_end(board);
            int64_t until = clock_now() + (int64_t)rng_below(&rng, 1000) * NS_PER_US;
            while (clock_now() < until)
                ;
        }
    }
    int copies = 0, torn = 0;
    int64_t until = clock_now() + 400 * NS_PER_MS, at_the_latest = until + 20 * NS_PER_S;
    while (clock_now() < until || (copies <= 10 && clock_now() < at_the_latest)) {
        if (!board_refresh(board, view))
            continue;
        copies++;
        torn += view->endpoints[0].suspects != view->endpoints[LAST].suspects;
    }
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    assert_int_equal(torn, 0);
    assert_true(copies > 10);
}

static void addresses_are_written_as_people_write_them(void **unused)
{
    (void)unused;
    char text[BOARD_ADDRESS_TEXT];
    struct board_address v4 = loopback(8080), none = { 0 };
    assert_string_equal(board_address_format(&v4, text), "127.0.0.1:8080");
    assert_string_equal(board_address_format(&none, text), "-");

    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct board_address v6 = { .len = sizeof(in6) };
    memcpy(&v6.u, &in6, sizeof(in6));
    assert_string_equal(board_address_format(&v6, text), "[::1]:80");

    struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/app.sock" };
    struct board_address path = { .len = sizeof(un) };
    memcpy(&path.u, &un, sizeof(un));
    assert_string_equal(board_address_format(&path, text), "unix:/run/app.sock");
}

static void gauges_count_only_the_generation_asked_for(void **unused)
{
    (void)unused;
    struct err err = { 0 };
    struct gauges *gauges = gauges_new(2, &err);
    assert_non_null(gauges);
    gauges->worker[0].endpoints[5].generation = 9;
    gauges->worker[0].endpoints[5].inflight = 3;
    gauges->worker[1].endpoints[5].generation = 8;
    gauges->worker[1].endpoints[5].inflight = 4;
    assert_int_equal(gauges_inflight(gauges, 5, 9), 3);
    assert_int_equal(gauges_inflight(gauges, 5, 8), 4);
    assert_int_equal(gauges_inflight(gauges, 5, 7), 0);
    gauges_free(gauges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_copies_only_when_something_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_endpoint_stays_readable_and_a_new_one_has_another_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_has_one_slot_however_often_it_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(full_is_an_error_and_not_an_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_never_sees_half_a_change, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_are_written_as_people_write_them, setup, teardown),
        cmocka_unit_test(gauges_count_only_the_generation_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
