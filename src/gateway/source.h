/* SPDX-License-Identifier: MIT
 *
 * The addresses that clients come from, in memory that all workers share: how many connections each holds, and how often
 * it asks. A fixed table; IPv6 counts by /64, for that is what one customer has.
 *
 * Each worker counts connections in a column of its own, so that those of a dead one can be struck off. The token
 * bucket is the one number that GCRA (ITU-T I.371) needs, when the next request would be in time; a cell without
 * connections whose bucket is full says nothing, and goes to the next address. When none is left around the place where
 * an address belongs (8 cells), it is not limited: to turn away whom we cannot count would be worse.
 */
#ifndef DARUMA_GATEWAY_SOURCE_H
#define DARUMA_GATEWAY_SOURCE_H

#include "base/gauges.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { GW_SOURCES = 65536, GW_SOURCES_AROUND = 8 };

struct gw_source {
    _Atomic uint64_t key;   /* 0: free */
    _Atomic int64_t due_ns; /* monotonic: the next request would be in time */
};

struct gw_sources {
    uint64_t seed;                            /* so that nobody can choose addresses that share a cell */
    _Atomic uint32_t counted[GAUGES_WORKERS]; /* bool: the worker's column is not all zeroes */
    struct gw_source source[GW_SOURCES];
    _Atomic uint16_t connections[GAUGES_WORKERS][GW_SOURCES]; /* by worker and cell: its column is soon struck off */
};

/* What an address (network order, AF_INET or AF_INET6) counts under at a listener. Never 0. */
uint64_t gw_source_key(const struct gw_sources *sources, uint32_t listener, int family, const uint8_t *address);

/* Counts one connection more; the cell goes to `ret_cell`, GW_NONE when there is no room. False when the address has
   `limit` (0: any) already: then nothing is counted. */
bool gw_source_enter(struct gw_sources *sources, unsigned worker, uint64_t key, uint32_t limit, int64_t now_ns,
                     uint32_t *ret_cell);
/* Counts one that was counted in that cell before gw_source_forget(). */
void gw_source_again(struct gw_sources *sources, unsigned worker, uint32_t cell);
/* One connection less. */
void gw_source_leave(struct gw_sources *sources, unsigned worker, uint32_t cell);

/* A request of that address: 0 when it may pass, else how long from now one may. */
int64_t gw_source_request(struct gw_sources *sources, uint64_t key, int64_t interval_ns, uint32_t burst,
                          int64_t now_ns);

/* Strikes off what an earlier worker of that number had. */
void gw_source_forget(struct gw_sources *sources, unsigned worker);

#endif
