/* SPDX-License-Identifier: MIT
 *
 * The admin API as a client sees it: over its Unix socket, served from a loop that also is the client's.
 */
#include "base/clock.h"
#include "observe/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* What was asked of the supervisor. */
struct asked {
    int down, killed_down, volumes_down, restarts, scales, kills;
    char name[64];
    int number;
};

struct fixture {
    char dir[64];
    char path[128];
    struct loop *loop;
    struct event_bus bus;
    struct journal *journal;
    struct api api;
    struct admin *admin;
    struct asked asked;
    struct buf answer;
};

static json_t *call_project(void *data)
{
    return json_pack("{s:s, s:[s, s]}", "name", "test", "services", "app", "db");
}

static void call_metrics(void *data, struct buf *out)
{
    buf_puts(out, "daruma_up 1\n");
}

static json_t *call_instances(void *data)
{
    return json_pack("[{s:s, s:s}]", "service", "app", "instance", "app-1");
}

static int call_up(void *data, const json_t *request, json_t **ret, struct err *err)
{
    if (!json_object_get(request, "working_dir"))
        return err_set(err, -EINVAL, "no working_dir");
    *ret = json_pack("{s:s, s:s}", "error", "bad files", "problems", "compose.yaml:1:1: no");
    return -EINVAL;
}

static void call_down(void *data, bool kill, bool volumes)
{
    struct asked *asked = data;
    asked->down++;
    asked->killed_down += kill;
    asked->volumes_down += volumes;
}

static void note(struct asked *asked, const char *name, int number)
{
    (void)snprintf(asked->name, sizeof(asked->name), "%s", name ? name : "(all)");
    asked->number = number;
}

static int call_restart(void *data, const char *service, struct err *err)
{
    struct asked *asked = data;
    asked->restarts++;
    note(asked, service, 0);
    return service && strcmp(service, "nobody") == 0 ? err_set(err, -ENOENT, "no service nobody") : 0;
}

static int call_scale(void *data, const char *service, int replicas, struct err *err)
{
    struct asked *asked = data;
    asked->scales++;
    note(asked, service, replicas);
    return 0;
}

static int call_kill(void *data, const char *name, int signo, struct err *err)
{
    struct asked *asked = data;
    asked->kills++;
    note(asked, name, signo);
    return 0;
}

static int call_chaos_kill(void *data, const char *const *services, uint64_t pick, int signo, bool allow_last,
                           json_t **ret, struct err *err)
{
    if (!allow_last)
        return err_set(err, -EBUSY, "it is the last one");
    *ret = json_pack("{s:s, s:i, s:i}", "instance", services ? services[0] : "any", "signal", signo, "pick", (int)pick);
    return 0;
}

static int call_chaos_pause(void *data, const char *const *services, uint64_t pick, int64_t ns, bool allow_last,
                            json_t **ret, struct err *err)
{
    *ret = json_pack("{s:I}", "ns", (json_int_t)ns);
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = { 0 };
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/daruma-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/admin.sock", f->dir);
    f->loop = loop_new();
    f->journal = journal_new(&f->bus, NULL);
    f->api = (struct api){
        .calls = { .data = &f->asked,
                   .project = call_project,
                   .instances = call_instances,
                   .metrics = call_metrics,
                   .gateway = call_project,
                   .up = call_up,
                   .down = call_down,
                   .restart = call_restart,
                   .scale = call_scale,
                   .kill = call_kill,
                   .chaos_kill = call_chaos_kill,
                   .chaos_pause = call_chaos_pause },
        .journal = f->journal,
        .logs_dir = f->dir,
    };
    int fd = admin_listen(f->path, &err);
    assert_true(fd >= 0);
    f->admin = admin_new(f->loop, fd, &f->api, &err);
    assert_non_null(f->admin);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    admin_free(f->admin);
    journal_free(f->journal);
    loop_free(f->loop);
    buf_free(&f->answer);
    (void)nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static int client(struct fixture *f, const char *request, size_t len)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, f->path, strlen(f->path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, request + sent, len - sent, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        assert_int_equal(loop_turn(f->loop, 0), 0);
    }
    return fd;
}

/* Turns the loop and collects the answer until it holds `text` (NULL: until the connection's end). */
static bool collect(struct fixture *f, int fd, const char *text)
{
    int64_t deadline = clock_now() + 20 * NS_PER_S;
    size_t searched = 0;
    while (clock_now() < deadline) {
        char block[65536];
        assert_int_equal(loop_turn(f->loop, 5 * NS_PER_MS), 0);
        ssize_t n = recv(fd, block, sizeof(block), 0);
        if (n > 0)
            buf_add(&f->answer, block, (size_t)n);
        if (n == 0)
            return text == NULL;
        if (text && f->answer.data && strstr(f->answer.data + searched, text))
            return true;
        if (text && f->answer.len > strlen(text))
            searched = f->answer.len - strlen(text);
    }
    return false;
}

/* One whole exchange; the answer's status. */
static int ask(struct fixture *f, const char *method, const char *path, const char *body)
{
    struct buf request = { 0 };
    int status = 0;
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method,
               path, strlen(body), body);
    int fd = client(f, request.data, request.len);
    buf_free(&request);
    buf_consume(&f->answer, f->answer.len);
    assert_true(collect(f, fd, NULL));
    (void)close(fd);
    assert_int_equal(sscanf(f->answer.data, "HTTP/1.1 %d", &status), 1);
    return status;
}

static void questions_are_answered(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "GET", "/v1/project", ""), 200);
    assert_non_null(strstr(f->answer.data, "\"name\":\"test\""));
    assert_non_null(strstr(f->answer.data, "application/json"));
    assert_int_equal(ask(f, "GET", "/metrics", ""), 200);
    assert_non_null(strstr(f->answer.data, "text/plain; version=0.0.4"));
    assert_non_null(strstr(f->answer.data, "\r\n\r\ndaruma_up 1\n"));
}

static void orders_reach_the_supervisor(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "POST", "/v1/down", ""), 202);
    assert_int_equal(ask(f, "POST", "/v1/down", "{\"kill\": true}"), 202);
    assert_int_equal(ask(f, "POST", "/v1/down", "{\"volumes\": true}"), 202);
    assert_int_equal(f->asked.down, 3);
    assert_int_equal(f->asked.killed_down, 1);
    assert_int_equal(f->asked.volumes_down, 1);
    assert_int_equal(ask(f, "POST", "/v1/restart", "{}"), 202);
    assert_string_equal(f->asked.name, "(all)");
    assert_int_equal(ask(f, "POST", "/v1/restart", "{\"services\": [\"app\", \"db\"]}"), 202);
    assert_int_equal(f->asked.restarts, 3);
    assert_string_equal(f->asked.name, "db");
    assert_int_equal(ask(f, "POST", "/v1/scale", "{\"app\": 3}"), 202);
    assert_int_equal(f->asked.number, 3);
    assert_int_equal(ask(f, "POST", "/v1/kill", "{\"targets\": [\"app-1\"], \"signal\": \"SIGTERM\"}"), 200);
    assert_int_equal(f->asked.number, SIGTERM);
    assert_int_equal(ask(f, "POST", "/v1/kill", "{}"), 200);
    assert_int_equal(f->asked.number, SIGKILL);
    assert_int_equal(
        ask(f, "POST", "/v1/chaos/kill", "{\"services\":[\"app\"],\"signal\":null,\"allow_last\":true,\"pick\":7}"),
        200);
    assert_non_null(strstr(f->answer.data, "\"signal\":0"));
    assert_non_null(strstr(f->answer.data, "\"pick\":7"));
    assert_int_equal(ask(f, "POST", "/v1/chaos/pause", "{\"for\":1.5}"), 200);
    assert_non_null(strstr(f->answer.data, "\"ns\":1500000000"));
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Instances need descriptors to be started with. */
static void idle_clients_do_not_take_all_descriptors(void **state)
{
    struct fixture *f = *state;
    enum { IDLE = 200, SERVED = 128 };
    int fds[IDLE], before = open_descriptors();

    for (int i = 0; i < IDLE; i++)
        fds[i] = client(f, "G", 1);
    assert_int_equal(open_descriptors(), before + IDLE + SERVED);
    for (int i = 0; i < IDLE; i++)
        (void)close(fds[i]);
    for (int i = 0; i < 20; i++)
        assert_int_equal(loop_turn(f->loop, NS_PER_MS), 0);
    int64_t began = clock_now();
    assert_int_equal(ask(f, "GET", "/v1/project", ""), 200);
    assert_true(clock_now() - began < 5 * NS_PER_S);
}

/* Nobody is there any more who could answer it. */
static void a_question_that_comes_at_the_end_reaches_nobody(void **state)
{
    struct fixture *f = *state;
    static const char follow[] = "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n",
                      late[] = "POST /v1/restart HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    int follower = client(f, follow, strlen(follow)), asker = client(f, late, 1);

    assert_true(collect(f, follower, "200 OK"));
    assert_int_equal(send(asker, late + 1, strlen(late + 1), MSG_NOSIGNAL), (ssize_t)strlen(late + 1));
    admin_free(f->admin);
    f->admin = NULL;
    assert_int_equal(f->asked.restarts, 0);
    (void)close(follower);
    (void)close(asker);
}

static void what_is_wrong_is_said_and_does_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *method, *path, *body;
        int status;
    } wrong[] = {
        { "GET", "/", "", 404 },
        { "GET", "/v1/nothing", "", 404 },
        { "DELETE", "/v1/project", "", 405 },
        { "GET", "/v1/down", "", 405 },
        { "POST", "/v1/scale", "{", 400 },
        { "POST", "/v1/scale", "[]", 400 },
        { "POST", "/v1/scale", "{\"app\": -1}", 400 },
        { "POST", "/v1/scale", "{\"app\": \"3\"}", 400 },
        { "POST", "/v1/scale", "{\"app\": 1, \"app\": 2}", 400 },
        { "POST", "/v1/scale", "{\"app\": 99999999}", 400 },
        { "POST", "/v1/kill", "{\"signal\": \"NONSENSE\"}", 400 },
        { "POST", "/v1/kill", "{\"signal\": 0}", 400 },
        { "POST", "/v1/kill", "{\"targets\": \"app\"}", 400 },
        { "POST", "/v1/kill", "{\"targets\": [1]}", 400 },
        { "POST", "/v1/chaos/kill", "{}", 409 },
        { "POST", "/v1/chaos/kill", "{\"signal\": \"STOP\"}", 400 },
        { "POST", "/v1/chaos/pause", "{}", 400 },
        { "POST", "/v1/chaos/pause", "{\"for\": -1}", 400 },
        { "POST", "/v1/chaos/pause", "{\"for\": 1e30}", 400 },
        { "POST", "/v1/chaos/pause", "{\"for\": 1, \"services\": 5}", 400 },
        { "POST", "/v1/up", "{}", 400 },
        { "POST", "/v1/up", "{\"working_dir\": \"/\"}", 422 },
        { "GET", "/v1/events?since=x", "", 400 },
        { "GET", "/v1/logs?tail=-1", "", 400 },
        { "GET", "/v1/logs?since=1e12", "", 400 },
        { "GET", "/v1/logs?service=%ff", "", 404 },
        { "GET", "/v1/logs?service=nobody", "", 404 },
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int status = ask(f, wrong[i].method, wrong[i].path, wrong[i].body);
        if (status != wrong[i].status)
            fail_msg("%s %s %s: %d", wrong[i].method, wrong[i].path, wrong[i].body, status);
        assert_non_null(strstr(f->answer.data, "\"error\""));
    }
    assert_int_equal(f->asked.scales + f->asked.kills + f->asked.down, 0);
    /* Nobody is touched when one of several is not there. */
    f->asked = (struct asked){ 0 };
    assert_int_equal(ask(f, "POST", "/v1/restart", "{\"services\": [\"app\", \"nobody\"]}"), 404);
    assert_int_equal(ask(f, "POST", "/v1/restart", "{\"services\": [\"app-1\"]}"), 404);
    assert_int_equal(ask(f, "POST", "/v1/kill", "{\"targets\": [\"app-1\", \"app-2\"]}"), 404);
    assert_int_equal(ask(f, "POST", "/v1/scale", "{\"app\": 1, \"nobody\": 2}"), 404);
    assert_int_equal(f->asked.restarts + f->asked.kills + f->asked.scales, 0);
}

static void a_body_without_bounds_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t len = 5 << 20;
    char *body = malloc(len + 1);
    assert_non_null(body);
    memset(body, ' ', len);
    body[len] = '\0';
    assert_int_equal(ask(f, "POST", "/v1/scale", body), 413);
    free(body);
}

static void emit(struct fixture *f, const char *text)
{
    struct event event = { .kind = EVENT_WARNING };
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    event_emit(&f->bus, &event);
    admin_wake(f->admin);
}

static int follow(struct fixture *f, const char *path)
{
    char request[256];
    int n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return client(f, request, (size_t)n);
}

static void events_are_given_and_followed_until_the_end(void **state)
{
    struct fixture *f = *state;
    emit(f, "first");
    emit(f, "second");
    assert_int_equal(ask(f, "GET", "/v1/events?since=1", ""), 200);
    assert_null(strstr(f->answer.data, "first"));
    assert_non_null(strstr(f->answer.data, "second"));

    buf_consume(&f->answer, f->answer.len);
    int one = follow(f, "/v1/events?follow=1"), two = follow(f, "/v1/events?follow=1&since=2");
    assert_true(collect(f, one, "second"));
    assert_null(strstr(f->answer.data, "third"));
    emit(f, "third");
    assert_true(collect(f, one, "third"));
    buf_consume(&f->answer, f->answer.len);
    assert_true(collect(f, two, "third"));
    assert_null(strstr(f->answer.data, "second"));
    /* One leaves; the other goes on, to a proper end. */
    (void)close(two);
    emit(f, "fourth");
    assert_true(collect(f, one, "fourth"));
    emit(f, "last words");
    admin_free(f->admin);
    f->admin = NULL;
    assert_true(collect(f, one, NULL));
    assert_non_null(strstr(f->answer.data, "last words"));
    assert_non_null(strstr(f->answer.data, "\r\n0\r\n\r\n"));
    (void)close(one);
}

static void a_follower_that_never_reads_stops_nobody(void **state)
{
    struct fixture *f = *state;
    int deaf = follow(f, "/v1/events?follow=1"), good = follow(f, "/v1/events?follow=1");
    char text[EVENT_TEXT];
    for (int i = 0; i < JOURNAL_EVENTS; i++) {
        (void)snprintf(text, sizeof(text), "event %d %0200d", i, 0);
        emit(f, text);
        if (i % 256 == 0)
            assert_int_equal(loop_turn(f->loop, 0), 0);
    }
    (void)snprintf(text, sizeof(text), "event %d", JOURNAL_EVENTS - 1);
    assert_true(collect(f, good, text));
    assert_int_equal(ask(f, "GET", "/v1/project", ""), 200);
    int64_t begun = clock_now();
    admin_free(f->admin);
    f->admin = NULL;
    assert_true(clock_now() - begun < 10 * NS_PER_S);
    (void)close(deaf);
    (void)close(good);
}

static void a_socket_that_a_crash_left_is_taken_over(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/other.sock", f->dir);
    int fd = admin_listen(path, &err);
    assert_true(fd >= 0);
    (void)close(fd);
    fd = admin_listen(path, &err);
    assert_true(fd >= 0);
    (void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(questions_are_answered),
        TEST(idle_clients_do_not_take_all_descriptors),
        TEST(a_question_that_comes_at_the_end_reaches_nobody),
        TEST(orders_reach_the_supervisor),
        TEST(what_is_wrong_is_said_and_does_nothing),
        TEST(a_body_without_bounds_is_refused),
        TEST(events_are_given_and_followed_until_the_end),
        TEST(a_follower_that_never_reads_stops_nobody),
        TEST(a_socket_that_a_crash_left_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
