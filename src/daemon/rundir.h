/* SPDX-License-Identifier: MIT
 *
 * Where a running project keeps its things: DARUMA_RUN_DIR, else /run/daruma for root, else $XDG_RUNTIME_DIR/daruma,
 * else /tmp/daruma-UID; in it one folder for each project, mode 0700 and ours:
 *
 *     PROJECT/lock         held (flock) by the supervisor as long as it lives; who holds it may clean up the rest
 *             admin.sock   the admin API
 *             origin       the project's directory, for commands that cannot read the compose file any more; gone
 *                          after an orderly end
 *             deploys.jsonl the receipts of deploys
 *             daruma.log   what the supervisor has to say
 *             state events lines inbox applied.json spec-N.json pipes/   what outlives a supervisor that dies
 *                          (docs/adoption.md)
 *             logs/        what the instances wrote (observe/logs.h)
 *
 * Used by the supervisor and by every command.
 */
#ifndef DARUMA_DAEMON_RUNDIR_H
#define DARUMA_DAEMON_RUNDIR_H

#include "base/err.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

enum { RUNDIR_NAME = 64 };

struct rundir {
    char project[RUNDIR_NAME];
    char path[PATH_MAX]; /* of the project's folder */
};

/* The folder of all projects, as the environment says. -ENAMETOOLONG, or -EINVAL for a relative path, with `err`. */
int rundir_base(char path[PATH_MAX], struct err *err);

/* Names the project's folder; creates nothing. -EINVAL when that cannot be a project's name, -ENAMETOOLONG. */
int rundir_name(struct rundir *ret, const char *project, struct err *err);

/* Creates the project's folder and those in it. -EACCES, -EROFS, -EPERM (it belongs to somebody else) with `err`. */
int rundir_create(const struct rundir *dir, struct err *err);

/* Whoever made the folder can have put a socket of his own there, and is not to be told anything: -EPERM or -ENOTDIR, with
   `err`, when it is not ours. 0 also when there is none; root may look into any. */
int rundir_check(const struct rundir *dir, struct err *err);

/* The path of something in the folder. A shortened path cannot happen: rundir_name() left room. */
const char *rundir_file(const struct rundir *dir, const char *name, char path[PATH_MAX]);

/* Makes a file of the folder be `text`: readers see the old one or the new one, whenever we die. Negative errno with `err`; then
   the old one is still there. */
int rundir_replace(const struct rundir *dir, const char *name, const char *text, struct err *err);

/* Reads such a file as JSON; `*ret` is the caller's. -ENOENT: there is none; -EINVAL: it is none; another negative errno: it cannot be
   read now. */
int rundir_load(const struct rundir *dir, const char *name, json_t **ret);

/*
 * Takes the project's lock: a descriptor (close-on-exec) that holds it until it and its copies in forked children
 * are closed. -EWOULDBLOCK when another one holds it and `timeout_ms` passed (0: does not wait at all), -ENOENT when
 * there is no such folder.
 */
int rundir_lock(const struct rundir *dir, int timeout_ms);

/* As long as the descriptor is open systemd-tmpfiles(8), which clears /tmp of what is old, leaves the folder alone (the locks of
   tmpfiles.d(5)). Negative errno. */
int rundir_hold(const struct rundir *dir);

/* Does a supervisor (or one that just starts) hold the lock? */
bool rundir_busy(const struct rundir *dir);

/* Writes or reads `origin`. Reading: 0 or -ENOENT. */
int rundir_set_origin(const struct rundir *dir, const char *working_dir, struct err *err);
int rundir_origin(const struct rundir *dir, char working_dir[PATH_MAX]);

/* For a supervisor that starts: what the instances of an earlier run wrote goes, unless that run had no orderly end (then
   somebody will want to read it). */
void rundir_clear_logs(const struct rundir *dir);

/* For a supervisor that ends in order. */
void rundir_forget_origin(const struct rundir *dir);

/* The running project that was started from `cwd` or the nearest directory above it. 0, -ENOENT, or -ENOTUNIQ when several
   were started from there. */
int rundir_find(const char *cwd, struct rundir *ret);

#endif
