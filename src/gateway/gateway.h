/* SPDX-License-Identifier: MIT
 *
 * The gateway as the house sees it: worker processes that serve what the board says. Includes only base/.
 */
#ifndef DARUMA_GATEWAY_GATEWAY_H
#define DARUMA_GATEWAY_GATEWAY_H

#include "base/board.h"
#include "base/gauges.h"
#include "base/guard.h"

/* What a worker is given. All of it is inherited over fork(2). */
struct gateway_worker_setup {
    unsigned number; /* 0 … workers-1: its part of the gauges */
    const struct board *board;
    struct gauges *gauges;
    struct access_ring *access; /* access_rings_new(); NULL: no access log */
    void *shared;               /* gateway_shared_new(): quarantine, shared by all workers */
    int bell_fd;                /* eventfd: the board changed */
    int supervisor_bell_fd;     /* eventfd: to ring when a draining endpoint has nothing in flight any more */
    int channel_fd;             /* SOCK_SEQPACKET: struct gateway_message with a descriptor; EOF: end at once */
    unsigned connections;       /* client connections it may hold; 0: gateway_worker_room() */
    struct guard_area *guard;   /* the worker is one half of a pair (base/guard.h); NULL: alone, and never comes back */
    const char *name, *guard_name; /* of the processes of that pair */
    int64_t hang_ns;               /* struct guard_setup */
    bool takes_over;               /* gateway_worker_resume() */
};

/* The supervisor's words to a worker. */
enum gateway_message_kind {
    GATEWAY_LISTEN =
        1, /* SCM_RIGHTS carries the listening socket of board listener `index`, `generation`. Accepted ones inherit
                           its options: over TCP it has TCP_NODELAY since before it listened */
    GATEWAY_CLOSE, /* stop listening on `index` */
    GATEWAY_DRAIN, /* accept nothing more, end what is in flight, then exit 0 */
    GATEWAY_UPGRADE, /* SCM_RIGHTS carries a program: go on as that one (guard_upgrade()). The counters of the guard's area
                           tell what becomes of it; a worker that dies before it can try has to be told again */
};
struct gateway_message {
    uint32_t kind;
    uint32_t index;
    uint32_t generation;
    uint32_t pad;
};

/* What all workers share beside board and gauges (the quarantine of poisonous requests). NULL with `err`. */
void *gateway_shared_new(struct err *err);
void gateway_shared_free(void *shared);

/* How many clients a worker has room for. RLIMIT_NOFILE, the hard one, decides: most are idle and need one descriptor
   each; some are left for connections to instances. */
uint32_t gateway_worker_room(void);

/*
 * Runs a worker until it is told to end; returns its exit status. The caller is a fresh child that has closed every
 * descriptor but those above, those of the memory (base/handover.h) and 0 … 2. With a guard, it is that, and the worker a child of its own: whichever of the
 * two dies, the other puts it back, and a new worker goes on with every connection where the dead one stood (adopt.h).
 */
int gateway_worker_run(const struct gateway_worker_setup *setup);

/* The same in a program that takes the place of another one (base/handover.h), with what that one has handed over. */
int gateway_worker_resume(void);

#endif
