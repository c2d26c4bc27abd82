/* SPDX-License-Identifier: MIT
 *
 * What an instance's health (health.h) finds, and what follows from it: ready, sick, silent, hung.
 */
#include "supervise/instance_parts.h"

#include <stdio.h>
#include <string.h>

static void on_ready(struct health *health)
{
    instance_handle(health->data, INSTANCE_EV_READY);
}

/* Who was stopped by chaos is replaced like any other, but it is not at fault. */
static void replace(struct instance *instance, enum cause cause)
{
    if (instance->ending == CAUSE_NONE)
        instance->ending = instance->paused_until_ns ? CAUSE_CHAOS : cause;
    instance_handle(instance, INSTANCE_EV_SICK);
}

bool instance_is_away_for_a_moment(const struct instance *instance, int64_t now)
{
    int64_t since = instance->started_ns ? instance->started_ns : instance->exited_ns;

    if (!instance->wanted)
        return false;
    switch (instance->state) {
    case INSTANCE_SERVING:
        return !instance_is_well(instance);
    case INSTANCE_DRAINING:
    case INSTANCE_STOPPING:
        return true;
    case INSTANCE_STARTING:
    case INSTANCE_WAITING:
        return instance->backoff.attempts <= 1 && now < since + instance->spec->deploy.ready_timeout_ns;
    default:
        return false;
    }
}

/* Another instance of the service that has served is on its way down or up. What makes all of them sick, or hang, is not in
   them: one after the other, so that the service is not away as a whole. */
static bool other_is_away(const struct instance *instance)
{
    const struct service *service = instance->service;
    int64_t now = loop_now(supervisor_of(instance)->peers.loop);

    for (size_t i = 0; i < service->len; i++)
        if (service->instances[i] != instance && service->instances[i]->served &&
            instance_is_away_for_a_moment(service->instances[i], now))
            return true;
    return false;
}

static void on_sick(struct health *health)
{
    struct instance *instance = health->data;

    /* Else it stays; the gateway ejects it by itself as long as it answers badly. */
    if (!instance->spec->restart_unhealthy)
        return;
    if (instance->state != INSTANCE_SERVING || !other_is_away(instance))
        replace(instance, CAUSE_HEALTH);
}

static void on_health(struct health *health, enum health_state from, enum health_state to, const char *text)
{
    struct event event = instance_event(health->data, EVENT_INSTANCE_HEALTH);
    (void)snprintf(event.from, sizeof(event.from), "%s", health_state_name(from));
    (void)snprintf(event.to, sizeof(event.to), "%s", health_state_name(to));
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    instance_emit(health->data, &event);
}

static void on_silent(struct health *health, const struct board_address *address)
{
    bool contained = strcmp(supervisor_of(health->data)->peers.runtime->name, "docker") == 0;
    char where[BOARD_ADDRESS_TEXT], text[EVENT_TEXT];
    (void)snprintf(text, sizeof(text), "runs for 10 s, but nothing listens on %.40s; it should listen on %s",
                   board_address_format(address, where),
                   contained ? "that port, and not on 127.0.0.1, which nobody reaches from outside of the container"
                             : "$PORT");
    instance_warn(health->data, text);
}

void instance_check_hung(struct instance *instance)
{
    if (instance->state == INSTANCE_SERVING && endpoint_hung(instance))
        health_ask(&instance->health);
}

static void on_mute(struct health *health)
{
    struct instance *instance = health->data;

    if (instance->state != INSTANCE_SERVING || !endpoint_hung(instance) || !instance->spec->restart_unhealthy)
        return;
    if (other_is_away(instance)) {
        health_ask(health);
        return;
    }
    instance_warn(instance, "hangs: requests on it are overdue, and it has not answered a probe for 5 s");
    replace(instance, CAUSE_HANG);
}

static void on_counted(struct health *health)
{
    instance_keep(health->data);
}

const struct health_events instance_health_events = {
    .counted = on_counted,
    .mute = on_mute,
    .ready = on_ready,
    .sick = on_sick,
    .changed = on_health,
    .silent = on_silent,
};
