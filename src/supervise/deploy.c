/* SPDX-License-Identifier: MIT */
#include "supervise/supervisor.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How often the two versions' answers are compared. */
#define COMPARE_NS (250 * NS_PER_MS)

static int64_t now_of(const struct service *service)
{
    return loop_now(service->supervisor->peers.loop);
}

const char *deploy_phase_name(enum deploy_phase phase)
{
    static const char *const names[] = {
        [DEPLOY_NONE] = "none",     [DEPLOY_ROLLING] = "rolling",   [DEPLOY_GOING_BACK] = "going back",
        [DEPLOY_PAUSED] = "paused", [DEPLOY_DEPLOYED] = "deployed", [DEPLOY_ROLLED_BACK] = "rolled back",
        [DEPLOY_FAILED] = "failed",
    };
    return (unsigned)phase < ARRAY_LEN(names) ? names[phase] : "?";
}

bool deploy_is_active(const struct service *service)
{
    return service->deploy.phase == DEPLOY_ROLLING || service->deploy.phase == DEPLOY_GOING_BACK;
}

static void __attribute__((format(printf, 2, 3))) tell(const struct service *service, const char *format, ...)
{
    struct event event = { .kind = EVENT_DEPLOY };
    va_list args;

    (void)snprintf(event.service, sizeof(event.service), "%s", service->name);
    (void)snprintf(event.to, sizeof(event.to), "%s", deploy_phase_name(service->deploy.phase));
    va_start(args, format);
    (void)vsnprintf(event.text, sizeof(event.text), format, args);
    va_end(args);
    event_emit(service->supervisor->peers.events, &event);
}

void deploy_tell_pending(const struct service *service)
{
    tell(service, "version %u waits for the end of this deploy; --replace turns it round", service->pending.number);
}

/* Another version of it is there, be it only on its way out. */
static bool has_old(const struct service *service)
{
    for (size_t i = 0; i < service->len; i++)
        if (!instance_is_new(service->instances[i]) && (service->instances[i]->wanted || service->instances[i]->handle))
            return true;
    return false;
}

/* --- what is done --- */

/* Beside each other, the two versions get what the step says; one after the other, each that is ready works. On the way
   back the bad version gets nothing any more as soon as somebody else is there. */
bool deploy_is_in_rotation(const struct instance *instance, uint32_t *ret_weight)
{
    const struct service *service = instance->service;
    const struct deploy *deploy = &service->deploy;
    bool new = instance_is_new(instance);

    *ret_weight = BOARD_WEIGHT_USUAL;
    if (deploy->phase == DEPLOY_GOING_BACK)
        return new || deploy->settled == 0;
    if ((deploy->phase != DEPLOY_ROLLING && deploy->phase != DEPLOY_PAUSED) ||
        service->version.spec->deploy.strategy == SPEC_ROLLING)
        return true;
    *ret_weight = deploy->weights[new];
    return new ? deploy->share > 0 : deploy->share < 1000;
}

bool deploy_judges(const struct instance *instance)
{
    const struct service *service = instance->service;
    const struct deploy *deploy = &service->deploy;

    return deploy->phase == DEPLOY_ROLLING && instance_is_new(instance) && !deploy->tolerant &&
           service->version.spec->deploy.compare != SPEC_COMPARE_NOTHING;
}

/* All of it in one write of the board: there is no moment with two truths. */
static void share_out(struct service *service)
{
    struct board *board = service->supervisor->peers.board;

    board_write_begin(board);
    for (size_t i = 0; i < service->len; i++)
        if (service->instances[i]->state == INSTANCE_SERVING)
            endpoint_share(service->instances[i]);
    board_write_end(board);
    service->supervisor->peers.ring(service->supervisor->peers.data);
}

/* What the present step means for those that serve. */
static void weigh(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct spec_deploy *rules = &service->version.spec->deploy;
    int count[2] = { 0 };

    for (size_t i = 0; i < service->len; i++)
        count[instance_is_new(service->instances[i])] += instance_serves(service->instances[i]);
    deploy->share = rules->strategy == SPEC_CANARY ? rules->steps[deploy->step] : 1000;
    deploy_weights(deploy->share, count[0], count[1], &deploy->weights[0], &deploy->weights[1]);
}

static void shift(struct service *service, size_t step)
{
    struct deploy *deploy = &service->deploy;

    deploy->step = step;
    deploy->step_ns = now_of(service);
    weigh(service);
    service_keep(service); /* whoever takes over does not take a step back */
    share_out(service);
    deploy_begin_comparison(service);
    deploy_mark(service, "%g %%", deploy->share / 10.0);
    tell(service, "version %u gets %g %% of the requests", service->version.number, deploy->share / 10.0);
}

static void start_new(struct service *service, int count)
{
    for (int i = 0; i < count; i++) {
        struct instance *instance = service_add_instance(service);
        if (!instance) {
            tell(service, "out of memory: not all new instances could be made");
            return;
        }
        instance->wanted = true;
        instance_try_start(instance);
        service->deploy.started++;
    }
}

/* Idle ones go first, then those that are away at the moment, then by number. */
static struct instance *next_to_go(const struct service *service)
{
    struct instance *found = NULL;
    int best = 0;

    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (instance_is_new(instance) || !instance->wanted)
            continue;
        int rank = !instance->served ? 3 : instance->state != INSTANCE_SERVING ? 2 : 1;
        if (rank > best) {
            best = rank;
            found = instance;
        }
    }
    return found;
}

static void retire_old(struct service *service, int count)
{
    for (struct instance *instance; count > 0 && (instance = next_to_go(service)); count--)
        instance_stop(instance, CAUSE_DEPLOY, false);
}

static void tell_end(const struct service *service)
{
    const struct deploy *deploy = &service->deploy;
    char span[CLOCK_TEXT];

    clock_format_span(deploy->ended_ns - deploy->began_ns, span);
    if (deploy->phase == DEPLOY_DEPLOYED)
        tell(service, "version %u deployed in %s", service->version.number, span);
    else if (deploy->phase == DEPLOY_ROLLED_BACK)
        tell(service, "back at version %u after %s: %.150s", service->version.number, span, deploy->reason);
    else if (deploy->phase == DEPLOY_FAILED)
        tell(service, "version %u was not deployed, nothing was touched: %.150s", deploy->to, deploy->reason);
    else
        tell(service, "paused with both versions running: %.150s; \"daruma rollback %s\" goes back", deploy->reason,
             service->name);
}

static void finish(struct service *service, enum deploy_phase phase)
{
    struct deploy *deploy = &service->deploy;

    loop_timer_cancel(service->supervisor->peers.loop, &deploy->timer);
    if (deploy->job)
        instance_stop(deploy->job, CAUSE_DEPLOY, false);
    deploy_prune(service);
    deploy_probe_end(service);
    deploy->phase = phase;
    deploy->ended_ns = now_of(service);
    deploy_hand_out(service);
    if (phase != DEPLOY_PAUSED)
        version_drop(&deploy->from);
    tell_end(service);
    share_out(service);                          /* nobody is judged any more */
    service->came_back = phase != DEPLOY_FAILED; /* dependents with `restart: true` follow */
    service_update(service);
    if (phase != DEPLOY_PAUSED) {
        (void)service_resize(service, service->replicas); /* it was scaled meanwhile */
        service_take_pending(service);
    }
    supervisor_settle_soon(service->supervisor);
}

/* What does not run at present comes back with the version before, if it is needed; else it would only be in the way of
   those that never left. */
static void let_idle_go(struct service *service)
{
    int missing = service->replicas;

    for (size_t i = 0; i < service->len; i++)
        missing -= service->instances[i]->wanted && service->instances[i]->version == service->deploy.from.number;
    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (instance->wanted && !instance->handle && instance_is_new(instance) && --missing < 0)
            instance_stop(instance, CAUSE_DEPLOY, false);
    }
}

/* The service has the version again that it had before; the present one is the old one now. */
static void restore_version(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    let_idle_go(service);
    spec_ref_drop(&service->version.ref);
    service->version = deploy->from;
    deploy->from = (struct version){ .number = service->version.number };
    for (size_t i = 0; i < service->len; i++)
        service->instances[i]->at_fault = false;
    if (deploy->job)
        instance_stop(deploy->job, CAUSE_DEPLOY, false);
    service_use_version(service);
}

static void go_back(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    deploy->phase = DEPLOY_GOING_BACK;
    deploy_probe_end(service);
    deploy_mark(service, "went back");
    tell(service, "version %u goes back to %u: %.150s", service->version.number, deploy->from.number, deploy->reason);
    deploy->batch_ns = 0;
    deploy->settled = 0;
    deploy->step = SIZE_MAX;
    deploy->share = 1000;
    deploy->weights[0] = deploy->weights[1] = BOARD_WEIGHT_USUAL;
    restore_version(service);
    service_keep(service);
    share_out(service);
}

static void fail(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct spec_deploy *rules = &service->version.spec->deploy;
    enum spec_on_failure action =
        deploy->phase == DEPLOY_GOING_BACK ? rules->rollback.on_failure : rules->update.on_failure;

    if (action == SPEC_GO_ON) {
        deploy->tolerant = true;
        share_out(service);
        tell(service, "goes on all the same (failure_action: continue): %.150s", deploy->reason);
    } else if (action == SPEC_GO_BACK && deploy->phase == DEPLOY_ROLLING && deploy->from.spec) {
        go_back(service);
    } else {
        finish(service, DEPLOY_PAUSED);
    }
}

/* --- its run --- */

static void on_timer(struct loop_timer *timer)
{
    struct service *service = timer->data;
    supervisor_settle_soon(service->supervisor);
}

/* What the version depends on is there, all is prepared, and pre_deploy has ended well. If that cannot be, that is the end, with
   nothing touched. */
static bool before(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct supervisor *supervisor = service->supervisor;
    const char *waits_for = NULL;

    if (deploy->phase == DEPLOY_GOING_BACK || (deploy->prepared && deploy->pre_done))
        return true;
    enum order_answer start = order_may_start(supervisor->nodes, supervisor->len, service->index, &waits_for);
    if (start == ORDER_NEVER)
        (void)snprintf(deploy->reason, sizeof(deploy->reason), DEPLOY_BLOCKED, waits_for);
    if (start == ORDER_NEVER || deploy_job_failed(service)) {
        restore_version(service);
        finish(service, DEPLOY_FAILED);
        return false;
    }
    return start == ORDER_GO && deploy_prepare(service) &&
           deploy_job_done(service, service->version.spec->deploy.pre_deploy, &deploy->pre_done);
}

/* post_deploy has ended well. If it cannot, the version is as bad as one that crashes. */
static bool after(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    if (deploy_job_failed(service)) {
        fail(service);
        return false;
    }
    return deploy_job_done(service, service->version.spec->deploy.post_deploy, &deploy->post_done);
}

/* When the plan says, or sooner to compare answers. */
static void look_again(struct service *service, int64_t at_ns)
{
    struct deploy *deploy = &service->deploy;
    int64_t soon = now_of(service) + COMPARE_NS;

    if (deploy->phase == DEPLOY_ROLLING && soon < at_ns)
        at_ns = soon;
    if (at_ns != INT64_MAX)
        loop_timer_set(service->supervisor->peers.loop, &deploy->timer, at_ns);
}

/* One step; false: there is none to be taken now. */
static bool take_step(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    if (!before(service))
        return false;
    if (deploy_compare(service)) {
        fail(service);
        return deploy_is_active(service);
    }
    deploy_judge(service);
    struct deploy_view view = deploy_look(service);
    struct deploy_step step = deploy_plan(&service->version.spec->deploy, deploy->phase == DEPLOY_GOING_BACK, &view);
    switch (step.action) {
    case DEPLOY_START:
        start_new(service, step.count);
        deploy_mark(service, "%d started", step.count);
        return true;
    case DEPLOY_RETIRE:
        retire_old(service, step.count);
        deploy_mark(service, "%d retired", step.count);
        return true;
    case DEPLOY_SHIFT:
        shift(service, step.step);
        return true;
    case DEPLOY_FAIL:
        fail(service);
        return deploy_is_active(service);
    case DEPLOY_DONE:
        if (deploy->phase == DEPLOY_GOING_BACK)
            finish(service, DEPLOY_ROLLED_BACK);
        else if (after(service))
            finish(service, DEPLOY_DEPLOYED);
        return deploy->phase == DEPLOY_GOING_BACK;
    case DEPLOY_WAIT:
        look_again(service, step.at_ns);
        return false;
    }
    return false;
}

void deploy_settle(struct service *service)
{
    /* Every step changes what the next one sees, so this ends; the bound is for what nobody thought of. */
    for (int i = 0; i < 64 && deploy_is_active(service) && take_step(service); i++)
        ;
    service_keep(service);
}

/* Everything is as at the beginning of a deploy; `from` is taken over. */
static void init(struct service *service, struct version *from)
{
    struct deploy *deploy = &service->deploy;

    deploy_close_receipt(service);
    deploy_probe_end(service);
    *deploy = (struct deploy){
        .service = service,
        .phase = DEPLOY_ROLLING,
        .from = *from,
        .to = service->version.number,
        .ended = deploy->ended,
        .began_ns = now_of(service),
        .began_wall_ns = clock_wall(),
        .job = deploy->job, /* still on its way out, if there is one */
        .step = SIZE_MAX,
        .weights = { BOARD_WEIGHT_USUAL, BOARD_WEIGHT_USUAL },
        .timer = { .fn = on_timer, .data = service },
    };
    *from = (struct version){ 0 };
    deploy_begin_counts(service);
    const struct traffic_waits earlier = traffic_waits_since(&deploy->tally.waits, &deploy->ended);
    deploy->tally.p99_before_us = traffic_p99_us(&earlier);
}

void deploy_begin(struct service *service, struct version *from)
{
    struct deploy *deploy = &service->deploy;

    version_drop(&deploy->from);
    if (!has_old(service)) {
        deploy->phase = DEPLOY_NONE;
        version_drop(from);
        return;
    }
    init(service, from);
    tell(service, "version %u goes to %u, %s", deploy->from.number, service->version.number,
         service->version.spec->deploy.update.stop_first ? "stop-first" : "start-first");
    service_keep(service);
    supervisor_settle_soon(service->supervisor);
}

void deploy_resume(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct spec_deploy *rules = &service->version.spec->deploy;

    if (!deploy_is_active(service) && deploy->phase != DEPLOY_PAUSED) {
        /* What runs beside the present version is of one that nobody knows any more. */
        deploy_begin(service, &(struct version){ .number = service->version.number - 1 });
    } else {
        deploy->service = service;
        deploy->timer = (struct loop_timer){ .fn = on_timer, .data = service };
        deploy->weights[0] = deploy->weights[1] = BOARD_WEIGHT_USUAL;
        if (deploy->step >= (rules->strategy == SPEC_CANARY ? rules->steps_len : 1))
            deploy->step = SIZE_MAX;
        else
            weigh(service);
        deploy_resume_counts(service);
    }
    share_out(service);
    service_keep(service);
}

int deploy_turn_round(struct service *service, const char *reason)
{
    struct deploy *deploy = &service->deploy;

    if (deploy->phase == DEPLOY_GOING_BACK)
        return -EALREADY;
    if ((deploy->phase != DEPLOY_ROLLING && deploy->phase != DEPLOY_PAUSED) || !deploy->from.spec)
        return -ENOENT;
    (void)snprintf(deploy->reason, sizeof(deploy->reason), "%s", reason);
    go_back(service);
    return 0;
}

void deploy_end(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    loop_timer_cancel(service->supervisor->peers.loop, &deploy->timer);
    deploy_close_receipt(service);
    deploy_probe_end(service);
    deploy->phase = DEPLOY_NONE;
    if (deploy->job)
        instance_stop(deploy->job, CAUSE_STOP, false);
    version_drop(&deploy->from);
}

void deploy_free(struct service *service)
{
    deploy_end(service);
    instance_free(service->deploy.job);
    service->deploy.job = NULL;
}
