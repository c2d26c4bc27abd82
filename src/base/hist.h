/* SPDX-License-Identifier: MIT
 *
 * A log-linear histogram of durations: 32 steps per power of two, so a quantile is at most 3.2 % too high and never
 * too low. Fixed size, no pointers: it may live in shared memory and be added up.
 */
#ifndef DARUMA_BASE_HIST_H
#define DARUMA_BASE_HIST_H

#include <stdint.h>

#define HIST_STEPS  32 /* per power of two */
#define HIST_RANGES 36 /* values up to 2^40 µs, 12 days */
#define HIST_CELLS  (HIST_STEPS * HIST_RANGES)

struct hist {
    uint64_t count;
    uint64_t sum_us;
    uint64_t max_us;
    uint64_t cells[HIST_CELLS];
};

/* Adds one duration in microseconds. Values beyond the range count in the last cell; max_us keeps the truth. */
void hist_add(struct hist *hist, uint64_t us);

/* The smallest value that at least `quantile` (0 … 1) of all do not exceed, in microseconds; 0 when empty. */
uint64_t hist_quantile(const struct hist *hist, double quantile);

/* Adds all that `from` holds to `into`. */
void hist_merge(struct hist *into, const struct hist *from);

#endif
