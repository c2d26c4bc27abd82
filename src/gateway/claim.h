/* SPDX-License-Identifier: MIT
 *
 * Which descriptors and blocks belong to which slot of an arena that somebody else has left: each slot is checked, and one
 * that does not hold is dropped alone. What nobody claims is closed, but for a client that had just been accepted.
 */
#ifndef DARUMA_GATEWAY_CLAIM_H
#define DARUMA_GATEWAY_CLAIM_H

#include "gateway/worker.h"

struct gw_claims {
    struct gw_worker *worker;
    uint32_t victim;                /* the connection that was in hand; GW_NONE: none */
    uint64_t *descriptors, *blocks; /* bit sets */
    size_t size;                    /* of both */
    int highest;                    /* descriptor that anybody claims */
    uint32_t dropped;               /* connections */
    int accepted;                   /* a client that has no slot yet; -1: none */
    uint32_t accepted_from;         /* its listener */
};

/* Checks, drops and closes. 0 or -ENOMEM. */
int gw_claims_take(struct gw_claims *claims, struct gw_worker *worker, uint32_t victim);
bool gw_claims_has_block(const struct gw_claims *claims, uint32_t block);
void gw_claims_free(struct gw_claims *claims);

#endif
