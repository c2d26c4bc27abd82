/* SPDX-License-Identifier: MIT
 *
 * The gateway's workers as processes: forks one for each CPU, keeps each told which sockets to listen on, kills what
 * hangs, and forks again what ends. Which sockets those are is read from the board; nothing is queued, so a worker that
 * does not read costs nothing and a new one is told everything.
 */
#ifndef DARUMA_DAEMON_WORKERS_H
#define DARUMA_DAEMON_WORKERS_H

#include "base/event.h"
#include "base/loop.h"
#include "daemon/listeners.h"
#include "gateway/gateway.h"

struct workers;

/* What of the pairs outlives the supervisor (base/guard.h): in shared memory, mapped before its first life. */
struct workers_memory {
    struct workers_kept *kept;
    struct guard_area *areas; /* by worker */
};
/* 0 or a negative errno with `err`. */
int workers_memory_new(struct workers_memory *ret, struct err *err);
void workers_memory_free(struct workers_memory *memory);
/* The descriptors that belong to it, for a successor's table; how many, at most WORKERS_FDS. */
enum { WORKERS_FDS = 2 * GAUGES_WORKERS + 1 };
size_t workers_fds(const struct workers_memory *memory, int fds[WORKERS_FDS]);

/* DARUMA_HANG_MS as struct guard_setup wants it: how long a heart may stand still. 0: as that says. */
int64_t workers_hang_ns(void);

struct workers_setup {
    struct loop *loop;
    struct event_bus *events;
    const struct board *board;
    struct gauges *gauges;
    struct access_ring *access;
    void *shared; /* gateway_shared_new() */
    const struct listeners *listeners;
    const struct workers_memory *memory;
    unsigned count; /* at most GAUGES_WORKERS */
    unsigned connections;
    void *data;
    /* A draining endpoint has nothing in flight any more, somewhere. */
    void (*drained)(void *data);
    /* After workers_drain(): the last one has ended. */
    void (*gone)(void *data);
};

/* As many as this process may use CPUs; DARUMA_WORKERS overrides it. 1 … GAUGES_WORKERS. */
unsigned workers_wanted(void);

/* Forks them, or takes those over that an earlier supervisor has forked. NULL with `err` when not all of them could be. The
   setup is copied. */
struct workers *workers_new(const struct workers_setup *setup, struct err *err);

/* The board changed: ring all bells, hand over sockets that are new, take back those that are closed. */
void workers_sync(struct workers *workers);

/* Worker `number` and its guard are to go on as the program behind that descriptor, which stays the caller's. 0, or a
   negative errno when they cannot be told just now. */
int workers_upgrade(struct workers *workers, unsigned number, int program);

/* What became of that. */
enum workers_upgraded {
    WORKERS_UPGRADE_PENDING,
    WORKERS_UPGRADE_DONE,    /* its successor has taken all over */
    WORKERS_UPGRADE_REFUSED, /* it is as it was before: the other program could not take its place */
    WORKERS_UPGRADE_LOST,    /* the worker died before it could try: it has to be told again */
    WORKERS_UPGRADE_ENDED,   /* and its guard: there is another pair */
};
enum workers_upgraded workers_upgraded(const struct workers *workers, unsigned number);

/* The supervisor's ends of the channels of all pairs that live; how many. */
unsigned workers_channels(const struct workers *workers, int32_t channels[GAUGES_WORKERS]);

/* For a pair of which nothing but its channel is known: it is to accept nothing more and to end when all is answered. 0 or a
   negative errno. */
int workers_drain_channel(int channel);

/* Nothing more is accepted; ends when all is answered, after `limit_ns` by force. 0: at once. */
void workers_drain(struct workers *workers, int64_t limit_ns);

/* Kills what is left and waits for it. Accepts NULL. */
void workers_free(struct workers *workers);

#endif
