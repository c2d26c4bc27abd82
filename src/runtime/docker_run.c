/* SPDX-License-Identifier: MIT
 *
 * A container that runs: what it writes, the signals that it gets, and its end.
 */
#include "runtime/docker.h"

#include "base/clock.h"
#include "runtime/proc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* So long the end of its output is waited for, once a container has ended. */
#define LAST_WORDS_NS (100 * NS_PER_MS)
/* So long after its process the Engine may tell its end; then it is asked, and again. */
#define TOLD_NS (200 * NS_PER_MS)

/* ---- the end ---- */

void docker_tell_exit(struct runtime_handle *handle)
{
    const struct runtime_exit how = handle->how;

    loop_timer_cancel(handle->docker->loop, &handle->timer);
    docker_forget_process(handle);
    if (handle->new_id[0])
        docker_discard(handle);
    handle->ended = true;
    handle->docker->events->exited(handle->owner, &how); /* releases it */
}

/* It never ran. */
void docker_fail(struct runtime_handle *handle, const struct err *err)
{
    handle->how = (struct runtime_exit){ .cause = CAUSE_SPAWN, .status = 127, .at_ns = clock_now(), .err = *err };
    docker_doubt(handle);
    docker_tell_exit(handle);
}

void docker_fail_memory(struct runtime_handle *handle)
{
    struct err err;
    (void)err_errno(&err, -ENOMEM, "cannot start %s", handle->instance);
    docker_fail(handle, &err);
}

/* It was to end before it ran. Another container in its place ends, too, and is remembered: who goes down removes it. */
void docker_give_up(struct runtime_handle *handle)
{
    if (handle->old_id[0] && handle->step < DOCKER_REMOVE_OLD) {
        docker_go(handle, DOCKER_STOP_OLD);
        return;
    }
    if (handle->old_id[0]) {
        memcpy(handle->id, handle->old_id, sizeof(handle->id));
        (void)docker_keep(handle); /* without memory it stands there, stopped */
        docker_doubt(handle);
    }
    handle->how = (struct runtime_exit){
        .cause = CAUSE_KILLED, .status = handle->cancelled, .by_signal = true, .at_ns = clock_now()
    };
    docker_tell_exit(handle);
}

/* The Engine tells a signal as a shell does: 128 and its number. */
void docker_judge(struct runtime_handle *handle, int code, bool oom)
{
    bool by_signal = code > 128 && code < 128 + NSIG;
    handle->how = (struct runtime_exit){
        .cause = oom ? CAUSE_OOM : cause_of_exit(by_signal ? CLD_KILLED : CLD_EXITED, by_signal ? code - 128 : code),
        .status = by_signal ? code - 128 : code,
        .by_signal = by_signal,
        .at_ns = handle->how.at_ns ? handle->how.at_ns : clock_now(),
    };
}

/* All is known about its end but, perhaps, its last words. */
void docker_end(struct runtime_handle *handle)
{
    handle->step = DOCKER_LAST;
    if (handle->logs)
        loop_timer_set(handle->docker->loop, &handle->timer, clock_now() + LAST_WORDS_NS);
    else
        docker_tell_exit(handle);
}

/* ---- its process ---- */

void docker_forget_process(struct runtime_handle *handle)
{
    if (!handle->life.added)
        return;
    loop_io_remove(handle->docker->loop, &handle->life);
    (void)close(handle->life.fd);
}

void docker_await_word(struct runtime_handle *handle)
{
    if (handle->how.at_ns)
        loop_timer_set(handle->docker->loop, &handle->timer, clock_now() + TOLD_NS);
}

/* The Engine is still busy with cleaning up, and will say how it ended. */
static void on_process_gone(struct loop_io *io, uint32_t events)
{
    struct runtime_handle *handle = io->data;

    docker_forget_process(handle);
    handle->how.at_ns = clock_now();
    docker_policy_hold(handle);
    if (handle->step == DOCKER_RUN)
        docker_await_word(handle);
    handle->docker->events->lost(handle->owner);
}

void docker_watch_process(struct runtime_handle *handle)
{
    docker_forget_process(handle);
    int fd = handle->pid > 0 ? pidfd_open(handle->pid, 0) : -1;

    if (fd < 0)
        return; /* the Engine alone will tell */
    handle->life = (struct loop_io){ .fn = on_process_gone, .data = handle };
    if (loop_io_add(handle->docker->loop, &handle->life, fd, EPOLLIN) < 0)
        (void)close(fd);
}

bool docker_dying(struct runtime *runtime, struct runtime_handle *handle)
{
    return handle->pid > 0 && proc_is_dying(handle->pid);
}

/* ---- what it writes ---- */

static void on_payload(void *owner, int stream, const char *data, size_t len)
{
    struct runtime_handle *handle = owner;
    handle->docker->events->output(handle->owner, stream, data, len);
}

static void on_log_data(void *owner, const char *data, size_t len)
{
    struct runtime_handle *handle = owner;
    frames_take(&handle->frames, data, len, on_payload, handle);
}

static void on_log_end(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;

    handle->logs = NULL;
    handle->logs_since = (double)clock_wall() / 1e9;
    if (handle->step == DOCKER_LAST && loop_timer_armed(&handle->timer))
        docker_tell_exit(handle);
}

void docker_follow_logs(struct runtime_handle *handle)
{
    char path[DOCKER_ID + 96];
    const struct engine_request request = {
        .method = "GET", .path = path, .owner = handle, .data = on_log_data, .done = on_log_end
    };
    if (handle->logs)
        return;
    (void)snprintf(path, sizeof(path), "/containers/%s/logs?follow=1&stdout=1&stderr=1&since=%.9f", handle->id,
                   handle->logs_since);
    handle->frames = (struct frames){ .raw = handle->frames.raw };
    if (engine_begin(handle->docker->engine, &request, &handle->logs) < 0)
        handle->logs = NULL; /* without its output it works all the same */
}

/* ---- signals ---- */

static void on_signalled(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;
    handle->kill = NULL;
    /* Any answer will do: a container that does not run any more is about to be heard of. */
    if (status > 0)
        handle->pending = 0;
}

int docker_send_signal(struct runtime_handle *handle)
{
    char path[DOCKER_ID + 48];
    const struct engine_request request = {
        .method = "POST", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = handle, .done = on_signalled
    };
    (void)snprintf(path, sizeof(path), "/containers/%s/kill?signal=%d", handle->id, handle->pending);
    engine_cancel(handle->kill);
    handle->kill = NULL;
    return engine_begin(handle->docker->engine, &request, &handle->kill);
}

int docker_signal(struct runtime *runtime, struct runtime_handle *handle, int signo)
{
    if (handle->ended || handle->step == DOCKER_LAST)
        return -ESRCH;
    if (handle->step == DOCKER_RUN || handle->step == DOCKER_CHECK) {
        handle->pending = signo;
        return docker_send_signal(handle);
    }
    /* What the Engine is making just now, or looks for, is waited for: otherwise nobody would know of it. */
    handle->cancelled = handle->pending = signo;
    if ((handle->step >= DOCKER_CREATE || handle->adopting) && handle->call)
        return 0;
    engine_cancel(handle->call);
    handle->call = NULL;
    handle->job = NULL;
    loop_timer_set(handle->docker->loop, &handle->timer, clock_now());
    return 0;
}
