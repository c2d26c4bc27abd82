/* SPDX-License-Identifier: MIT
 *
 * The probe engine: an open loop. Probe n is due at start + n / rate, whatever became of those before, and its
 * latency counts from that instant; so a stall is measured by every probe that fell into it (no coordinated
 * omission). A probe that finds all connections busy opens another one, up to a bound; beyond that it has failed.
 *
 * Owns: its connections. Does not know: terminals, JSON, exit codes. Single-threaded on the caller's loop; nothing is
 * allocated after watch_new().
 */
#ifndef DARUMA_WATCH_PROBE_H
#define DARUMA_WATCH_PROBE_H

#include "base/board.h"
#include "base/err.h"
#include "base/loop.h"
#include "watch/request.h"
#include "watch/tally.h"

struct watch_options {
    struct board_address address;
    const struct watch_request *request; /* outlives the watch */
    double rate;                         /* probes a second, more than 0 */
    uint64_t count;                      /* probes in all; 0: no bound */
    int64_t duration_ns;                 /* those due before this much time has passed are sent; 0: no bound */
    int64_t timeout_ns;                  /* from the due instant */
    unsigned connections;                /* bound of open connections, at least 1 */
    unsigned expect;                     /* the status that counts as success; 0: any 2xx or 3xx */
    bool keep_alive, session;
};

/* Who is told, from the loop. */
struct watch_events {
    void (*result)(void *data, const struct watch_result *result);
    void (*ended)(void *data); /* the last probe has ended; nothing is called any more */
    void *data;
};

struct watch;

/* NULL with `err`. */
struct watch *watch_new(struct loop *loop, const struct watch_options *options, const struct watch_events *events,
                        struct err *err);
/* Accepts NULL. */
void watch_free(struct watch *watch);

/* The first probe is due now. */
void watch_start(struct watch *watch);
/* Sends nothing more; ends when what is under way has ended. The second call gives that up: those are not counted. */
void watch_stop(struct watch *watch);

const struct watch_tally *watch_tally(const struct watch *watch);
/* Probes that were sent and have not ended. */
unsigned watch_under_way(const struct watch *watch);

#endif
