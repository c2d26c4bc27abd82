/* SPDX-License-Identifier: MIT
 *
 * A supervisor that takes over where another one stood, by its records alone: the runtime is one of words, which notes what
 * it is asked for and tells what the test wants.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "supervise/record.h"
#include "supervise/supervise.h"

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
#include <unistd.h>

#include <cmocka.h>

struct runtime_handle {
    void *owner;
    char instance[EVENT_NAME];
    int signal;       /* the last one */
    char version[16]; /* what its environment says */
    struct runtime_trace trace;
};

static struct {
    char path[64], file[64];
    struct loop *loop;
    struct arena_file arena;
    struct board *board;
    struct gauges *gauges;
    struct event_bus bus;
    struct supervisor *supervisor;
    struct runtime_handle *handles[16];
    size_t handles_len;
    int started, adopted;
    struct runtime_exec execution; /* the last one */
    int executions;
    char specs[8][512]; /* the texts of those that were applied, by id */
    uint32_t last_spec;
    bool lost; /* they cannot be loaded again */
    struct event_sink sink;
    char told[4096];               /* of deploys, since the present life began */
    struct deploy_receipt receipt; /* the last one */
} house;

/* ---- a runtime of words ---- */

static int take(const struct runtime_start *start, struct runtime_handle **ret)
{
    struct runtime_handle *handle = calloc(1, sizeof(*handle));
    handle->owner = start->owner;
    (void)snprintf(handle->instance, sizeof(handle->instance), "%s", start->instance);
    for (char **entry = start->service->environment; *entry; entry++)
        (void)sscanf(*entry, "VERSION=%15s", handle->version);
    handle->trace = (struct runtime_trace){ .pid = 1000 + (pid_t)house.handles_len, .birth = 7, .ports_len = 0 };
    house.handles[house.handles_len++] = handle;
    *ret = handle;
    return 0;
}

static int start(struct runtime *runtime, const struct runtime_start *start, struct runtime_handle **ret,
                 struct err *err)
{
    house.started++;
    (void)take(start, ret);
    supervisor_runtime_events.traced(start->owner, &(*ret)->trace);
    return 0;
}

static int adopt(struct runtime *runtime, const struct runtime_start *start, const struct runtime_trace *trace,
                 struct runtime_handle **ret, struct err *err)
{
    house.adopted++;
    (void)take(start, ret);
    (*ret)->trace = *trace;
    return 0;
}

static int send_signal(struct runtime *runtime, struct runtime_handle *handle, int signo)
{
    handle->signal = signo;
    return 0;
}

static void release(struct runtime *runtime, struct runtime_handle *handle)
{
    for (size_t i = 0; i < house.handles_len; i++)
        if (house.handles[i] == handle)
            house.handles[i] = house.handles[--house.handles_len];
    free(handle);
}

static void forget(struct runtime *runtime, const char *instance)
{
}

static int execute(struct runtime *runtime, struct runtime_handle *handle, const struct runtime_exec *exec,
                   struct runtime_execution **ret, struct err *err)
{
    house.execution = *exec;
    house.executions++;
    return 0;
}

static struct runtime runtime = { .name = "words",
                                  .start = start,
                                  .adopt = adopt,
                                  .signal = send_signal,
                                  .exec = execute,
                                  .release = release,
                                  .forget = forget };

static struct runtime_handle *handle_of(const char *instance)
{
    for (size_t i = 0; i < house.handles_len; i++)
        if (strcmp(house.handles[i]->instance, instance) == 0)
            return house.handles[i];
    return NULL;
}

static void tell_started(const char *instance)
{
    struct runtime_handle *handle = handle_of(instance);
    assert_non_null(handle);
    supervisor_runtime_events.started(handle->owner, handle->trace.pid, NULL, 0);
}

static void tell_exit(const char *instance, enum cause cause, int status)
{
    struct runtime_handle *handle = handle_of(instance);
    const struct runtime_exit how = { .cause = cause, .status = status, .at_ns = clock_now() };
    assert_non_null(handle);
    supervisor_runtime_events.exited(handle->owner, &how);
}

/* ---- the house ---- */

static void ring(void *data)
{
}

static int board_service(void *data, const char *service)
{
    return board_service_add(house.board, service);
}

static const char *const *peer_environment(void *data)
{
    static const char *const none[] = { NULL };
    return none;
}

static struct spec *load(const char *services);

static struct spec *load_spec(void *data, uint32_t id)
{
    assert_in_range(id, 1, house.last_spec);
    return house.lost ? NULL : load(house.specs[id]);
}

static void deployed(void *data, const struct deploy_receipt *receipt)
{
    house.receipt = *receipt;
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    size_t len = strlen(house.told);
    if (event->kind == EVENT_DEPLOY)
        (void)snprintf(house.told + len, sizeof(house.told) - len, "%s; ", event->text);
}

static void open_house(void)
{
    const struct arena_shape shape = { .version = RECORD_VERSION, .slots = 64, .size = RECORD_SIZE };
    struct err refused, err;

    assert_int_equal(arena_open(&house.arena, house.path, &shape, &refused, &err), 0);
    assert_int_equal(refused.code, 0);
    house.loop = loop_new();
    const struct supervisor_peers peers = {
        .loop = house.loop,
        .runtime = &runtime,
        .events = &house.bus,
        .board = house.board,
        .gauges = house.gauges,
        .arena = &house.arena,
        .ring = ring,
        .board_service = board_service,
        .load_spec = load_spec,
        .deployed = deployed,
        .peer_environment = peer_environment,
    };
    house.supervisor = supervisor_new(&peers);
    assert_non_null(house.supervisor);
}

/* Whose life ends by SIGKILL frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* It dies: nothing of it is ended in order, and what it had in memory is gone. */
static void die(void)
{
    arena_close(&house.arena);
    house.arena = (struct arena_file){ 0 };
    for (size_t i = 0; i < house.handles_len; i++)
        free(house.handles[i]);
    house.handles_len = 0;
    house.started = house.adopted = 0;
    house.told[0] = '\0';
}

static struct spec *load(const char *services)
{
    struct spec *spec = NULL;
    struct problems problems = { 0 };
    const char *const files[] = { house.file, NULL };
    const struct compose_request request = { .working_dir = "/tmp", .project_name = "test", .files = files };
    FILE *file = fopen(house.file, "w");

    assert_non_null(file);
    (void)fprintf(file, "services:\n%s", services);
    (void)fclose(file);
    assert_int_equal(compose_load(&request, &spec, &problems), 0);
    problems_free(&problems);
    return spec;
}

static void apply(const char *services)
{
    struct err err;
    assert_true(++house.last_spec < ARRAY_LEN(house.specs));
    (void)snprintf(house.specs[house.last_spec], sizeof(house.specs[0]), "%s", services);
    assert_int_equal(supervisor_apply(house.supervisor, load(services), house.last_spec, NULL, &err), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
}

/* The next life begins. How many instances it takes over. */
static int restore_as(const char *services, uint32_t id)
{
    struct err err;
    die();
    open_house();
    int taken = supervisor_restore(house.supervisor, load(services), id, &err);
    assert_true(taken >= 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    return taken;
}

/* By another spec than any before. */
static int restore(const char *services)
{
    return restore_as(services, 0);
}

/* By the one that was applied last. */
static int restore_last(void)
{
    return restore_as(house.specs[house.last_spec], house.last_spec);
}

static int setup(void **unused)
{
    struct err err;
    memset(&house, 0, sizeof(house));
    strcpy(house.path, "/tmp/daruma-test-arena-XXXXXX");
    strcpy(house.file, "/tmp/daruma-test-file-XXXXXX");
    int fd = mkstemp(house.path);
    if (fd < 0 || close(fd) < 0 || unlink(house.path) < 0)
        return -1;
    fd = mkstemp(house.file);
    if (fd < 0 || close(fd) < 0)
        return -1;
    house.board = board_new(&err);
    house.gauges = gauges_new(1, &err);
    house.sink.fn = on_event;
    event_subscribe(&house.bus, &house.sink);
    open_house();
    return 0;
}

static int teardown(void **unused)
{
    die();
    board_free(house.board);
    gauges_free(house.gauges);
    (void)unlink(house.path);
    (void)unlink(house.file);
    return 0;
}

static void find(void *data, const struct instance_info *info)
{
    struct instance_info *wanted = data;
    if (strcmp(info->instance, wanted->instance) == 0)
        *wanted = *info;
}

static struct instance_info info_of(const char *instance)
{
    struct instance_info info = { .state = "absent", .health = "" };
    (void)snprintf(info.instance, sizeof(info.instance), "%s", instance);
    supervisor_each(house.supervisor, find, &info);
    return info;
}

#define assert_state(instance, wanted) assert_string_equal(info_of(instance).state, wanted)

#define APP      "  app: {restart: always, x-daruma: {process: {command: [run]}}}\n"
#define TWO      "  app: {restart: always, scale: 2, x-daruma: {process: {command: [run]}}}\n"
#define JOB      "  job: {restart: 'on-failure:2', x-daruma: {process: {command: [run]}}}\n"
#define TWO_MORE "  more: {restart: always, scale: 2, x-daruma: {process: {command: [run]}}}\n"
#define NEW      "  app: {restart: always, environment: {NEW: '1'}, x-daruma: {process: {command: [run]}}}\n"

/* ---- stories ---- */

static void what_runs_is_taken_over_without_a_word(void **unused)
{
    apply(TWO);
    tell_started("app-1");
    tell_started("app-2");
    uint64_t before = house.bus.last_seq;
    assert_int_equal(restore(TWO), 2);
    assert_int_equal(house.started, 0);
    assert_int_equal(handle_of("app-1")->trace.pid, 1000);
    assert_int_equal(handle_of("app-1")->trace.birth, 7);
    tell_started("app-1");
    tell_started("app-2");
    assert_state("app-1", "serving");
    assert_state("app-2", "serving");
    assert_int_equal(info_of("app-1").restarts, 0);
    assert_int_equal(info_of("app-1").pid, 1000);
    assert_true(info_of("app-1").since_ns > 0);
    assert_int_equal(house.bus.last_seq, before);
}

static void what_died_meanwhile_is_started_again(void **unused)
{
    apply(APP);
    tell_started("app-1");
    restore(APP);
    tell_exit("app-1", CAUSE_UNKNOWN, -1);
    assert_int_equal(house.started, 1);
    assert_int_equal(info_of("app-1").restarts, 1);
    assert_int_equal(info_of("app-1").last_cause, CAUSE_UNKNOWN);
}

static void a_start_that_nobody_saw_the_end_of_is_not_repeated(void **unused)
{
    apply(APP); /* traced, not started yet */
    assert_int_equal(restore(APP), 1);
    assert_int_equal(house.started, 0);
    tell_started("app-1");
    assert_state("app-1", "serving");
}

static void budgets_delays_and_ends_go_on(void **unused)
{
    apply(JOB);
    for (int i = 0; i < 2; i++) {
        tell_started("job-1");
        tell_exit("job-1", CAUSE_EXIT, 3);
        if (i == 0)
            assert_int_equal(house.started, 2);
    }
    assert_state("job-1", "waiting");
    int64_t retry = info_of("job-1").retry_at_ns;
    assert_true(retry > 0);
    assert_int_equal(restore(JOB), 0);
    assert_state("job-1", "waiting");
    assert_int_equal(info_of("job-1").retry_at_ns, retry);
    assert_int_equal(info_of("job-1").last_status, 3);
    while (house.started == 0)
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    tell_started("job-1");
    tell_exit("job-1", CAUSE_EXIT, 3);
    assert_state("job-1", "failed");
    restore(JOB);
    assert_state("job-1", "failed");
    assert_int_equal(house.started, 0);
}

static void what_scale_said_still_counts(void **unused)
{
    struct err err;
    apply(APP);
    assert_int_equal(supervisor_scale(house.supervisor, "app", 3, &err), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_int_equal(house.started, 3);
    assert_int_equal(restore(APP), 3);
    apply(APP);
    assert_int_equal(handle_of("app-3")->signal, 0);
    assert_int_equal(house.started, 0);
}

static void what_was_to_end_ends(void **unused)
{
    apply(APP);
    tell_started("app-1");
    assert_int_equal(supervisor_restart(house.supervisor, "app", NULL), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_int_equal(handle_of("app-1")->signal, SIGTERM);
    restore(APP);
    tell_started("app-1");
    assert_state("app-1", "stopping");
    assert_int_equal(handle_of("app-1")->signal, 0); /* it has been asked already */
    tell_exit("app-1", CAUSE_UNKNOWN, -1);
    assert_int_equal(info_of("app-1").last_cause, CAUSE_STOP);
    assert_int_equal(house.started, 1);
}

static void a_configuration_that_nobody_knows_any_more_is_replaced(void **unused)
{
    apply(APP);
    tell_started("app-1");
    house.lost = true;
    assert_int_equal(restore(NEW), 1);
    tell_started("app-1");
    assert_int_equal(loop_turn(house.loop, 0), 0);
    /* Without a port nobody would notice two of it, so the old one goes first. */
    assert_int_equal(handle_of("app-1")->signal, SIGTERM);
    tell_exit("app-1", CAUSE_KILLED, SIGTERM);
    assert_int_equal(info_of("app-1").last_cause, CAUSE_DEPLOY);
    while (house.started == 0)
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
}

static void what_no_file_names_is_stopped(void **unused)
{
    apply(APP JOB);
    tell_started("app-1");
    tell_started("job-1");
    assert_int_equal(restore(APP), 2);
    tell_started("app-1");
    tell_started("job-1");
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_int_equal(handle_of("job-1")->signal, SIGTERM);
    assert_int_equal(handle_of("app-1")->signal, 0);
    tell_exit("job-1", CAUSE_KILLED, SIGTERM);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_state("job-1", "absent");
}

/* ---- versions and deploys ---- */

#define VERSION(n)                                                                                                     \
    "  app: {restart: always, environment: {VERSION: '" #n "'}, deploy: {update_config: {monitor: 0s}},\n"             \
    "        x-daruma: {process: {command: [run]}}}\n"

static void turns_until_told(const char *text)
{
    int64_t until = clock_now() + 30 * NS_PER_S;
    while (!strstr(house.told, text)) {
        if (clock_now() > until)
            fail_msg("\"%s\" is not in: %s", text, house.told);
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    }
}

/* Stop-first, since nobody could tell two without a port: app-1 makes way for app-1. */
static void replace_app(void)
{
    tell_exit("app-1", CAUSE_KILLED, SIGTERM);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
}

static void deploy(const char *services)
{
    apply(services);
    replace_app();
    tell_started("app-1");
    turns_until_told("deployed in");
    house.told[0] = '\0';
}

static void a_deploy_that_was_taken_over_goes_back_when_its_version_fails(void **unused)
{
    apply(VERSION(1));
    tell_started("app-1");
    apply(VERSION(2));
    replace_app();
    assert_string_equal(handle_of("app-1")->version, "2");
    assert_int_equal(restore_last(), 1);
    tell_started("app-1");
    tell_exit("app-1", CAUSE_EXIT, 3);
    turns_until_told("version 2 goes back to 1: app-1 exited with status 3");
    replace_app(); /* it had been started once more */
    assert_string_equal(handle_of("app-1")->version, "1");
    restore_last();
    tell_started("app-1");
    turns_until_told("back at version 1");
    assert_string_equal(handle_of("app-1")->version, "1");
}

static void a_pause_ends_when_its_lease_does_whoever_lives(void **unused)
{
    struct err err;

    apply(APP);
    tell_started("app-1");
    assert_int_equal(supervisor_pause(house.supervisor, "app-1", 100 * NS_PER_MS, &err), 0);
    assert_int_equal(handle_of("app-1")->signal, SIGSTOP);
    assert_state("app-1", "paused");
    restore_last();
    tell_started("app-1");
    assert_state("app-1", "paused");
    assert_int_equal(handle_of("app-1")->signal, 0);
    while (handle_of("app-1")->signal == 0)
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    assert_int_equal(handle_of("app-1")->signal, SIGCONT);
    assert_state("app-1", "serving");
}

static void who_dies_while_it_is_paused_is_paused_no_more(void **unused)
{
    struct err err;

    apply(APP);
    tell_started("app-1");
    assert_int_equal(supervisor_pause(house.supervisor, "app-1", NS_PER_S, &err), 0);
    assert_int_equal(supervisor_pause(house.supervisor, "app-1", 20 * NS_PER_MS, &err), 0);
    tell_exit("app-1", CAUSE_KILLED, SIGKILL);
    tell_started("app-1");
    for (int64_t until = clock_now() + 40 * NS_PER_MS; clock_now() < until;)
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    assert_state("app-1", "serving");
    assert_int_equal(handle_of("app-1")->signal, 0);
}

static void a_hook_that_died_with_the_supervisor_is_run_again(void **unused)
{
    apply("  app: {post_start: [{command: [warm, up]}], pre_stop: [{command: [say, goodbye]}],\n"
          "        x-daruma: {process: {command: [run]}}}\n");
    tell_started("app-1");
    assert_int_equal(house.executions, 1);
    restore_last();
    tell_started("app-1");
    assert_state("app-1", "starting");
    assert_int_equal(house.executions, 2);
    house.execution.done(house.execution.owner, 0, "", 0);
    assert_state("app-1", "serving");
    restore_last();
    tell_started("app-1");
    assert_state("app-1", "serving");
    assert_int_equal(house.executions, 2);

    supervisor_down(house.supervisor);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_state("app-1", "stopping");
    assert_int_equal(house.executions, 3);
    restore_last();
    tell_started("app-1");
    assert_int_equal(house.executions, 4);
    assert_int_equal(handle_of("app-1")->signal, 0);
    house.execution.done(house.execution.owner, 0, "", 0);
    assert_int_equal(handle_of("app-1")->signal, SIGTERM);
    restore_last(); /* it has been told, and once is enough */
    tell_started("app-1");
    assert_int_equal(house.executions, 4);
    assert_int_equal(handle_of("app-1")->signal, 0);
}

/* Asked to end before it was known to run, it has its time all the same. */
static void the_end_of_a_start_that_was_called_off_is_seen_to(void **unused)
{
    apply("  app: {stop_grace_period: 0s, x-daruma: {process: {command: [run]}}}\n");
    supervisor_down(house.supervisor);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    restore_last();
    tell_started("app-1");
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_int_equal(handle_of("app-1")->signal, SIGKILL);
}

static void an_old_instance_comes_back_with_its_own_configuration(void **unused)
{
#define PAIR(n)                                                                                                        \
    "  app: {restart: always, scale: 2, environment: {VERSION: '" #n "'}, x-daruma: {process: {command: [run]}},\n"    \
    "        deploy: {update_config: {order: start-first, monitor: 60s}}}\n"
    apply(PAIR(1));
    tell_started("app-1");
    tell_started("app-2");
    apply(PAIR(2));
    assert_string_equal(handle_of("app-3")->version, "2");
    restore_last();
    tell_started("app-2");
    tell_exit("app-2", CAUSE_KILLED, SIGKILL);
    assert_string_equal(handle_of("app-2")->version, "1");
}

static void versions_can_be_gone_back_to_after_a_takeover(void **unused)
{
    struct err err;

    apply(VERSION(1));
    tell_started("app-1");
    deploy(VERSION(2));
    deploy(VERSION(3));
    assert_true(supervisor_uses_spec(house.supervisor, 1) && supervisor_uses_spec(house.supervisor, 3));
    assert_false(supervisor_uses_spec(house.supervisor, 4));
    restore_last();
    tell_started("app-1");
    for (uint32_t id = 1; id <= 3; id++)
        assert_true(supervisor_uses_spec(house.supervisor, id));
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 1, &err), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    replace_app();
    assert_string_equal(handle_of("app-1")->version, "1");
    tell_started("app-1");
    turns_until_told("version 1 deployed");
    /* What it went back to is what it is, whatever was applied last. */
    restore_last();
    tell_started("app-1");
    assert_string_equal(handle_of("app-1")->version, "1");
    assert_string_equal(house.told, "");
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 2, &err), 0);
}

static void back_to(uint32_t number)
{
    struct err err;
    assert_int_equal(supervisor_rollback(house.supervisor, "app", number, &err), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    replace_app();
    tell_started("app-1");
    turns_until_told("deployed in");
    house.told[0] = '\0';
}

static void going_to_and_fro_no_version_is_forgotten(void **unused)
{
    apply(VERSION(1));
    tell_started("app-1");
    deploy(VERSION(2));
    deploy(VERSION(3));
    for (uint32_t i = 0; i < SERVICE_HISTORY; i++)
        back_to(2 + i % 2);
    back_to(1);
    assert_string_equal(handle_of("app-1")->version, "1");
}

static void a_change_that_waits_for_its_turn_is_not_forgotten(void **unused)
{
    apply(VERSION(1));
    tell_started("app-1");
    apply(VERSION(2));
    apply(VERSION(3));
    restore_last();
    tell_started("app-1");
    replace_app();
    assert_string_equal(handle_of("app-1")->version, "2");
    tell_started("app-1");
    turns_until_told("version 2 goes to 3");
}

static void a_canary_goes_on_at_its_step(void **unused)
{
#define CANARY(n)                                                                                                      \
    "  app: {restart: always, environment: {VERSION: '" #n "'}, x-daruma: {process: {command: [run]},\n"               \
    "        deploy: {strategy: canary, steps: [1, 20, 50], dwell: 300ms}},\n"                                         \
    "        deploy: {update_config: {order: start-first, monitor: 0s}}}\n"
    apply(CANARY(1));
    tell_started("app-1");
    apply(CANARY(2));
    tell_started("app-2");
    turns_until_told("version 2 gets 20 %");
    restore_last();
    tell_started("app-1");
    tell_started("app-2");
    turns_until_told("gets 100 %");
    assert_string_equal(house.told, "version 2 gets 50 % of the requests; version 2 gets 100 % of the requests; ");
}

/* A port of 127.0.0.1 at which somebody listens, and nobody answers. */
static struct runtime_port listen_somewhere(void)
{
    struct runtime_port port = { .target = 80, .address.len = sizeof(struct sockaddr_in) };
    struct sockaddr_in *in = (struct sockaddr_in *)&port.address.u;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(bind(fd, (struct sockaddr *)in, sizeof(*in)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)in, &port.address.len), 0);
    return port;
}

static void tell_started_at(const char *instance, const struct runtime_port *port)
{
    struct runtime_handle *handle = handle_of(instance);
    assert_non_null(handle);
    handle->trace.ports[0] = *port;
    handle->trace.ports_len = 1;
    supervisor_runtime_events.traced(handle->owner, &handle->trace);
    supervisor_runtime_events.started(handle->owner, handle->trace.pid, handle->trace.ports, 1);
}

/* As the gateway would count it. */
static void answers(const char *instance, uint32_t count, uint32_t failures)
{
    for (uint32_t i = 0; i < house.board->used_endpoints; i++) {
        const struct board_endpoint *endpoint = &house.board->endpoints[i];
        struct endpoint_gauge *gauge = &house.gauges->worker[0].endpoints[i];
        if (strcmp(endpoint->instance, instance) != 0)
            continue;
        gauge->generation = endpoint->generation;
        gauge->failures += failures;
        gauge->latency[gauges_latency_cell(5000)] += count;
        return;
    }
    fail_msg("%s has no endpoint", instance);
}

static void what_was_counted_outlives_the_supervisor(void **unused)
{
#define COUNTED(n)                                                                                                     \
    "  app: {restart: always, environment: {VERSION: '" #n "'}, expose: [80],\n"                                       \
    "        x-daruma: {process: {command: [run]}, deploy: {strategy: canary, steps: [10], dwell: 60s,\n"              \
    "                   compare: failures, probe: ''}},\n"                                                             \
    "        deploy: {update_config: {order: start-first, monitor: 0s}}}\n"
    const struct runtime_port one = listen_somewhere(), two = listen_somewhere();
    apply(COUNTED(1));
    tell_started_at("app-1", &one);
    while (strcmp(info_of("app-1").state, "serving") != 0)
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    answers("app-1", 10000, 9000); /* before it, so they do not count */
    apply(COUNTED(2));
    tell_started_at("app-2", &two);
    turns_until_told("version 2 gets 10 %");
    answers("app-1", 1000, 0);
    answers("app-2", 40, 2); /* too few for a verdict */
    restore_last();
    tell_started_at("app-1", &one);
    tell_started_at("app-2", &two);
    assert_string_equal(house.told, "");
    answers("app-2", 20, 3); /* so are these, alone */
    turns_until_told("version 2 goes back to 1: it fails more: 8.3 %");
    restore_last(); /* on the way back it is not forgotten either */
    tell_started_at("app-1", &one);
    tell_started_at("app-2", &two);
    tell_exit("app-2", CAUSE_DEPLOY, 0);
    turns_until_told("back at version 1");
    const struct deploy_receipt *receipt = &house.receipt;
    assert_int_equal(receipt->answers[0].answers, 1000);
    assert_int_equal(receipt->answers[0].failures, 0);
    assert_int_equal(receipt->answers[1].answers, 60);
    assert_int_equal(receipt->answers[1].failures, 5);
    assert_string_equal(receipt->steps[0].what, "1 started");
    assert_string_equal(receipt->steps[1].what, "10 %");
    assert_string_equal(receipt->failed_instance, "app-2");
}

/* Another gateway knows nothing of what the one before had counted. */
static void with_another_gateway_the_counting_begins_anew(void **unused)
{
    const struct runtime_port one = listen_somewhere(), two = listen_somewhere();
    struct err err;
    apply(COUNTED(1));
    tell_started_at("app-1", &one);
    while (strcmp(info_of("app-1").state, "serving") != 0)
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    answers("app-1", 10000, 9000);
    apply(COUNTED(2));
    tell_started_at("app-2", &two);
    turns_until_told("version 2 gets 10 %");
    answers("app-2", 40, 0);
    gauges_free(house.gauges);
    house.gauges = gauges_new(1, &err);
    restore_last();
    tell_started_at("app-1", &one);
    tell_started_at("app-2", &two);
    answers("app-1", 1000, 0);
    answers("app-2", 60, 20);
    turns_until_told(
        "version 2 goes back to 1: it fails more: 33.3 % of its answers were 5xx, of the old version's 0.0 %");
}

/* Killed when it was written down what is to be, and before any of it was done. */
static void what_was_applied_in_part_is_applied(void **unused)
{
    struct err err;

    apply(VERSION(1) JOB);
    tell_started("app-1");
    tell_started("job-1");
    (void)snprintf(house.specs[++house.last_spec], sizeof(house.specs[0]), "%s", VERSION(2) TWO_MORE);
    assert_int_equal(restore_last(), 2);
    tell_started("app-1");
    assert_string_equal(house.told, "");
    assert_int_equal(supervisor_apply_again(house.supervisor, NULL, &err), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_non_null(strstr(house.told, "version 1 goes to 2"));
    assert_int_equal(handle_of("job-1")->signal, SIGTERM);
    assert_non_null(handle_of("more-2"));
    /* And once more: nothing of it is done twice. */
    assert_int_equal(supervisor_apply_again(house.supervisor, NULL, &err), 0);
    assert_int_equal(loop_turn(house.loop, 0), 0);
    assert_null(strstr(house.told, "3"));
}

/* Whatever stands in a record, it is judged before it is believed. */
static void records_of_noise_do_no_harm(void **unused)
{
    unsigned char noise[RECORD_SIZE];

    apply(TWO);
    srandom(1);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (unsigned char)random();
        uint32_t kind = RECORD_SERVICE + (uint32_t)round % 3;
        memcpy(noise, &kind, sizeof(kind));
        uint32_t len = round % 3 ? (uint32_t)(random() % RECORD_SIZE) : sizeof(struct service_record);
        assert_int_equal(arena_store(&house.arena, 32 + (uint32_t)round % 16, noise, len), 0);
        if (round % 20 == 19)
            assert_int_equal(restore(TWO), 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_runs_is_taken_over_without_a_word),
        TEST(what_died_meanwhile_is_started_again),
        TEST(a_start_that_nobody_saw_the_end_of_is_not_repeated),
        TEST(budgets_delays_and_ends_go_on),
        TEST(what_scale_said_still_counts),
        TEST(what_was_to_end_ends),
        TEST(a_configuration_that_nobody_knows_any_more_is_replaced),
        TEST(what_no_file_names_is_stopped),
        TEST(a_deploy_that_was_taken_over_goes_back_when_its_version_fails),
        TEST(a_pause_ends_when_its_lease_does_whoever_lives),
        TEST(who_dies_while_it_is_paused_is_paused_no_more),
        TEST(a_hook_that_died_with_the_supervisor_is_run_again),
        TEST(the_end_of_a_start_that_was_called_off_is_seen_to),
        TEST(an_old_instance_comes_back_with_its_own_configuration),
        TEST(versions_can_be_gone_back_to_after_a_takeover),
        TEST(going_to_and_fro_no_version_is_forgotten),
        TEST(a_change_that_waits_for_its_turn_is_not_forgotten),
        TEST(a_canary_goes_on_at_its_step),
        TEST(what_was_counted_outlives_the_supervisor),
        TEST(with_another_gateway_the_counting_begins_anew),
        TEST(what_was_applied_in_part_is_applied),
        TEST(records_of_noise_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
