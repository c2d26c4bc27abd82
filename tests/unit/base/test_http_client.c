/* SPDX-License-Identifier: MIT
 *
 * The client against a server that is played by the test itself, in the same thread: each test says what arrives, and
 * in which pieces.
 */
#include "base/http_client.h"

#include "base/cleanup.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include <cmocka.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

static struct http1_head scratch;
static struct http_client client;
static struct board_address address;
static int listener = -1, peer = -1;

static int setup(void **unused)
{
    (void)unused;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) < 0 || listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) < 0)
        return -1;
    address = (struct board_address){ .len = len };
    memcpy(&address.u, &at, len);
    http_client_init(&client, &scratch);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    http_client_close(&client);
    if (peer >= 0)
        (void)close(peer);
    if (listener >= 0)
        (void)close(listener);
    peer = listener = -1;
    return 0;
}

/* Waits until the client can go on, and lets it: what it wants next, 0 at the end of the exchange. */
static uint32_t go_on(uint32_t want)
{
    struct pollfd wait = { .fd = client.fd, .events = want == EPOLLIN ? POLLIN : POLLOUT };
    assert_int_equal(poll(&wait, 1, 5000), 1);
    return http_client_step(&client);
}

/* To the end of the exchange, which the test knows to come. */
static void finish(void)
{
    for (uint32_t want = http_client_step(&client); want; want = go_on(want))
        ;
}

static void start_with(enum http1_method method)
{
    assert_int_equal(http_client_start(&client, &address, method, REQUEST, strlen(REQUEST)), 0);
    if (client.reused)
        return;
    if (peer >= 0)
        (void)close(peer);
    peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
}

/* Starts, and takes the request off the wire. */
static void begin(enum http1_method method)
{
    char got[256];
    size_t len = 0;

    start_with(method);
    while (client.state != HTTP_CLIENT_HEAD)
        (void)go_on(EPOLLOUT);
    while (len < strlen(REQUEST)) {
        ssize_t n = recv(peer, got + len, sizeof(got) - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_int_equal(len, strlen(REQUEST));
    assert_memory_equal(got, REQUEST, len);
}

static void answer(const char *text, size_t len)
{
    assert_int_equal(send(peer, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void hang_up(void)
{
    (void)shutdown(peer, SHUT_WR);
}

static void an_answer_is_the_same_however_its_bytes_arrive(void **unused)
{
    (void)unused;
    static const char text[] = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nX-Served-By:  app-1 \r\nTransfer-Encoding: chunked\r\n\r\n"
                               "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        char name[32];
        begin(HTTP1_GET);
        assert_int_equal(client.reused, piece > 1);
        for (size_t at = 0; at < strlen(text); at += piece) {
            answer(text + at, strlen(text) - at < piece ? strlen(text) - at : piece);
            (void)go_on(EPOLLIN);
        }
        assert_int_equal(client.state, HTTP_CLIENT_DONE);
        assert_true(client.reusable);
        assert_int_equal(client.status, 200);
        assert_int_equal(client.body_bytes, strlen("hello world"));
        assert_int_equal(client.buffer_len - client.head_len, strlen("hello world"));
        assert_memory_equal(client.buffer + client.head_len, "hello world", strlen("hello world"));
        assert_true(http_client_header(&client, "x-served-by", name, sizeof(name)));
        assert_string_equal(name, "app-1");
        assert_false(http_client_header(&client, "X-Trailer", name, sizeof(name)));
    }
}

static void every_framing_ends_where_it_should(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        enum http1_method method;
        uint64_t body;
        bool close, reusable;
    } cases[] = {
        { "HTTP/1.1 204 No Content\r\n\r\n", HTTP1_GET, .reusable = true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, .reusable = true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", HTTP1_HEAD, .reusable = true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", HTTP1_GET, .body = 3, .reusable = true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", HTTP1_GET, .body = 3 },
        { "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", HTTP1_GET, .body = 3 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200", HTTP1_GET, .body = 3 },
        { "HTTP/1.1 200 OK\r\n\r\nabcdef", HTTP1_GET, .body = 6, .close = true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(cases[i].method);
        answer(cases[i].text, strlen(cases[i].text));
        if (cases[i].close)
            hang_up();
        finish();
        assert_int_equal(client.state, HTTP_CLIENT_DONE);
        assert_int_equal(client.body_bytes, cases[i].body);
        assert_int_equal(client.reusable, cases[i].reusable);
        assert_int_equal(client.fd >= 0, cases[i].reusable);
    }
}

static void an_answer_cut_short_is_a_failure_of_its_own_kind(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        { "", -EPIPE },
        { "HTTP/1.1 200 OK\r\nContent-Le", -EPIPE },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", -EPIPE },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", -EPIPE },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -EBADMSG },
        { "SSH-2.0-OpenSSH\r\n", -EBADMSG },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(HTTP1_GET);
        if (*cases[i].text)
            answer(cases[i].text, strlen(cases[i].text));
        hang_up();
        finish();
        assert_int_equal(client.state, HTTP_CLIENT_FAILED);
        assert_int_equal(client.error, cases[i].error);
        assert_int_equal(client.fd, -1);
    }
}

static void a_reset_is_told_from_a_close(void **unused)
{
    (void)unused;
    struct linger now = { .l_onoff = 1 };
    begin(HTTP1_GET);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    (void)close(peer);
    peer = -1;
    finish();
    assert_int_equal(client.error, -ECONNRESET);
}

static void nobody_listening_is_refused(void **unused)
{
    (void)unused;
    (void)close(listener);
    listener = -1;
    if (http_client_start(&client, &address, HTTP1_GET, REQUEST, strlen(REQUEST)) == 0)
        finish();
    assert_int_equal(client.state, HTTP_CLIENT_FAILED);
    assert_int_equal(client.error, -ECONNREFUSED);
}

static void a_body_larger_than_the_buffer_is_counted_whole(void **unused)
{
    (void)unused;
    enum { BLOCK = 10000, BLOCKS = 50 };
    static char block[BLOCK];
    char head[64];

    memset(block, 'x', sizeof(block));
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BLOCK * BLOCKS);
    begin(HTTP1_GET);
    answer(head, strlen(head));
    for (int i = 0; i < BLOCKS; i++) {
        answer(block, sizeof(block));
        while (client.body_bytes < (uint64_t)(i + 1) * BLOCK) {
            uint32_t want = go_on(EPOLLIN);
            assert_int_equal(want, client.body_bytes < BLOCK * BLOCKS ? EPOLLIN : 0);
        }
    }
    assert_int_equal(client.state, HTTP_CLIENT_DONE);
    assert_int_equal(client.body_bytes, BLOCK * BLOCKS);
    assert_int_equal(client.buffer_len, HTTP_CLIENT_BUFFER);
    assert_true(client.reusable);
}

static void a_head_larger_than_the_buffer_is_refused(void **unused)
{
    (void)unused;
    static char text[HTTP_CLIENT_BUFFER + 100];
    memset(text, 'x', sizeof(text));
    memcpy(text, "HTTP/1.1 200 OK\r\nX: ", 20);
    begin(HTTP1_GET);
    answer(text, sizeof(text));
    finish();
    assert_int_equal(client.error, -EMSGSIZE);
}

static void resolving_takes_names_numbers_and_paths(void **unused)
{
    (void)unused;
    struct err err = { 0 };
    struct board_address got;
    char text[BOARD_ADDRESS_TEXT];

    assert_int_equal(http_client_resolve("127.0.0.1", "8080", &got, &err), 0);
    assert_string_equal(board_address_format(&got, text), "127.0.0.1:8080");
    assert_int_equal(http_client_resolve("localhost", "80", &got, &err), 0);
    assert_string_equal(board_address_format(&got, text), "127.0.0.1:80");
    assert_int_equal(http_client_resolve("::1", "80", &got, &err), 0);
    assert_string_equal(board_address_format(&got, text), "[::1]:80");
    assert_int_equal(http_client_resolve("unix:/run/x.sock", NULL, &got, &err), 0);
    assert_string_equal(board_address_format(&got, text), "unix:/run/x.sock");
    assert_int_equal(err.code, 0);
    assert_true(http_client_resolve("unix:", NULL, &got, &err) < 0);
    assert_true(http_client_resolve("127.0.0.1", "no-such-port", &got, &err) < 0);
    assert_true(err.message[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_the_same_however_its_bytes_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(every_framing_ends_where_it_should, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_cut_short_is_a_failure_of_its_own_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_told_from_a_close, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_listening_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_larger_than_the_buffer_is_counted_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_larger_than_the_buffer_is_refused, setup, teardown),
        cmocka_unit_test(resolving_takes_names_numbers_and_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
