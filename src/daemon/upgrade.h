/* SPDX-License-Identifier: MIT
 *
 * From one program to another without an end: the supervisor lets the new program check itself, then has every gateway worker
 * and at last itself go on as that program (guard_upgrade()). Where one of them cannot, all go back.
 *
 *     CHECKING ─▶ WORKERS ─▶ SUPERVISOR ─▶ DONE          refused: REFUSED, nothing was touched
 *                    └──── one fails ────▶ BACK ─▶ FAILED
 *
 * A program that lays out the gateway's memory differently cannot take over its connections. It begins with workers of its own
 * at the same listening sockets, and those of the program before end what they have.
 *
 * Where it stands is in shared memory: a supervisor that dies in the middle is followed by one that goes on with it.
 */
#ifndef DARUMA_DAEMON_UPGRADE_H
#define DARUMA_DAEMON_UPGRADE_H

#include "base/gauges.h"
#include "base/guard.h"
#include "base/loop.h"

#include <limits.h>

#define UPGRADE_LAYOUT 1u

enum upgrade_state {
    UPGRADE_NONE, /* there was none since the project is up */
    UPGRADE_CHECKING,
    UPGRADE_WORKERS,
    UPGRADE_SUPERVISOR,
    UPGRADE_BACK,
    UPGRADE_DONE,
    UPGRADE_REFUSED,
    UPGRADE_FAILED,
    UPGRADE_STATES
};

enum { UPGRADE_DRAINING = 2 * GAUGES_WORKERS };

/* The last one, or the one that is under way. */
struct upgrade_memory {
    uint32_t state;             /* enum upgrade_state */
    uint32_t serial;            /* grows with each */
    int32_t program;            /* descriptor in the supervisors' table of what is gone to; BACK: of what was before */
    uint32_t worker;            /* whose turn it is */
    uint32_t done;              /* how many workers have gone over; BACK: and have to go back */
    uint32_t asked;             /* bool: it has been told */
    uint32_t attempts;          /* how often it died before it could try */
    uint32_t drains;            /* bool: the gateway's memory cannot be taken over */
    int64_t begun_ns, step_ns;  /* monotonic; step_ns: when whose turn it is was told first */
    int64_t took_ns;            /* from the first change to the end */
    struct guard_upgrades seen; /* SUPERVISOR: its own pair's, when it was begun */
    /* Channels of workers of programs before. They end when they have nothing any more, or when these are closed. */
    int32_t draining[UPGRADE_DRAINING];
    uint32_t drainings;
    uint32_t told_to_drain; /* of those, the first ones, by the program that follows them */
    char from[32], to[32];  /* versions */
    char path[PATH_MAX];    /* of the program */
    char why[256];          /* REFUSED, FAILED */
};

/* The descriptors that belong to it; how many. */
enum { UPGRADE_FDS = UPGRADE_DRAINING + 1 };
size_t upgrade_fds(const struct upgrade_memory *memory, int fds[UPGRADE_FDS]);

/* The part of the supervisor in this process. */
struct upgrade {
    struct upgrade_memory *memory;
    struct loop_timer timer; /* what waits for nobody's word is looked at again; the check's end */
    struct loop_io check;    /* its process */
    struct loop_timer drain; /* have some of `draining` ended? */
    int output_fd;           /* what it prints */
};

#endif
