/* SPDX-License-Identifier: MIT */
#include "supervise/deploy_plan.h"

#include "base/clock.h"

enum { USUAL_WEIGHT = 100, MOST_WEIGHT = 1000 };
/* How often it is looked whether peers that were away are back, or not expected any more. */
#define PEERS_LOOK_NS (250 * NS_PER_MS)

static int min(int a, int b)
{
    return a < b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct deploy_step wait_until(const struct deploy_view *view, int64_t at_ns)
{
    return (struct deploy_step){ .action = DEPLOY_WAIT,
                                 .at_ns = sooner(at_ns, sooner(view->next_settled_ns, view->next_overdue_ns)) };
}

static struct deploy_step start(int count)
{
    return (struct deploy_step){ .action = DEPLOY_START, .count = count };
}

static struct deploy_step retire(int count)
{
    return (struct deploy_step){ .action = DEPLOY_RETIRE, .count = count };
}

/* How many old ones are too many, now that so many new ones stand firm. */
static int surplus(const struct deploy_view *view)
{
    int needed = view->replicas - view->new_settled;
    int more = view->old_kept - (needed > 0 ? needed : 0);
    return view->old_idle + (more > 0 ? more : 0);
}

static int batch_size(const struct spec_update *update, const struct deploy_view *view)
{
    return update->parallelism > 0 ? update->parallelism : view->replicas;
}

/* May the next batch begin? Only when the one before has settled, and its pause is over. */
static bool batch_is_due(const struct spec_update *update, const struct deploy_view *view)
{
    return view->new_there == view->new_settled &&
           (view->batch_ns == 0 || view->now_ns >= view->batch_ns + update->delay_ns);
}

static struct deploy_step start_first(const struct spec_update *update, const struct deploy_view *view)
{
    int more = surplus(view), missing = view->replicas - view->new_there;

    if (more > 0)
        return retire(more);
    if (missing <= 0 || !batch_is_due(update, view))
        return wait_until(view, missing > 0 && view->batch_ns && view->new_there == view->new_settled
                                    ? view->batch_ns + update->delay_ns
                                    : INT64_MAX);
    return start(min(missing, batch_size(update, view)));
}

/* The places of old ones that are gone are filled before others go. */
static struct deploy_step stop_first(const struct spec_update *update, const struct deploy_view *view)
{
    int old = view->old_kept + view->old_idle + view->old_leaving;
    int free_places = view->replicas - view->new_there - old;

    if (view->old_idle > 0)
        return retire(view->old_idle);
    if (free_places > 0)
        return start(free_places);
    if (view->old_leaving > 0 || view->old_kept == 0)
        return wait_until(view, INT64_MAX);
    if (view->old_kept + view->new_settled > view->replicas)
        return retire(view->old_kept + view->new_settled - view->replicas);
    if (!batch_is_due(update, view))
        return wait_until(view, view->batch_ns && view->new_there == view->new_settled
                                    ? view->batch_ns + update->delay_ns
                                    : INT64_MAX);
    return view->peers_away ? wait_until(view, view->now_ns + PEERS_LOOK_NS)
                            : retire(min(view->old_kept, batch_size(update, view)));
}

/* A share needs as many new instances as can bear it; blue-green has all of them before the first request. */
static int instances_for(uint32_t share, int replicas)
{
    int64_t need = ((int64_t)share * replicas + 999) / 1000;
    return need < 1 ? 1 : (int)need;
}

static struct deploy_step by_share(const struct spec_deploy *deploy, const struct deploy_view *view)
{
    static const uint32_t all_at_once[] = { 1000 };
    bool canary = deploy->strategy == SPEC_CANARY;
    const uint32_t *steps = canary ? deploy->steps : all_at_once;
    size_t len = canary ? deploy->steps_len : 1, next = view->step == SIZE_MAX ? 0 : view->step + 1;

    /* How long the present share has been watched, or the new ones without a share. */
    if (view->step != SIZE_MAX) {
        int64_t until = view->step_ns + (canary ? deploy->dwell_ns : deploy->keep_ns);
        if (view->now_ns < until)
            return wait_until(view, until);
    }
    if (next == len)
        return surplus(view) > 0 ? retire(view->old_kept + view->old_idle) : wait_until(view, INT64_MAX);
    int need = canary ? instances_for(steps[next], view->replicas) : view->replicas;
    if (view->new_there < need)
        return start(need - view->new_there);
    if (view->new_settled < need)
        return wait_until(view, INT64_MAX);
    return (struct deploy_step){ .action = DEPLOY_SHIFT, .step = next };
}

struct deploy_step deploy_plan(const struct spec_deploy *deploy, bool going_back, const struct deploy_view *view)
{
    const struct spec_update *update = going_back ? &deploy->rollback : &deploy->update;
    int old = view->old_kept + view->old_idle + view->old_leaving;

    if (view->failed > (int)(update->max_failure_ratio * view->replicas))
        return (struct deploy_step){ .action = DEPLOY_FAIL };
    if (old == 0 && view->new_there >= view->replicas && view->new_settled >= view->replicas)
        return (struct deploy_step){ .action = DEPLOY_DONE };
    if (!going_back && deploy->strategy != SPEC_ROLLING && view->old_kept > 0)
        return by_share(deploy, view);
    return update->stop_first ? stop_first(update, view) : start_first(update, view);
}

void deploy_weights(uint32_t share, int old, int fresh, uint32_t *ret_old, uint32_t *ret_fresh)
{
    *ret_old = *ret_fresh = USUAL_WEIGHT;
    if (share >= 1000 || old <= 0 || fresh <= 0)
        return;
    /* fresh·wf / (old·wo) = share / (1000 − share): the larger weight is the greatest there is. */
    double ratio = (double)share * old / ((double)(1000 - share) * fresh);
    double wo = ratio < 1 ? MOST_WEIGHT : MOST_WEIGHT / ratio, wf = ratio < 1 ? MOST_WEIGHT * ratio : MOST_WEIGHT;
    *ret_old = wo < 1 ? 1 : (uint32_t)(wo + 0.5);
    *ret_fresh = wf < 1 ? 1 : (uint32_t)(wf + 0.5);
}
