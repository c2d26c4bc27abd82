/* SPDX-License-Identifier: MIT
 *
 * The specs that services of a project have or had, each in a file of the run directory (spec-N.json): the model with all that
 * files and environment said at that time, how many replicas were wanted, and what was to be built. So whoever comes after a supervisor that died
 * takes over what runs by what it was started from, and can go back to what was before, whatever the files say by now.
 */
#ifndef DARUMA_DAEMON_SPECS_H
#define DARUMA_DAEMON_SPECS_H

#include "compose/spec.h"
#include "daemon/rundir.h"

#include <stdint.h>

enum { SPECS_VERSION = 1 }; /* of the file */

/* Negative errno with `err`. */
int specs_save(const struct rundir *dir, const struct spec *spec, uint32_t id, struct err *err);
/* `*ret` is the caller's. -ENOENT when there is none, or another negative errno, with `err`. */
int specs_load(const struct rundir *dir, uint32_t id, struct spec **ret, struct err *err);
/* Removes all but those that are used; `used` NULL: all of them. */
void specs_prune(const struct rundir *dir, bool (*used)(void *data, uint32_t id), void *data);

#endif
