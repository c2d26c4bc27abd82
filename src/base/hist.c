/* SPDX-License-Identifier: MIT
 *
 * Cells: values below HIST_STEPS have a cell each; after that every power of two is cut into HIST_STEPS equal parts.
 *
 *   cell = range * STEPS + part      range 0: [0, 32)    step 1
 *                                    range 1: [32, 64)   step 1
 *                                    range 2: [64, 128)  step 2   …
 */
#include "base/hist.h"

#include <math.h>

static unsigned cell_of(uint64_t us)
{
    if (us < HIST_STEPS)
        return (unsigned)us;
    unsigned bits = 63u - (unsigned)__builtin_clzll(us);
    unsigned range = bits - 5 + 1;
    if (range >= HIST_RANGES)
        return HIST_CELLS - 1;
    return range * HIST_STEPS + (unsigned)((us >> (bits - 5)) & (HIST_STEPS - 1));
}

/* The largest value that falls into `cell`. */
static uint64_t cell_top(unsigned cell)
{
    unsigned range = cell / HIST_STEPS, part = cell % HIST_STEPS;
    if (range == 0)
        return part;
    unsigned shift = range - 1;
    return (((uint64_t)(HIST_STEPS + part) + 1) << shift) - 1;
}

void hist_add(struct hist *hist, uint64_t us)
{
    hist->cells[cell_of(us)]++;
    hist->count++;
    hist->sum_us += us;
    if (us > hist->max_us)
        hist->max_us = us;
}

uint64_t hist_quantile(const struct hist *hist, double quantile)
{
    if (hist->count == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(quantile * (double)hist->count);
    if (rank < 1)
        rank = 1;
    uint64_t seen = 0;
    for (unsigned cell = 0; cell < HIST_CELLS; cell++) {
        seen += hist->cells[cell];
        if (seen >= rank) {
            uint64_t top = cell_top(cell);
            return top < hist->max_us && cell != HIST_CELLS - 1 ? top : hist->max_us;
        }
    }
    return hist->max_us;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    for (unsigned cell = 0; cell < HIST_CELLS; cell++)
        into->cells[cell] += from->cells[cell];
    into->count += from->count;
    into->sum_us += from->sum_us;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
}
