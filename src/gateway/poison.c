/* SPDX-License-Identifier: MIT */
#include "gateway/poison.h"

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

bool gw_poison_trial(struct gw_quarantine *quarantine, uint64_t owner, int64_t now_ns, int64_t until_ns)
{
    uint64_t before = atomic_load(&quarantine->trial);
    if (before == owner)
        return true;
    if (before != 0 && atomic_load(&quarantine->trial_until_ns) > now_ns)
        return false;
    if (!atomic_compare_exchange_strong(&quarantine->trial, &before, owner))
        return false;
    atomic_store(&quarantine->trial_until_ns, until_ns);
    return true;
}

void gw_poison_trial_over(struct gw_quarantine *quarantine, uint64_t owner)
{
    (void)atomic_compare_exchange_strong(&quarantine->trial, &owner, 0);
}
