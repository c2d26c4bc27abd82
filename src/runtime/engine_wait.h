/* SPDX-License-Identifier: MIT
 *
 * Calls of the Engine that are waited for: for commands, and for the end of a project, where no loop runs (any more).
 * Not for the supervisor's life, in which nothing waits.
 */
#ifndef DARUMA_RUNTIME_ENGINE_WAIT_H
#define DARUMA_RUNTIME_ENGINE_WAIT_H

#include "runtime/engine.h"

#include <jansson.h>

struct engine_wait;

/* `host` as engine_new() takes it. NULL with `err`. */
struct engine_wait *engine_wait_new(const char *host, struct err *err);
/* What has not ended is cancelled. Accepts NULL. */
void engine_wait_free(struct engine_wait *wait);

/* GETs `path` and waits, 10 s at most. 0, or a negative errno with `err`, which says how to mend it (engine.h);
   -EREMOTEIO when the Engine refuses. `ret`: the answer, the caller's; NULL: it is not needed. */
int engine_wait_get(struct engine_wait *wait, const char *path, json_t **ret, struct err *err);

/* Begins a call beside others; what comes of it nobody asks. `path` NULL: nothing. */
void engine_wait_begin(struct engine_wait *wait, const char *method, const char *path, int64_t timeout_ns);
/* Waits until all of them have ended. */
void engine_wait_all(struct engine_wait *wait);

#endif
