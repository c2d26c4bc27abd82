/* SPDX-License-Identifier: MIT
 *
 * The receipt: what a run of the monitor has shown, for people and for programs.
 */
#ifndef DARUMA_WATCH_RECEIPT_H
#define DARUMA_WATCH_RECEIPT_H

#include "base/buf.h"
#include "watch/slo.h"
#include "watch/tally.h"

#include <stdbool.h>

struct watch_receipt {
    const char *url;
    double rate;
    const struct watch_tally *tally;
    const struct watch_slo *slos;
    size_t slos_len;
};

/* All objectives met; true when there are none. */
bool watch_receipt_met(const struct watch_receipt *receipt);

/* Several lines. With `colour`, failures and the verdict carry terminal colours. */
void watch_receipt_text(const struct watch_receipt *receipt, bool colour, struct buf *out);
/* One JSON object on one line; its fields are in docs/watch.md. */
void watch_receipt_json(const struct watch_receipt *receipt, struct buf *out);

/* "99.98 %": as many digits as the number of probes supports, never rounded up to 100. */
#define WATCH_PERCENT 16
const char *watch_percent(const struct watch_tally *tally, char text[WATCH_PERCENT]);

#endif
