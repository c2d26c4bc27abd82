/* SPDX-License-Identifier: MIT
 *
 * Processes that outlive the runtime that started them: a first one lives in a child of the test and is killed, a second
 * one in the test takes over.
 */
#include "rig.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* What the first life leaves. */
static struct {
    struct runtime_trace trace;
    bool traced, started;
} * left;

/* What the second one hears. */
static struct {
    struct runtime_handle *handle;
    pid_t pid;
    size_t ports_len;
    bool started, exited;
    struct runtime_exit how;
    struct buf out;
} seen;

static struct runtime_start start_of(const struct spec_service *service)
{
    static const struct spec spec = { .name = "test", .working_dir = "/tmp" };
    static const char *const peers[] = { NULL };
    return (
        struct runtime_start){ .spec = &spec, .service = service, .instance = "app-1", .number = 1, .peers = peers };
}

/* ---- the first life ---- */

static void on_traced(void *owner, const struct runtime_trace *trace)
{
    left->trace = *trace;
    left->traced = true;
}

static void die_when_traced(void *owner, const struct runtime_trace *trace)
{
    on_traced(owner, trace);
    (void)raise(SIGKILL);
}

static void on_first_started(void *owner, pid_t pid, const struct runtime_port *ports, size_t ports_len)
{
    left->started = true;
}

static void ignore_exit(void *owner, const struct runtime_exit *how)
{
}

static void ignore_output(void *owner, int stream, const char *data, size_t len)
{
}

/* Starts the service in a child, which is killed when it runs, or by itself. */
static void first_life(const struct spec_service *service, bool die_early)
{
    const struct runtime_events events = {
        .traced = die_early ? die_when_traced : on_traced,
        .started = on_first_started,
        .exited = ignore_exit,
        .output = ignore_output,
    };
    pid_t pid = fork();
    if (pid == 0) {
        struct err err;
        struct runtime_start start = start_of(service);
        struct runtime_handle *handle;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        loop = loop_new();
        runtime = runtime_process_new(loop, &events, run_dir, &err);
        if (!runtime || runtime->start(runtime, &start, &handle, &err) < 0)
            _exit(1);
        /* What it writes meanwhile is left in the pipes. */
        while (!left->started && loop_turn(loop, 10 * NS_PER_MS) == 0)
            ;
        for (;;)
            (void)pause();
    }
    for (int64_t until = clock_now() + PATIENCE_NS; !left->started && !(die_early && left->traced);) {
        assert_true(clock_now() < until);
        clock_sleep(NS_PER_MS);
    }
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- the second life ---- */

static void on_started(void *owner, pid_t pid, const struct runtime_port *ports, size_t ports_len)
{
    assert_false(seen.started || seen.exited);
    seen.started = true;
    seen.pid = pid;
    seen.ports_len = ports_len;
}

static void on_exited(void *owner, const struct runtime_exit *how)
{
    assert_false(seen.exited);
    seen.exited = true;
    seen.how = *how;
}

static void on_output(void *owner, int stream, const char *data, size_t len)
{
    assert_false(seen.exited);
    buf_add(&seen.out, data, len);
}

static const struct runtime_events events = { .started = on_started, .exited = on_exited, .output = on_output };

static int setup(void **unused)
{
    memset(&seen, 0, sizeof(seen));
    left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return left == MAP_FAILED ? -1 : rig_start(&events);
}

static int teardown(void **unused)
{
    buf_free(&seen.out);
    (void)munmap(left, sizeof(*left));
    return rig_end();
}

static void adopt(const struct spec_service *service)
{
    struct err err = { 0 };
    struct runtime_start start = start_of(service);
    if (runtime->adopt(runtime, &start, &left->trace, &seen.handle, &err) < 0)
        fail_msg("%s", err.message);
    assert_false(seen.started || seen.exited);
}

static bool wrote(const char *text)
{
    return seen.out.len > 0 && strstr(seen.out.data, text);
}

static void a_running_process_is_taken_over_with_what_it_wrote(void **unused)
{
    char script[512], alone[128];
    char *command[] = { "/bin/sh", "-c", script, NULL };
    struct spec_service service = service_of(command);

    (void)snprintf(alone, sizeof(alone), "%s/alone", run_dir);
    (void)snprintf(script, sizeof(script),
                   "trap 'echo asked; exit 7' TERM; until [ -e %s ]; do sleep 0.01; done; echo early; rm %s;"
                   "while :; do sleep 0.01; done",
                   alone, alone);
    first_life(&service, false);
    assert_true(alive(left->trace.pid));
    /* It writes while nobody is there to read. */
    (void)close(open(alone, O_CREAT | O_WRONLY, 0600));
    for (int64_t until = clock_now() + PATIENCE_NS; access(alone, F_OK) == 0;) {
        assert_true(clock_now() < until);
        clock_sleep(NS_PER_MS);
    }
    adopt(&service);
    WAIT_FOR(seen.started && wrote("early"));
    assert_int_equal(seen.pid, left->trace.pid);
    assert_int_equal(runtime->signal(runtime, seen.handle, SIGTERM), 0);
    WAIT_FOR(seen.exited);
    assert_true(wrote("asked"));
    /* Somebody else is its parent, so how it ended is known only if the kernel or its zombie tells. */
    if (seen.how.cause == CAUSE_EXIT)
        assert_int_equal(seen.how.status, 7);
    else
        assert_int_equal(seen.how.cause, CAUSE_UNKNOWN);
    assert_int_equal(runtime->signal(runtime, seen.handle, SIGTERM), -ESRCH);
    runtime->release(runtime, seen.handle);
}

static void its_ports_stay_its_own(void **unused)
{
    char *command[] = { "/bin/sleep", "1000", NULL };
    struct spec_service service = service_of(command);
    struct spec_port port = { .target = 80, .host_ip = "" };
    service.ports = &port;
    service.ports_len = 1;

    first_life(&service, false);
    assert_int_equal(left->trace.ports_len, 1);
    adopt(&service);
    WAIT_FOR(seen.started);
    assert_int_equal(seen.ports_len, 1);
}

static void one_that_died_meanwhile_is_told_as_gone(void **unused)
{
    char *command[] = { "/bin/sleep", "1000", NULL };
    struct spec_service service = service_of(command);

    first_life(&service, false);
    (void)kill(left->trace.pid, SIGKILL);
    for (int64_t until = clock_now() + PATIENCE_NS; alive(left->trace.pid) && clock_now() < until;)
        clock_sleep(NS_PER_MS);
    adopt(&service);
    WAIT_FOR(seen.exited);
    assert_true(seen.how.cause == CAUSE_UNKNOWN || seen.how.cause == CAUSE_KILLED);
    runtime->release(runtime, seen.handle);
}

static void another_process_with_its_number_is_left_alone(void **unused)
{
    char *command[] = { "/bin/sleep", "1000", NULL };
    struct spec_service service = service_of(command);

    first_life(&service, false);
    left->trace.birth++;
    adopt(&service);
    WAIT_FOR(seen.exited);
    assert_false(seen.started);
    assert_int_equal(seen.how.cause, CAUSE_UNKNOWN);
    assert_true(alive(left->trace.pid));
    runtime->release(runtime, seen.handle);
    (void)kill(left->trace.pid, SIGKILL);
}

static void no_program_runs_that_nobody_could_have_written_down(void **unused)
{
    char script[128];
    char *command[] = { "/bin/sh", "-c", script, NULL };
    struct spec_service service = service_of(command);

    (void)snprintf(script, sizeof(script), "touch %s/ran", run_dir);
    first_life(&service, true);
    for (int64_t until = clock_now() + PATIENCE_NS; alive(left->trace.pid);) {
        assert_true(clock_now() < until);
        clock_sleep(NS_PER_MS);
    }
    (void)snprintf(script, sizeof(script), "%s/ran", run_dir);
    assert_int_equal(access(script, F_OK), -1);
    adopt(&service);
    WAIT_FOR(seen.exited);
    /* It is no fault of the program. */
    assert_false(cause_self_inflicted(seen.how.cause));
    runtime->release(runtime, seen.handle);
}

static void what_nobody_knows_is_ended_and_what_is_known_stays(void **unused)
{
    char *command[] = { "/bin/sleep", "1000", NULL };
    struct spec_service service = service_of(command);

    first_life(&service, false);
    adopt(&service);
    WAIT_FOR(seen.started);
    assert_int_equal(runtime->end_strays(runtime), 0);
    assert_true(alive(left->trace.pid));
    (void)runtime->signal(runtime, seen.handle, SIGKILL);
    WAIT_FOR(seen.exited);
    runtime->release(runtime, seen.handle);

    memset(left, 0, sizeof(*left));
    first_life(&service, false);
    assert_int_equal(runtime->end_strays(runtime), 1);
    assert_false(alive(left->trace.pid));
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/pipes/app-1.1", run_dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/pipes/app-1.2", run_dir);
    (void)unlink(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_running_process_is_taken_over_with_what_it_wrote),
        TEST(its_ports_stay_its_own),
        TEST(one_that_died_meanwhile_is_told_as_gone),
        TEST(another_process_with_its_number_is_left_alone),
        TEST(no_program_runs_that_nobody_could_have_written_down),
        TEST(what_nobody_knows_is_ended_and_what_is_known_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
