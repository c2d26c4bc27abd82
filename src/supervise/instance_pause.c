/* SPDX-License-Identifier: MIT
 *
 * The one fault of chaos that does not end by itself: an instance that is stopped. It has a lease, which the supervisor ends,
 * or whoever comes after it: who asked for it may be long dead.
 */
#include "supervise/instance_parts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

bool instance_is_well(const struct instance *instance)
{
    return instance_serves(instance) && !instance->paused_until_ns;
}

static void on_lease_over(struct loop_timer *timer)
{
    instance_pause_end(timer->data);
}

static void arm(struct instance *instance)
{
    instance->lease = (struct loop_timer){ .fn = on_lease_over, .data = instance };
    loop_timer_set(supervisor_of(instance)->peers.loop, &instance->lease, instance->paused_until_ns);
}

int instance_pause(struct instance *instance, int64_t ns)
{
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

    if (!instance->handle)
        return -ESRCH;
    instance_pause_forget(instance); /* a lease may be made anew */
    instance->paused_until_ns = clock_now() + ns;
    instance_keep(instance);
    int r = peers->runtime->signal(peers->runtime, instance->handle, SIGSTOP);
    if (r < 0) {
        instance->paused_until_ns = 0;
        instance_keep(instance);
        return r;
    }
    arm(instance);
    return 0;
}

void instance_pause_resume(struct instance *instance)
{
    if (instance->paused_until_ns)
        arm(instance);
}

void instance_pause_end(struct instance *instance)
{
    struct supervisor_peers *peers = &supervisor_of(instance)->peers;

    if (!instance->paused_until_ns)
        return;
    /* -ESRCH: its exit is on the way to us. */
    if (instance->handle)
        (void)peers->runtime->signal(peers->runtime, instance->handle, SIGCONT);
    instance_pause_forget(instance);
    instance_keep(instance);
    struct event event = instance_event(instance, EVENT_CHAOS);
    (void)snprintf(event.to, sizeof(event.to), "continued");
    (void)snprintf(event.text, sizeof(event.text), "its pause is over");
    instance_emit(instance, &event);
    supervisor_settle_soon(supervisor_of(instance));
}

void instance_pause_forget(struct instance *instance)
{
    loop_timer_cancel(supervisor_of(instance)->peers.loop, &instance->lease);
    instance->paused_until_ns = 0;
}
