/* SPDX-License-Identifier: MIT
 *
 * Which kept connection a request goes out on: the endpoint may be closing it just now.
 */
#include "rig.h"

static struct rig rig;
static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ 0 });
    rig_upstream(&rig, 0, NULL);
    return 0;
}

static int over(void **unused)
{
    (void)unused;
    rig_end(&rig);
    return 0;
}

/* One exchange; how many connections the endpoint has seen by then. */
static uint32_t connections_after(const char *method, const char *path)
{
    assert_int_equal(fetch(&rig, &client, method, path), 200);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0); /* its connection is kept by then */
    return rig.up[0].seen->connections;
}

static void what_may_not_be_sent_twice_goes_on_a_connection_that_is_fresh(void **unused)
{
    (void)unused;
    assert_int_equal(connections_after("POST", "/"), 1);
    assert_int_equal(connections_after("POST", "/"), 1);
    clock_sleep(1100 * NS_PER_MS); /* what the rule is about */
    assert_int_equal(connections_after("POST", "/"), 2);
    clock_sleep(1100 * NS_PER_MS);
    assert_int_equal(connections_after("GET", "/"), 2); /* would be sent again */
}

static void a_connection_is_given_up_before_the_endpoint_does(void **unused)
{
    (void)unused;
    assert_int_equal(connections_after("GET", "/keep-1"), 1);
    assert_int_equal(connections_after("GET", "/keep-1"), 1);
    clock_sleep(700 * NS_PER_MS); /* of the one second that it said */
    assert_int_equal(connections_after("GET", "/keep-1"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_may_not_be_sent_twice_goes_on_a_connection_that_is_fresh, ready, over),
        cmocka_unit_test_setup_teardown(a_connection_is_given_up_before_the_endpoint_does, ready, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
