/* SPDX-License-Identifier: MIT
 *
 * Whether and when an instance that has ended is started again. Pure: no clock, no randomness of its own.
 *
 *   asked for by us (restart, deploy)    at once; the counters begin anew
 *   killed from outside, chaos           at once every time, as long as a loop does not come of it: BACKOFF_BURST deaths
 *                                        in a row, then one each BACKOFF_PACE_NS. Costs no restart budget
 *   brought on itself                    the first restart at once, then 100 ms, doubling to 30 s, less a jitter of up to a
 *                                        quarter; or the file's own `delay`. Costs budget; begins anew after it has been
 *                                        ready for BACKOFF_SUSTAINED_NS (the file's `window`)
 */
#ifndef DARUMA_SUPERVISE_BACKOFF_H
#define DARUMA_SUPERVISE_BACKOFF_H

#include "base/cause.h"
#include "base/clock.h"
#include "compose/spec.h"

#define BACKOFF_FIRST_NS     (100 * NS_PER_MS)
#define BACKOFF_CAP_NS       (30 * NS_PER_S)
#define BACKOFF_SUSTAINED_NS (10 * NS_PER_S)
#define BACKOFF_BURST        10
#define BACKOFF_PACE_NS      (500 * NS_PER_MS)

/* What is remembered of earlier deaths; zeroed for a fresh instance. */
struct backoff {
    uint32_t attempts; /* deaths it brought on itself since it was last well */
    int64_t paid_ns;   /* deaths from outside, as time: each adds BACKOFF_PACE_NS, and time works it off */
};

struct backoff_death {
    enum cause cause;
    bool success;     /* ended with status 0 */
    int64_t now_ns;   /* monotonic */
    int64_t ready_ns; /* for how long it had been ready; 0: never */
    double jitter;    /* uniform in [0, 1) */
};

enum backoff_verdict {
    BACKOFF_RESTART,  /* after `delay_ns` */
    BACKOFF_SPENT,    /* no more */
    BACKOFF_COMPLETE, /* it ended as it should, and is not restarted after that */
};

struct backoff_answer {
    enum backoff_verdict verdict;
    int64_t delay_ns;
};

struct backoff_answer backoff_decide(struct backoff *backoff, const struct spec_restart_policy *policy,
                                     const struct backoff_death *death);

#endif
