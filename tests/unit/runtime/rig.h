/* SPDX-License-Identifier: MIT
 *
 * A process runtime with a loop and a directory of its own, and the least that a service is. Included once by each test
 * program, hence static.
 */
#ifndef DARUMA_TESTS_RUNTIME_RIG_H
#define DARUMA_TESTS_RUNTIME_RIG_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PATIENCE_NS (30 * NS_PER_S)

static struct loop *loop;
static struct runtime *runtime;
static char run_dir[64];

/* For a setup: 0, or -1. */
static inline int rig_start(const struct runtime_events *events)
{
    struct err err;
    strcpy(run_dir, "/tmp/daruma-test-XXXXXX");
    if (!mkdtemp(run_dir))
        return -1;
    loop = loop_new();
    runtime = runtime_process_new(loop, events, run_dir, &err);
    return runtime ? 0 : -1;
}

static inline int rig_end(void)
{
    if (runtime)
        runtime->destroy(runtime);
    runtime = NULL;
    loop_free(loop);
    return rmdir(run_dir); /* it left nothing there */
}

#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        for (int64_t until_ = clock_now() + PATIENCE_NS; !(condition);) {                                              \
            if (clock_now() > until_)                                                                                  \
                fail_msg("waited in vain for %s", #condition);                                                         \
            assert_int_equal(loop_turn(loop, 10 * NS_PER_MS), 0);                                                      \
        }                                                                                                              \
    } while (0)

static inline struct spec_service service_of(char **command)
{
    static char *no_environment[] = { NULL };
    return (struct spec_service){
        .name = "app",
        .image = "",
        .command = command,
        .working_dir = "",
        .user = "",
        .hostname = "",
        .container_name = "",
        .environment = no_environment,
        .stop_signal = SIGTERM,
    };
}

/* Does the process still run? A zombie does not. */
static inline bool alive(pid_t pid)
{
    char path[64], line[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    const char *state = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return state && state[2] != 'Z' && state[2] != 'X';
}

#endif
