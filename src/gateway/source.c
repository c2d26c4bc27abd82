/* SPDX-License-Identifier: MIT */
#include "gateway/source.h"

#include "base/hash.h"
#include "gateway/slots.h"

#include <string.h>
#include <sys/socket.h>

uint64_t gw_source_key(const struct gw_sources *sources, uint32_t listener, int family, const uint8_t *address)
{
    uint64_t prefix = 0;
    memcpy(&prefix, address, family == AF_INET ? 4 : 8);
    uint64_t key = hash_mix(hash_mix(sources->seed ^ prefix) + ((uint64_t)listener << 8 | (family == AF_INET)));
    return key ? key : 1;
}

static uint32_t held(const struct gw_sources *sources, uint32_t cell)
{
    uint32_t sum = 0;
    for (unsigned w = 0; w < GAUGES_WORKERS; w++)
        if (atomic_load_explicit(&sources->counted[w], memory_order_relaxed))
            sum += atomic_load_explicit(&sources->connections[w][cell], memory_order_relaxed);
    return sum;
}

static bool is_blank(const struct gw_sources *sources, uint32_t cell, int64_t now_ns)
{
    return atomic_load_explicit(&sources->source[cell].due_ns, memory_order_relaxed) <= now_ns &&
           held(sources, cell) == 0;
}

/* The cell of `key`, taken for it when it had none. When another worker takes the same one at the same moment, its address
   is counted together with ours until both are gone: no count is ever lost, for it is taken off where it was added. */
static uint32_t find(struct gw_sources *sources, uint64_t key, int64_t now_ns)
{
    uint32_t first = (uint32_t)(key % (GW_SOURCES / GW_SOURCES_AROUND)) * GW_SOURCES_AROUND, blank = GW_NONE;
    for (uint32_t i = first; i < first + GW_SOURCES_AROUND; i++) {
        uint64_t there = atomic_load_explicit(&sources->source[i].key, memory_order_relaxed);
        if (there == key)
            return i;
        if (blank == GW_NONE && (there == 0 || is_blank(sources, i, now_ns)))
            blank = i;
    }
    if (blank != GW_NONE)
        atomic_store_explicit(&sources->source[blank].key, key, memory_order_relaxed);
    return blank;
}

bool gw_source_enter(struct gw_sources *sources, unsigned worker, uint64_t key, uint32_t limit, int64_t now_ns,
                     uint32_t *ret_cell)
{
    uint32_t cell = find(sources, key, now_ns);
    *ret_cell = GW_NONE;
    if (cell == GW_NONE)
        return true;
    if (limit > 0 && held(sources, cell) >= limit)
        return false;
    _Atomic uint16_t *mine = &sources->connections[worker][cell];
    uint16_t before = atomic_load_explicit(mine, memory_order_relaxed);
    if (before == UINT16_MAX)
        return true;
    atomic_store_explicit(&sources->counted[worker], 1, memory_order_relaxed);
    atomic_store_explicit(mine, (uint16_t)(before + 1), memory_order_relaxed);
    *ret_cell = cell;
    return true;
}

void gw_source_again(struct gw_sources *sources, unsigned worker, uint32_t cell)
{
    _Atomic uint16_t *mine = &sources->connections[worker][cell];
    atomic_store_explicit(&sources->counted[worker], 1, memory_order_relaxed);
    atomic_store_explicit(mine, (uint16_t)(atomic_load_explicit(mine, memory_order_relaxed) + 1), memory_order_relaxed);
}

void gw_source_leave(struct gw_sources *sources, unsigned worker, uint32_t cell)
{
    _Atomic uint16_t *mine = &sources->connections[worker][cell];
    atomic_store_explicit(mine, (uint16_t)(atomic_load_explicit(mine, memory_order_relaxed) - 1), memory_order_relaxed);
}

int64_t gw_source_request(struct gw_sources *sources, uint64_t key, int64_t interval_ns, uint32_t burst, int64_t now_ns)
{
    uint32_t cell = find(sources, key, now_ns);
    if (cell == GW_NONE)
        return 0;
    _Atomic int64_t *due = &sources->source[cell].due_ns;
    int64_t before = atomic_load_explicit(due, memory_order_relaxed), early = interval_ns * (int64_t)(burst - 1);
    for (;;) {
        if (before - early > now_ns)
            return before - early - now_ns;
        int64_t after = (before > now_ns ? before : now_ns) + interval_ns;
        if (atomic_compare_exchange_weak_explicit(due, &before, after, memory_order_relaxed, memory_order_relaxed))
            return 0;
    }
}

void gw_source_forget(struct gw_sources *sources, unsigned worker)
{
    if (!atomic_load_explicit(&sources->counted[worker], memory_order_relaxed))
        return;
    for (uint32_t i = 0; i < GW_SOURCES; i++)
        atomic_store_explicit(&sources->connections[worker][i], 0, memory_order_relaxed);
    atomic_store_explicit(&sources->counted[worker], 0, memory_order_relaxed);
}
