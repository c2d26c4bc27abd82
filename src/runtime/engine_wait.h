/* SPDX-License-Identifier: MIT
 *
 * Calls of the Engine that are waited for: for commands, and for the end of a project, where no loop runs (any more).
 * In the supervisor's life nothing waits but a change of the project, shortly, for what its images are now.
 */
#ifndef DARUMA_RUNTIME_ENGINE_WAIT_H
#define DARUMA_RUNTIME_ENGINE_WAIT_H

#include "runtime/engine.h"

#include <jansson.h>

/* For commands. */
#define ENGINE_WAIT_NS (10 * INT64_C(1000000000))

struct engine_wait;

/* `host` as engine_new() takes it; each answer is waited for as long as `patience_ns`. NULL with `err`. */
struct engine_wait *engine_wait_new(const char *host, int64_t patience_ns, struct err *err);
/* What has not ended is cancelled. Accepts NULL. */
void engine_wait_free(struct engine_wait *wait);

/* GETs `path` and waits. 0, or a negative errno with `err`, which says how to mend it (engine.h);
   -EREMOTEIO when the Engine refuses. `ret`: the answer, the caller's; NULL: it is not needed. */
int engine_wait_get(struct engine_wait *wait, const char *path, json_t **ret, struct err *err);

/* Begins a call beside others; what comes of it nobody asks. `path` NULL: nothing. */
void engine_wait_begin(struct engine_wait *wait, const char *method, const char *path, int64_t timeout_ns);
/* Waits until all of them have ended. */
void engine_wait_all(struct engine_wait *wait);

#endif
