/* SPDX-License-Identifier: MIT
 *
 * The receipts of deploys, kept in a file of the project's folder, one JSON object a line (docs/admin-api.md); and what a
 * deploy would do.
 */
#ifndef DARUMA_DAEMON_DEPLOYS_H
#define DARUMA_DAEMON_DEPLOYS_H

#include "observe/logfile.h"
#include "supervise/supervise.h"

#include <jansson.h>

/* Appends a receipt; one of the same deploy that is there already is out of date then. What the instance that failed wrote last
   is read from the logs. 0, or a negative errno; then it is only in the events. */
int deploys_write(struct logfile *file, const struct deploy_receipt *receipt, const char *logs_dir);

/* All that are kept, oldest first. A new reference; NULL when out of memory. */
json_t *deploys_read(const struct logfile *file);

/* What `up` with that spec would do to each of its services, or to those of `only` (NULL: all). A new reference. */
json_t *deploys_plan(const struct supervisor *supervisor, const struct spec *spec, const char *const *only);

#endif
