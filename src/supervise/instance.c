/* SPDX-License-Identifier: MIT
 *
 * One running copy: carries out what the table (instance_fsm.h) says, from its start to its end and back. What happens to
 * it is found out in instance_health.c and instance_process.c. Owned by its service.
 */
#include "supervise/instance_parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* A worker places requests by the board as it last read it. For so long a request may still appear on an endpoint that
   was taken out; before, "nothing in flight" means nothing. */
#define DRAIN_SETTLE_NS (10 * NS_PER_MS)
#define DRAIN_LOOK_NS   (100 * NS_PER_MS)

static int64_t now_of(const struct instance *instance)
{
    return loop_now(supervisor_of(instance)->peers.loop);
}

struct event instance_event(const struct instance *instance, enum event_kind kind)
{
    struct event event = { .kind = kind, .pid = instance->pid };
    (void)snprintf(event.service, sizeof(event.service), "%s", instance->service->name);
    (void)snprintf(event.instance, sizeof(event.instance), "%s", instance->name);
    return event;
}

void instance_emit(const struct instance *instance, struct event *event)
{
    event_emit(supervisor_of(instance)->peers.events, event);
}

void instance_warn(const struct instance *instance, const char *text)
{
    struct event event = instance_event(instance, EVENT_WARNING);
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    instance_emit(instance, &event);
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
    instance->due = instance->hooked = false;
    instance->deadline_ns = 0;
    instance->state = next;

    struct event event = instance_event(instance, EVENT_INSTANCE_STATE);
    event.cause = cause_of_state(instance, next);
    if (next == INSTANCE_SERVING)
        event.span_ns = instance->ready_ns - instance->started_ns;
    (void)snprintf(event.from, sizeof(event.from), "%s", instance_state_name(before));
    (void)snprintf(event.to, sizeof(event.to), "%s", instance_state_name(next));
    instance_emit(instance, &event);
    service_update(instance->service);
    supervisor_settle_soon(supervisor);
}

bool instance_serves(const struct instance *instance)
{
    return instance->state == INSTANCE_SERVING;
}

/* --- starting --- */

void instance_configure_health(struct instance *instance)
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
    instance_configure_health(instance);
    spec_ref_drop(&old);
}

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
        .prepare = instance->spec == instance->service->version.spec->deploy.prepare,
        .peers = peers->peer_environment(peers->data),
        .owner = instance,
    };
    if (peers->runtime->start(peers->runtime, &start, &instance->handle, &failure.err) < 0) {
        instance->handle = NULL;
        failure.at_ns = clock_now();
        instance_died(instance, &failure);
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

enum order_answer instance_may_start(const struct instance *instance, const char **ret_waits_for)
{
    const struct supervisor *supervisor = supervisor_of(instance);

    if (!wants_start(instance))
        return ORDER_GO;
    return order_may_start(supervisor->nodes, supervisor->len, instance->service->index, ret_waits_for);
}

void instance_try_start(struct instance *instance)
{
    struct supervisor *supervisor = supervisor_of(instance);
    const char *waits_for;

    if (!wants_start(instance) || supervisor->down || deploy_holds_back(instance))
        return;
    /* Whatever changes one of the answers settles the supervisor again. */
    if (instance_may_start(instance, &waits_for) != ORDER_GO || !supervisor_may_start_one(supervisor))
        return;
    instance_handle(instance, INSTANCE_EV_START);
}

/* --- ending --- */

static int64_t longest_drain(const struct spec_service *spec)
{
    return spec->drain_timeout_ns > spec->drain_upgraded_ns ? spec->drain_timeout_ns : spec->drain_upgraded_ns;
}

static void on_drain_timer(struct loop_timer *timer)
{
    instance_check_drained(timer->data);
}

/* Requests, and connections that speak another protocol by now, each have their time. */
static bool is_drained(const struct instance *instance, int64_t began_ns, int64_t now_ns)
{
    uint32_t upgraded = endpoint_upgraded(instance), all = endpoint_inflight(instance);

    return (all <= upgraded || now_ns >= began_ns + instance->spec->drain_timeout_ns) &&
           (upgraded == 0 || now_ns >= began_ns + instance->spec->drain_upgraded_ns);
}

void instance_check_drained(struct instance *instance)
{
    struct loop *loop = supervisor_of(instance)->peers.loop;
    int64_t now = loop_now(loop);

    if (instance->state != INSTANCE_DRAINING)
        return;
    int64_t longest = longest_drain(instance->spec), began = instance->deadline_ns - longest;
    int64_t settled = began + DRAIN_SETTLE_NS;
    if (now >= instance->deadline_ns || (now >= settled && is_drained(instance, began, now))) {
        instance_handle(instance, INSTANCE_EV_DRAINED);
        return;
    }
    int64_t next = now < settled ? settled : now + DRAIN_LOOK_NS;
    instance->timer.fn = on_drain_timer;
    loop_timer_set(loop, &instance->timer, next < instance->deadline_ns ? next : instance->deadline_ns);
}

static void begin_drain(struct instance *instance)
{
    instance->deadline_ns = now_of(instance) + longest_drain(instance->spec);
    if (instance->endpoints_len == 0)
        instance_handle(instance, INSTANCE_EV_DRAINED);
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
    instance_warn(instance, "did not end in its stop_grace_period; killed");
    send_signal(instance, SIGKILL);
}

/* After the last hook, whatever came of it. */
static void send_stop(struct instance *instance, bool ok)
{
    struct runtime *runtime = supervisor_of(instance)->peers.runtime;
    int signo = instance->spec->stop_signal;

    instance->hooked = true;
    instance_pause_end(instance); /* or it could not hear */
    /* Waiting for what cannot come would only keep its successor away. */
    if (instance->handle && runtime->hears && !runtime->hears(runtime, instance->handle, signo)) {
        instance_warn(instance,
                      "is process 1 and has no handler for its stop signal; killed (`init: true` would let it hear)");
        loop_timer_cancel(supervisor_of(instance)->peers.loop, &instance->timer);
        signo = SIGKILL;
    }
    send_signal(instance, signo);
    instance_keep(instance);
}

void instance_go_on_ending(struct instance *instance)
{
    instance->timer.fn = on_grace_over;
    loop_timer_set(supervisor_of(instance)->peers.loop, &instance->timer, instance->deadline_ns);
    if (instance->hooked)
        return;
    if (instance->handle && instance->started_ns)
        hooks_run(instance, HOOKS_PRE_STOP, send_stop);
    else
        send_stop(instance, true);
}

/* The hooks' time counts as well. */
static void begin_end(struct instance *instance)
{
    instance->deadline_ns = now_of(instance) + instance->spec->stop_grace_period_ns;
    instance_go_on_ending(instance);
}

void instance_stop(struct instance *instance, enum cause cause, bool wanted)
{
    instance->wanted = wanted;
    if (instance->handle && instance->ending == CAUSE_NONE)
        instance->ending = cause;
    if (instance->state != INSTANCE_IDLE)
        instance_handle(instance, INSTANCE_EV_STOP);
    instance_keep(instance);
}

void instance_kill(struct instance *instance)
{
    if (instance->state == INSTANCE_DRAINING)
        instance_handle(instance, INSTANCE_EV_DRAINED);
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
        instance_handle(instance, INSTANCE_EV_SPENT);
    } else if (answer.verdict == BACKOFF_COMPLETE) {
        instance_handle(instance, INSTANCE_EV_COMPLETE);
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
    if (instance == instance->service->deploy.job)
        return; /* the deploy tells what that means */
    (void)snprintf(text, sizeof(text),
                   "given up: %s; see \"daruma logs %s\", and start it again with \"daruma restart %s\"",
                   condition == SPEC_RESTART_NO ? "its restart policy is \"no\"" : "no restart left in its budget",
                   instance->service->name, instance->service->name);
    instance_warn(instance, text);
}

void instance_handle(struct instance *instance, enum instance_event event)
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
            instance_warn(instance, "runs, but the board has no place for it: it gets no requests");
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

struct instance *instance_new(struct service *service, const struct version *version, int number)
{
    struct instance *instance = calloc(1, sizeof(*instance));
    if (!instance)
        return NULL;
    instance->service = service;
    instance->number = number;
    instance->slot = -1;
    instance->timer.data = instance;
    instance->health.events = &instance_health_events;
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
    loop_timer_cancel(peers->loop, &instance->lease);
    health_end(&instance->health);
    hooks_cancel(instance);
    endpoint_set(instance, BOARD_ENDPOINT_GONE, CAUSE_STOP);
    if (!instance->handle)
        peers->runtime->forget(peers->runtime, instance->name);
    records_drop(&supervisor_of(instance)->records, &instance->slot);
    spec_ref_drop(&instance->ref);
    free(instance);
}
