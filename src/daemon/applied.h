/* SPDX-License-Identifier: MIT
 *
 * What was applied last, in one file of the run directory (applied.json), for whoever comes after a supervisor that died:
 * the request, the ports that were chosen freely, and which spec (specs.h). It is written before anything is changed, and once
 * more when all is: so one that was killed in between is followed by one that does the same.
 */
#ifndef DARUMA_DAEMON_APPLIED_H
#define DARUMA_DAEMON_APPLIED_H

#include "daemon/request.h"
#include "daemon/rundir.h"

enum { APPLIED_VERSION = 2 }; /* of the file */

struct applied {
    struct up_request request;
    struct spec *spec; /* the replicas are the request's */
    uint32_t id;       /* of the spec; 0: none */
    bool whole;        /* all of it was applied */
    enum spec_runtime runtime;
    json_t *ports; /* listeners_ports() */
};

/* Its spec is not written (specs_save). Replaces the file as a whole. Negative errno with `err`; the one before is still there
   then. */
int applied_save(const struct rundir *dir, const struct applied *applied, struct err *err);

/* With its spec. 0, -ENOENT when there is none, or another negative errno with `err`. */
int applied_load(const struct rundir *dir, struct applied *ret, struct err *err);
/* Accepts a zeroed one, and parts that were taken. */
void applied_free(struct applied *applied);

/* For an orderly end: there is nothing to be taken over, and no spec to go back to. */
void applied_forget(const struct rundir *dir);

#endif
