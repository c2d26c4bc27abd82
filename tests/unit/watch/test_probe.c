/* SPDX-License-Identifier: MIT
 *
 * The probe engine against a server on the same loop, which answers, stalls or hangs up as each test wants it.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "watch/probe.h"
#include "watch/receipt.h"

#include <jansson.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { PEERS = 256 };

static struct loop *loop;
static struct watch *watch;
static struct watch_request request;
static struct watch_options options;
static struct watch_slo slo = { .kind = WATCH_SLO_AVAILABILITY, .target = 100, .text = "100%" };

/* The server: accepts at most PEERS, answers each request with `answer` after the stall is over. */
static struct {
    struct loop_io listener, peers[PEERS];
    struct loop_timer stall;
    bool stalled;
    int until_free; /* the stall ends after so many probes found no connection */
    const char *answer;
    int accepted, requests;
    char last[512];
} server;

static void serve(struct loop_io *io, uint32_t events)
{
    (void)events;
    ssize_t n = recv(io->fd, server.last, sizeof(server.last) - 1, 0);
    if (n <= 0 || !*server.answer) {
        loop_io_remove(loop, io);
        (void)close(io->fd);
        io->fd = -1;
        return;
    }
    server.last[n] = '\0';
    server.requests++;
    assert_true(send(io->fd, server.answer, strlen(server.answer), MSG_NOSIGNAL) > 0);
}

static void admit(struct loop_io *io, uint32_t events)
{
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0 && server.accepted < PEERS);
    struct loop_io *peer = &server.peers[server.accepted++];
    *peer = (struct loop_io){ .fn = serve };
    assert_int_equal(loop_io_add(loop, peer, fd, server.stalled ? 0 : EPOLLIN), 0);
}

static void end_of_stall(struct loop_timer *timer)
{
    (void)timer;
    server.stalled = false;
    for (int i = 0; i < server.accepted; i++)
        if (server.peers[i].added)
            (void)loop_io_change(loop, &server.peers[i], EPOLLIN);
}

static int setup(void **unused)
{
    (void)unused;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);

    memset(&server, 0, sizeof(server));
    server.answer =
        "HTTP/1.1 200 OK\r\nX-Instance: a\r\nX-Served-By: app-1\r\nX-Instance: b\r\nContent-Length: 2\r\n\r\nok";
    loop = loop_new();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!loop || fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, PEERS) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return -1;
    server.listener = (struct loop_io){ .fn = admit };
    server.stall = (struct loop_timer){ .fn = end_of_stall };
    options = (struct watch_options){
        .address = { .len = len },
        .request = &request,
        .rate = 1000,
        .timeout_ns = 5 * NS_PER_S,
        .connections = 150, /* a busy machine may not let us run for a while */
        .keep_alive = true,
    };
    memcpy(&options.address.u, &at, len);
    return loop_io_add(loop, &server.listener, fd, EPOLLIN);
}

static int teardown(void **unused)
{
    (void)unused;
    watch_free(watch);
    watch = NULL;
    watch_request_free(&request);
    for (int i = 0; i < server.accepted; i++)
        if (server.peers[i].fd >= 0)
            (void)close(server.peers[i].fd);
    if (server.listener.fd >= 0)
        (void)close(server.listener.fd);
    loop_free(loop);
    return 0;
}

static void note(void *data, const struct watch_result *result)
{
    (void)data;
    assert_true(result->end_ns >= result->due_ns);
    if (result->kind == WATCH_NO_CONNECTION && server.until_free > 0 && --server.until_free == 0)
        end_of_stall(NULL);
}

static void stop(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void prepare(const char *url)
{
    struct err err = { 0 };
    const struct watch_events events = { .result = note, .ended = stop };
    const struct watch_request_options what = { .url = url, .session = options.session };

    assert_int_equal(watch_request_init(&request, &what, &err), 0);
    watch = watch_new(loop, &options, &events, &err);
    assert_non_null(watch);
    watch_start(watch);
}

static const struct watch_tally *run_with(struct loop_timer *timer, int64_t after_ns)
{
    prepare("http://test/{n}");
    if (timer)
        loop_timer_set(loop, timer, clock_now() + after_ns);
    assert_int_equal(loop_run(loop), 0);
    return watch_tally(watch);
}

static const struct watch_tally *run(void)
{
    return run_with(NULL, 0);
}

static void each_probe_is_sent_once_on_few_connections(void **unused)
{
    (void)unused;
    options.count = 200;
    const struct watch_tally *tally = run();
    assert_int_equal(tally->sent, 200);
    assert_int_equal(tally->kinds[WATCH_OK], 200);
    assert_int_equal(server.requests, 200);
    assert_in_range(server.accepted, 1, options.connections); /* so some of the 200 went over a kept one */
    assert_int_equal(tally->instances, 1);
    assert_int_equal(tally->answers[0], 200);
    assert_string_equal(tally->names[0], "app-1");
    assert_memory_equal(server.last, "GET /199 HTTP/1.1", 17);
}

static void the_rate_and_the_duration_say_how_many(void **unused)
{
    (void)unused;
    options.rate = 500;
    options.duration_ns = 200 * NS_PER_MS;
    int64_t before = clock_now();
    assert_int_equal(run()->sent, 100);
    assert_true(clock_now() - before >= 198 * NS_PER_MS);
}

/* No coordinated omission: those that were due while the server stalled have waited, each from its own instant on. */
static void a_stall_is_measured_by_every_probe_that_falls_into_it(void **unused)
{
    (void)unused;
    options.rate = 100;
    options.count = 20;
    server.stalled = true;
    const struct watch_tally *tally = run_with(&server.stall, 300 * NS_PER_MS);
    assert_int_equal(tally->kinds[WATCH_OK], 20);
    assert_true(tally->latency.max_us >= 290000);
    /* The tenth was due at 90 ms: half of all waited at least about 200 ms. */
    assert_true(hist_quantile(&tally->latency, 0.5) >= 195000);
    assert_true(watch_tally_gap(tally, tally->end_ns) >= 290 * NS_PER_MS);
}

static void block(struct loop_timer *timer)
{
    (void)timer;
    clock_sleep(100 * NS_PER_MS);
}

/* When the monitor itself is held up, its probes still count from when they were due, and it says how late it was. */
static void what_was_sent_late_counts_from_when_it_was_due(void **unused)
{
    (void)unused;
    struct loop_timer timer = { .fn = block };
    options.rate = 100;
    options.count = 20;
    const struct watch_tally *tally = run_with(&timer, 55 * NS_PER_MS);
    assert_int_equal(tally->kinds[WATCH_OK], 20);
    assert_true(tally->lag_ns >= 80 * NS_PER_MS);
    assert_true(tally->latency.max_us >= 80000);
}

static void without_a_free_connection_a_probe_has_failed(void **unused)
{
    (void)unused;
    options.connections = 3;
    options.count = 10;
    server.stalled = true;
    server.until_free = 7;
    const struct watch_tally *tally = run();
    assert_int_equal(tally->sent, 10);
    assert_int_equal(tally->kinds[WATCH_OK], 3);
    assert_int_equal(tally->kinds[WATCH_NO_CONNECTION], 7);
}

static void silence_is_a_timeout_at_the_deadline(void **unused)
{
    (void)unused;
    options.count = 5;
    options.timeout_ns = 50 * NS_PER_MS;
    server.stalled = true;
    int64_t before = clock_now();
    const struct watch_tally *tally = run();
    assert_int_equal(tally->kinds[WATCH_TIMEOUT], 5);
    assert_true(clock_now() - before >= 50 * NS_PER_MS);
    assert_true(clock_now() - before < 10 * NS_PER_S);
}

static void failures_are_told_apart(void **unused)
{
    (void)unused;
    options.count = 4;
    server.answer = "";
    assert_int_equal(run()->kinds[WATCH_CLOSED], 4);
    teardown(NULL);

    setup(NULL);
    options.count = 4;
    server.answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    const struct watch_tally *tally = run();
    assert_int_equal(tally->kinds[WATCH_STATUS], 4);
    assert_int_equal(tally->failed_status[503], 4);
    teardown(NULL);

    setup(NULL);
    options.count = 4;
    loop_io_remove(loop, &server.listener);
    (void)close(server.listener.fd);
    server.listener.fd = -1;
    assert_int_equal(run()->kinds[WATCH_REFUSED], 4);
}

static void one_status_may_be_the_expected_one(void **unused)
{
    (void)unused;
    options.count = 2;
    options.expect = 404;
    server.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(run()->kinds[WATCH_OK], 2);
}

static void without_keepalive_every_probe_connects(void **unused)
{
    (void)unused;
    options.count = 20;
    options.keep_alive = false;
    assert_int_equal(run()->kinds[WATCH_OK], 20);
    assert_int_equal(server.accepted, 20);
}

static void a_session_sends_its_cookies_back(void **unused)
{
    (void)unused;
    options.rate = 2; /* the first is answered before the second is due */
    options.count = 2;
    options.session = true;
    server.answer = "HTTP/1.1 200 OK\r\nSet-Cookie: sid=42; Path=/\r\nSet-Cookie: b=c\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(run()->kinds[WATCH_OK], 2);
    assert_non_null(strstr(server.last, "\r\nCookie: sid=42; b=c\r\n"));
}

static void interrupt(struct loop_timer *timer)
{
    watch_stop(watch);
    if (timer->data)
        watch_stop(watch);
}

static void stopping_waits_for_what_is_under_way_and_twice_does_not(void **unused)
{
    (void)unused;
    for (int twice = 0; twice < 2; twice++) {
        struct loop_timer timer = { .fn = interrupt, .data = twice ? &timer : NULL };
        server.stalled = true;
        options.rate = 100;
        loop_timer_set(loop, &server.stall, clock_now() + 200 * NS_PER_MS);
        prepare("http://test/");
        loop_timer_set(loop, &timer, clock_now() + 55 * NS_PER_MS);
        assert_int_equal(loop_run(loop), 0);
        if (twice) {
            assert_int_equal(watch_tally(watch)->sent, 0);
            break;
        }
        assert_true(watch_tally(watch)->sent >= 1);
        assert_int_equal(watch_tally(watch)->kinds[WATCH_OK], watch_tally(watch)->sent);
        teardown(NULL);
        setup(NULL);
    }
}

static void the_receipt_says_what_happened(void **unused)
{
    (void)unused;
    options.count = 50;
    const struct watch_receipt receipt = {
        .url = "http://test/", .rate = 1000, .tally = run(), .slos = &slo, .slos_len = 1
    };
    CLEANUP_BUF struct buf text = { 0 }, line = { 0 };
    watch_receipt_text(&receipt, false, &text);
    assert_non_null(strstr(text.data, "50 sent, 50 ok, 0 failed: 100 % available"));
    assert_non_null(strstr(text.data, "app-1 50"));
    assert_non_null(strstr(text.data, "100%: met"));
    assert_true(watch_receipt_met(&receipt));

    watch_receipt_json(&receipt, &line);
    assert_false(line.failed);
    json_t *json = json_loads(line.data, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "sent")), 50);
    assert_int_equal(json_integer_value(json_object_get(json, "failed")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "instances"), "app-1")), 50);
    assert_true(json_real_value(json_object_get(json_object_get(json, "latency_ms"), "p99")) > 0);
    assert_true(json_is_true(json_object_get(json, "slo_met")));
    json_decref(json);
}

static void a_failure_is_never_rounded_away(void **unused)
{
    (void)unused;
    static struct watch_tally tally;
    char text[WATCH_PERCENT];
    tally.sent = 3000000;
    tally.kinds[WATCH_OK] = 2999999;
    assert_string_equal(watch_percent(&tally, text), "99.9999 %");
    tally.kinds[WATCH_OK] = 3000000;
    assert_string_equal(watch_percent(&tally, text), "100 %");
    tally.sent = 20;
    tally.kinds[WATCH_OK] = 19;
    assert_string_equal(watch_percent(&tally, text), "95.0 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_probe_is_sent_once_on_few_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rate_and_the_duration_say_how_many, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stall_is_measured_by_every_probe_that_falls_into_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sent_late_counts_from_when_it_was_due, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_free_connection_a_probe_has_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_a_timeout_at_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(one_status_may_be_the_expected_one, setup, teardown),
        cmocka_unit_test_setup_teardown(without_keepalive_every_probe_connects, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_sends_its_cookies_back, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_waits_for_what_is_under_way_and_twice_does_not, setup, teardown),
        cmocka_unit_test_setup_teardown(the_receipt_says_what_happened, setup, teardown),
        cmocka_unit_test(a_failure_is_never_rounded_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
