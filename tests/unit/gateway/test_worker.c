/* SPDX-License-Identifier: MIT
 *
 * A real worker between real sockets. Each test starts its own, so that they do not depend on each other.
 */
#include "rig.h"

static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .served_by = true });
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
    WAIT_FOR(rig.gauges->worker[0].routes[rig.route].status[2] == 20); /* counted after it was sent */
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 0);
}

/* Nagle's algorithm at such an upstream waits for our acknowledgement, which a kernel likes to delay by 40 ms. */
static void a_head_and_a_body_in_two_writes_do_not_wait_for_each_other(void **unused)
{
    (void)unused;
    enum { REQUESTS = 100 };
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    int at_once = 0;
    for (int i = 0; i < REQUESTS; i++) {
        int64_t begun = clock_now();
        assert_true(puts_fd(client.fd, "GET /mirror HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        at_once += clock_now() - begun < 30 * NS_PER_MS;
    }
    client_close(&client);
    assert_true(at_once > REQUESTS / 2);
}

/* Sends `text` on a connection of its own and reads one answer. */
static int exchange(const char *text, enum http1_method method)
{
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, text));
    int status = client_response(&client, method);
    client_close(&client);
    return status;
}

/* --- bodies and framing ----------------------------------------------------------------------------------------- */

static void bodies_go_up_and_down_in_every_framing(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"));
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_string_equal(client.body, "hello");
    assert_int_equal(client.head.framing, HTTP1_CHUNKED);

    assert_true(puts_fd(client.fd, "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    WAIT_FOR(rig.up[0].seen->body_bytes == 8);
    assert_true(puts_fd(client.fd, "4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_string_equal(client.body, "abcdefg");

    /* That answer began while the request was still being sent, so the connection may have been ended after it. */
    client_close(&client);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /chunked HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "abcdefg");
    assert_true(puts_fd(client.fd, "GET /204 HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 204);
    assert_true(puts_fd(client.fd, "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_HEAD), 200);
    assert_int_equal(client.head.content_length, strlen("hello from app-1\n"));
    assert_true(puts_fd(client.fd, "GET /until-close HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "all there is");
    client_close(&client);
}

static void interim_answers_are_passed_on(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /hints HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 103);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "ok");

    assert_true(puts_fd(client.fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_POST), 100);
    assert_int_equal(rig.up[0].seen->body_bytes, 0);
    assert_true(puts_fd(client.fd, "abc"));
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_int_equal(rig.up[0].seen->body_bytes, 3);
    client_close(&client);
}

static void a_client_of_http_1_0_gets_no_chunks_and_no_interim_answers(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(exchange("GET /chunked HTTP/1.0\r\n\r\n", HTTP1_GET), 200);
    assert_int_equal(client.head.framing, HTTP1_UNTIL_CLOSE);
    assert_string_equal(client.body, "abcdefg");
    assert_int_equal(exchange("GET /hints HTTP/1.0\r\n\r\n", HTTP1_GET), 200);
    client_open(&client, &rig);
    for (int i = 0; i < 2; i++) {
        assert_true(puts_fd(client.fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
    }
    client_close(&client);
}

static void pipelined_requests_are_answered_in_order(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
                                   "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
                                   "GET /204 HTTP/1.1\r\nHost: t\r\n\r\n"
                                   "GET /chunked HTTP/1.1\r\nHost: t\r\n\r\nGET / HT"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "hello from app-1\n");
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_string_equal(client.body, "abc");
    assert_int_equal(client_response(&client, HTTP1_GET), 204);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "abcdefg");
    assert_true(puts_fd(client.fd, "TP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
}

static void heads_are_rewritten_for_the_next_hop(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(
        exchange("GET http://shop.example/mirror HTTP/1.1\r\nHost: other\r\nX-Mine: 1\r\n"
                 "Connection: x-secret\r\nX-Secret: 2\r\nKeep-Alive: 5\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
                 HTTP1_GET),
        200);
    static const char before_id[] = "GET /mirror HTTP/1.1\r\nHost: shop.example\r\nX-Mine: 1\r\n"
                                    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
                                    "X-Forwarded-Host: shop.example\r\n"
                                    "Forwarded: for=127.0.0.1;host=\"shop.example\";proto=http\r\nX-Request-Id: ";
    assert_memory_equal(client.body, before_id, strlen(before_id));
    assert_int_equal(strspn(client.body + strlen(before_id), "0123456789abcdef"), 32);
    assert_string_equal(client.body + strlen(before_id) + 32, "\r\n\r\n");
    bool named = false;
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    for (int i = 0; i < client.head.headers; i++)
        named = named || client.head.header[i].field == HTTP1_FIELD_X_SERVED_BY;
    assert_true(named);
}

/* What the client sees of a large transfer is checked byte by byte; a slow reader makes the gateway wait, not grow. */
static void large_bodies_arrive_whole_in_both_directions(void **unused)
{
    (void)unused;
    const uint64_t total = BIG;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /big HTTP/1.1\r\nHost: t\r\n\r\n"));
    clock_sleep(50 * NS_PER_MS); /* everything on the way is full by now */
    uint64_t got = 0;
    while (http1_parse_response(client.buf, client.len, HTTP1_GET, &http1_default_limits, &client.head) == 0)
        assert_true(client_fill(&client));
    assert_int_equal(client.head.content_length, total);
    size_t at = client.head.len;
    while (got < total) {
        for (; at + 8 <= client.len; at += 8, got += 8) {
            uint64_t word;
            memcpy(&word, client.buf + at, 8);
            assert_true(word == big_word(got));
        }
        memmove(client.buf, client.buf + at, client.len - at);
        client.len -= at;
        at = 0;
        if (got < total)
            assert_true(client_fill(&client));
    }

    /* Upwards; the same connection was kept. */
    static char piece[65536];
    assert_true(puts_fd(client.fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 67108864\r\n\r\n"));
    for (uint64_t sent = 0; sent < total; sent += sizeof(piece))
        assert_true(put(client.fd, piece, sizeof(piece)));
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_int_equal(rig.up[0].seen->body_bytes, total);
    client_close(&client);
}

static void an_early_answer_reaches_a_client_that_is_still_sending(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nsome"));
    assert_int_equal(client_response(&client, HTTP1_POST), 413);
    assert_false(client.head.keep_alive);
    assert_true(puts_fd(client.fd, "more of it"));
    assert_true(client_ended(&client));
    client_close(&client);
}

/* Who reads only when all is said may take longer for that than one may be silent. */
static void an_early_answer_waits_for_who_still_sends(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nsome"));
    for (int i = 0; i < 58; i++) {
        clock_sleep(100 * NS_PER_MS);
        assert_true(puts_fd(client.fd, "more of it"));
    }
    assert_int_equal(client_response(&client, HTTP1_POST), 413);
    client_close(&client);
}

static void a_half_closed_client_still_gets_its_answer(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    WAIT_FOR(rig.up[0].seen->requests == 1);
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_true(client_ended(&client));
    client_close(&client);
}

static void an_upgrade_becomes_a_tunnel(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(
        puts_fd(client.fd, "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly"));
    assert_int_equal(client_response(&client, HTTP1_GET), 101);
    while (client.len < strlen("welcomeearly"))
        assert_true(client_fill(&client));
    assert_memory_equal(client.buf, "welcomeearly", 12);
    client.len = 0;
    assert_true(puts_fd(client.fd, "later"));
    while (client.len < 5)
        assert_true(client_fill(&client));
    assert_memory_equal(client.buf, "later", 5);
    client.len = 0;
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 1);
    assert_int_equal(rig_gauge(&rig, 0)->upgraded, 1);
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    assert_true(client_ended(&client));
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0);
    assert_int_equal(rig_gauge(&rig, 0)->upgraded, 0);
    client_close(&client);
}

static void a_unix_socket_serves_as_well(void **unused)
{
    (void)unused;
    char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/daruma-test-%d.sock", (int)getpid());
    rig_upstream(&rig, 0, path);
    client_open(&client, &rig);
    for (int i = 0; i < 3; i++) {
        assert_true(puts_fd(client.fd, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"));
        assert_int_equal(client_response(&client, HTTP1_POST), 200);
        assert_string_equal(client.body, "hello");
    }
    client_close(&client);
    assert_int_equal(rig.up[0].seen->connections, 1);
}

/* --- bad input -------------------------------------------------------------------------------------------------- */

static void an_ipv6_endpoint_serves_as_well(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, "[::1]");
    for (int i = 0; i < 3; i++)
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    assert_int_equal(rig.up[0].seen->connections, 1);
}

static void malformed_requests_never_reach_an_instance(void **unused)
{
    (void)unused;
    static const struct {
        int status;
        const char *text;
    } bad[] = {
        { 400, "GET / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n" },
        { 400, "GET / HTTP/1.1\nHost: t\n\n" },
        { 400, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" },
        { 400, "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: t\r\nA : b\r\n\r\n" },
        { 501, "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" },
        { 501, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n" },
        { 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
        { 505, "GET / HTTP/3.0\r\nHost: t\r\n\r\n" },
        { 413, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n" },
    };
    static char large[20000];
    rig_upstream(&rig, 0, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, bad[i].text));
        int status = client_response(&client, HTTP1_GET);
        if (status != bad[i].status)
            fail_msg("%d instead of %d: %s", status, bad[i].status, bad[i].text);
        assert_true(strncmp(client.body, "daruma: ", 8) == 0);
        client_close(&client);
    }
    int len = snprintf(large, sizeof(large), "GET /%09000d HTTP/1.1\r\n", 0);
    assert_int_equal(exchange(large, HTTP1_GET), 414);
    len = snprintf(large, sizeof(large), "GET / HTTP/1.1\r\nHost: t\r\nA: %017000d\r\n\r\n", 0);
    assert_true(len > 0);
    assert_int_equal(exchange(large, HTTP1_GET), 431);
    assert_int_equal(rig.up[0].seen->requests, 0);
    assert_true(rig.gauges->worker[0].bad_requests > 10);
}

/* --- failures --------------------------------------------------------------------------------------------------- */

static void a_get_that_was_reset_goes_elsewhere_and_a_post_does_not(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    client_open(&client, &rig);
    /* Both reset it: the attempts are spent, each instance saw it once. */
    assert_true(puts_fd(client.fd, "GET /reset HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 502);
    assert_int_equal(rig.up[0].seen->requests, 1);
    assert_int_equal(rig.up[1].seen->requests, 1);
    assert_true(puts_fd(client.fd, "POST /close HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi"));
    assert_int_equal(client_response(&client, HTTP1_POST), 502);
    assert_int_equal(rig.up[0].seen->posts + rig.up[1].seen->posts, 1);
    assert_true(
        puts_fd(client.fd, "POST /close HTTP/1.1\r\nHost: t\r\nIdempotency-Key: 7\r\nContent-Length: 2\r\n\r\nhi"));
    assert_int_equal(client_response(&client, HTTP1_POST), 502);
    assert_int_equal(rig.up[0].seen->posts + rig.up[1].seen->posts, 3);
    /* A key that goes no further than this hop is none that the instances could know. */
    assert_true(puts_fd(client.fd, "POST /close HTTP/1.1\r\nHost: t\r\nIdempotency-Key: 7\r\n"
                                   "Connection: Idempotency-Key\r\nContent-Length: 2\r\n\r\nhi"));
    assert_int_equal(client_response(&client, HTTP1_POST), 502);
    assert_int_equal(rig.up[0].seen->posts + rig.up[1].seen->posts, 4);
    client_close(&client);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].retry_denied, 2);
}

static int ready_round_robin(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .placement = BOARD_ROUND_ROBIN });
    return 0;
}

static void a_refused_connection_costs_nobody_anything(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    upstream_kill(&rig.up[0]); /* and the board does not know */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fetch(&rig, &client, i % 2 ? "GET" : "POST", "/"), 200);
        assert_string_equal(client.body, "hello from app-2\n");
    }
    assert_int_equal(rig_gauge(&rig, 0)->ejected, 1);
    assert_true(rig_gauge(&rig, 0)->errors <= 3);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 0);
}

static void a_500_is_tried_elsewhere_and_given_when_there_is_no_elsewhere(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(fetch(&rig, &client, "GET", "/500"), 500);
    assert_string_equal(client.body, "oops\n");
    assert_int_equal(rig.up[0].seen->requests, 1);
    rig_upstream(&rig, 1, NULL);
    WAIT_FOR(rig_gauge(&rig, 1)->generation == 1);
    assert_int_equal(fetch(&rig, &client, "GET", "/500"), 500);
    assert_string_equal(client.body, "oops\n");
    assert_int_equal(rig.up[0].seen->requests + rig.up[1].seen->requests, 3);
    assert_int_equal(fetch(&rig, &client, "POST", "/500"), 500);
    assert_int_equal(rig.up[0].seen->requests + rig.up[1].seen->requests, 4);
}

static void an_answer_that_is_cut_off_or_no_http_is_not_passed_on_as_whole(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(fetch(&rig, &client, "GET", "/half"), 0);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].truncated, 1);
    assert_int_equal(fetch(&rig, &client, "GET", "/garbage"), 502);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
}

static int ready_impatient(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .response_timeout_ns = 500 * NS_PER_MS, .hold_ns = 150 * NS_PER_MS });
    return 0;
}

static void a_hung_instance_is_given_up_in_time(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(fetch(&rig, &client, "GET", "/wait"), 504);
    assert_int_equal(kill(rig.up[0].pid, SIGSTOP), 0);
    rig_upstream(&rig, 1, NULL);
    WAIT_FOR(rig_gauge(&rig, 1)->generation == 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
}

static void a_kept_connection_that_was_closed_is_no_reason_to_fail(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    for (int i = 0; i < 30; i++) {
        /* This one's connection is closed by the upstream right behind the answer. */
        assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
    }
    upstream_kill(&rig.up[0]);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 0);
    rig_upstream(&rig, 1, NULL);
    assert_true(puts_fd(client.fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_string_equal(client.body, "hello from app-2\n");
    client_close(&client);
}

/* --- hold ------------------------------------------------------------------------------------------------------- */

static void a_request_is_held_until_an_endpoint_appears(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"));
    WAIT_FOR(rig.gauges->worker[0].holding == 1);
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    assert_string_equal(client.body, "hello");
    client_close(&client);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].held, 1);
    assert_int_equal(rig.gauges->worker[0].holding, 0);
}

static void what_is_held_too_long_gets_503_and_is_told_when_to_come_back(void **unused)
{
    (void)unused;
    int64_t began = clock_now();
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 503);
    assert_true(clock_now() - began >= 150 * NS_PER_MS);
    bool retry_after = false;
    for (int i = 0; i < client.head.headers; i++)
        retry_after = retry_after || client.head.header[i].field == HTTP1_FIELD_RETRY_AFTER;
    assert_true(retry_after && client.head.keep_alive);
    client_close(&client);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].hold_expired, 1);
}

static void nobody_waits_for_what_will_not_come(void **unused)
{
    (void)unused;
    static struct client late;
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.gauges->worker[0].holding == 1);
    int64_t began = clock_now();
    board_service_vacate(rig.board, "app", true);
    ring(&rig);
    assert_int_equal(client_response(&client, HTTP1_GET), 503);
    assert_int_equal(rig.gauges->worker[0].holding, 0);
    assert_int_equal(fetch(&rig, &late, "GET", "/"), 503);
    assert_true(clock_now() - began < 5 * NS_PER_S);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].held, 1);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].hold_expired, 0);
    /* Somebody has brought it back; the same connection goes on. */
    board_service_vacate(rig.board, "app", false);
    ring(&rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.gauges->worker[0].holding == 1);
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
}

/* --- deaths ----------------------------------------------------------------------------------------------------- */

static void the_only_instance_is_killed_and_its_request_waits_for_the_next_one(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 1);
    upstream_kill(&rig.up[0]);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 1);
    WAIT_FOR(rig.gauges->worker[0].holding == 1);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 0);
    rig_upstream(&rig, 1, NULL);
    WAIT_FOR(rig.up[1].seen->requests == 1);
    assert_int_equal(write(rig.up[1].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "hello from app-2\n");
    client_close(&client);
}

static void a_board_that_is_late_costs_no_request_of_the_only_instance(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    upstream_kill(&rig.up[0]);
    /* The first verdict's time is over, and the second attempt was refused. */
    WAIT_FOR(rig_gauge(&rig, 0)->requests >= 2);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 1);
    rig_upstream(&rig, 1, NULL);
    WAIT_FOR(rig.up[1].seen->requests == 1);
    assert_int_equal(write(rig.up[1].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
}

static void a_writer_that_died_in_the_middle_of_a_change_stops_nobody(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    board_write_begin(rig.board);
    ring(&rig);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    board_write_end(rig.board);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_STOP, 0);
    rig_upstream(&rig, 1, NULL);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    assert_string_equal(client.body, "hello from app-2\n");
}

static void a_killed_instance_counts_its_request_until_the_cause_is_known(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /wait HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    upstream_kill(&rig.up[0]);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 1);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 1);
    rig_upstream(&rig, 1, NULL);
    /* It may have been executed: it is not sent again. */
    assert_int_equal(client_response(&client, HTTP1_POST), 502);
    assert_int_equal(rig.up[1].seen->requests, 0);
    client_close(&client);
}

/* An engine takes its time to say how a container died; that it is dead is known at once. */
static void the_cause_of_a_lost_instance_is_waited_for(void **unused)
{
    static struct client other;
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    upstream_kill(&rig.up[0]);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_LOST, CAUSE_NONE, 0);
    rig_upstream(&rig, 1, NULL);
    usleep(100 * 1000); /* several times what a verdict takes otherwise */
    assert_int_equal(rig.up[1].seen->requests, 0);
    assert_int_equal(fetch(&rig, &other, "GET", "/"), 200);
    assert_string_equal(other.body, "hello from app-2\n");
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_EXIT, 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 502);
    assert_int_equal(rig.up[1].seen->requests, 1);
    client_close(&client);
}

/* One of two instances gets a request that only ends with it, and breaks it off; whether it lives was never asked. Returns
   which one. */
static int break_off(int64_t alive_ns)
{
    for (int i = 0; i < 2; i++) {
        rig_upstream(&rig, i, NULL);
        board_endpoint_alive(rig.board, rig.endpoint[i], alive_ns);
    }
    ring(&rig);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests + rig.up[1].seen->requests == 1);
    int victim = rig.up[0].seen->requests == 1 ? 0 : 1;
    upstream_kill(&rig.up[victim]);
    return victim;
}

static void a_break_counts_as_none_of_a_death_only_when_the_supervisor_has_looked(void **unused)
{
    uint64_t rung;
    (void)unused;
    int victim = break_off(0);
    WAIT_FOR(read(rig.supervisor_bell, &rung, sizeof(rung)) == sizeof(rung));
    assert_true(
        gauges_doubt_ns(rig.gauges, rig.endpoint[victim], rig.board->endpoints[rig.endpoint[victim]].generation) > 0);
    usleep(100 * 1000); /* several times what a verdict takes otherwise */
    assert_int_equal(rig.up[!victim].seen->requests, 0);
    board_endpoint_alive(rig.board, rig.endpoint[victim], clock_now());
    ring(&rig);
    WAIT_FOR(rig.up[!victim].seen->requests == 1);
    assert_int_equal(write(rig.up[!victim].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
}

static void a_late_death_is_a_death_all_the_same(void **unused)
{
    uint64_t rung;
    (void)unused;
    int victim = break_off(0);
    WAIT_FOR(read(rig.supervisor_bell, &rung, sizeof(rung)) == sizeof(rung));
    usleep(50 * 1000);
    rig_endpoint(&rig, victim, BOARD_ENDPOINT_GONE, CAUSE_EXIT, 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 502);
    assert_int_equal(rig.up[!victim].seen->requests, 0);
    client_close(&client);
}

static void nothing_is_asked_about_whom_nobody_supervises(void **unused)
{
    uint64_t rung;
    (void)unused;
    int victim = break_off(BOARD_UNSUPERVISED);
    WAIT_FOR(rig.up[!victim].seen->requests == 1);
    assert_int_equal(write(rig.up[!victim].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_int_equal(read(rig.supervisor_bell, &rung, sizeof(rung)), -1);
    client_close(&client);
}

static void the_sole_suspect_of_a_crash_is_not_tried_again(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests + rig.up[1].seen->requests == 1);
    int victim = rig.up[0].seen->requests == 1 ? 0 : 1;
    upstream_kill(&rig.up[victim]);
    rig_endpoint(&rig, victim, BOARD_ENDPOINT_GONE, CAUSE_CRASH, 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 502);
    assert_int_equal(rig.up[0].seen->requests + rig.up[1].seen->requests, 1);
    assert_int_equal(rig.gauges->worker[0].routes[rig.route].poisoned, 1);
    client_close(&client);
}

static void one_of_many_suspects_is_tried_once_more_and_then_quarantined(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    for (int i = 0; i < 2; i++) {
        WAIT_FOR(rig.up[i].seen->requests == 1);
        if (i == 0)
            rig_upstream(&rig, 1, NULL);
        upstream_kill(&rig.up[i]);
        rig_endpoint(&rig, i, BOARD_ENDPOINT_GONE, CAUSE_EXIT, 2);
    }
    assert_int_equal(client_response(&client, HTTP1_GET), 502);
    rig_upstream(&rig, 2, NULL);
    /* The same again is refused at once; another one is not. */
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 502);
    assert_int_equal(rig.up[2].seen->requests, 0);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
}

/* --- drain ------------------------------------------------------------------------------------------------------ */

static void a_draining_endpoint_gets_nothing_new_and_rings_when_it_is_empty(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1);
    rig_upstream(&rig, 1, NULL);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0);
    WAIT_FOR(rig_gauge(&rig, 1)->generation == 1);
    static struct client other;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fetch(&rig, &other, "GET", "/"), 200);
        assert_string_equal(other.body, "hello from app-2\n");
    }
    uint64_t rung;
    assert_int_equal(read(rig.supervisor_bell, &rung, 8), -1);
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    WAIT_FOR(read(rig.supervisor_bell, &rung, 8) == 8);
    assert_int_equal(gauges_inflight(rig.gauges, rig.endpoint[0], 1), 0);
    client_close(&client);
}

static void a_draining_worker_ends_what_it_has_and_goes(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    static struct client idle;
    client_open(&idle, &rig);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig.up[0].seen->requests == 1 && rig.gauges->worker[0].connections == 2);
    struct gateway_message drain = { .kind = GATEWAY_DRAIN };
    assert_int_equal(send(rig.channel, &drain, sizeof(drain), 0), sizeof(drain));
    assert_true(client_ended(&idle));
    client_close(&idle);
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_false(client.head.keep_alive);
    assert_true(client_ended(&client));
    client_close(&client);
}

/* --- limits ----------------------------------------------------------------------------------------------------- */

static int ready_small(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .connections = 4 });
    return 0;
}

static void more_clients_than_slots_are_turned_away_politely(void **unused)
{
    (void)unused;
    static struct client many[4];
    rig_upstream(&rig, 0, NULL);
    for (int i = 0; i < 4; i++) {
        client_open(&many[i], &rig);
        assert_true(puts_fd(many[i].fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"));
    }
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 4); /* none of them is idle */
    client_open(&client, &rig);
    assert_int_equal(client_response(&client, HTTP1_GET), 503);
    assert_true(client_ended(&client));
    client_close(&client);
    client_close(&many[0]);
    WAIT_FOR(rig.gauges->worker[0].connections == 3);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    for (int i = 1; i < 4; i++)
        client_close(&many[i]);
}

static void an_idle_client_makes_room_for_another_one(void **unused)
{
    (void)unused;
    static struct client many[4];
    rig_upstream(&rig, 0, NULL);
    for (int i = 0; i < 4; i++) {
        client_open(&many[i], &rig);
        assert_true(puts_fd(many[i].fd, i == 1 ? "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
                                               : "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"));
        if (i == 1)
            assert_int_equal(client_response(&many[i], HTTP1_GET), 200);
    }
    WAIT_FOR(rig.gauges->worker[0].connections == 4 && rig_gauge(&rig, 0)->inflight == 3);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    assert_int_equal(rig.gauges->worker[0].limits[GAUGE_MADE_ROOM], 1);
    assert_true(client_ended(&many[1]));
    for (int i = 0; i < 4; i++)
        client_close(&many[i]);
}

static int ready_few_files(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .files = 40 });
    return 0;
}

static void a_lack_of_descriptors_stops_accepting_and_nothing_else(void **unused)
{
    (void)unused;
    static struct client many[60];
    const struct worker_gauges *gauges = &rig.gauges->worker[0];
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    for (int i = 0; i < 60; i++)
        client_open(&many[i], &rig);
    WAIT_FOR(gauges->accept_errors > 0);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    /* It tries again now and then; it does not spin. */
    uint64_t errors = gauges->accept_errors;
    int64_t begun = clock_now();
    clock_sleep(300 * NS_PER_MS);
    errors = gauges->accept_errors - errors;
    assert_in_range(errors, 0, 2 + (clock_now() - begun) / (100 * NS_PER_MS));
    for (int i = 0; i < 60; i++)
        client_close(&many[i]);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
}

static int ready_sixteen(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .connections = 16, .hold_ns = 50 * NS_PER_MS });
    return 0;
}

/* One client that behaves badly in one of many ways. */
static void be_rude(unsigned manner)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHo",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nonly this",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        "GET /big HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\n\r\nGET /chunked HTTP/1.1\r\nHost: t\r\n\r\nGET /reset HTTP/1.1\r\nHost: "
        "t\r\n\r\n",
        "GET /half HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nmore",
        "POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nsome",
        "\r\n\r\n\r\n",
        "",
    };
    const unsigned count = sizeof(texts) / sizeof(texts[0]);
    client_open(&client, &rig);
    (void)puts_fd(client.fd, texts[manner % count]);
    switch (manner / count % 4) {
    case 0: /* gone at once */
        break;
    case 1: /* with a reset */
        (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
        break;
    case 2: /* after some bytes of the answer */
        (void)shutdown(client.fd, SHUT_WR);
        (void)!recv(client.fd, client.buf, 100, 0);
        break;
    default: /* says nothing for a moment */
        clock_sleep(2 * NS_PER_MS);
        break;
    }
    client_close(&client);
}

static void a_crowd_of_rude_clients_leaves_nothing_behind(void **unused)
{
    (void)unused;
    const struct worker_gauges *gauges = &rig.gauges->worker[0];
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    for (unsigned i = 0; i < 480; i++)
        be_rude(i);
    WAIT_FOR(gauges->connections == 0);
    assert_int_equal(rig_gauge(&rig, 0)->inflight + rig_gauge(&rig, 1)->inflight, 0);
    assert_int_equal(gauges->holding, 0);
    /* All sixteen slots, and their blocks, can be used at the same time. */
    static struct client many[16];
    for (int i = 0; i < 16; i++) {
        client_open(&many[i], &rig);
        assert_true(puts_fd(many[i].fd, "POST /wait HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi"));
    }
    WAIT_FOR(rig_gauge(&rig, 0)->inflight + rig_gauge(&rig, 1)->inflight == 16);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
        assert_int_equal(write(rig.up[1].release_fd, "x", 1), 1);
    }
    for (int i = 0; i < 16; i++) {
        assert_int_equal(client_response(&many[i], HTTP1_POST), 200);
        client_close(&many[i]);
    }
}

/* --- TCP -------------------------------------------------------------------------------------------------------- */

static int ready_tcp(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .protocol = BOARD_TCP, .hold_ns = 5 * NS_PER_S });
    return 0;
}

static void tcp_is_held_connected_and_relayed_with_half_close(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    WAIT_FOR(rig.gauges->worker[0].holding == 1);
    rig_upstream(&rig, 0, NULL);
    /* To the gateway these are just bytes. */
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    WAIT_FOR(rig.up[0].seen->requests == 1);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 1);
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_true(client_ended(&client));
    client_close(&client);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0 && rig.gauges->worker[0].connections == 0);
}

static void a_tcp_client_is_turned_away_when_nobody_will_come(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    WAIT_FOR(rig.gauges->worker[0].holding == 1);
    board_service_vacate(rig.board, "app", true);
    ring(&rig);
    assert_true(client_ended(&client));
    client_close(&client);
    client_open(&client, &rig);
    assert_true(client_ended(&client));
    client_close(&client);
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    assert_int_equal(rig.gauges->worker[0].holding, 0);
}

static void tcp_finds_another_endpoint_when_one_refuses(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    upstream_kill(&rig.up[0]);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    assert_int_equal(rig.up[1].seen->requests, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_goes_round_and_the_connection_is_kept, ready, over),
        cmocka_unit_test_setup_teardown(a_head_and_a_body_in_two_writes_do_not_wait_for_each_other, ready, over),
        cmocka_unit_test_setup_teardown(bodies_go_up_and_down_in_every_framing, ready, over),
        cmocka_unit_test_setup_teardown(interim_answers_are_passed_on, ready, over),
        cmocka_unit_test_setup_teardown(a_client_of_http_1_0_gets_no_chunks_and_no_interim_answers, ready, over),
        cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, ready, over),
        cmocka_unit_test_setup_teardown(heads_are_rewritten_for_the_next_hop, ready, over),
        cmocka_unit_test_setup_teardown(large_bodies_arrive_whole_in_both_directions, ready, over),
        cmocka_unit_test_setup_teardown(an_early_answer_reaches_a_client_that_is_still_sending, ready, over),
        cmocka_unit_test_setup_teardown(an_early_answer_waits_for_who_still_sends, ready, over),
        cmocka_unit_test_setup_teardown(a_half_closed_client_still_gets_its_answer, ready, over),
        cmocka_unit_test_setup_teardown(an_upgrade_becomes_a_tunnel, ready, over),
        cmocka_unit_test_setup_teardown(a_unix_socket_serves_as_well, ready, over),
        cmocka_unit_test_setup_teardown(an_ipv6_endpoint_serves_as_well, ready, over),
        cmocka_unit_test_setup_teardown(malformed_requests_never_reach_an_instance, ready, over),
        cmocka_unit_test_setup_teardown(a_get_that_was_reset_goes_elsewhere_and_a_post_does_not, ready, over),
        cmocka_unit_test_setup_teardown(a_refused_connection_costs_nobody_anything, ready_round_robin, over),
        cmocka_unit_test_setup_teardown(a_500_is_tried_elsewhere_and_given_when_there_is_no_elsewhere, ready, over),
        cmocka_unit_test_setup_teardown(an_answer_that_is_cut_off_or_no_http_is_not_passed_on_as_whole, ready, over),
        cmocka_unit_test_setup_teardown(a_hung_instance_is_given_up_in_time, ready_impatient, over),
        cmocka_unit_test_setup_teardown(a_kept_connection_that_was_closed_is_no_reason_to_fail, ready, over),
        cmocka_unit_test_setup_teardown(a_request_is_held_until_an_endpoint_appears, ready, over),
        cmocka_unit_test_setup_teardown(what_is_held_too_long_gets_503_and_is_told_when_to_come_back, ready_impatient,
                                        over),
        cmocka_unit_test_setup_teardown(nobody_waits_for_what_will_not_come, ready, over),
        cmocka_unit_test_setup_teardown(the_only_instance_is_killed_and_its_request_waits_for_the_next_one, ready,
                                        over),
        cmocka_unit_test_setup_teardown(a_board_that_is_late_costs_no_request_of_the_only_instance, ready, over),
        cmocka_unit_test_setup_teardown(a_writer_that_died_in_the_middle_of_a_change_stops_nobody, ready, over),
        cmocka_unit_test_setup_teardown(a_killed_instance_counts_its_request_until_the_cause_is_known, ready, over),
        cmocka_unit_test_setup_teardown(the_cause_of_a_lost_instance_is_waited_for, ready, over),
        cmocka_unit_test_setup_teardown(a_break_counts_as_none_of_a_death_only_when_the_supervisor_has_looked, ready,
                                        over),
        cmocka_unit_test_setup_teardown(a_late_death_is_a_death_all_the_same, ready, over),
        cmocka_unit_test_setup_teardown(nothing_is_asked_about_whom_nobody_supervises, ready, over),
        cmocka_unit_test_setup_teardown(the_sole_suspect_of_a_crash_is_not_tried_again, ready, over),
        cmocka_unit_test_setup_teardown(one_of_many_suspects_is_tried_once_more_and_then_quarantined, ready, over),
        cmocka_unit_test_setup_teardown(a_draining_endpoint_gets_nothing_new_and_rings_when_it_is_empty, ready, over),
        cmocka_unit_test_setup_teardown(a_draining_worker_ends_what_it_has_and_goes, ready, over),
        cmocka_unit_test_setup_teardown(more_clients_than_slots_are_turned_away_politely, ready_small, over),
        cmocka_unit_test_setup_teardown(an_idle_client_makes_room_for_another_one, ready_small, over),
        cmocka_unit_test_setup_teardown(a_lack_of_descriptors_stops_accepting_and_nothing_else, ready_few_files, over),
        cmocka_unit_test_setup_teardown(a_crowd_of_rude_clients_leaves_nothing_behind, ready_sixteen, over),
        cmocka_unit_test_setup_teardown(tcp_is_held_connected_and_relayed_with_half_close, ready_tcp, over),
        cmocka_unit_test_setup_teardown(a_tcp_client_is_turned_away_when_nobody_will_come, ready_tcp, over),
        cmocka_unit_test_setup_teardown(tcp_finds_another_endpoint_when_one_refuses, ready_tcp, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
