/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol at a real worker: who the header names is the client, for upstreams and for limits; and what
 * upstreams read that want one.
 */
#include "rig.h"

#include "base/proxy_header.h"

static struct client client;

#define LINE "PROXY TCP4 192.0.2.9 198.51.100.7 56324 443\r\n"
#define GET  "GET /mirror HTTP/1.1\r\nHost: t\r\n\r\n"

static int ask(const char *header, size_t len)
{
    client_open(&client, &rig);
    assert_true(put(client.fd, header, len) && puts_fd(client.fd, GET));
    return client_response(&client, HTTP1_GET);
}

static int listens(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .proxy = true });
    rig_upstream(&rig, 0, NULL);
    return 0;
}

static void who_the_header_names_is_the_client(void **unused)
{
    (void)unused;
    assert_int_equal(ask(LINE, sizeof(LINE) - 1), 200);
    assert_non_null(strstr(client.body, "\r\nX-Forwarded-For: 192.0.2.9\r\n"));
    assert_non_null(strstr(client.body, "\r\nX-Forwarded-Port: 443\r\n"));
    assert_non_null(strstr(client.body, "\r\nForwarded: for=192.0.2.9;"));
    /* It comes once on a connection. */
    assert_true(puts_fd(client.fd, GET));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_non_null(strstr(client.body, "\r\nX-Forwarded-For: 192.0.2.9\r\n"));
    assert_true(puts_fd(client.fd, LINE GET));
    assert_int_equal(client_response(&client, HTTP1_GET), 400);
    client_close(&client);
    static const char six[] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                              "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x12\x34\0\x50";
    assert_int_equal(ask(six, sizeof(six) - 1), 200);
    assert_non_null(strstr(client.body, "\r\nX-Forwarded-For: 2001:db8::1\r\n"));
    client_close(&client);
    assert_int_equal(ask("PROXY UNKNOWN\r\n", 15), 200);
    assert_non_null(strstr(client.body, "\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    client_close(&client);
}

static void a_header_may_come_in_pieces(void **unused)
{
    (void)unused;
    static const char text[] = LINE GET;
    client_open(&client, &rig);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_true(put(client.fd, text + i, 1));
        clock_sleep(NS_PER_MS / 2);
    }
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_non_null(strstr(client.body, "\r\nX-Forwarded-For: 192.0.2.9\r\n"));
    client_close(&client);
}

static void without_a_header_nobody_is_served(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, GET));
    assert_int_equal(recv(client.fd, client.buf, sizeof(client.buf), 0), -1);
    assert_int_equal(errno, ECONNRESET);
    client_close(&client);
    WAIT_FOR(rig.gauges->worker[0].limits[GAUGE_PROXY] == 1);
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    assert_int_equal(rig.up[0].seen->requests, 0);
}

static int from_elsewhere(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .proxy = true,
                                           .proxy_from = { .address = { 10 }, .family = AF_INET, .bits = 8 } });
    rig_upstream(&rig, 0, NULL);
    return 0;
}

static void who_may_not_send_one_is_reset(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    (void)puts_fd(client.fd, LINE GET);
    assert_int_equal(recv(client.fd, client.buf, sizeof(client.buf), 0), -1);
    assert_int_equal(errno, ECONNRESET);
    client_close(&client);
    assert_int_equal(rig.gauges->worker[0].limits[GAUGE_PROXY], 1);
}

static int limited(void **unused)
{
    (void)unused;
    struct board_limits limits = board_usual_limits;
    limits.source_connections = 1;
    limits.header_timeout_ns = NS_PER_S;
    rig_start(&rig, &(struct rig_options){ .proxy = true, .limits = &limits });
    rig_upstream(&rig, 0, NULL);
    return 0;
}

static void limits_are_those_of_the_client_that_was_named(void **unused)
{
    (void)unused;
    static struct client first, other;
    static const char another[] = "PROXY TCP4 192.0.2.10 198.51.100.7 1 443\r\n" GET;
    client_open(&first, &rig);
    assert_true(puts_fd(first.fd, LINE GET));
    assert_int_equal(client_response(&first, HTTP1_GET), 200);
    client_open(&other, &rig);
    assert_true(puts_fd(other.fd, another));
    assert_int_equal(client_response(&other, HTTP1_GET), 200);
    assert_int_equal(ask(LINE, sizeof(LINE) - 1), 429);
    assert_true(client_ended(&client));
    client_close(&client);
    client_close(&first);
    WAIT_FOR(rig.gauges->worker[0].connections == 1);
    assert_int_equal(ask(LINE, sizeof(LINE) - 1), 200);
    client_close(&client);
    client_close(&other);
    /* A header that does not come has its time, like any head. */
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "PROXY TCP4"));
    assert_int_equal(recv(client.fd, client.buf, sizeof(client.buf), 0), -1);
    client_close(&client);
    assert_int_equal(rig.gauges->worker[0].limits[GAUGE_HEADER_TIMEOUT], 1);
}

/* --- towards upstreams ------------------------------------------------------------------------------------------ */

/* An upstream of the test's own, which sees the bytes as they come. */
static int raw_upstream(void)
{
    struct board_address address = loopback();
    int fd = listen_on(&address);
    rig.endpoint[0] = board_endpoint_add(rig.board, rig.service, "raw-1", &address, clock_now());
    assert_true(rig.endpoint[0] >= 0);
    ring(&rig);
    return fd;
}

/* Accepts a connection and reads its PROXY header, of which nothing but the request or stream may be left. */
static int accept_header(int listener, struct proxy_header *header, char *rest, size_t size)
{
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    struct timeval patience = { .tv_sec = 15 };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    char text[4096];
    size_t len = 0;
    ssize_t used = 0, n = 1;
    while (used == 0 && n > 0) {
        n = recv(fd, text + len, sizeof(text) - len, 0);
        len += n > 0 ? (size_t)n : 0;
        used = proxy_header_parse(text, len, header);
    }
    assert_true(used > 0);
    len -= (size_t)used;
    assert_true(len < size);
    memcpy(rest, text + used, len);
    rest[len] = '\0';
    return fd;
}

static int sends_v1(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .service_proxy = 1 });
    return 0;
}

static int sends_v2(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .service_proxy = 2 });
    return 0;
}

static void upstreams_that_want_a_header_get_one_on_each_connection(void **unused)
{
    (void)unused;
    int listener = raw_upstream();
    client_open(&client, &rig);
    struct sockaddr_in mine;
    socklen_t len = sizeof(mine);
    assert_int_equal(getsockname(client.fd, (struct sockaddr *)(void *)&mine, &len), 0);
    for (int i = 0; i < 2; i++) {
        struct proxy_header header;
        char rest[4096];
        assert_true(puts_fd(client.fd, GET));
        int fd = accept_header(listener, &header, rest, sizeof(rest));
        assert_int_equal(header.family, AF_INET);
        assert_memory_equal(header.source, &mine.sin_addr, 4);
        assert_int_equal(header.source_port, ntohs(mine.sin_port));
        assert_int_equal(header.destination_port, rig.port);
        assert_memory_equal(rest, "GET /mirror HTTP/1.1\r\n", 22); /* in the same segment */
        assert_true(puts_fd(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        assert_int_equal(recv(fd, rest, 1, 0), 0); /* not kept: the next request may be another client's */
        (void)close(fd);
    }
    client_close(&client);
    (void)close(listener);
}

static int passes_on(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .protocol = BOARD_TCP, .proxy = true, .service_proxy = 2 });
    return 0;
}

static void tcp_passes_on_what_it_was_told(void **unused)
{
    (void)unused;
    struct proxy_header header;
    char rest[64];
    int listener = raw_upstream();
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, LINE "early"));
    int fd = accept_header(listener, &header, rest, sizeof(rest));
    const uint8_t source[] = { 192, 0, 2, 9 }, destination[] = { 198, 51, 100, 7 };
    assert_memory_equal(header.source, source, 4);
    assert_memory_equal(header.destination, destination, 4);
    assert_true(header.source_port == 56324 && header.destination_port == 443);
    size_t len = strlen(rest);
    while (len < 5) {
        ssize_t n = recv(fd, rest + len, sizeof(rest) - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(rest, "early", 5);
    assert_true(puts_fd(fd, "hello"));
    assert_true(client_fill(&client));
    assert_memory_equal(client.buf, "hello", 5);
    client_close(&client);
    (void)close(fd);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_the_header_names_is_the_client, listens, over),
        cmocka_unit_test_setup_teardown(a_header_may_come_in_pieces, listens, over),
        cmocka_unit_test_setup_teardown(without_a_header_nobody_is_served, listens, over),
        cmocka_unit_test_setup_teardown(who_may_not_send_one_is_reset, from_elsewhere, over),
        cmocka_unit_test_setup_teardown(limits_are_those_of_the_client_that_was_named, limited, over),
        cmocka_unit_test_setup_teardown(upstreams_that_want_a_header_get_one_on_each_connection, sends_v1, over),
        cmocka_unit_test_setup_teardown(upstreams_that_want_a_header_get_one_on_each_connection, sends_v2, over),
        cmocka_unit_test_setup_teardown(tcp_passes_on_what_it_was_told, passes_on, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
