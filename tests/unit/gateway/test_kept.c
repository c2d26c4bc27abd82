/* SPDX-License-Identifier: MIT
 *
 * Which kept connection a request goes out on: the endpoint may be closing it just now.
 */
#include "rig.h"

static struct client client;

/* One exchange; how many connections the endpoint has seen by then. */
static uint32_t connections_after(const char *method, const char *path)
{
    assert_int_equal(fetch(&rig, &client, method, path), 200);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0); /* its connection is kept by then */
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
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

/* The request was on its way to it while it was being closed: its end acknowledges nothing of the request. */
static void a_post_that_was_not_even_received_is_sent_again(void **unused)
{
    (void)unused;
    assert_int_equal(connections_after("POST", "/deaf"), 1);
    assert_int_equal(connections_after("POST", "/"), 2);
    assert_int_equal(rig.up[0].seen->posts, 2);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].retried, 1);
}

static void one_that_was_received_is_not(void **unused)
{
    (void)unused;
    assert_int_equal(connections_after("POST", "/"), 1);
    assert_int_equal(fetch(&rig, &client, "POST", "/close"), 502);
    assert_int_equal(fetch(&rig, &client, "POST", "/reset"), 502);
    assert_int_equal(rig.up[0].seen->posts, 3);
}

static void nothing_goes_twice_near_the_end_that_an_endpoint_was_seen_to_make(void **unused)
{
    (void)unused;
    assert_int_equal(connections_after("POST", "/brief"), 1);
    unsigned kept = rig_descriptors(&rig);
    WAIT_FOR(rig_descriptors(&rig) == kept - 1); /* closed by the endpoint after 800 ms */
    assert_int_equal(connections_after("POST", "/brief"), 2);
    clock_sleep(500 * NS_PER_MS);                             /* more than half of that */
    assert_int_equal(connections_after("POST", "/brief"), 3); /* though the other one is still there */
    assert_int_equal(connections_after("GET", "/brief"), 3);
}

/* Only what is at hand can be sent again, whatever its method. */
static void what_does_not_fit_into_a_block_goes_on_a_connection_of_its_own(void **unused)
{
    static char body[100000];
    (void)unused;
    assert_int_equal(connections_after("GET", "/"), 1);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"));
    assert_true(put(client.fd, body, sizeof(body)));
    assert_int_equal(client_response(&client, HTTP1_PUT), 200);
    assert_int_equal(rig.up[0].seen->connections, 2);
    /* One that will fit does not, although its body comes later. */
    assert_true(puts_fd(client.fd, "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 10000\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 3);
    assert_true(put(client.fd, body, 10000));
    assert_int_equal(client_response(&client, HTTP1_PUT), 200);
    assert_int_equal(rig.up[0].seen->connections, 2);
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_may_not_be_sent_twice_goes_on_a_connection_that_is_fresh, rig_ready, over),
        cmocka_unit_test_setup_teardown(a_connection_is_given_up_before_the_endpoint_does, rig_ready, over),
        cmocka_unit_test_setup_teardown(a_post_that_was_not_even_received_is_sent_again, rig_ready, over),
        cmocka_unit_test_setup_teardown(one_that_was_received_is_not, rig_ready, over),
        cmocka_unit_test_setup_teardown(nothing_goes_twice_near_the_end_that_an_endpoint_was_seen_to_make, rig_ready,
                                        over),
        cmocka_unit_test_setup_teardown(what_does_not_fit_into_a_block_goes_on_a_connection_of_its_own, rig_ready,
                                        over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
