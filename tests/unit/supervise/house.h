/* SPDX-License-Identifier: MIT
 *
 * A small house around the supervisor, with real processes: what daemon/ does, without a gateway and without people.
 * Included once by each test program, hence static.
 */
#ifndef DARUMA_TESTS_SUPERVISE_HOUSE_H
#define DARUMA_TESTS_SUPERVISE_HOUSE_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervise/supervise.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_NS (30 * NS_PER_S)

enum { EVENTS = 4096 };

static struct {
    struct loop *loop;
    struct runtime *runtime;
    struct supervisor *supervisor;
    struct board *board;
    struct gauges *gauges;
    struct event_bus bus;
    struct event_sink sink;
    char folder[64];
    struct event events[EVENTS];
    size_t events_len;
    unsigned rings;
    struct deploy_receipt receipt; /* of the last deploy */
    char output[65536];
    size_t output_len;
} house;

static inline void ring(void *data)
{
    house.rings++;
}

static inline int board_service(void *data, const char *service)
{
    return board_service_add(house.board, service);
}

static inline void output(void *data, const char *service, const char *instance, int stream, const char *text,
                          size_t len)
{
    assert_true(house.output_len + len < sizeof(house.output));
    memcpy(house.output + house.output_len, text, len);
    house.output_len += len;
}

static inline const char *const *peer_environment(void *data)
{
    static const char *const none[] = { NULL };
    return none;
}

static inline void deployed(void *data, const struct deploy_receipt *receipt)
{
    house.receipt = *receipt;
}

static inline void on_event(struct event_sink *sink, const struct event *event)
{
    assert_true(house.events_len < EVENTS);
    house.events[house.events_len++] = *event;
}

static inline int setup(void **unused)
{
    struct err err;
    memset(&house, 0, sizeof(house));
    strcpy(house.folder, "/tmp/daruma-test-XXXXXX");
    if (!mkdtemp(house.folder))
        return -1;
    house.loop = loop_new();
    house.board = board_new(&err);
    house.gauges = gauges_new(1, &err);
    house.runtime = runtime_process_new(house.loop, &supervisor_runtime_events, house.folder, &err);
    if (!house.runtime)
        return -1;
    house.sink.fn = on_event;
    event_subscribe(&house.bus, &house.sink);
    struct supervisor_peers peers = {
        .loop = house.loop,
        .runtime = house.runtime,
        .events = &house.bus,
        .board = house.board,
        .gauges = house.gauges,
        .ring = ring,
        .board_service = board_service,
        .output = output,
        .deployed = deployed,
        .peer_environment = peer_environment,
    };
    house.supervisor = supervisor_new(&peers);
    return house.supervisor ? 0 : -1;
}

static inline void remove_file(const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", house.folder, name);
    (void)unlink(path);
}

static inline int teardown(void **unused)
{
    supervisor_free(house.supervisor);
    house.runtime->destroy(house.runtime);
    loop_free(house.loop);
    board_free(house.board);
    gauges_free(house.gauges);
    DIR *folder = opendir(house.folder);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        remove_file(entry->d_name);
    if (folder)
        (void)closedir(folder);
    return rmdir(house.folder);
}

#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        for (int64_t until_ = clock_now() + PATIENCE_NS; !(condition);) {                                              \
            if (clock_now() > until_)                                                                                  \
                give_up(#condition);                                                                                   \
            assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);                                                \
        }                                                                                                              \
    } while (0)

static inline void give_up(const char *what)
{
    char line[EVENT_LINE];
    for (size_t i = 0; i < house.events_len; i++)
        print_message("  %s\n", event_format(&house.events[i], line));
    fail_msg("waited in vain for %s", what);
}

static inline void turn_for(int64_t ns)
{
    for (int64_t until = clock_now() + ns; clock_now() < until;)
        assert_int_equal(loop_turn(house.loop, 5 * NS_PER_MS), 0);
}

/* Loads the file and applies it, or `only` these services of it. Every $F in it stands for the test's folder. */
static inline void apply_only(const char *services, const char *const *only)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/compose.yaml", house.folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (const char *at = services; *at; at++)
        if (at[0] == '$' && at[1] == 'F') {
            (void)fputs(house.folder, file);
            at++;
        } else {
            (void)fputc(*at, file);
        }
    (void)fclose(file);

    struct spec *spec = NULL;
    struct problems problems = { 0 };
    const char *const files[] = { path, NULL };
    struct compose_request request = { .working_dir = house.folder, .project_name = "test", .files = files };
    int r = compose_load(&request, &spec, &problems);
    struct buf text = { 0 };
    problems_format(&problems, false, &text);
    if (r < 0)
        fail_msg("%s", text.data);
    buf_free(&text);
    house.runtime->check(house.runtime, spec, &problems);
    assert_int_equal(problems.errors, 0);
    problems_free(&problems);
    struct err err = { 0 };
    if (supervisor_apply(house.supervisor, spec, 0, only, &err) < 0)
        fail_msg("%s", err.message);
}

static inline void apply(const char *services)
{
    apply_only(services, NULL);
}

struct look {
    const char *name;
    struct instance_info *info;
    size_t count;
};

static inline void look_at(void *data, const struct instance_info *info)
{
    struct look *look = data;
    look->count++;
    if (look->name && strcmp(info->instance, look->name) == 0)
        *look->info = *info;
}

static inline struct instance_info info_of(const char *name)
{
    struct instance_info info = { .state = "absent" };
    struct look look = { .name = name, .info = &info };
    supervisor_each(house.supervisor, look_at, &look);
    return info;
}

static inline bool is(const char *name, const char *state)
{
    return strcmp(info_of(name).state, state) == 0;
}

static inline size_t instances(void)
{
    struct look look = { 0 };
    supervisor_each(house.supervisor, look_at, &look);
    return look.count;
}

static inline bool ready(void)
{
    return supervisor_state(house.supervisor) == SUPERVISOR_READY;
}

static inline size_t events_of(enum event_kind kind, const char *instance)
{
    size_t n = 0;
    for (size_t i = 0; i < house.events_len; i++)
        n += house.events[i].kind == kind && (!instance || strcmp(house.events[i].instance, instance) == 0);
    return n;
}

/* The last event of that kind. */
static inline const struct event *last_event(enum event_kind kind, const char *instance)
{
    for (size_t i = house.events_len; i > 0; i--)
        if (house.events[i - 1].kind == kind && strcmp(house.events[i - 1].instance, instance) == 0)
            return &house.events[i - 1];
    fail_msg("no such event of %s", instance);
    return NULL;
}

/* The position of an instance's change to a state, from 1; 0: it did not happen. */
static inline size_t when(const char *instance, const char *to)
{
    for (size_t i = 0; i < house.events_len; i++)
        if (house.events[i].kind == EVENT_INSTANCE_STATE && strcmp(house.events[i].instance, instance) == 0 &&
            strcmp(house.events[i].to, to) == 0)
            return i + 1;
    return 0;
}

static inline void touch(const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", house.folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
}

static inline void take_down(void)
{
    supervisor_down(house.supervisor);
    WAIT_FOR(supervisor_is_down(house.supervisor));
}

/* The board's endpoint of an instance that is UP, or NULL. */
static inline const struct board_endpoint *endpoint_of(const char *instance, enum board_endpoint_state state)
{
    for (uint32_t i = 0; i < house.board->used_endpoints; i++)
        if (house.board->endpoints[i].state == state && strcmp(house.board->endpoints[i].instance, instance) == 0)
            return &house.board->endpoints[i];
    return NULL;
}

/* A server without a library: nc is not everywhere, but perl is on every Debian. */
#define SERVER                                                                                                         \
    "exec perl -MIO::Socket::INET -e '$$s=IO::Socket::INET->new(Listen=>64,LocalAddr=>\"127.0.0.1\","                  \
    "LocalPort=>$$ENV{PORT})or die;while($$c=$$s->accept){$$_=<$$c>;"                                                  \
    "$$x=-e \"$F/sick\"?500:200;print $$c \"HTTP/1.1 $$x X\\r\\nContent-Length: 0\\r\\n\\r\\n\"}'"

#endif
