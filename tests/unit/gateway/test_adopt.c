/* SPDX-License-Identifier: MIT
 *
 * Workers that die at every system call in turn, on its way in and on its way out, while they do all that a worker does.
 * Each story runs again and again; each time the worker is killed one stop later, until a run needs no more stops. Nobody
 * may notice: answers are whole, no POST is executed twice, and nothing is left behind.
 */
#include "rig.h"

#include <dirent.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>

static struct client client;

/* ---- the killer ---- */

/* Lets the worker run from system call to system call, and kills it at a stop. */
struct killer {
    pthread_t thread;
    pid_t victim;
    int stop;                 /* which */
    _Atomic bool began, done; /* it traces; the story is over */
    bool struck;
};

static void *follow(void *data)
{
    struct killer *killer = data;
    int status, stops = 0;

    assert_int_equal(ptrace(PTRACE_SEIZE, killer->victim, NULL, PTRACE_O_TRACESYSGOOD), 0);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, killer->victim, NULL, NULL), 0);
    while (waitpid(killer->victim, &status, __WALL) == killer->victim && WIFSTOPPED(status)) {
        bool call = WSTOPSIG(status) == (SIGTRAP | 0x80);
        atomic_store(&killer->began, true);
        if (call && !killer->done && stops++ == killer->stop) {
            killer->struck = true;
            (void)kill(killer->victim, SIGKILL);
            continue; /* what is left to wait for is its end */
        }
        bool leave = atomic_load(&killer->done);
        (void)ptrace(leave ? PTRACE_DETACH : PTRACE_SYSCALL, killer->victim, NULL, NULL);
        if (leave)
            return NULL;
    }
    return NULL;
}

static void killer_begin(struct killer *killer, int stop)
{
    *killer = (struct killer){ .victim = rig_role(&rig), .stop = stop };
    assert_int_equal(pthread_create(&killer->thread, NULL, follow, killer), 0);
    WAIT_FOR(killer->began);
}

/* True when it has killed. */
static bool killer_end(struct killer *killer)
{
    atomic_store(&killer->done, true);
    (void)pthread_join(killer->thread, NULL);
    return killer->struck;
}

/* ---- what is left behind ---- */

static unsigned descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return count;
}

/* ---- stories ---- */

struct story {
    struct rig_options options;
    void (*run)(void);
    uint32_t posts; /* that reach the upstreams */
    bool unix_upstream;
    bool late; /* the board learns of the upstream in the course of the story */
};

static void ask(const char *text)
{
    assert_true(puts_fd(client.fd, text));
}

static void expect(int status, const char *body)
{
    assert_int_equal(client_response(&client, HTTP1_GET), status);
    if (body)
        assert_string_equal(client.body, body);
}

static void run_kept(void)
{
    client_open(&client, &rig);
    for (int i = 0; i < 3; i++) {
        ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        expect(200, "hello from app-1\n");
    }
    client_close(&client);
}

static void run_posts(void)
{
    client_open(&client, &rig);
    for (int i = 0; i < 3; i++) {
        ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n");
        WAIT_FOR(rig.up[0].seen->posts > (uint32_t)i);
        ask("0123456789");
        expect(200, "hello from app-1\n");
    }
    client_close(&client);
}

static void run_in_pieces(void)
{
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nabcdef";
    client_open(&client, &rig);
    for (size_t i = 0; i < sizeof(text) - 1; i += 9) {
        size_t left = sizeof(text) - 1 - i;
        assert_true(put(client.fd, text + i, left < 9 ? left : 9));
        clock_sleep(NS_PER_MS / 2);
    }
    expect(200, "abcdef");
    client_close(&client);
}

static void run_waiting(void)
{
    client_open(&client, &rig);
    ask("POST /wait HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
    WAIT_FOR(rig.up[0].seen->posts == 1);
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    expect(200, "hello from app-1\n");
    client_close(&client);
}

static void run_pipelined(void)
{
    client_open(&client, &rig);
    ask("GET /204 HTTP/1.1\r\nHost: t\r\n\r\nPOST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
        "GET /chunked HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    expect(204, NULL);
    expect(200, "abc");
    expect(200, "abcdefg");
    expect(200, "hello from app-1\n");
    assert_true(client_ended(&client));
    client_close(&client);
}

static void run_interim(void)
{
    client_open(&client, &rig);
    ask("GET /hints HTTP/1.1\r\nHost: t\r\n\r\n");
    expect(103, NULL);
    expect(200, "ok");
    ask("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    expect(100, NULL);
    ask("abc");
    expect(200, "abc");
    client_close(&client);
}

static void run_framings(void)
{
    client_open(&client, &rig);
    ask("GET /until-close HTTP/1.1\r\nHost: t\r\n\r\n");
    expect(200, "all there is");
    ask("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    clock_sleep(NS_PER_MS / 2);
    ask("4\r\ndefg\r\n0\r\n\r\n");
    expect(200, "abcdefg");
    client_close(&client);
    client_open(&client, &rig);
    ask("GET /chunked HTTP/1.0\r\n\r\n");
    expect(200, "abcdefg");
    assert_true(client_ended(&client));
    client_close(&client);
}

static void run_errors(void)
{
    client_open(&client, &rig);
    ask("GET /500 HTTP/1.1\r\nHost: t\r\n\r\n");
    expect(500, NULL);
    ask("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    expect(501, NULL);
    assert_true(client_ended(&client));
    client_close(&client);
}

/* A body that is larger than blocks and pipes, there and back. */
static void run_large(void)
{
    enum { SIZE = 180000 };
    static char body[SIZE];
    char head[128];
    for (int i = 0; i < SIZE; i++)
        body[i] = (char)('a' + i * 7 % 26 + i / 1000 % 3);
    client_open(&client, &rig);
    (void)snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n", SIZE);
    ask(head);
    assert_true(put(client.fd, body, SIZE));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_int_equal(client.body_len, SIZE);
    assert_memory_equal(client.body, body, SIZE);
    client_close(&client);
}

static void echo_through_tunnel(const char *text)
{
    size_t len = strlen(text);
    ask(text);
    while (client.len < len)
        assert_true(client_fill(&client));
    assert_memory_equal(client.buf, text, len);
    client.len = 0;
}

static void run_tunnel(void)
{
    client_open(&client, &rig);
    ask("GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    expect(101, NULL);
    while (client.len < strlen("welcome"))
        assert_true(client_fill(&client));
    client.len = 0;
    for (int i = 0; i < 3; i++)
        echo_through_tunnel("a message of some length");
    (void)shutdown(client.fd, SHUT_WR);
    assert_true(client_ended(&client));
    client_close(&client);
}

static void run_tcp(void)
{
    client_open(&client, &rig);
    for (int i = 0; i < 2; i++) {
        ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        expect(200, "hello from app-1\n");
    }
    client_close(&client);
}

static void run_held(void)
{
    client_open(&client, &rig);
    ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
    WAIT_FOR(rig.gauges->worker[0].holding == 1 || rig.guard->member[GUARD_SIDE_ROLE].deaths > 0);
    rig.endpoint[0] = board_endpoint_add(rig.board, rig.service, "app-1", &rig.up[0].address, clock_now());
    ring(&rig);
    expect(200, "hello from app-1\n");
    client_close(&client);
}

static void run_proxied(void)
{
    client_open(&client, &rig);
    ask("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\nPOST /mirror HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
    expect(200, NULL);
    assert_non_null(strstr(client.body, "192.0.2.1"));
    client_close(&client);
}

/* The worker has taken its listening socket. */
static bool said_is_heard(void)
{
    int unread = 0;
    return ioctl(rig.channel, SIOCOUTQ, &unread) == 0 && unread == 0;
}

/* One run of the story with a death at `stop`. False when the story was over before. */
static bool run_once(const struct story *story, int stop)
{
    char path[64];
    struct rig_options options = story->options;
    struct killer killer;
    options.guarded = true;
    options.placement = BOARD_ROUND_ROBIN;
    (void)snprintf(path, sizeof(path), "/tmp/daruma-adopt.%d", getpid());
    rig_start(&rig, &options);
    if (story->late)
        upstream_start(&rig.up[0], "app-1", NULL);
    else
        rig_upstream(&rig, 0, story->unix_upstream ? path : NULL);
    WAIT_FOR(said_is_heard());
    killer_begin(&killer, stop);
    story->run();
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    bool struck = killer_end(&killer);
    if (struck)
        WAIT_FOR(rig.gauges->worker[0].adoption.adoptions == 1 && rig.gauges->worker[0].connections == 0);
    assert_int_equal(rig.up[0].seen->posts, story->posts);
    assert_int_equal(rig.gauges->worker[0].adoption.dropped, 0);
    assert_int_equal(rig_gauge(&rig, 0)->inflight, 0);
    /* 0 … 2 and those of the rig, epoll, channel, bells, listener, two pidfds, an upstream or two, pipes */
    assert_in_range(descriptors(rig_role(&rig)), 10, 32);
    rig_end(&rig);
    return struck;
}

static void at_every_stop(const struct story *story)
{
    int stop = 0;
    while (run_once(story, stop))
        stop++;
    print_message("%d deaths\n", stop);
    assert_true(stop > 20);
}

#define STORY(name, ...)                                                                                               \
    static void name(void **unused)                                                                                    \
    {                                                                                                                  \
        (void)unused;                                                                                                  \
        at_every_stop(&(const struct story){ __VA_ARGS__ });                                                           \
    }

STORY(requests_on_a_kept_connection, .run = run_kept)
STORY(posts_are_executed_once, .run = run_posts, .posts = 3)
STORY(a_request_that_comes_in_pieces, .run = run_in_pieces, .posts = 1)
STORY(a_request_whose_upstream_takes_its_time, .run = run_waiting, .posts = 1)
STORY(pipelined_requests, .run = run_pipelined, .posts = 1)
STORY(interim_answers, .run = run_interim, .posts = 1)
STORY(bodies_that_are_framed_anew, .run = run_framings, .posts = 1)
STORY(answers_of_our_own, .run = run_errors)
STORY(large_bodies, .run = run_large, .posts = 1)
STORY(a_tunnel, .run = run_tunnel)
STORY(a_tcp_connection, .run = run_tcp, .options = { .protocol = BOARD_TCP })
STORY(a_held_request, .run = run_held, .posts = 1, .late = true)
STORY(proxy_headers_on_both_sides, .run = run_proxied, .posts = 1, .options = { .proxy = true })
STORY(posts_to_a_unix_socket, .run = run_posts, .posts = 3, .unix_upstream = true)
STORY(large_bodies_to_a_unix_socket, .run = run_large, .posts = 1, .unix_upstream = true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_on_a_kept_connection),
        cmocka_unit_test(posts_are_executed_once),
        cmocka_unit_test(a_request_that_comes_in_pieces),
        cmocka_unit_test(a_request_whose_upstream_takes_its_time),
        cmocka_unit_test(pipelined_requests),
        cmocka_unit_test(interim_answers),
        cmocka_unit_test(bodies_that_are_framed_anew),
        cmocka_unit_test(answers_of_our_own),
        cmocka_unit_test(large_bodies),
        cmocka_unit_test(a_tunnel),
        cmocka_unit_test(a_tcp_connection),
        cmocka_unit_test(a_held_request),
        cmocka_unit_test(proxy_headers_on_both_sides),
        cmocka_unit_test(posts_to_a_unix_socket),
        cmocka_unit_test(large_bodies_to_a_unix_socket),
    };
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
