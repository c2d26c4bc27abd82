/* SPDX-License-Identifier: MIT
 *
 * What clients may do at a real worker: slow ones, many from one address, those that ask too often or too much.
 */
#include "rig.h"

static struct client client;
static struct board_limits limits;

static void start_as(enum board_protocol protocol, const struct board_limits *changed, unsigned all_connections)
{
    rig_start(&rig,
              &(struct rig_options){ .protocol = protocol, .limits = changed, .all_connections = all_connections });
    rig_upstream(&rig, 0, NULL);
}

static void start(const struct board_limits *changed, unsigned all_connections)
{
    start_as(BOARD_HTTP, changed, all_connections);
}

static int usual(void **unused)
{
    (void)unused;
    limits = board_usual_limits;
    return 0;
}

static uint64_t counted(enum gauge_limit limit)
{
    return rig.gauges->worker[0].limits[limit];
}

static void slow_heads_get_408(void **unused)
{
    (void)unused;
    limits.header_timeout_ns = 150 * NS_PER_MS;
    start(&limits, 0);
    client_open(&client, &rig);
    int64_t begun = clock_now();
    /* A byte now and then does not help. */
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\n"));
    while (counted(GAUGE_HEADER_TIMEOUT) == 0 && clock_now() - begun < 10 * NS_PER_S) {
        (void)puts_fd(client.fd, "x");
        clock_sleep(20 * NS_PER_MS);
    }
    assert_int_equal(client_response(&client, HTTP1_GET), 408);
    assert_true(clock_now() - begun >= 150 * NS_PER_MS);
    client_close(&client);
    assert_int_equal(rig.up[0].seen->requests, 0);
}

static void slow_bodies_get_408_and_the_instance_is_not_blamed(void **unused)
{
    (void)unused;
    limits.body_timeout_ns = 200 * NS_PER_MS;
    limits.body_rate = 1000;
    start(&limits, 0);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"));
    int64_t begun = clock_now();
    /* 50 bytes a second where a thousand are asked for: as slow as none. */
    while (counted(GAUGE_BODY_TIMEOUT) == 0 && clock_now() - begun < 10 * NS_PER_S) {
        (void)puts_fd(client.fd, "x");
        clock_sleep(20 * NS_PER_MS);
    }
    assert_int_equal(client_response(&client, HTTP1_POST), 408);
    assert_in_range(clock_now() - begun, 200 * NS_PER_MS, 20 * NS_PER_S);
    client_close(&client);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0);
    assert_int_equal(rig_gauge(&rig, 0)->errors, 0);
}

static void a_body_that_comes_steadily_may_take_longer_than_the_timeout(void **unused)
{
    (void)unused;
    limits.body_timeout_ns = NS_PER_S;
    limits.body_rate = 100;
    start(&limits, 0);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 500\r\n\r\n"));
    for (int i = 0; i < 50; i++) {
        assert_true(puts_fd(client.fd, "0123456789"));
        clock_sleep(25 * NS_PER_MS);
    }
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    client_close(&client);
    assert_int_equal(counted(GAUGE_BODY_TIMEOUT), 0);
}

/* An upstream that takes nothing is not the client's fault. */
static void a_slow_instance_does_not_make_the_client_late(void **unused)
{
    (void)unused;
    static char piece[1 << 20];
    limits.body_timeout_ns = 100 * NS_PER_MS;
    start(&limits, 0);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /wait HTTP/1.1\r\nHost: t\r\nContent-Length: 1677721600\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    (void)fcntl(client.fd, F_SETFL, O_NONBLOCK);
    for (int64_t until = clock_now() + 500 * NS_PER_MS; clock_now() < until; clock_sleep(5 * NS_PER_MS))
        (void)send(client.fd, piece, sizeof(piece), MSG_NOSIGNAL); /* as much as goes in */
    assert_int_equal(counted(GAUGE_BODY_TIMEOUT), 0);
    client_close(&client);
}

/* Nor does one that has not asked for the body yet: the client was told to expect that. */
static void who_expects_to_be_asked_for_the_body_is_late_only_afterwards(void **unused)
{
    (void)unused;
    limits.body_timeout_ns = 100 * NS_PER_MS;
    start(&limits, 0);
    client_open(&client, &rig);
    assert_true(
        puts_fd(client.fd, "POST /wait HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    clock_sleep(300 * NS_PER_MS);
    assert_int_equal(counted(GAUGE_BODY_TIMEOUT), 0);
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_POST), 100);
    assert_int_equal(client_response(&client, HTTP1_POST), 408);
    client_close(&client);
    assert_int_equal(counted(GAUGE_BODY_TIMEOUT), 1);
}

static void idle_connections_are_closed_after_their_time(void **unused)
{
    (void)unused;
    limits.keep_alive_ns = 100 * NS_PER_MS;
    start(&limits, 0);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_true(client_ended(&client));
    client_close(&client);
    assert_int_equal(counted(GAUGE_KEEP_ALIVE), 1);
}

static void one_address_may_not_have_them_all(void **unused)
{
    (void)unused;
    static struct client many[3];
    limits.source_connections = 3;
    start(&limits, 0);
    for (int i = 0; i < 3; i++)
        client_open(&many[i], &rig);
    WAIT_FOR(rig.gauges->worker[0].connections == 3);
    client_open(&client, &rig);
    assert_int_equal(client_response(&client, HTTP1_GET), 429);
    assert_true(client_ended(&client));
    client_close(&client);
    assert_int_equal(counted(GAUGE_SOURCE_CONNECTIONS), 1);
    client_close(&many[0]);
    WAIT_FOR(rig.gauges->worker[0].connections == 2);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    client_close(&many[1]);
    client_close(&many[2]);
}

static void tcp_is_limited_by_address_as_well(void **unused)
{
    (void)unused;
    static struct client first;
    limits.source_connections = 1;
    start_as(BOARD_TCP, &limits, 0);
    client_open(&first, &rig);
    assert_true(puts_fd(first.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&first, HTTP1_GET), 200);
    client_open(&client, &rig);
    assert_true(client_ended(&client)); /* without a word: nobody knows what language it speaks */
    client_close(&client);
    assert_int_equal(counted(GAUGE_SOURCE_CONNECTIONS), 1);
    client_close(&first);
}

static void trusted_proxies_speak_for_many(void **unused)
{
    (void)unused;
    static struct client many[4];
    limits.source_connections = 1;
    limits.source_interval_ns = 3600 * NS_PER_S;
    start(&limits, 0);
    rig.board->trusted[0] = (struct board_network){ .address = { 127 }, .family = AF_INET, .bits = 8 };
    rig.board->used_trusted = 1;
    board_write_begin(rig.board);
    board_write_end(rig.board);
    ring(&rig);
    for (int i = 0; i < 4; i++) {
        client_open(&many[i], &rig);
        assert_true(puts_fd(many[i].fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_int_equal(client_response(&many[i], HTTP1_GET), 200);
    }
    for (int i = 0; i < 4; i++)
        client_close(&many[i]);
    /* For whom it speaks is another matter: the last address that no proxy of ours has. */
    static const struct {
        const char *named;
        int status;
    } requests[] = {
        { "192.0.2.1", 200 },
        { "192.0.2.1", 429 },
        { "192.0.2.2", 200 },
        { "198.51.100.9, 192.0.2.1", 429 }, /* what the client itself says counts for nothing */
        { "192.0.2.1, 127.0.0.9", 429 },    /* two proxies of ours */
        { "[2001:db8::1]:4711", 200 },
        { "2001:db8::2", 429 }, /* of the same network */
        { "nobody", 200 },
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: %s\r\n\r\n",
                       requests[i].named);
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, text));
        int status = client_response(&client, HTTP1_GET);
        if (status != requests[i].status)
            fail_msg("%s: %d", requests[i].named, status);
        client_close(&client);
    }
}

static void who_asks_too_often_is_told_when_to_come_again(void **unused)
{
    (void)unused;
    limits.source_interval_ns = 20 * NS_PER_S;
    limits.source_burst = 3;
    start(&limits, 0);
    client_open(&client, &rig);
    for (int i = 0; i < 4; i++) {
        assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), i < 3 ? 200 : 429);
    }
    unsigned retry_after = 0;
    for (unsigned i = 0; i < client.head.headers; i++)
        if (client.head.header[i].field == HTTP1_FIELD_RETRY_AFTER)
            retry_after = (unsigned)client.head.header[i].value.len;
    assert_int_equal(retry_after, 2); /* two digits: 20, or 19 */
    assert_true(client.head.keep_alive);
    client_close(&client);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 429); /* another connection is no other address */
    assert_int_equal(counted(GAUGE_SOURCE_REQUESTS), 2);
    assert_int_equal(rig.up[0].seen->requests, 3);
    WAIT_FOR(rig.gauges->worker[0].routes[rig.route].status[4] == 2);
}

/* The limit comes with a change of the file: connections that are there already know it, too. */
static void a_limit_that_comes_later_holds_for_whom_is_there(void **unused)
{
    (void)unused;
    start(&limits, 0);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    board_write_begin(rig.board);
    rig.board->listeners[0].limits.source_interval_ns = 20 * NS_PER_S;
    board_write_end(rig.board);
    ring(&rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 429);
    client_close(&client);
}

static void heads_have_a_size_and_a_number_of_fields(void **unused)
{
    (void)unused;
    char text[1024];
    limits.header_size = 400;
    limits.header_count = 3;
    limits.target_size = 20;
    start(&limits, 0);
    static const struct {
        const char *head;
        int padding, status;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: t\r\nA: 1\r\nB: 2\r\n", 0, 200 },
        { "GET / HTTP/1.1\r\nHost: t\r\nA: 1\r\nB: 2\r\nC: 3\r\n", 0, 431 },
        { "GET / HTTP/1.1\r\nHost: t\r\nA: ", 300, 200 },
        { "GET / HTTP/1.1\r\nHost: t\r\nA: ", 400, 431 },
        { "GET /2345678901234567890 HTTP/1.1\r\nHost: t\r\n", 0, 200 },
        { "GET /23456789012345678901 HTTP/1.1\r\nHost: t\r\n", 0, 414 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s%0*d%s\r\n", cases[i].head, cases[i].padding, 0,
                       cases[i].padding > 0 ? "\r\n" : "");
        if (cases[i].padding == 0)
            (void)snprintf(text, sizeof(text), "%s\r\n", cases[i].head);
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, text));
        int status = client_response(&client, HTTP1_GET);
        if (status != cases[i].status)
            fail_msg("case %zu: %d", i, status);
        client_close(&client);
    }
    assert_int_equal(counted(GAUGE_HEADER_SIZE), 3);
}

static void more_in_all_than_the_file_allows_are_turned_away(void **unused)
{
    (void)unused;
    static struct client many[2];
    start(&limits, 2);
    for (int i = 0; i < 2; i++) {
        client_open(&many[i], &rig);
        assert_true(puts_fd(many[i].fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"));
    }
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 2); /* none of them is idle */
    client_open(&client, &rig);
    assert_int_equal(client_response(&client, HTTP1_GET), 503);
    client_close(&client);
    assert_int_equal(counted(GAUGE_CONNECTIONS), 1);
    client_close(&many[0]);
    client_close(&many[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slow_heads_get_408, usual, over),
        cmocka_unit_test_setup_teardown(slow_bodies_get_408_and_the_instance_is_not_blamed, usual, over),
        cmocka_unit_test_setup_teardown(a_body_that_comes_steadily_may_take_longer_than_the_timeout, usual, over),
        cmocka_unit_test_setup_teardown(a_slow_instance_does_not_make_the_client_late, usual, over),
        cmocka_unit_test_setup_teardown(who_expects_to_be_asked_for_the_body_is_late_only_afterwards, usual, over),
        cmocka_unit_test_setup_teardown(idle_connections_are_closed_after_their_time, usual, over),
        cmocka_unit_test_setup_teardown(one_address_may_not_have_them_all, usual, over),
        cmocka_unit_test_setup_teardown(tcp_is_limited_by_address_as_well, usual, over),
        cmocka_unit_test_setup_teardown(trusted_proxies_speak_for_many, usual, over),
        cmocka_unit_test_setup_teardown(who_asks_too_often_is_told_when_to_come_again, usual, over),
        cmocka_unit_test_setup_teardown(a_limit_that_comes_later_holds_for_whom_is_there, usual, over),
        cmocka_unit_test_setup_teardown(heads_have_a_size_and_a_number_of_fields, usual, over),
        cmocka_unit_test_setup_teardown(more_in_all_than_the_file_allows_are_turned_away, usual, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
