/* SPDX-License-Identifier: MIT */
#include "base/event.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

const char *event_kind_name(enum event_kind kind)
{
    static const char *const names[EVENT_KINDS] = {
        [EVENT_PROJECT] = "project",
        [EVENT_INSTANCE_STATE] = "instance.state",
        [EVENT_INSTANCE_SPAWN] = "instance.spawn",
        [EVENT_INSTANCE_EXIT] = "instance.exit",
        [EVENT_INSTANCE_HEALTH] = "instance.health",
        [EVENT_INSTANCE_CRASH] = "instance.crash",
        [EVENT_SERVICE_STATE] = "service.state",
        [EVENT_DEPLOY] = "deploy",
        [EVENT_CHAOS] = "chaos",
        [EVENT_GATEWAY] = "gateway",
        [EVENT_WARNING] = "warning",
    };
    return (unsigned)kind < EVENT_KINDS ? names[kind] : "?";
}

static void format_exit(const struct event *event, const char *who, char line[EVENT_LINE])
{
    if (event->cause == CAUSE_SPAWN)
        (void)snprintf(line, EVENT_LINE, "%s could not be started: %s", who, event->text);
    else if (event->status < 0)
        (void)snprintf(line, EVENT_LINE, "%s is gone, and how it ended is not known (%s)", who,
                       cause_name(event->cause));
    else if (event->by_signal)
        (void)snprintf(line, EVENT_LINE, "%s ended by SIG%s (%s)", who, cause_signal_name(event->status),
                       cause_name(event->cause));
    else
        (void)snprintf(line, EVENT_LINE, "%s exited with status %d (%s)", who, event->status, cause_name(event->cause));
}

const char *event_format(const struct event *event, char line[EVENT_LINE])
{
    const char *who = event->instance[0] ? event->instance : event->service;
    char span[CLOCK_TEXT];

    switch (event->kind) {
    case EVENT_INSTANCE_STATE:
    case EVENT_INSTANCE_HEALTH:
    case EVENT_SERVICE_STATE:
        (void)snprintf(line, EVENT_LINE, "%s %s → %s%s%s", who, event->from, event->to, event->text[0] ? ": " : "",
                       event->text);
        break;
    case EVENT_INSTANCE_SPAWN:
        if (event->span_ns > 0)
            (void)snprintf(line, EVENT_LINE, "%s started again, pid %d, %s after its end", who, event->pid,
                           clock_format_span(event->span_ns, span));
        else
            (void)snprintf(line, EVENT_LINE, "%s started, pid %d", who, event->pid);
        break;
    case EVENT_INSTANCE_EXIT:
        format_exit(event, who, line);
        break;
    default:
        (void)snprintf(line, EVENT_LINE, "%s%s%s", who, who[0] ? ": " : "", event->text);
        break;
    }
    return line;
}

void event_subscribe(struct event_bus *bus, struct event_sink *sink)
{
    struct event_sink **at = &bus->first;
    while (*at)
        at = &(*at)->next;
    sink->next = NULL;
    *at = sink;
}

void event_unsubscribe(struct event_bus *bus, struct event_sink *sink)
{
    for (struct event_sink **at = &bus->first; *at; at = &(*at)->next)
        if (*at == sink) {
            *at = sink->next;
            return;
        }
}

void event_emit(struct event_bus *bus, struct event *event)
{
    event->seq = ++bus->last_seq;
    if (event->wall_ns == 0)
        event->wall_ns = clock_wall();
    for (struct event_sink *sink = bus->first, *next; sink; sink = next) {
        next = sink->next;
        sink->fn(sink, event);
    }
}
