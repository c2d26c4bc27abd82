/* SPDX-License-Identifier: MIT
 *
 * From one program to another without an end: the supervisor lets the new program check itself, then has every gateway worker
 * and at last itself go on as that program (guard_upgrade()). Where one of them cannot, all go back.
 *
 *     CHECKING ─▶ WORKERS ─▶ SUPERVISOR ─▶ DONE          refused: REFUSED, nothing was touched
 *                    └──── one fails ────▶ BACK ─▶ FAILED
 *
 * Where it stands is in shared memory: a supervisor that dies in the middle is followed by one that goes on with it.
 */
#ifndef DARUMA_DAEMON_UPGRADE_H
#define DARUMA_DAEMON_UPGRADE_H

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

/* The last one, or the one that is under way. */
struct upgrade_memory {
    uint32_t state;    /* enum upgrade_state */
    uint32_t serial;   /* grows with each */
    int32_t program;   /* descriptor in the supervisors' table of what is gone to; BACK: of what was before */
    uint32_t worker;   /* whose turn it is */
    uint32_t done;     /* how many workers have gone over; BACK: and have to go back */
    uint32_t asked;    /* bool: it has been told */
    uint32_t attempts; /* how often it died before it could try */
    uint32_t pad;
    int64_t begun_ns, step_ns;  /* monotonic; step_ns: when whose turn it is was told first */
    int64_t took_ns;            /* from the first change to the end */
    struct guard_upgrades seen; /* SUPERVISOR: its own pair's, when it was begun */
    char from[32], to[32];      /* versions */
    char path[PATH_MAX];        /* of the program */
    char why[256];              /* REFUSED, FAILED */
};

/* The part of the supervisor in this process. */
struct upgrade {
    struct upgrade_memory *memory;
    struct loop_timer timer; /* what waits for nobody's word is looked at again; the check's end */
    struct loop_io check;    /* its process */
    int output_fd;           /* what it prints */
};

#endif
