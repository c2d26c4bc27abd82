/* SPDX-License-Identifier: MIT
 *
 * Service level objectives: what a run of the monitor has to reach. Pure.
 */
#ifndef DARUMA_WATCH_SLO_H
#define DARUMA_WATCH_SLO_H

#include "base/err.h"
#include "watch/tally.h"

enum { WATCH_SLO_TEXT = 48 };

enum watch_slo_kind {
    WATCH_SLO_AVAILABILITY, /* "99.9%" or "99.9": at least this share succeeded */
    WATCH_SLO_QUANTILE,     /* "p99<100ms": this share of the successes took less */
    WATCH_SLO_MAX,          /* "max<1s": every success took less */
    WATCH_SLO_GAP,          /* "gap<2s": never longer without a success */
};

struct watch_slo {
    enum watch_slo_kind kind;
    double target;    /* AVAILABILITY: per cent; QUANTILE: 0 … 1 */
    bool or_equal;    /* "<=" instead of "<" */
    int64_t limit_ns; /* all but AVAILABILITY */
    char text[WATCH_SLO_TEXT];
};

/* 0, or -EINVAL with `err`. Blanks are allowed between the parts. */
int watch_slo_parse(const char *text, struct watch_slo *ret, struct err *err);

struct watch_verdict {
    bool met;     /* false when nothing succeeded: there is no proof then */
    double value; /* what was measured: per cent, or ms */
};
struct watch_verdict watch_slo_judge(const struct watch_slo *slo, const struct watch_tally *tally);

#endif
