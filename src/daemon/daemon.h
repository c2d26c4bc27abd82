/* SPDX-License-Identifier: MIT
 *
 * The supervisor process: builds the loop, the board, the gateway's workers, the runtime, the services and the admin
 * server, joins them, and runs until the project is down. All wiring is here and nowhere else.
 */
#ifndef DARUMA_DAEMON_DAEMON_H
#define DARUMA_DAEMON_DAEMON_H

#include "daemon/applied.h"
#include "daemon/listeners.h"
#include "daemon/request.h"
#include "daemon/rundir.h"
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
};

/* The runtime of that kind, told to the supervisor's services. NULL with `err`. */
struct runtime *daemon_runtime_new(struct loop *loop, const struct rundir *dir, enum spec_runtime kind,
                                   struct err *err);

/*
 * Runs the supervisor in this process; takes over all of `setup`. When everything stands, "ok" is written to
 * `ready_fd`, otherwise a line that says what is wrong; then `ready_fd` is closed. Returns the exit status.
 */
int daemon_run(struct daemon_setup *setup, int ready_fd);

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
