/* SPDX-License-Identifier: MIT
 *
 * One running copy: carries out what the table (instance_fsm.h) says, keeps its endpoint on the board, and hears from
 * the runtime. Owned by its service.
 *
 * The order at a death is the promise of this program: first the endpoint leaves the board, so that no request is
 * placed on it any more, then it is told, then it is started again.
 */
#include "supervise/supervisor.h"

#include "base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A worker places requests by the board as it last read it. For so long a request may still appear on an endpoint that
   was taken out; before, "nothing in flight" means nothing. */
#define DRAIN_SETTLE_NS (10 * NS_PER_MS)
#define DRAIN_LOOK_NS   (100 * NS_PER_MS)

static void handle_event(struct instance *instance, enum instance_event event);

static struct supervisor *supervisor_of(const struct instance *instance)
{
    return instance->service->supervisor;
}

static int64_t now_of(const struct instance *instance)
{
    return loop_now(supervisor_of(instance)->peers.loop);
}

static struct event new_event(const struct instance *instance, enum event_kind kind)
{
    struct event event = { .kind = kind, .pid = instance->pid };
    (void)snprintf(event.service, sizeof(event.service), "%s", instance->service->name);
    (void)snprintf(event.instance, sizeof(event.instance), "%s", instance->name);
    return event;
}

static void emit(const struct instance *instance, struct event *event)
{
    event_emit(supervisor_of(instance)->peers.events, event);
}

static void warn(const struct instance *instance, const char *text)
{
    struct event event = new_event(instance, EVENT_WARNING);
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    emit(instance, &event);
}

/* Why an instance comes into a state; coming up needs no reason. */
static enum cause cause_of_state(const struct instance *instance, enum instance_state state)
{
    if (state == INSTANCE_STARTING || state == INSTANCE_SERVING)
        return CAUSE_NONE;
    bool ended = state == INSTANCE_WAITING || state == INSTANCE_FAILED || state == INSTANCE_DONE;
    return ended ? instance->last_cause : instance->ending;
}

/* The one setter: ends what belonged to the old state, tells, and lets the service look again. */
static void set_state(struct instance *instance, enum instance_state next)
{
    struct supervisor *supervisor = supervisor_of(instance);
    enum instance_state before = instance->state;

    if (before == next)
        return;
    loop_timer_cancel(supervisor->peers.loop, &instance->timer);
    instance->due = false;
    instance->deadline_ns = 0;
    instance->state = next;

    struct event event = new_event(instance, EVENT_INSTANCE_STATE);
    event.cause = cause_of_state(instance, next);
    if (next == INSTANCE_SERVING)
        event.span_ns = instance->ready_ns - instance->started_ns;
    (void)snprintf(event.from, sizeof(event.from), "%s", instance_state_name(before));
    (void)snprintf(event.to, sizeof(event.to), "%s", instance_state_name(next));
    emit(instance, &event);
    service_update(instance->service);
    supervisor_settle_soon(supervisor);
}

bool instance_serves(const struct instance *instance)
{
    return instance->state == INSTANCE_SERVING;
}

/* --- starting --- */

static void configure_health(struct instance *instance)
{
    const struct spec_healthcheck *check = &instance->spec->healthcheck;
    bool image = check->test == SPEC_TEST_NONE && instance->image_check;
    health_configure(&instance->health, image ? instance->image_check : check);
}

void instance_take_version(struct instance *instance, const struct version *version)
{
    struct spec_ref *old = instance->ref;
    instance->version = version->number;
    instance->ref = spec_ref_take(version->ref);
    instance->spec = version->spec;
    configure_health(instance);
    spec_ref_drop(&old);
}

static void died(struct instance *instance, const struct runtime_exit *how);

static void spawn(struct instance *instance)
{
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;
    struct runtime_exit failure = { .cause = CAUSE_SPAWN, .status = 127 };

    instance->stale = false;
    instance->ending = CAUSE_NONE;
    instance->chaos_signal = 0;
    instance->started_ns = instance->ready_ns = 0;
    instance->starts++;
    instance->restored = false;
    instance->last_line[0] = instance->line[0][0] = instance->line[1][0] = '\0';

    struct runtime_start start = {
        .spec = instance->ref->spec,
        .service = instance->spec,
        .instance = instance->name,
        .number = instance->number,
        .peers = peers->peer_environment(peers->data),
        .owner = instance,
    };
    if (peers->runtime->start(peers->runtime, &start, &instance->handle, &failure.err) < 0) {
        instance->handle = NULL;
        failure.at_ns = clock_now();
        died(instance, &failure);
    }
}

static bool wants_start(const struct instance *instance)
{
    if (!instance->wanted || instance->handle)
        return false;
    switch (instance->state) {
    case INSTANCE_IDLE:
        return true;
    case INSTANCE_WAITING:
    case INSTANCE_FAILED:
    case INSTANCE_DONE:
        return instance->due;
    default:
        return false;
    }
}

const char *instance_waits_for(const struct instance *instance)
{
    const struct supervisor *supervisor = supervisor_of(instance);
    const char *waits_for = NULL;

    if (wants_start(instance))
        (void)order_may_start(supervisor->nodes, supervisor->len, instance->service->index, &waits_for);
    return waits_for;
}

void instance_try_start(struct instance *instance)
{
    struct supervisor *supervisor = supervisor_of(instance);

    if (!wants_start(instance) || supervisor->down || deploy_holds_back(instance))
        return;
    /* Whatever changes one of the answers settles the supervisor again. */
    if (instance_waits_for(instance) || !supervisor_may_start_one(supervisor))
        return;
    handle_event(instance, INSTANCE_EV_START);
}

/* --- ending --- */

static void on_drain_timer(struct loop_timer *timer)
{
    instance_check_drained(timer->data);
}

void instance_check_drained(struct instance *instance)
{
    struct loop *loop = supervisor_of(instance)->peers.loop;
    int64_t now = loop_now(loop);

    if (instance->state != INSTANCE_DRAINING)
        return;
    int64_t settled = instance->deadline_ns - instance->spec->drain_timeout_ns + DRAIN_SETTLE_NS;
    if (now >= instance->deadline_ns || (now >= settled && endpoint_inflight(instance) == 0)) {
        handle_event(instance, INSTANCE_EV_DRAINED);
        return;
    }
    int64_t next = now < settled ? settled : now + DRAIN_LOOK_NS;
    instance->timer.fn = on_drain_timer;
    loop_timer_set(loop, &instance->timer, next < instance->deadline_ns ? next : instance->deadline_ns);
}

static void begin_drain(struct instance *instance)
{
    instance->deadline_ns = now_of(instance) + instance->spec->drain_timeout_ns;
    if (instance->endpoints_len == 0)
        handle_event(instance, INSTANCE_EV_DRAINED);
    else
        instance_check_drained(instance);
}

static void send_signal(struct instance *instance, int signo)
{
    struct runtime *runtime = supervisor_of(instance)->peers.runtime;
    /* -ESRCH: its exit is on the way to us. */
    if (instance->handle)
        (void)runtime->signal(runtime, instance->handle, signo);
}

static void on_grace_over(struct loop_timer *timer)
{
    struct instance *instance = timer->data;
    warn(instance, "did not end in its stop_grace_period; killed");
    send_signal(instance, SIGKILL);
}

static void begin_end(struct instance *instance)
{
    struct runtime *runtime = supervisor_of(instance)->peers.runtime;
    int signo = instance->spec->stop_signal;

    /* Waiting for what cannot come would only keep its successor away. */
    if (instance->handle && runtime->hears && !runtime->hears(runtime, instance->handle, signo)) {
        warn(instance, "is process 1 and has no handler for its stop signal; killed (`init: true` would let it hear)");
        send_signal(instance, SIGKILL);
        return;
    }
    send_signal(instance, signo);
    instance->deadline_ns = now_of(instance) + instance->spec->stop_grace_period_ns;
    instance->timer.fn = on_grace_over;
    loop_timer_set(supervisor_of(instance)->peers.loop, &instance->timer, instance->deadline_ns);
}

void instance_stop(struct instance *instance, enum cause cause, bool wanted)
{
    instance->wanted = wanted;
    if (instance->handle && instance->ending == CAUSE_NONE)
        instance->ending = cause;
    if (instance->state != INSTANCE_IDLE)
        handle_event(instance, INSTANCE_EV_STOP);
    instance_keep(instance);
}

void instance_kill(struct instance *instance)
{
    if (instance->state == INSTANCE_DRAINING)
        handle_event(instance, INSTANCE_EV_DRAINED);
    send_signal(instance, SIGKILL);
}

/* --- coming back --- */

static void on_delay_over(struct loop_timer *timer)
{
    struct instance *instance = timer->data;
    instance->due = true;
    instance->deadline_ns = 0;
    instance_keep(instance);
    instance_try_start(instance);
    supervisor_settle_soon(supervisor_of(instance)); /* in case it had to wait for its turn */
}

void instance_wait(struct instance *instance)
{
    if (instance->deadline_ns == 0) {
        instance->due = true;
        return;
    }
    instance->timer.fn = on_delay_over;
    loop_timer_set(supervisor_of(instance)->peers.loop, &instance->timer, instance->deadline_ns);
}

static void begin_backoff(struct instance *instance)
{
    struct supervisor *supervisor = supervisor_of(instance);
    struct backoff_death death = {
        .cause = instance->last_cause,
        .success = instance->last_cause == CAUSE_EXIT && instance->last_status == 0,
        .now_ns = instance->exited_ns,
        .ready_ns = instance->ready_ns ? instance->exited_ns - instance->ready_ns : 0,
        .jitter = rng_unit(&supervisor->rng),
    };
    struct backoff_answer answer = backoff_decide(&instance->backoff, &instance->spec->restart, &death);

    if (answer.verdict == BACKOFF_SPENT) {
        handle_event(instance, INSTANCE_EV_SPENT);
    } else if (answer.verdict == BACKOFF_COMPLETE) {
        handle_event(instance, INSTANCE_EV_COMPLETE);
    } else if (answer.delay_ns == 0) {
        instance->due = true;
        instance_try_start(instance);
    } else {
        instance->deadline_ns = now_of(instance) + answer.delay_ns;
        instance_wait(instance);
    }
}

static void tell_failure(struct instance *instance)
{
    char text[EVENT_TEXT];
    enum spec_restart condition = instance->spec->restart.condition;
    (void)snprintf(text, sizeof(text),
                   "given up: %s; see \"daruma logs %s\", and start it again with \"daruma restart %s\"",
                   condition == SPEC_RESTART_NO ? "its restart policy is \"no\"" : "no restart left in its budget",
                   instance->service->name, instance->service->name);
    warn(instance, text);
}

static void handle_event(struct instance *instance, enum instance_event event)
{
    struct instance_step step = instance_fsm(instance->state, event, instance->wanted);

    if (!step.expected)
        return;
    if (step.actions & INSTANCE_DO_EJECT && instance->handle)
        endpoint_set(instance, BOARD_ENDPOINT_DRAINING, CAUSE_NONE);
    if (step.next != INSTANCE_STARTING && step.next != INSTANCE_SERVING)
        health_end(&instance->health);
    if (step.actions & INSTANCE_DO_ADMIT) {
        instance->ready_ns = now_of(instance);
        instance->served = true;
        if (endpoint_publish(instance) < 0)
            warn(instance, "runs, but the board has no place for it: it gets no requests");
    }
    set_state(instance, step.next);
    if (step.actions & INSTANCE_DO_SPAWN)
        spawn(instance);
    if (step.actions & INSTANCE_DO_DRAIN)
        begin_drain(instance);
    if (step.actions & INSTANCE_DO_END)
        begin_end(instance);
    if (step.actions & INSTANCE_DO_BACKOFF)
        begin_backoff(instance);
    if (step.actions & INSTANCE_DO_TELL)
        tell_failure(instance);
    instance_keep(instance);
}

/* --- what health says --- */

static void on_ready(struct health *health)
{
    handle_event(health->data, INSTANCE_EV_READY);
}

static void on_sick(struct health *health)
{
    struct instance *instance = health->data;

    if (!instance->spec->restart_unhealthy)
        return; /* it stays; the gateway ejects it by itself as long as it answers badly */
    if (instance->ending == CAUSE_NONE)
        instance->ending = CAUSE_HEALTH;
    handle_event(instance, INSTANCE_EV_SICK);
}

static void on_health(struct health *health, enum health_state from, enum health_state to, const char *text)
{
    struct event event = new_event(health->data, EVENT_INSTANCE_HEALTH);
    (void)snprintf(event.from, sizeof(event.from), "%s", health_state_name(from));
    (void)snprintf(event.to, sizeof(event.to), "%s", health_state_name(to));
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    emit(health->data, &event);
}

static void on_silent(struct health *health, const struct board_address *address)
{
    char where[BOARD_ADDRESS_TEXT], text[EVENT_TEXT];
    (void)snprintf(text, sizeof(text), "runs for 10 s, but nothing listens on %.40s; it should listen on $PORT",
                   board_address_format(address, where));
    warn(health->data, text);
}

/* Another instance of the service is on its way down or up. */
static bool other_is_away(const struct instance *instance)
{
    const struct service *service = instance->service;
    for (size_t i = 0; i < service->len; i++)
        if (service->instances[i] != instance && service->instances[i]->wanted &&
            service->instances[i]->state != INSTANCE_SERVING)
            return true;
    return false;
}

void instance_check_hung(struct instance *instance)
{
    if (instance->state == INSTANCE_SERVING && endpoint_hung(instance))
        health_ask(&instance->health);
}

static void on_mute(struct health *health)
{
    struct instance *instance = health->data;

    if (instance->state != INSTANCE_SERVING || !endpoint_hung(instance) || !instance->spec->restart_unhealthy)
        return;
    /* What makes all of them hang is not in them: one after the other, so that the service is never away as a whole. */
    if (other_is_away(instance)) {
        health_ask(health);
        return;
    }
    warn(instance, "hangs: requests on it are overdue, and it has not answered a probe for 5 s");
    if (instance->ending == CAUSE_NONE)
        instance->ending = CAUSE_HANG;
    handle_event(instance, INSTANCE_EV_SICK);
}

static void on_counted(struct health *health)
{
    instance_keep(health->data);
}

static const struct health_events health_events = {
    .counted = on_counted,
    .mute = on_mute,
    .ready = on_ready,
    .sick = on_sick,
    .changed = on_health,
    .silent = on_silent,
};

/* --- what the runtime says --- */

static void on_traced(void *owner, const struct runtime_trace *trace)
{
    instance_trace(owner, trace->pid, trace->birth, trace->ports, trace->ports_len);
    instance_keep(owner);
}

/* A process that was taken over is there: the state that it is in goes on. */
static void resume(struct instance *instance)
{
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

    if (instance->state == INSTANCE_SERVING && endpoint_publish(instance) < 0)
        warn(instance, "runs, but the board has no place for it: it gets no requests");
    if (instance->state == INSTANCE_STARTING || instance->state == INSTANCE_SERVING) {
        const struct health_past past = {
            .ready = instance->state == INSTANCE_SERVING,
            .count = { instance->record.health, instance->record.failed, instance->record.probes },
            .started_ns = instance->started_ns,
        };
        health_resume(&instance->health, peers->loop, peers->runtime, instance->handle, instance->ports,
                      instance->ports_len, &past);
    } else if (instance->state == INSTANCE_DRAINING && instance->endpoints_len == 0) {
        handle_event(instance, INSTANCE_EV_DRAINED);
    } else if (instance->state == INSTANCE_DRAINING) {
        instance_check_drained(instance);
    } else if (instance->state == INSTANCE_STOPPING) {
        instance->timer.fn = on_grace_over;
        loop_timer_set(peers->loop, &instance->timer, instance->deadline_ns);
    }
}

static void on_healthcheck(void *owner, const struct spec_healthcheck *check)
{
    struct instance *instance = owner;
    instance->image_check = check;
    configure_health(instance);
}

static void on_started(void *owner, pid_t pid, const struct runtime_port *ports, size_t ports_len)
{
    struct instance *instance = owner;
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

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

    struct event event = new_event(instance, EVENT_INSTANCE_SPAWN);
    event.starts = instance->starts;
    event.span_ns = instance->exited_ns ? instance->started_ns - instance->exited_ns : 0;
    emit(instance, &event);
    if (instance->starts > 1)
        instance->service->came_back = true;
    service_update(instance->service);
    supervisor_settle_soon(supervisor_of(instance));
    if (instance->state == INSTANCE_STARTING)
        health_begin(&instance->health, peers->loop, peers->runtime, instance->handle, ports, ports_len);
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
    struct event event = new_event(instance, EVENT_INSTANCE_EXIT);
    event.cause = instance->last_cause;
    event.status = how->status;
    event.by_signal = how->by_signal;
    event.starts = instance->starts;
    (void)snprintf(event.text, sizeof(event.text), "%.*s", EVENT_TEXT - 1, how->err.message);
    emit(instance, &event);

    bool in_order = (instance->last_cause == CAUSE_EXIT && how->status == 0) || how->status < 0;
    if (cause_asked_for(instance->last_cause) || instance->last_cause == CAUSE_SPAWN || in_order)
        return;
    event.kind = EVENT_INSTANCE_CRASH;
    if (instance->last_words[0])
        (void)snprintf(event.text, sizeof(event.text), "last words: %.*s", EVENT_TEXT - 16, instance->last_words);
    else
        (void)snprintf(event.text, sizeof(event.text), "it wrote nothing");
    emit(instance, &event);
}

static void died(struct instance *instance, const struct runtime_exit *how)
{
    enum cause cause = cause_of_death(instance, how);
    deploy_endpoints_go(instance);
    endpoint_set(instance, BOARD_ENDPOINT_GONE, cause);

    health_end(&instance->health);
    instance->last_cause = cause;
    instance->last_status = how->status;
    instance->last_by_signal = how->by_signal;
    instance->exited_ns = how->at_ns;
    memcpy(instance->last_words, instance->line[1][0] ? instance->line[1] : instance->last_line, EVENT_TEXT);
    tell_exit(instance, how);
    deploy_instance_died(instance);

    struct runtime *runtime = supervisor_of(instance)->peers.runtime;
    if (instance->handle)
        runtime->release(runtime, instance->handle);
    instance->handle = NULL;
    instance->image_check = NULL;
    configure_health(instance);
    instance->pid = 0;
    instance->restored = false;
    instance_trace(instance, 0, 0, NULL, 0);
    instance->ports = NULL;
    instance->ports_len = 0;
    handle_event(instance, INSTANCE_EV_EXIT);
}

void instance_lost(struct instance *instance, const struct err *err)
{
    died(instance, &(struct runtime_exit){ .cause = CAUSE_UNKNOWN, .status = -1, .at_ns = clock_now(), .err = *err });
}

static void on_lost(void *owner)
{
    struct instance *instance = owner;
    health_end(&instance->health);
    endpoint_set(instance, BOARD_ENDPOINT_LOST, CAUSE_NONE);
}

static void on_exited(void *owner, const struct runtime_exit *how)
{
    died(owner, how);
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
    struct event event = new_event(owner, EVENT_PROJECT);
    (void)snprintf(event.text, sizeof(event.text), "%.*s", EVENT_TEXT - 1, text);
    emit(owner, &event);
}

const struct runtime_events supervisor_runtime_events = {
    .traced = on_traced,
    .started = on_started,
    .healthcheck = on_healthcheck,
    .lost = on_lost,
    .exited = on_exited,
    .room = on_room,
    .output = on_output,
    .progress = on_progress,
};

/* --- --- */

struct instance *instance_new(struct service *service, const struct version *version, int number)
{
    struct instance *instance = calloc(1, sizeof(*instance));
    if (!instance)
        return NULL;
    instance->service = service;
    instance->number = number;
    instance->slot = -1;
    instance->timer.data = instance;
    instance->health.events = &health_events;
    instance->health.data = instance;
    (void)snprintf(instance->name, sizeof(instance->name), "%.52s-%d", version->spec->name, number);
    instance_take_version(instance, version);
    return instance;
}

void instance_free(struct instance *instance)
{
    if (!instance)
        return;
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;
    loop_timer_cancel(peers->loop, &instance->timer);
    health_end(&instance->health);
    endpoint_set(instance, BOARD_ENDPOINT_GONE, CAUSE_STOP);
    if (!instance->handle)
        peers->runtime->forget(peers->runtime, instance->name);
    records_drop(&supervisor_of(instance)->records, &instance->slot);
    spec_ref_drop(&instance->ref);
    free(instance);
}
