/* SPDX-License-Identifier: MIT */
#include "gateway/poison.h"

#include "base/err.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { CELLS = 256 };

struct quarantine {
    _Atomic uint64_t trial; /* whose turn it is; 0: nobody's */
    _Atomic int64_t trial_until_ns;
    _Atomic int64_t until_ns; /* the latest of all cells */
    struct {
        _Atomic uint64_t fingerprint;
        _Atomic int64_t until_ns;
    } cell[CELLS];
};

void *gateway_shared_new(struct err *err)
{
    void *shared = mmap(NULL, sizeof(struct quarantine), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        (void)err_errno(err, -errno, "cannot map the gateway's shared memory");
        return NULL;
    }
    return shared;
}

void gateway_shared_free(void *shared)
{
    if (shared)
        (void)munmap(shared, sizeof(struct quarantine));
}

void gw_poison_add(void *shared, uint64_t fingerprint, int64_t until_ns)
{
    struct quarantine *quarantine = shared;
    size_t at = fingerprint % CELLS;
    atomic_store(&quarantine->cell[at].until_ns, until_ns);
    atomic_store(&quarantine->cell[at].fingerprint, fingerprint);
    int64_t latest = atomic_load(&quarantine->until_ns);
    while (latest < until_ns && !atomic_compare_exchange_weak(&quarantine->until_ns, &latest, until_ns))
        ;
}

bool gw_poison_any(const void *shared, int64_t now_ns)
{
    const struct quarantine *quarantine = shared;
    return atomic_load_explicit(&quarantine->until_ns, memory_order_relaxed) > now_ns;
}

bool gw_poison_has(const void *shared, uint64_t fingerprint, int64_t now_ns)
{
    const struct quarantine *quarantine = shared;
    size_t at = fingerprint % CELLS;
    return atomic_load(&quarantine->cell[at].fingerprint) == fingerprint &&
           atomic_load(&quarantine->cell[at].until_ns) > now_ns;
}

bool gw_poison_trial(void *shared, uint64_t owner, int64_t now_ns, int64_t until_ns)
{
    struct quarantine *quarantine = shared;
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

void gw_poison_trial_over(void *shared, uint64_t owner)
{
    struct quarantine *quarantine = shared;
    (void)atomic_compare_exchange_strong(&quarantine->trial, &owner, 0);
}
