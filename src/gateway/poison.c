/* SPDX-License-Identifier: MIT */
#include "gateway/poison.h"

#include "base/clock.h"
#include "base/hash.h"

uint64_t gw_poison_fingerprint(const char *buf, const struct http1_head *head)
{
    uint64_t hash = hash_bytes(HASH_SEED, buf + head->method_name.at, head->method_name.len);
    hash = hash_bytes(hash_bytes(hash, "\n", 1), buf + head->host.at, head->host.len);
    return hash_bytes(hash_bytes(hash, "\n", 1), buf + head->path.at, head->path.len);
}

void gw_poison_add(struct gw_quarantine *quarantine, uint64_t fingerprint, int64_t until_ns)
{
    size_t at = fingerprint % GW_POISON_CELLS;
    atomic_store(&quarantine->cell[at].until_ns, until_ns);
    atomic_store(&quarantine->cell[at].fingerprint, fingerprint);
    int64_t latest = atomic_load(&quarantine->until_ns);
    while (latest < until_ns && !atomic_compare_exchange_weak(&quarantine->until_ns, &latest, until_ns))
        ;
}

bool gw_poison_any(const struct gw_quarantine *quarantine, int64_t now_ns)
{
    return atomic_load_explicit(&quarantine->until_ns, memory_order_relaxed) > now_ns;
}

bool gw_poison_has(const struct gw_quarantine *quarantine, uint64_t fingerprint, int64_t now_ns)
{
    size_t at = fingerprint % GW_POISON_CELLS;
    return atomic_load(&quarantine->cell[at].fingerprint) == fingerprint &&
           atomic_load(&quarantine->cell[at].until_ns) > now_ns;
}

/* Milliseconds, which may wrap, in front of the owner. */
static uint64_t trial_of(uint32_t owner, int64_t until_ns)
{
    return (uint64_t)(uint32_t)(until_ns / NS_PER_MS) << 32 | owner;
}

static bool goes_on(uint64_t trial, int64_t now_ns)
{
    return trial != 0 && (int32_t)((uint32_t)(trial >> 32) - (uint32_t)(now_ns / NS_PER_MS)) > 0;
}

bool gw_poison_trial(struct gw_quarantine *quarantine, uint32_t owner, int64_t now_ns, int64_t until_ns)
{
    uint64_t before = atomic_load(&quarantine->trial);
    if ((uint32_t)before == owner)
        return true;
    return !goes_on(before, now_ns) &&
           atomic_compare_exchange_strong(&quarantine->trial, &before, trial_of(owner, until_ns));
}

void gw_poison_trial_over(struct gw_quarantine *quarantine, uint32_t owner)
{
    uint64_t trial = atomic_load(&quarantine->trial);
    if ((uint32_t)trial == owner)
        (void)atomic_compare_exchange_strong(&quarantine->trial, &trial, 0);
}
