/* SPDX-License-Identifier: MIT
 *
 * What the runtime (runtime/runtime.h) tells of an instance's process: it runs, was taken over, wrote something, ended.
 *
 * The order at a death is the promise of this program: first the endpoint leaves the board, so that no request is
 * placed on it any more, then it is told, then it is started again.
 */
#include "supervise/instance_parts.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void on_traced(void *owner, const struct runtime_trace *trace)
{
    instance_trace(owner, trace->pid, trace->birth, trace->ports, trace->ports_len);
    instance_keep(owner);
}

static void on_healthcheck(void *owner, const struct spec_healthcheck *check)
{
    struct instance *instance = owner;
    instance->image_check = check;
    instance_configure_health(instance);
}

/* After the last hook: now it is asked whether it is ready. */
static void on_prepared(struct instance *instance, bool ok)
{
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

    if (instance->state != INSTANCE_STARTING)
        return;
    instance->hooked = true;
    instance_keep(instance);
    if (ok) {
        health_begin(&instance->health, peers->loop, peers->runtime, instance->handle, instance->ports,
                     instance->ports_len);
        return;
    }
    if (instance->ending == CAUSE_NONE)
        instance->ending = CAUSE_HEALTH;
    instance_handle(instance, INSTANCE_EV_SICK);
}

/* A process that was taken over is there: the state that it is in goes on. A hook that ran has died with whoever ran it. */
static void resume(struct instance *instance)
{
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

    instance_pause_resume(instance);
    if (instance->state == INSTANCE_SERVING && endpoint_publish(instance) < 0)
        instance_warn(instance, "runs, but the board has no place for it: it gets no requests");
    if (instance->state == INSTANCE_STARTING && !instance->hooked) {
        hooks_run(instance, HOOKS_POST_START, on_prepared);
    } else if (instance->state == INSTANCE_STARTING || instance->state == INSTANCE_SERVING) {
        const struct health_past past = {
            .ready = instance->state == INSTANCE_SERVING,
            .count = { instance->record.health, instance->record.failed, instance->record.probes },
            .started_ns = instance->started_ns,
        };
        health_resume(&instance->health, peers->loop, peers->runtime, instance->handle, instance->ports,
                      instance->ports_len, &past);
    } else if (instance->state == INSTANCE_DRAINING && instance->endpoints_len == 0) {
        instance_handle(instance, INSTANCE_EV_DRAINED);
    } else if (instance->state == INSTANCE_DRAINING) {
        instance_check_drained(instance);
    } else if (instance->state == INSTANCE_STOPPING) {
        instance_go_on_ending(instance);
    }
}

static void on_started(void *owner, pid_t pid, const struct runtime_port *ports, size_t ports_len)
{
    struct instance *instance = owner;

    instance->pid = pid;
    instance->ports = ports;
    instance->ports_len = ports_len;
    instance_trace(instance, pid, instance->record.birth, ports, ports_len);
    bool resumed = instance->restored && instance->started_ns;
    instance->restored = false;
    if (resumed) {
        resume(instance);
        instance_keep(instance);
        service_update(instance->service);
        return;
    }
    instance->started_ns = clock_now();

    struct event event = instance_event(instance, EVENT_INSTANCE_SPAWN);
    event.starts = instance->starts;
    event.span_ns = instance->exited_ns ? instance->started_ns - instance->exited_ns : 0;
    instance_emit(instance, &event);
    if (instance->starts > 1)
        instance->service->came_back = true;
    service_update(instance->service);
    supervisor_settle_soon(supervisor_of(instance));
    if (instance->state == INSTANCE_STARTING)
        hooks_run(instance, HOOKS_POST_START, on_prepared);
    else if (instance->state == INSTANCE_STOPPING)
        instance_go_on_ending(instance); /* an earlier supervisor had called it off */
    instance_keep(instance);
}

/* Our own doing is known to us; all else is as the runtime found it. */
static enum cause cause_of_death(const struct instance *instance, const struct runtime_exit *how)
{
    if (instance->state == INSTANCE_STOPPING && instance->ending)
        return instance->ending;
    if (instance->chaos_signal && how->by_signal && how->status == instance->chaos_signal)
        return CAUSE_CHAOS;
    if (instance->chaos_signal == SIGKILL && how->cause == CAUSE_UNKNOWN)
        return CAUSE_CHAOS;
    return how->cause;
}

static void tell_exit(struct instance *instance, const struct runtime_exit *how)
{
    struct event event = instance_event(instance, EVENT_INSTANCE_EXIT);
    event.cause = instance->last_cause;
    event.status = how->status;
    event.by_signal = how->by_signal;
    event.starts = instance->starts;
    (void)snprintf(event.text, sizeof(event.text), "%.*s", EVENT_TEXT - 1, how->err.message);
    instance_emit(instance, &event);

    bool in_order = (instance->last_cause == CAUSE_EXIT && how->status == 0) || how->status < 0;
    if (cause_asked_for(instance->last_cause) || instance->last_cause == CAUSE_SPAWN || in_order)
        return;
    event.kind = EVENT_INSTANCE_CRASH;
    if (instance->last_words[0])
        (void)snprintf(event.text, sizeof(event.text), "last words: %.*s", EVENT_TEXT - 16, instance->last_words);
    else
        (void)snprintf(event.text, sizeof(event.text), "it wrote nothing");
    instance_emit(instance, &event);
}

void instance_died(struct instance *instance, const struct runtime_exit *how)
{
    enum cause cause = cause_of_death(instance, how);
    deploy_endpoints_go(instance);
    endpoint_set(instance, BOARD_ENDPOINT_GONE, cause);

    health_end(&instance->health);
    hooks_cancel(instance);
    instance_pause_forget(instance);
    instance->last_cause = cause;
    instance->last_status = how->status;
    instance->last_by_signal = how->by_signal;
    instance->exited_ns = how->at_ns;
    memcpy(instance->last_words, instance->line[1][0] ? instance->line[1] : instance->last_line, EVENT_TEXT);
    if (cause == CAUSE_SPAWN) /* it had no words of its own */
        (void)snprintf(instance->last_words, EVENT_TEXT, "%.*s", EVENT_TEXT - 1, how->err.message);
    tell_exit(instance, how);
    deploy_instance_died(instance);

    struct runtime *runtime = supervisor_of(instance)->peers.runtime;
    if (instance->handle)
        runtime->release(runtime, instance->handle);
    instance->handle = NULL;
    instance->image_check = NULL;
    instance_configure_health(instance);
    instance->pid = 0;
    instance->restored = false;
    instance_trace(instance, 0, 0, NULL, 0);
    instance->ports = NULL;
    instance->ports_len = 0;
    instance_handle(instance, INSTANCE_EV_EXIT);
}

void instance_lost(struct instance *instance, const struct err *err)
{
    instance_died(instance,
                  &(struct runtime_exit){ .cause = CAUSE_UNKNOWN, .status = -1, .at_ns = clock_now(), .err = *err });
}

static void on_lost(void *owner)
{
    struct instance *instance = owner;
    health_end(&instance->health);
    endpoint_set(instance, BOARD_ENDPOINT_LOST, CAUSE_NONE);
}

void instance_check_alive(struct instance *instance)
{
    struct runtime *runtime = supervisor_of(instance)->peers.runtime;

    if (!instance->handle || !endpoint_doubted(instance))
        return;
    if (runtime->dying && runtime->dying(runtime, instance->handle))
        on_lost(instance);
    else
        endpoint_lives(instance);
}

static void on_exited(void *owner, const struct runtime_exit *how)
{
    instance_died(owner, how);
}

static void append(char line[EVENT_TEXT], const char *data, size_t len)
{
    size_t have = strlen(line);
    size_t room = EVENT_TEXT - 1 - have;
    memcpy(line + have, data, len < room ? len : room);
    line[have + (len < room ? len : room)] = '\0';
}

/* Keeps the last whole line, for the crash report, and the one that is not finished yet. */
static void remember_lines(struct instance *instance, int stream, const char *data, size_t len)
{
    char *line = instance->line[stream == 2];
    const char *end = memrchr(data, '\n', len);

    if (end) {
        const char *before = memrchr(data, '\n', (size_t)(end - data));
        const char *start = before ? before + 1 : data;
        if (before)
            line[0] = '\0'; /* it was finished earlier in this piece */
        append(line, start, (size_t)(end - start));
        if (line[0])
            memcpy(instance->last_line, line, EVENT_TEXT);
        line[0] = '\0';
        len -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    append(line, data, len);
}

static char *on_room(void *owner, int stream, size_t *ret_len)
{
    static char anywhere[64 * 1024];
    struct instance *instance = owner;
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

    if (peers->room)
        return peers->room(peers->data, instance->name, stream, ret_len);
    *ret_len = sizeof(anywhere);
    return anywhere;
}

static void on_output(void *owner, int stream, const char *data, size_t len)
{
    struct instance *instance = owner;
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;
    remember_lines(instance, stream, data, len);
    peers->output(peers->data, instance->service->name, instance->name, stream, data, len);
}

static void on_progress(void *owner, const char *text)
{
    struct event event = instance_event(owner, EVENT_PROJECT);
    (void)snprintf(event.text, sizeof(event.text), "%.*s", EVENT_TEXT - 1, text);
    instance_emit(owner, &event);
}

/* The present version is what it was made from, from now on: also what comes back, or is added. */
static void on_made_of(void *owner, const char *image)
{
    const struct instance *instance = owner;
    struct spec_service *spec = instance->service->version.spec;

    if (!instance_is_new(instance) || (spec->stamp.image[0] && !spec->build))
        return;
    (void)snprintf(spec->stamp.image, sizeof(spec->stamp.image), "%s", image);
    spec->build = false;
    service_keep(instance->service);
}

const struct runtime_events supervisor_runtime_events = {
    .traced = on_traced,
    .started = on_started,
    .healthcheck = on_healthcheck,
    .lost = on_lost,
    .exited = on_exited,
    .room = on_room,
    .made_of = on_made_of,
    .output = on_output,
    .progress = on_progress,
};
