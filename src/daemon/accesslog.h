/* SPDX-License-Identifier: MIT
 *
 * Carries the workers' access log from their rings (gateway/access.h) to its file, ten times a second.
 */
#ifndef DARUMA_DAEMON_ACCESSLOG_H
#define DARUMA_DAEMON_ACCESSLOG_H

#include "base/event.h"
#include "base/loop.h"
#include "compose/spec.h"
#include "gateway/access.h"
#include "observe/logfile.h"

struct accesslog {
    struct loop *loop;
    struct event_bus *events;
    struct access_ring *rings; /* not owned */
    unsigned workers;
    struct loop_timer timer;
    struct logfile file;
    bool on, failed; /* it is wanted; it could not be written, which was told */
    uint64_t told;   /* dropped lines that were told */
};

/* Nothing is logged yet. `events` may be NULL. */
void accesslog_init(struct accesslog *log, struct loop *loop, struct event_bus *events, struct access_ring *rings,
                    unsigned workers);

/* The file says where to, or that nothing is to be logged. */
void accesslog_apply(struct accesslog *log, const struct spec *spec);

/* Whatever the rings hold goes to the file now. */
void accesslog_flush(struct accesslog *log);

/* The last lines, then the end. Accepts one that was never begun. */
void accesslog_close(struct accesslog *log);

#endif
