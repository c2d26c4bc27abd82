/* SPDX-License-Identifier: MIT
 *
 * What the supervisor process is made of, for the files that make it up: daemon.c builds it, joins its parts and ends it,
 * change.c brings it from one request to the next, calls.c answers the admin API, takeover.c goes on where another
 * supervisor died, upgrade.c as another program. Nobody else includes this. All of it runs in the supervisor's loop.
 */
#ifndef DARUMA_DAEMON_DAEMON_PARTS_H
#define DARUMA_DAEMON_DAEMON_PARTS_H

#include "base/event.h"
#include "base/loop.h"
#include "daemon/accesslog.h"
#include "daemon/daemon.h"
#include "daemon/kept.h"
#include "observe/admin.h"
#include "observe/logfile.h"
#include "observe/logs.h"
#include "supervise/supervise.h"

#include <limits.h>

struct daemon {
    struct rundir dir;
    int dir_hold;              /* rundir_hold() */
    struct up_request request; /* the last that succeeded */
    int64_t since_wall_ns;
    uint64_t first_event; /* the number of the last event before ours */

    struct loop *loop;
    struct event_bus bus;
    struct daemon_memory memory;
    struct accesslog accesslog;
    struct listeners listeners;
    struct workers *workers;
    struct kept kept;
    struct applied before; /* what we have taken over */
    uint32_t spec_id;      /* of the spec that is applied (specs.h); 0: none yet */
    struct err refused;    /* why not */
    struct runtime *runtime;
    enum spec_runtime kind; /* of the runtime; it stays as long as the project runs */
    struct supervisor *supervisor;

    struct journal *journal;
    struct logs *logs;
    char logs_dir[PATH_MAX];
    struct logfile own_log, receipts;
    struct api api;
    struct admin *admin;

    struct event_sink sink;
    struct loop_timer look; /* has the project's state changed? */
    enum supervisor_state state;
    bool stopping, killing;

    int signal_fd;
    struct loop_io signal_io;

    struct upgrade upgrade;

    struct guard *guard;
    struct loop_io guard_io;
    struct loop_timer beat;
    struct loop_timer watchdog; /* the service manager's */
};

/* ---- daemon.c ---- */

/* Emits an event of the project; what is in no field of its kind is "". All texts are copied, and cut where they are too long. */
void daemon_emit(struct daemon *daemon, enum event_kind kind, const char *from, const char *to, const char *text);
/* A warning: "what: why". */
void daemon_warn(struct daemon *daemon, const char *what, const char *why);
/* Writes what is applied (applied.h), for whoever comes after us: `whole`, or about to be. What cannot be written is warned
   of. */
void daemon_write_down(struct daemon *daemon, const struct up_request *request, uint32_t spec_id, bool whole);
/* Tells the service manager that we are ready, and whom to watch (sd_notify(3)). */
void daemon_notify_ready(const struct daemon *daemon);
/* The other half of the pair is another one. */
void daemon_watch_guard(struct daemon *daemon);
/* Something may have happened: if the project is another than before, an event tells. */
void daemon_look(struct daemon *daemon);
/* Takes the project down; with `kill` without waiting for what runs, also when it goes down already. The loop ends when all is
   gone. */
void daemon_go_down(struct daemon *daemon, bool kill);

/* ---- change.c ---- */

/* Makes services be as `spec` says, which is taken over, after it has been written down as what is to be. 0, or a negative
   errno with `err` and nothing changed; the spec is the caller's then. */
int daemon_apply(struct daemon *daemon, const struct up_request *request, struct spec *spec, struct err *err);
/* Once more what somebody who died had applied in part. What cannot be done is warned of. */
void daemon_apply_again(struct daemon *daemon);
/* Makes the project be as `request` says, which stays the caller's. 0: done, `problems` may hold warnings. A negative errno:
   nothing was changed, and the reasons are in `problems` or `err`; only what listens may fail after that (`err`). -EBUSY: it is
   going down. `*ret_plan`, the caller's, says what changes (deploys.h); with request->dry_run nothing does. */
int daemon_change(struct daemon *daemon, const struct up_request *request, struct problems *problems, json_t **ret_plan,
                  struct err *err);
/* The same request again (SIGHUP). What is wrong with it is warned of. */
void daemon_reload(struct daemon *daemon);

/* ---- calls.c ---- */

/* The admin API's calls, answered by `daemon`. */
struct api_calls daemon_calls(struct daemon *daemon);

/* ---- upgrade.c ---- */

/* Begins to go on as the program at `path` (NULL: at the place of the one that runs). -EINVAL: there is no such program,
   -EALREADY: it is what runs, -EBUSY: not now; with `err`. What comes of it is in daemon_upgrade_json(). */
int daemon_upgrade(struct daemon *daemon, const char *path, struct err *err);
/* As in docs/admin-api.md. */
json_t *daemon_upgrade_json(const struct daemon *daemon);
/* A worker has something to tell. */
void daemon_upgrade_look(struct daemon *daemon);
/* When everything is built: goes on with what the supervisor before us had begun. */
void daemon_upgrade_go_on(struct daemon *daemon);

/* ---- takeover.c ---- */

/* What runs already is ours again; of what is not known, nothing is left. `goes_on`: as in struct daemon_setup. 0, or a
   negative errno with `err`. */
int daemon_take_over(struct daemon *daemon, bool goes_on, struct err *err);
/* The one before us was killed at some instruction: what it was about to do, we do. When everything is built. */
void daemon_go_on(struct daemon *daemon);

#endif
