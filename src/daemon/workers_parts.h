/* SPDX-License-Identifier: MIT
 *
 * What the files workers*.c share: workers.c forks the pairs, tells them what to listen on and ends them, workers_news.c tells
 * what became of them. Nobody else includes this.
 */
#ifndef DARUMA_DAEMON_WORKERS_PARTS_H
#define DARUMA_DAEMON_WORKERS_PARTS_H

#include "base/guard.h"
#include "daemon/workers.h"

/* One worker and its guard (base/guard.h): two processes that restore each other. What is known of them here is their
   process group, and that the channel hangs up when the last of them has ended. In shared memory. */
struct worker_kept {
    pid_t group; /* of the pair, and its first process; 0: none */
    int channel; /* our end; -1: none */
    int bell;    /* eventfd that lives as long as we do: successors inherit it */
    int64_t forked_ns, delay_ns;
    uint32_t told[BOARD_LISTENERS]; /* generation + 1 of what it listens on; 0: nothing */
    bool told_drain;
    uint32_t deaths[GUARD_SIDES], hung, adoptions, dropped, upgraded, undone; /* of those, what was told */
    /* When it was asked to go on as another program: how much of everything there was. */
    struct {
        uint32_t done, refused, undone, deaths, adoptions;
        int64_t forked_ns;
    } asked;
};

#define WORKERS_LAYOUT 1u

struct workers_kept {
    bool used; /* the descriptors are valid */
    int drained_bell;
    struct worker_kept worker[GAUGES_WORKERS];
};

struct worker {
    struct workers *all;
    unsigned number;
    struct worker_kept *kept;
    struct guard_area *area;
    struct loop_io channel_io;
    struct loop_timer again;
    char name[GUARD_SIDES][24];
};

struct workers {
    struct workers_setup setup;
    struct workers_kept *kept;
    struct loop_io drained_io;
    struct loop_timer limit; /* of the drain */
    struct loop_timer check;
    bool draining;
    struct worker worker[GAUGES_WORKERS];
};

/* ---- workers_news.c ---- */

/* Emits "gateway worker N" and `text`, which is copied. */
void worker_emit(struct worker *worker, const char *text);
/* Tells of members that died and were replaced since the last look. A death that no successor has answered yet is told of
   only when it is `late`. */
void worker_tell_news(struct worker *worker, bool late);

#endif
