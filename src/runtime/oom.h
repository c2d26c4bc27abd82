/* SPDX-License-Identifier: MIT
 *
 * Was it the kernel's out-of-memory killer? Its SIGKILL looks like anybody's; only a counter tells it apart. It is that of
 * our own control group (version 2: memory.events, version 1: memory.oom_control), else that of the machine
 * (/proc/vmstat). It does not say whom it hit: a death by SIGKILL within OOM_NEAR_NS of it is taken to be it.
 */
#ifndef DARUMA_RUNTIME_OOM_H
#define DARUMA_RUNTIME_OOM_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/* A process that is killed with gigabytes to free may take a while to end. */
#define OOM_NEAR_NS (5 * NS_PER_S)

struct oom {
    int fd;           /* the counter's file; -1: none can be read, and nothing is ever found */
    uint64_t count;   /* as last read */
    uint64_t unowned; /* kills since, of which the victim is not known yet */
    int64_t grown_ns; /* when the counter grew last; monotonic */
};

/* Finds the counter. Never fails. */
void oom_open(struct oom *oom);
/* The same for the file at `path`, which has a line "oom_kill NUMBER". -errno when there is none. */
int oom_open_file(struct oom *oom, const char *path);
void oom_close(struct oom *oom);

/* Reads the counter. To be called about once a second, so that the age of a kill is known. */
void oom_look(struct oom *oom, int64_t now_ns);

/* Somebody died of SIGKILL just now: was it that? Each kill has one victim. */
bool oom_take(struct oom *oom, int64_t now_ns);

#endif
