/* SPDX-License-Identifier: MIT
 *
 * Deadlines by number: each owner (a slot) has one. A binary heap of numbers, lazy about what moves later: a deadline
 * that is put off, as nearly all are, costs one store, and its entry is corrected when it comes up.
 *
 * Owns: its arrays but for `due`. Does not know: what the numbers mean, or a clock.
 */
#ifndef DARUMA_GATEWAY_TIMERS_H
#define DARUMA_GATEWAY_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct timer_entry {
    int64_t key; /* not later than due[id] */
    uint32_t id;
};

struct timers {
    struct timer_entry *heap; /* heap[1 … count] */
    int64_t *due;             /* by id; 0: not armed. Not owned: it outlives a worker */
    uint32_t *place;          /* by id: where in the heap, 0: not there */
    uint32_t count, ids;
};

/* For ids 0 … ids-1, whose deadlines are kept in `due`, which is the caller's: zeroes, or those of an earlier owner, which
   come up once they are set anew. 0 or -ENOMEM. Forked children do not inherit the rest. */
int gw_timers_init(struct timers *timers, uint32_t ids, int64_t *due);
void gw_timers_free(struct timers *timers);

/* O(1) when the new deadline is not earlier than the old one, else O(log n). */
void gw_timers_set(struct timers *timers, uint32_t id, int64_t due);
/* O(1), idempotent. */
void gw_timers_cancel(struct timers *timers, uint32_t id);

/* Its deadline; 0: it is not armed. */
static inline int64_t gw_timers_due(const struct timers *timers, uint32_t id)
{
    return timers->due[id];
}

/* Takes one that is due; false when there is none. */
bool gw_timers_pop(struct timers *timers, int64_t now, uint32_t *ret_id);

/* The next deadline; `by` when it is not before that. */
int64_t gw_timers_next(struct timers *timers, int64_t by);

#endif
