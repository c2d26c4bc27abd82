/* SPDX-License-Identifier: MIT
 *
 * The supervisor process: builds the loop, the board, the gateway's workers, the runtime, the services and the admin
 * server, joins them, and runs until the project is down. All wiring is here and nowhere else.
 */
#ifndef DARUMA_DAEMON_DAEMON_H
#define DARUMA_DAEMON_DAEMON_H

#include "base/guard.h"
#include "daemon/applied.h"
#include "daemon/listeners.h"
#include "daemon/request.h"
#include "daemon/rundir.h"
#include "daemon/upgrade.h"
#include "daemon/workers.h"
#include "runtime/runtime.h"

/* What the supervisor starts with. */
struct daemon_setup {
    struct rundir dir;
    struct applied before; /* what a supervisor that died had applied: taken over first. Zeroed: there was none */
    struct err refused;    /* why that cannot be used; code 0: it can */
    struct up_request request;
    struct spec *spec;          /* NULL: all stays as it was before */
    enum spec_runtime runtime;  /* chosen for `spec` */
    struct listeners listeners; /* opened for `spec` */
    bool goes_on;               /* `before` was a moment ago, with this board and these events; its end was no end */
};

/* The runtime of that kind, told to the supervisor's services. NULL with `err`. */
struct runtime *daemon_runtime_new(struct loop *loop, const struct rundir *dir, enum spec_runtime kind,
                                   struct err *err);

/* What a supervisor shares with its successors and with the gateway's workers: mapped before any of them. */
struct daemon_memory {
    struct guard_area *guard;
    struct board *board;
    struct gauges *gauges;
    void *gateway; /* gateway_shared_new() */
    struct access_ring *rings;
    unsigned workers;
    struct workers_memory pairs;
    struct upgrade_memory *upgrade;
};

/*
 * Runs the supervisor in this process; takes over all of `setup`. `guard` is whose role it is. When everything stands, "ok"
 * is written to `ready_fd`, otherwise a line that says what is wrong, with its NUL; then `ready_fd` is closed. Returns the exit status.
 */
int daemon_run(struct daemon_setup *setup, const struct daemon_memory *memory, struct guard *guard, int ready_fd);

/* role.c: the same in a guarded pair of processes (base/guard.h), of which this one becomes the guard. It returns in each
   of them, with the exit status. */
int daemon_main(struct daemon_setup *setup, int ready_fd);

/* The same in a program that takes the place of another one (base/handover.h), with what that one has handed over. */
int daemon_resume(void);

/* From now on there is something to be taken over, should this supervisor die. */
void daemon_is_ready(void);

/* While something takes as long as files or an engine make it take, the heart beats by itself: only a process that was
   stopped counts as hung then. Pairs nest. */
void daemon_busy_begin(struct guard *guard);
void daemon_busy_end(void);

/*
 * For the command, which holds the project's lock: checks what can be checked beforehand, opens the ports, and forks
 * the supervisor off into a session of its own; it inherits the lock's descriptor and keeps it for life. Takes over
 * `request` and `spec`. 0 when it runs; -EINVAL when `problems` holds errors (nothing was started), or another negative
 * errno with `err`.
 */
int daemon_start(const struct rundir *dir, struct up_request *request, struct spec *spec, struct problems *problems,
                 struct err *err);

/*
 * For a command that needs a supervisor where one died: takes over what it left, as it was. The caller holds the lock. -ENOENT
 * when there is nothing to be taken over, or another negative errno with `err`.
 */
int daemon_revive(const struct rundir *dir, struct err *err);

#endif
