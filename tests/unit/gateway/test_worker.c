/* SPDX-License-Identifier: MIT
 *
 * A real worker between real sockets. Each test starts its own, so that they do not depend on each other.
 */
#include "rig.h"

static struct rig rig;
static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .served_by = true });
    return 0;
}

static int over(void **unused)
{
    (void)unused;
    rig_end(&rig);
    return 0;
}

static void a_request_goes_round_and_the_connection_is_kept(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    for (int i = 0; i < 20; i++) {
        assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        assert_string_equal(client.body, "hello from app-1\n");
    }
    client_close(&client);
    assert_int_equal(rig.up[0].seen->requests, 20);
    assert_int_equal(rig.up[0].seen->connections, 1);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].status[2], 20);
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_goes_round_and_the_connection_is_kept, ready, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
