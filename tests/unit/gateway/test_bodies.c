/* SPDX-License-Identifier: MIT
 *
 * Large bodies in every framing and both directions, byte by byte; what is left behind when they are cut off; and
 * bodies that are framed anew.
 */
#include "rig.h"

static struct client client;

static int ready_unix(void **unused)
{
    char path[64];
    (void)unused;
    (void)snprintf(path, sizeof(path), "/tmp/daruma-bodies-%d.sock", (int)getpid());
    rig_start(&rig, &(struct rig_options){ 0 });
    rig_upstream(&rig, 0, path);
    return 0;
}

/* --- reading and writing large bodies --------------------------------------------------------------------------- */

/* Bytes of a large body from `at` on, in a buffer from whose beginning whole words are taken; how many bytes those are. */
static size_t check_big(const char *bytes, size_t len, uint64_t at)
{
    size_t checked = 0;
    for (; checked + 8 <= len; checked += 8) {
        uint64_t word;
        memcpy(&word, bytes + checked, 8);
        if (word != big_word(at + checked))
            fail_msg("the bytes at %llu differ", (unsigned long long)(at + checked));
    }
    return checked;
}

/* Reads an answer whose body is the large one. The framing it had. */
static enum http1_framing read_big(void)
{
    static char data[2 * sizeof(client.buf)];
    struct http1_chunked chunked = { 0 };
    uint64_t got = 0;
    size_t held = 0;

    while (http1_parse_response(client.buf, client.len, HTTP1_GET, &http1_default_limits, &client.head) == 0)
        assert_true(client_fill(&client));
    assert_int_equal(client.head.status, 200);
    size_t at = client.head.len;
    for (;;) {
        size_t there = client.len - at, len = there;
        if (client.head.framing == HTTP1_CHUNKED)
            assert_true(http1_chunked_data(&chunked, client.buf + at, there, data + held, &len) == (ssize_t)there);
        else
            memcpy(data + held, client.buf + at, len);
        held += len;
        size_t checked = check_big(data, held, got);
        memmove(data, data + checked, held - checked);
        held -= checked;
        got += checked;
        client.len = at = 0;
        if (client.head.framing == HTTP1_CHUNKED ? chunked.done : got == BIG)
            break;
        assert_true(client_fill(&client));
    }
    assert_int_equal(got, BIG);
    return (enum http1_framing)client.head.framing;
}

/* Sends the large body in chunks of 4 MiB, or as it is. */
static void *write_big(void *chunked)
{
    static char piece[BIG_PIECE];
    bool sent = true;
    for (uint64_t at = 0; at < BIG && sent; at += BIG_PIECE) {
        if (chunked && at % (4 << 20) == 0)
            sent = puts_fd(client.fd, at > 0 ? "\r\n400000\r\n" : "400000\r\n");
        big_piece(piece, at);
        sent = sent && put(client.fd, piece, BIG_PIECE);
    }
    if (chunked && sent)
        (void)puts_fd(client.fd, "\r\n0\r\n\r\n");
    return NULL;
}

static void ask(const char *path, const char *version)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "GET %s HTTP/%s\r\nHost: t\r\n\r\n", path, version);
    assert_true(puts_fd(client.fd, text));
}

/* --- stories ---------------------------------------------------------------------------------------------------- */

static void large_answers_arrive_whole_in_every_framing(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    ask("/big", "1.1");
    assert_int_equal(read_big(), HTTP1_LENGTH);
    ask("/big-chunked", "1.1");
    assert_int_equal(read_big(), HTTP1_CHUNKED);
    ask("/big-until-close", "1.1");
    assert_int_equal(read_big(), HTTP1_CHUNKED);
    ask("/big", "1.1"); /* all of it on one connection */
    assert_int_equal(read_big(), HTTP1_LENGTH);
    client_close(&client);
}

static void a_connection_is_kept_after_a_large_answer(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    for (int i = 0; i < 3; i++) {
        ask("/big", "1.1");
        assert_int_equal(read_big(), HTTP1_LENGTH);
    }
    client_close(&client);
    assert_int_equal(rig.up[0].seen->connections, 1);
}

/* Bytes that wait in the worker's socket whose other end has that port: to be sent, to be read. */
static void waiting(unsigned port, unsigned *ret_out, unsigned *ret_in)
{
    char line[512];
    unsigned peer, state, out, in;
    FILE *sockets = fopen("/proc/net/tcp", "re");
    assert_non_null(sockets);
    *ret_out = *ret_in = UINT32_MAX;
    while (fgets(line, sizeof(line), sockets))
        if (sscanf(line, " %*d: %*8s:%*4s %*8s:%4x %2x %8x:%8x", &peer, &state, &out, &in) == 4 && peer == port &&
            state == TCP_ESTABLISHED) {
            *ret_out = out;
            *ret_in = in;
        }
    (void)fclose(sockets);
}

static unsigned to_send(unsigned port)
{
    unsigned out, in;
    waiting(port, &out, &in);
    return out;
}

static unsigned to_read(unsigned port)
{
    unsigned out, in;
    waiting(port, &out, &in);
    return in;
}

static unsigned port_of(int fd)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&in, &len), 0);
    return ntohs(in.sin_port);
}

static void say(char what)
{
    uint32_t before = rig.up[0].seen->pieces;
    assert_int_equal(write(rig.up[0].release_fd, &what, 1), 1);
    WAIT_FOR(rig.up[0].seen->pieces > before);
}

/* The worker has carried out all that had happened by now, and sleeps. */
static void settle(void)
{
    int64_t now = clock_now();
    WAIT_FOR(rig.gauges->worker[0].heartbeat_ns > now);
}

/*
 * In one turn of the worker a client that had taken nothing takes bytes again, and the last ones of its answer arrive: the
 * first event has them all read, and the second is about nothing any more.
 */
static void news_of_bytes_that_were_read_already_close_no_kept_connection(void **unused)
{
    (void)unused;
    unsigned upstream = ntohs(((struct sockaddr_in *)(void *)&rig.up[0].address.u)->sin_port);
    assert_int_equal(setsockopt(rig.listener, SOL_SOCKET, SO_SNDBUF, &(int){ 32768 }, sizeof(int)), 0);
    client_open(&client, &rig);
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &(int){ 32768 }, sizeof(int)), 0);
    ask("/pieces", "1.1");
    do {
        say('p');
        if (to_read(upstream) > 0)
            settle();
    } while (to_read(upstream) == 0);

    unsigned own = port_of(client.fd);
    assert_int_equal(kill(rig.worker, SIGSTOP), 0);
    assert_int_equal(waitpid(rig.worker, NULL, WUNTRACED), rig.worker);
    while (to_send(own) > 0)
        assert_true(client_fill(&client));
    say('.');
    assert_int_equal(kill(rig.worker, SIGCONT), 0);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_true(client.head.keep_alive);
    ask("/", "1.1");
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
    assert_int_equal(rig.up[0].seen->connections, 1);
}

static void clients_of_http_1_0_get_them_as_they_are(void **unused)
{
    static const char *const paths[] = { "/big", "/big-chunked", "/big-until-close" };
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        client_open(&client, &rig);
        ask(paths[i], "1.0");
        assert_int_equal(read_big(), i == 0 ? HTTP1_LENGTH : HTTP1_UNTIL_CLOSE);
        assert_true(client_ended(&client));
        client_close(&client);
    }
}

static void large_requests_arrive_whole_in_every_framing(void **unused)
{
    (void)unused;
    for (int chunked = 0; chunked < 2; chunked++) {
        pthread_t writer;
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, chunked ? "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                                               : "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 67108864\r\n\r\n"));
        assert_int_equal(pthread_create(&writer, NULL, write_big, chunked ? &rig : NULL), 0);
        assert_int_equal(read_big(), HTTP1_CHUNKED);
        assert_int_equal(pthread_join(writer, NULL), 0);
        client_close(&client);
    }
}

static void a_tunnel_carries_much_in_both_directions(void **unused)
{
    static char data[sizeof(client.buf)];
    pthread_t writer;
    uint64_t got = 0;
    size_t held = 0;
    (void)unused;
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 101);
    while (client.len < strlen("welcome"))
        assert_true(client_fill(&client));
    assert_int_equal(client.len, strlen("welcome"));
    assert_int_equal(pthread_create(&writer, NULL, write_big, NULL), 0);
    while (got < BIG) {
        ssize_t n = recv(client.fd, data + held, sizeof(data) - held, 0);
        assert_true(n > 0);
        held += (size_t)n;
        size_t checked = check_big(data, held, got);
        memmove(data, data + checked, held - checked);
        held -= checked;
        got += checked;
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    client.len = 0;
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    assert_true(client_ended(&client));
    client_close(&client);
}

/* Whoever goes away in the middle takes along what was underway for it. */
static void clients_that_go_away_in_the_middle_leave_no_descriptor_behind(void **unused)
{
    enum { TIMES = 20, SPARE = 2 }; /* an empty pipe may be kept */
    (void)unused;
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    unsigned before = rig_descriptors(&rig);
    for (int i = 0; i < TIMES; i++) {
        client_open(&client, &rig);
        ask(i % 2 == 0 ? "/big" : "/big-chunked", "1.1");
        while (client.len < sizeof(client.buf))
            assert_true(client_fill(&client));
        client_close(&client);
        WAIT_FOR(rig.gauges->worker[0].connections == 0);
    }
    assert_in_range(rig_descriptors(&rig), 1, before + SPARE);
}

static void without_a_descriptor_for_a_pipe_they_arrive_all_the_same(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    ask("/", "1.1");
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    /* Both connections are there already. The last few descriptors are not for pipes either. */
    unsigned there = rig_descriptors(&rig);
    const struct rlimit few = { there + 3, there + 3 }, none = { 0, 0 };
    assert_int_equal(prlimit(rig.worker, RLIMIT_NOFILE, &few, NULL), 0);
    ask("/big", "1.1");
    assert_int_equal(read_big(), HTTP1_LENGTH);
    assert_int_equal(rig_descriptors(&rig), there);
    assert_int_equal(prlimit(rig.worker, RLIMIT_NOFILE, &none, NULL), 0);
    ask("/big", "1.1");
    assert_int_equal(read_big(), HTTP1_LENGTH);
    client_close(&client);
}

static void an_end_until_close_is_told_from_one_that_came_too_early(void **unused)
{
    (void)unused;
    client_open(&client, &rig);
    for (int i = 0; i < 3; i++) {
        ask("/until-close", "1.1");
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        assert_int_equal(client.head.framing, HTTP1_CHUNKED);
        assert_true(client.head.keep_alive);
        assert_string_equal(client.body, "all there is");
    }
    ask("/half-until-close", "1.1");
    assert_int_equal(client_response(&client, HTTP1_GET), 0); /* no last chunk */
    assert_int_equal(client.head.status, 200);
    assert_int_equal(client.head.framing, HTTP1_CHUNKED);
    client_close(&client);
    WAIT_FOR(rig.gauges->worker[0].routes[rig.route].truncated == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_answers_arrive_whole_in_every_framing, rig_ready, over),
        cmocka_unit_test_setup_teardown(a_connection_is_kept_after_a_large_answer, rig_ready, over),
        cmocka_unit_test_setup_teardown(news_of_bytes_that_were_read_already_close_no_kept_connection, rig_ready, over),
        cmocka_unit_test_setup_teardown(large_answers_arrive_whole_in_every_framing, ready_unix, over),
        cmocka_unit_test_setup_teardown(clients_of_http_1_0_get_them_as_they_are, rig_ready, over),
        cmocka_unit_test_setup_teardown(large_requests_arrive_whole_in_every_framing, rig_ready, over),
        cmocka_unit_test_setup_teardown(large_requests_arrive_whole_in_every_framing, ready_unix, over),
        cmocka_unit_test_setup_teardown(a_tunnel_carries_much_in_both_directions, rig_ready, over),
        cmocka_unit_test_setup_teardown(clients_that_go_away_in_the_middle_leave_no_descriptor_behind, rig_ready, over),
        cmocka_unit_test_setup_teardown(without_a_descriptor_for_a_pipe_they_arrive_all_the_same, rig_ready, over),
        cmocka_unit_test_setup_teardown(an_end_until_close_is_told_from_one_that_came_too_early, rig_ready, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
