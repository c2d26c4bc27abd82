/* SPDX-License-Identifier: MIT
 *
 * The quarantine: fingerprints of requests in whose hands instances died twice, shared by all workers. A fixed table
 * of atomics; a lost entry costs one more look at the request, never a crash.
 */
#ifndef DARUMA_GATEWAY_POISON_H
#define DARUMA_GATEWAY_POISON_H

#include "base/http1.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GW_POISON_CELLS = 256 };

struct gw_quarantine {
    /* Whose turn it is, and until when, in one word: two workers never both have it. 0: nobody's. */
    _Atomic uint64_t trial;
    _Atomic int64_t until_ns; /* the latest of all cells */
    struct {
        _Atomic uint64_t fingerprint;
        _Atomic int64_t until_ns;
    } cell[GW_POISON_CELLS];
};

/* What a request is known by: its method, host, path and query. */
uint64_t gw_poison_fingerprint(const char *buf, const struct http1_head *head);

/* Refuses `fingerprint` until `until_ns` (monotonic). */
void gw_poison_add(struct gw_quarantine *quarantine, uint64_t fingerprint, int64_t until_ns);

/* Is anything in quarantine at all? Cheap; asked for each request before its fingerprint is computed. */
bool gw_poison_any(const struct gw_quarantine *quarantine, int64_t now_ns);
bool gw_poison_has(const struct gw_quarantine *quarantine, uint64_t fingerprint, int64_t now_ns);

/*
 * The trial: when an instance died by itself with several requests in flight, each of them is tried once more, one after
 * the other over all workers. Together they would take the next instance down together, and the innocent with the
 * guilty. `owner`: any number of its own, not 0. True when it is (still) its turn, until `until_ns` at the latest.
 */
bool gw_poison_trial(struct gw_quarantine *quarantine, uint32_t owner, int64_t now_ns, int64_t until_ns);
/* Its turn is over. Does nothing when it was not. */
void gw_poison_trial_over(struct gw_quarantine *quarantine, uint32_t owner);

#endif
