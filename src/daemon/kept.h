/* SPDX-License-Identifier: MIT
 *
 * The files in the run directory that outlive a supervisor, together: `state` (services and instances, and what the
 * supervisor itself is up to), `events` (the journal), `lines` and `inbox` (what instances write, on
 * its way into the logs), applied.json and spec-N.json (applied.h). An orderly end removes them.
 */
#ifndef DARUMA_DAEMON_KEPT_H
#define DARUMA_DAEMON_KEPT_H

#include "base/arena.h"
#include "daemon/rundir.h"
#include "observe/inbox.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum { KEPT_VERSION = 1 };

/* What the supervisor is up to. */
struct kept_record {
    uint32_t version;
    uint32_t state; /* enum supervisor_state, as it was told last */
    uint8_t stopping, killing, remove_volumes, pad[5];
    int64_t since_wall_ns;
};
static_assert(sizeof(struct kept_record) == 24, "layout");

struct kept {
    struct rundir dir;
    struct arena_file state, events;
    struct arena_file lines; /* what is known of log files (observe/logs.h) */
    struct inbox *inbox;
    struct kept_record record; /* as it is in the file, or is to be */
};

/*
 * Opens the files; `fresh`: what is there is of no use. `ret_refused` says why they cannot be used although they should
 * be; code 0: they can. 0 or a negative errno with `err`.
 */
int kept_open(struct kept *kept, const struct rundir *dir, bool fresh, struct err *ret_refused, struct err *err);
/* Writes the record. */
void kept_write(struct kept *kept);
/* Accepts a zeroed one. The files stay. */
void kept_close(struct kept *kept);
/* After an orderly end. */
void kept_forget(const struct rundir *dir);

#endif
