/* SPDX-License-Identifier: MIT
 *
 * How the two versions of a service stand, and who of the new one is at fault.
 */
#include "supervise/supervisor.h"

#include <stdio.h>
#include <string.h>

/* So often new instances may be killed from outside, while none of the old ones is. */
enum { KILLS = 3 };

static void look_at_old(const struct instance *instance, struct deploy_view *view)
{
    if (!instance->wanted)
        view->old_leaving += instance->handle != NULL;
    else if (instance->served)
        view->old_kept++;
    else
        view->old_idle++;
}

static void look_at_new(const struct instance *instance, const struct spec_deploy *deploy,
                        const struct spec_update *update, struct deploy_view *view)
{
    if (!instance->wanted)
        return;
    view->new_there++;
    view->failed += instance->at_fault;
    view->new_settled += instance_is_given_up(instance); /* as good as it gets, should that be tolerated */
    if (instance->state == INSTANCE_SERVING) {
        int64_t settled = instance->ready_ns + update->monitor_ns;
        if (settled <= view->now_ns)
            view->new_settled++;
        else if (settled < view->next_settled_ns)
            view->next_settled_ns = settled;
    } else if (instance->state == INSTANCE_DONE) {
        view->new_settled++; /* a job that is done stands firm */
    } else if (instance->state == INSTANCE_STARTING && instance->started_ns) {
        int64_t overdue = instance->started_ns + deploy->ready_timeout_ns;
        if (overdue < view->next_overdue_ns)
            view->next_overdue_ns = overdue;
    }
}

static bool is_away(const struct service *service, int64_t now)
{
    if (deploy_is_active(service) && service_ready_count(service) < (size_t)service->replicas)
        return true;
    for (size_t i = 0; i < service->len; i++)
        if (instance_is_away_for_a_moment(service->instances[i], now))
            return true;
    return false;
}

/* One of the routes that lead here leads to another service, too, which is being replaced as well, or died, or was stopped. */
static bool peers_are_away(const struct service *service, int64_t now)
{
    const struct supervisor *supervisor = service->supervisor;
    for (size_t i = 0; i < supervisor->len; i++) {
        const struct service *peer = supervisor->services[i];
        if (peer != service && is_away(peer, now) && supervisor_share_route(supervisor, service->name, peer->name))
            return true;
    }
    return false;
}

struct deploy_view deploy_look(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct spec_deploy *rules = &service->version.spec->deploy;
    const struct spec_update *update = deploy->phase == DEPLOY_GOING_BACK ? &rules->rollback : &rules->update;
    int64_t now = loop_now(service->supervisor->peers.loop);
    struct deploy_view view = {
        .now_ns = now,
        .replicas = service->replicas,
        .next_settled_ns = INT64_MAX,
        .next_overdue_ns = INT64_MAX,
        .batch_ns = deploy->batch_ns,
        .step = deploy->step,
        .step_ns = deploy->step_ns,
        .peers_away = update->stop_first && peers_are_away(service, now),
    };
    for (size_t i = 0; i < service->len; i++)
        if (instance_is_new(service->instances[i]))
            look_at_new(service->instances[i], rules, update, &view);
        else
            look_at_old(service->instances[i], &view);
    if (view.new_settled > deploy->settled && view.new_settled == view.new_there)
        view.batch_ns = deploy->batch_ns = view.now_ns;
    deploy->settled = view.new_settled;
    if (deploy->tolerant)
        view.failed = 0;
    return view;
}

static void blame(struct instance *instance, const char *words)
{
    struct deploy *deploy = &instance->service->deploy;

    deploy->failed += !instance->at_fault;
    instance->at_fault = true;
    (void)snprintf(deploy->last_words, sizeof(deploy->last_words), "%s", words);
    memcpy(deploy->failed_instance, instance->name, sizeof(deploy->failed_instance));
}

/* New instances that had their time and aren't ready are at fault, and those that do not come back any more or cannot even
   start: whatever they died of or wait for, the deploy cannot end well with them. */
void deploy_judge(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    int64_t now = loop_now(service->supervisor->peers.loop), timeout = service->version.spec->deploy.ready_timeout_ns;
    const char *waits_for;
    char span[CLOCK_TEXT];

    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (!instance_is_new(instance) || !instance->wanted || instance->at_fault)
            continue;
        if (instance_is_given_up(instance)) {
            blame(instance, instance->last_words);
            (void)snprintf(deploy->reason, sizeof(deploy->reason), "%s ended (%s) and is not started again",
                           instance->name, cause_name(instance->last_cause));
        } else if (instance->state == INSTANCE_STARTING && instance->started_ns &&
                   now >= instance->started_ns + timeout) {
            blame(instance, instance->last_line);
            (void)snprintf(deploy->reason, sizeof(deploy->reason), "%s was not ready within %s", instance->name,
                           clock_format_span(timeout, span));
        } else if (instance_may_start(instance, &waits_for) == ORDER_NEVER) {
            blame(instance, "");
            (void)snprintf(deploy->reason, sizeof(deploy->reason), "%s cannot start: " DEPLOY_BLOCKED, instance->name,
                           waits_for);
        }
    }
}

/* Killed from outside is no fault of the version, unless it happens to it alone, again and again: somebody may have a
   reason, such as the memory that it takes. A job that did not come to its end has failed in any case. */
static bool is_at_fault(const struct instance *instance)
{
    struct deploy *deploy = &instance->service->deploy;

    if (cause_self_inflicted(instance->last_cause) || instance == deploy->job)
        return true;
    deploy->killed[instance_is_new(instance)] += instance->last_cause == CAUSE_KILLED;
    return deploy->killed[1] >= KILLS && deploy->killed[0] == 0;
}

void deploy_instance_died(struct instance *instance)
{
    struct service *service = instance->service;
    char line[EVENT_LINE];

    bool at_fault = is_at_fault(instance);
    if (service->deploy.phase != DEPLOY_ROLLING || !instance_is_new(instance) || !at_fault)
        return;
    if (instance->last_cause == CAUSE_EXIT && instance->last_status == 0 &&
        instance->spec->restart.condition != SPEC_RESTART_ALWAYS)
        return; /* a job that did what it was to do */
    blame(instance, instance->last_words);
    struct event event = { .kind = EVENT_INSTANCE_EXIT,
                           .cause = instance->last_cause,
                           .status = instance->last_status,
                           .by_signal = instance->last_by_signal };
    memcpy(event.instance, instance->name, sizeof(event.instance));
    (void)snprintf(event.text, sizeof(event.text), "%s", instance->last_words);
    (void)snprintf(service->deploy.reason, sizeof(service->deploy.reason), "%.*s%s", EVENT_TEXT - 80,
                   event_format(&event, line),
                   instance->last_cause == CAUSE_KILLED && instance != service->deploy.job
                       ? ", as happens to the new version again and again"
                       : "");
}
