/* SPDX-License-Identifier: MIT
 *
 * Which descriptors and blocks belong to which slot of an arena that somebody else has left: each slot is checked, and one
 * that does not hold is dropped alone. What nobody claims is closed, but for a client that had just been accepted.
 *
 * A client's connection that rests, with no request begun and nothing to be done, is not asked for its SO_COOKIE, which
 * is what takes time: it gets CONN_UNPROVEN, and is asked before anything is done with it (adopt.h). When another slot
 * has the same descriptor, it is asked at once.
 */
#ifndef DARUMA_GATEWAY_CLAIM_H
#define DARUMA_GATEWAY_CLAIM_H

#include "gateway/worker.h"

struct gw_claims {
    struct gw_worker *worker;
    uint32_t victim;        /* the connection that was in hand; GW_NONE: none */
    uint32_t *owners;       /* by descriptor: whose it is */
    uint64_t *blocks;       /* a bit each: somebody's */
    size_t size;            /* of both */
    int limit, highest;     /* of descriptors: none is as high; the highest one that is claimed */
    uint32_t dropped;       /* connections */
    int accepted;           /* a client that has no slot yet; -1: none */
    uint32_t accepted_from; /* its listener */
};

/* Checks, drops and closes. 0 or -ENOMEM. */
int gw_claims_take(struct gw_claims *claims, struct gw_worker *worker, uint32_t victim);
bool gw_claims_has_block(const struct gw_claims *claims, uint32_t block);
void gw_claims_free(struct gw_claims *claims);

/* Closes a descriptor of which a slot was wrong, unless the socket is another slot's: O(slots), after damage alone. */
void gw_claims_close(const struct gw_worker *worker, int fd);

#endif
