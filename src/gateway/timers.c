/* SPDX-License-Identifier: MIT */
#include "gateway/timers.h"

#include <errno.h>
#include <stdlib.h>

int gw_timers_init(struct timers *timers, uint32_t ids)
{
    *timers = (struct timers){
        .heap = calloc((size_t)ids + 1, sizeof(timers->heap[0])),
        .due = calloc(ids, sizeof(timers->due[0])),
        .place = calloc(ids, sizeof(timers->place[0])),
    };
    if (!timers->heap || !timers->due || !timers->place) {
        gw_timers_free(timers);
        return -ENOMEM;
    }
    return 0;
}

void gw_timers_free(struct timers *timers)
{
    free(timers->heap);
    free(timers->due);
    free(timers->place);
    *timers = (struct timers){ 0 };
}

static void put(struct timers *timers, uint32_t at, struct timer_entry entry)
{
    timers->heap[at] = entry;
    timers->place[entry.id] = at;
}

static void rise(struct timers *timers, uint32_t at, struct timer_entry entry)
{
    for (; at > 1 && timers->heap[at / 2].key > entry.key; at /= 2)
        put(timers, at, timers->heap[at / 2]);
    put(timers, at, entry);
}

static void sink(struct timers *timers, uint32_t at, struct timer_entry entry)
{
    for (;;) {
        uint32_t child = at * 2;
        if (child > timers->count)
            break;
        if (child < timers->count && timers->heap[child + 1].key < timers->heap[child].key)
            child++;
        if (timers->heap[child].key >= entry.key)
            break;
        put(timers, at, timers->heap[child]);
        at = child;
    }
    put(timers, at, entry);
}

void gw_timers_set(struct timers *timers, uint32_t id, int64_t due)
{
    uint32_t at = timers->place[id];
    timers->due[id] = due;
    if (at == 0)
        rise(timers, ++timers->count, (struct timer_entry){ .key = due, .id = id });
    else if (due < timers->heap[at].key)
        rise(timers, at, (struct timer_entry){ .key = due, .id = id });
}

void gw_timers_cancel(struct timers *timers, uint32_t id)
{
    timers->due[id] = 0;
}

static void drop_first(struct timers *timers)
{
    struct timer_entry last = timers->heap[timers->count--];
    timers->place[timers->heap[1].id] = 0;
    if (timers->count > 0)
        sink(timers, 1, last);
}

bool gw_timers_pop(struct timers *timers, int64_t now, uint32_t *ret_id)
{
    while (timers->count > 0 && timers->heap[1].key <= now) {
        uint32_t id = timers->heap[1].id;
        int64_t due = timers->due[id];
        if (due > now) {
            sink(timers, 1, (struct timer_entry){ .key = due, .id = id });
            continue;
        }
        drop_first(timers);
        timers->due[id] = 0;
        if (due > 0) {
            *ret_id = id;
            return true;
        }
    }
    return false;
}

int64_t gw_timers_next(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[1].key : INT64_MAX;
}
