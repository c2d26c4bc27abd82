/* SPDX-License-Identifier: MIT */
#include "gateway/shared.h"

#include "base/rng.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <sys/mman.h>

void *gateway_shared_new(struct err *err)
{
    struct gw_shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED) {
        (void)err_errno(err, -errno, "cannot map the gateway's shared memory");
        return NULL;
    }
    shared->sources.seed = rng_entropy();
    return shared;
}

void gateway_shared_free(void *shared)
{
    if (shared)
        (void)munmap(shared, sizeof(struct gw_shared));
}
