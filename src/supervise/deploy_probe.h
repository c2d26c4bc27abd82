/* SPDX-License-Identifier: MIT
 *
 * Where clients ask too seldom for a verdict, a deploy asks by itself: the same request to an instance of the new version and
 * to one of the old, spread over the time for which the new one is watched, so that min_requests answers of each are there at
 * its end. They are compared with each other alone: what clients ask for may take longer, or shorter.
 */
#ifndef DARUMA_SUPERVISE_DEPLOY_PROBE_H
#define DARUMA_SUPERVISE_DEPLOY_PROBE_H

#include "supervise/deploy_verdict.h"
#include "supervise/probe.h"

struct service;

/* One version's: [0] the old, [1] the new one. */
struct deploy_asking {
    struct service *service;
    struct probe probe;
    size_t turn; /* whose turn it is, of its instances */
    int64_t asked_ns;
};

struct deploy_probing {
    uint64_t clients; /* what the new version answered to them since the comparison began */
    struct deploy_asking of[2];
    struct loop_timer timer;
};

/* Asks where, by now, fewer than `clients` (see there) would be too few, and goes on by itself. To be called now and then. */
void deploy_probe(struct service *service, uint64_t clients);
/* The comparison begins anew. */
void deploy_probe_begin(struct service *service);
/* Asks no more. Idempotent, also for a zeroed one. */
void deploy_probe_end(struct service *service);

#endif
