/* SPDX-License-Identifier: MIT */
#include "gateway/shared.h"

#include "base/handover.h"
#include "base/rng.h"
#include "gateway/gateway.h"

void *gateway_shared_new(struct err *err)
{
    struct gw_shared *shared = handover_memory("gateway", sizeof(*shared), err);
    if (shared && shared->sources.seed == 0)
        shared->sources.seed = rng_entropy();
    return shared;
}

void gateway_shared_free(void *shared)
{
    handover_memory_free(shared);
}
