/* SPDX-License-Identifier: MIT
 *
 * What the files instance*.c share: instance.c carries out what the table says, instance_health.c and instance_process.c find
 * out what happened. What the others of this folder may use of an instance is in supervisor.h.
 */
#ifndef DARUMA_SUPERVISE_INSTANCE_PARTS_H
#define DARUMA_SUPERVISE_INSTANCE_PARTS_H

#include "supervise/supervisor.h"

static inline struct supervisor *supervisor_of(const struct instance *instance)
{
    return instance->service->supervisor;
}

/* ---- instance.c ---- */

/* Carries out what instance_fsm() says to `event`; what it does not expect in this state is ignored. May end with the instance
   in yet another state. */
void instance_handle(struct instance *instance, enum instance_event event);
/* An event about the instance, to be filled in, and its emission. */
struct event instance_event(const struct instance *instance, enum event_kind kind);
void instance_emit(const struct instance *instance, struct event *event);
void instance_warn(const struct instance *instance, const char *text);
/* Its health is asked for as the file says, or its image where the file says nothing. */
void instance_configure_health(struct instance *instance);
/* STOPPING: arms the end by force at its deadline, and sees to it that the instance is told to end, if it was not yet. */
void instance_go_on_ending(struct instance *instance);

/* ---- hooks.c ---- */

/* Runs the commands in the instance, one after the other; `done` follows, also from inside the call. At the first one that
   fails, which is told, with `ok` false. They are cancelled before what they run in is released: then nothing follows. */
void hooks_run(struct instance *instance, enum hooks_point point, void (*done)(struct instance *, bool));
void hooks_cancel(struct instance *instance);

/* ---- instance_health.c ---- */

/* For struct health, whose data is the instance. */
extern const struct health_events instance_health_events;

/* ---- instance_process.c ---- */

/* Its process has ended, or could not be started. What belonged to it is released; `how` stays the caller's. */
void instance_died(struct instance *instance, const struct runtime_exit *how);

#endif
