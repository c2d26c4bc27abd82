/* SPDX-License-Identifier: MIT
 *
 * The gateway's workers as processes, each with its guard: real ones, without services behind them, so that whoever asks gets 503.
 */
#include "base/clock.h"
#include "daemon/workers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct event_bus bus;
    struct event_sink sink;
    struct board *board;
    struct gauges *gauges;
    void *shared;
    struct listeners listeners;
    struct workers *workers;
    struct workers_memory memory;
    uint16_t port;
    int events;
    bool gone;
};

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct fixture *f = sink->data;
    f->events += event->kind == EVENT_GATEWAY;
}

static void on_drained(void *data)
{
    (void)data;
}

static void on_gone(void *data)
{
    struct fixture *f = data;
    f->gone = true;
}

/* One listener with one route to a service that has no endpoint and may not be waited for. */
static void publish(struct fixture *f)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    f->port = ntohs(in.sin_port);

    const struct board_listener listener = {
        .state = BOARD_LISTENER_ACTIVE, .protocol = BOARD_HTTP, .limits = board_usual_limits, .name = "test"
    };
    int slot = board_listener_add(f->board, &listener);
    struct board_route route = {
        .listener = (uint32_t)slot, .targets = 1, .attempts = 1, .connect_timeout_ns = NS_PER_S
    };
    route.service[0] = (uint16_t)board_service_add(f->board, "nobody");
    assert_true(board_route_add(f->board, &route) >= 0);
    f->listeners.list = calloc(1, sizeof(struct listener));
    assert_non_null(f->listeners.list);
    f->listeners.list[0] = (struct listener){ .fd = fd, .slot = slot };
    f->listeners.len = f->listeners.cap = 1;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = { 0 };
    f->loop = loop_new();
    f->board = board_new(&err);
    f->gauges = gauges_new(2, &err);
    f->shared = gateway_shared_new(&err);
    f->sink = (struct event_sink){ .fn = on_event, .data = f };
    event_subscribe(&f->bus, &f->sink);
    publish(f);
    assert_int_equal(workers_memory_new(&f->memory, &err), 0);
    const struct workers_setup workers = {
        .loop = f->loop,
        .events = &f->bus,
        .board = f->board,
        .gauges = f->gauges,
        .shared = f->shared,
        .listeners = &f->listeners,
        .memory = &f->memory,
        .count = 2,
        .connections = 64,
        .data = f,
        .drained = on_drained,
        .gone = on_gone,
    };
    f->workers = workers_new(&workers, &err);
    assert_non_null(f->workers);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    workers_free(f->workers);
    workers_memory_free(&f->memory);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left, not even a zombie */
    listeners_free(&f->listeners);
    gateway_shared_free(f->shared);
    gauges_free(f->gauges);
    board_free(f->board);
    loop_free(f->loop);
    free(f);
    return 0;
}

static size_t children_of(pid_t parent, pid_t pids[8])
{
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (n < 8 && fscanf(file, "%d", &pids[n]) == 1)
        n++;
    (void)fclose(file);
    return n;
}

/* Our children: the guards. */
static size_t children(pid_t pids[8])
{
    return children_of(getpid(), pids);
}

/* Turns the loop until `done` holds. */
static bool until(struct fixture *f, bool (*done)(struct fixture *f))
{
    int64_t deadline = clock_now() + 30 * NS_PER_S;
    while (!done(f) && clock_now() < deadline)
        assert_int_equal(loop_turn(f->loop, 5 * NS_PER_MS), 0);
    return done(f);
}

/* Somebody answers: a worker was handed the socket. */
static bool answers(struct fixture *f)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(f->port) };
    const struct timeval timeout = { .tv_usec = 500000 };
    const char *request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char answer[512] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        (void)!recv(fd, answer, sizeof(answer) - 1, 0);
    (void)close(fd);
    return strncmp(answer, "HTTP/1.1 503", 12) == 0;
}

static bool told(struct fixture *f)
{
    return f->events > 0;
}

static bool told_twice(struct fixture *f)
{
    return f->events > 1;
}

static bool two_pairs(struct fixture *f)
{
    pid_t pids[8], roles[8];
    (void)f;
    return children(pids) == 2 && children_of(pids[0], roles) == 1 && children_of(pids[1], roles) == 1;
}

static bool all_gone(struct fixture *f)
{
    return f->gone;
}

static void workers_get_their_sockets(void **state)
{
    assert_true(until(*state, answers));
}

static void a_killed_worker_is_replaced_by_its_guard(void **state)
{
    struct fixture *f = *state;
    pid_t guards[8], roles[2][8], after[8];
    assert_true(until(f, two_pairs));
    assert_true(until(f, answers));
    assert_int_equal(children(guards), 2);
    /* Both, so that only successors can answer. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(children_of(guards[i], roles[i]), 1);
        assert_int_equal(kill(roles[i][0], SIGKILL), 0);
    }
    assert_true(until(f, told_twice));
    assert_true(until(f, answers));
    assert_int_equal(children(after), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(after[i] == guards[i]);
        assert_int_equal(children_of(guards[i], after), 1);
        assert_int_not_equal(after[0], roles[i][0]);
        assert_int_equal(children(after), 2);
    }
}

static bool told_of_guards(struct fixture *f)
{
    return f->events > 1 && two_pairs(f); /* a guard is told of as soon as its worker asks for it, before it is there */
}

static void a_killed_guard_is_replaced_by_its_worker(void **state)
{
    struct fixture *f = *state;
    pid_t guards[8], roles[2][8], after[8];
    assert_true(until(f, two_pairs));
    assert_true(until(f, answers));
    assert_int_equal(children(guards), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(children_of(guards[i], roles[i]), 1);
        assert_int_equal(kill(guards[i], SIGKILL), 0);
    }
    /* The workers are our children now, and the new guards theirs. */
    assert_true(until(f, told_of_guards));
    for (int i = 0; i < 2; i++)
        assert_int_equal(children_of(roles[i][0], after), 1);
    assert_true(until(f, answers));
}

static void a_pair_that_is_killed_at_once_is_replaced_and_told_everything(void **state)
{
    struct fixture *f = *state;
    pid_t pids[8], after[8];
    assert_int_equal(children(pids), 2);
    assert_int_equal(kill(-pids[0], SIGKILL), 0);
    assert_int_equal(kill(-pids[1], SIGKILL), 0);
    assert_true(until(f, told));
    assert_true(until(f, two_pairs));
    assert_true(until(f, answers));
    assert_int_equal(children(after), 2);
    for (int i = 0; i < 2; i++)
        assert_true(after[i] != pids[0] && after[i] != pids[1]);
}

static void a_worker_that_hangs_is_replaced(void **state)
{
    struct fixture *f = *state;
    pid_t guards[8], roles[8];
    assert_true(until(f, two_pairs));
    assert_true(until(f, answers));
    assert_int_equal(children(guards), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(children_of(guards[i], roles), 1);
        assert_int_equal(kill(roles[0], SIGSTOP), 0);
    }
    assert_true(until(f, told_twice));
    assert_true(until(f, answers));
}

static void drained_workers_end(void **state)
{
    struct fixture *f = *state;
    pid_t pids[8];
    workers_drain(f->workers, 5 * NS_PER_S);
    assert_true(until(f, all_gone));
    assert_int_equal(children(pids), 0);
    assert_int_equal(f->events, 0);
}

static void a_worker_that_does_not_drain_is_ended_at_the_limit(void **state)
{
    struct fixture *f = *state;
    pid_t pids[8];
    assert_int_equal(children(pids), 2);
    assert_int_equal(kill(-pids[0], SIGSTOP), 0);
    workers_drain(f->workers, 50 * NS_PER_MS);
    assert_true(until(f, all_gone));
    assert_int_equal(children(pids), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);    /* as the supervisor is */
    (void)setenv("DARUMA_HANG_MS", "3000", 1); /* on a busy machine a second is no hang */
    const struct CMUnitTest tests[] = {
        TEST(workers_get_their_sockets),
        TEST(a_killed_worker_is_replaced_by_its_guard),
        TEST(a_killed_guard_is_replaced_by_its_worker),
        TEST(a_pair_that_is_killed_at_once_is_replaced_and_told_everything),
        TEST(a_worker_that_hangs_is_replaced),
        TEST(drained_workers_end),
        TEST(a_worker_that_does_not_drain_is_ended_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
