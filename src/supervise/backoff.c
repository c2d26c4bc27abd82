/* SPDX-License-Identifier: MIT */
#include "supervise/backoff.h"

static struct backoff_answer restart_after(int64_t delay_ns)
{
    return (struct backoff_answer){ .verdict = BACKOFF_RESTART, .delay_ns = delay_ns };
}

/* 0, 100 ms, 200 ms … 30 s */
static int64_t exponential(uint32_t attempts)
{
    if (attempts <= 1)
        return 0;
    int64_t delay = BACKOFF_FIRST_NS;
    for (uint32_t i = 2; i < attempts && delay < BACKOFF_CAP_NS; i++)
        delay *= 2;
    return delay < BACKOFF_CAP_NS ? delay : BACKOFF_CAP_NS;
}

static struct backoff_answer self_inflicted(struct backoff *backoff, const struct spec_restart_policy *policy,
                                            const struct backoff_death *death)
{
    int64_t sustained = policy->window_ns > 0 ? policy->window_ns : BACKOFF_SUSTAINED_NS;
    if (death->ready_ns >= sustained)
        backoff->attempts = 0;
    if (policy->max_attempts >= 0 && backoff->attempts >= policy->max_attempts)
        return (struct backoff_answer){ .verdict = BACKOFF_SPENT };
    if (backoff->attempts < UINT32_MAX)
        backoff->attempts++;
    if (policy->delay_ns > 0)
        return restart_after(policy->delay_ns);
    int64_t delay = exponential(backoff->attempts);
    return restart_after(delay - (int64_t)((double)delay / 4 * death->jitter));
}

static struct backoff_answer from_outside(struct backoff *backoff, const struct backoff_death *death)
{
    if (backoff->paid_ns < death->now_ns)
        backoff->paid_ns = death->now_ns;
    backoff->paid_ns += BACKOFF_PACE_NS;
    int64_t over = backoff->paid_ns - death->now_ns - BACKOFF_BURST * BACKOFF_PACE_NS;
    return restart_after(over > 0 ? over : 0);
}

struct backoff_answer backoff_decide(struct backoff *backoff, const struct spec_restart_policy *policy,
                                     const struct backoff_death *death)
{
    if (cause_asked_for(death->cause) && death->cause != CAUSE_CHAOS) {
        *backoff = (struct backoff){ 0 };
        return restart_after(0);
    }
    if (death->success && (policy->condition == SPEC_RESTART_NO || policy->condition == SPEC_RESTART_ON_FAILURE))
        return (struct backoff_answer){ .verdict = BACKOFF_COMPLETE };
    if (policy->condition == SPEC_RESTART_NO)
        return (struct backoff_answer){ .verdict = BACKOFF_SPENT };
    return cause_self_inflicted(death->cause) ? self_inflicted(backoff, policy, death) : from_outside(backoff, death);
}
