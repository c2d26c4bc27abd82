/* SPDX-License-Identifier: MIT
 *
 * What was applied last, in one file of the run directory (applied.json), for whoever comes after a supervisor that died:
 * the request, the model with all that files and environment said at that time, and the ports that were chosen freely. So
 * what runs can be taken over by what it was started from, whatever the files say by now.
 */
#ifndef DARUMA_DAEMON_APPLIED_H
#define DARUMA_DAEMON_APPLIED_H

#include "daemon/request.h"
#include "daemon/rundir.h"

enum { APPLIED_VERSION = 1 }; /* of the file */

struct applied {
    struct up_request request;
    struct spec *spec; /* the replicas are the request's */
    enum spec_runtime runtime;
    json_t *ports; /* listeners_ports() */
};

/* `model` is that of the spec, or what became of it. Replaces the file as a whole. Negative errno with `err`; the one before is still there then. */
int applied_save(const struct rundir *dir, const struct applied *applied, const json_t *model, struct err *err);

/* 0, -ENOENT when there is none, or another negative errno with `err`. */
int applied_load(const struct rundir *dir, struct applied *ret, struct err *err);
/* Accepts a zeroed one, and parts that were taken. */
void applied_free(struct applied *applied);

/* For an orderly end: there is nothing to be taken over. */
void applied_forget(const struct rundir *dir);

#endif
