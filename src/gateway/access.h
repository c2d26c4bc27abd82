/* SPDX-License-Identifier: MIT
 *
 * The access log: a worker writes a line for each request into a ring of its own, in memory that it shares with the
 * supervisor, and the supervisor carries the lines to the file. A worker never waits and makes no system call for it: a
 * line that has no room is counted and left out.
 *
 *     bytes [ … | read ▷ whole lines ▷ written | … ]     both counters only grow; their place is modulo the size
 */
#ifndef DARUMA_GATEWAY_ACCESS_H
#define DARUMA_GATEWAY_ACCESS_H

#include "base/err.h"
#include "gateway/worker.h"

#include <stdalign.h>
#include <stdatomic.h>

enum {
    ACCESS_RING = 256 * 1024, /* a power of two */
    ACCESS_LINE = 12 * 1024,  /* the longest line; texts of the client's are cut before */
};

#define ACCESS_LAYOUT 1u

struct access_ring {
    alignas(64) _Atomic uint64_t written; /* by the worker */
    _Atomic uint64_t dropped;             /* lines that had no room; by the worker */
    alignas(64) _Atomic uint64_t read;    /* by the supervisor */
    char bytes[ACCESS_RING];
};

/* One ring for each worker, inherited over fork(2). NULL with `err`. */
struct access_ring *access_rings_new(unsigned workers, struct err *err);
void access_rings_free(struct access_ring *rings, unsigned workers);

/* Worker: appends a whole line. False when there is no room; that is counted. */
bool access_ring_put(struct access_ring *ring, const char *line, size_t len);
/* Supervisor: takes whole lines, as many as there are and fit into `size` (at least ACCESS_LINE). Their length. */
size_t access_ring_take(struct access_ring *ring, char *buf, size_t size);

/* What a line says. */
struct access_entry {
    int64_t wall_ns; /* when it ended */
    struct gw_span client, method, target, host, referer, agent, id;
    unsigned minor, status, retries;
    uint64_t bytes; /* that went to the client */
    int64_t duration_ns, held_ns;
    const char *upstream; /* the instance; NULL: none */
};

/* Writes the line, its end included. Its length; at most ACCESS_LINE. */
size_t access_format(enum board_access format, const struct access_entry *entry, char line[ACCESS_LINE]);

/* Logs the exchange that is over, when the board asks for it. */
void gw_access_log(struct gw_worker *worker, struct conn *conn);

#endif
