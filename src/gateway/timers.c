/* SPDX-License-Identifier: MIT */
#include "gateway/timers.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

static size_t size_of(uint32_t ids)
{
    return ((size_t)ids + 1) * sizeof(struct timer_entry) + ids * sizeof(uint32_t);
}

int gw_timers_init(struct timers *timers, uint32_t ids, int64_t *due)
{
    char *memory = mmap(NULL, size_of(ids), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    (void)madvise(memory, size_of(ids), MADV_DONTFORK);
    *timers = (struct timers){
        .heap = (struct timer_entry *)memory,
        .due = due,
        .place = (uint32_t *)(memory + ((size_t)ids + 1) * sizeof(struct timer_entry)),
        .ids = ids,
    };
    return 0;
}

void gw_timers_free(struct timers *timers)
{
    if (timers->heap)
        (void)munmap(timers->heap, size_of(timers->ids));
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

/* Is there a deadline up to `by`? Then it is the first entry's: those that were put off or cancelled are corrected. */
static bool first_is_up(struct timers *timers, int64_t by)
{
    while (timers->count > 0 && timers->heap[1].key <= by) {
        uint32_t id = timers->heap[1].id;
        int64_t due = timers->due[id];
        if (due == timers->heap[1].key)
            return true;
        if (due > 0)
            sink(timers, 1, (struct timer_entry){ .key = due, .id = id });
        else
            drop_first(timers);
    }
    return false;
}

bool gw_timers_pop(struct timers *timers, int64_t now, uint32_t *ret_id)
{
    if (!first_is_up(timers, now))
        return false;
    *ret_id = timers->heap[1].id;
    timers->due[*ret_id] = 0;
    drop_first(timers);
    return true;
}

int64_t gw_timers_next(struct timers *timers, int64_t by)
{
    return first_is_up(timers, by) ? timers->heap[1].key : by;
}
