/* SPDX-License-Identifier: MIT
 *
 * One fact that happened: log, `daruma events`, journal, metrics and receipts all consume these and have no second
 * source of truth. Plain data without pointers, so that it can be copied, kept in a ring and put into shared memory.
 */
#ifndef DARUMA_BASE_EVENT_H
#define DARUMA_BASE_EVENT_H

#include "base/cause.h"

#include <stdint.h>

#define EVENT_NAME 64
#define EVENT_TEXT 256

enum event_kind {
    EVENT_PROJECT,         /* project up, changed, going down; text says which */
    EVENT_INSTANCE_STATE,  /* from → to */
    EVENT_INSTANCE_SPAWN,  /* exec done: pid, number of starts so far, ns since the exit it replaces */
    EVENT_INSTANCE_EXIT,   /* cause, exit status or signal, pid */
    EVENT_INSTANCE_HEALTH, /* from → to: starting, healthy, unhealthy; text: what the probe saw */
    EVENT_INSTANCE_CRASH,  /* the crash bundle: text holds the last log line; `daruma events --json` has all */
    EVENT_SERVICE_STATE,   /* a service as a whole: ready, degraded, down, failed */
    EVENT_DEPLOY,          /* a deploy began, went a step on, ended; to: its phase */
    EVENT_CHAOS,           /* a fault began or ended */
    EVENT_GATEWAY,         /* ejection, quarantine, worker restarted */
    EVENT_WARNING,         /* something a person should know; text says what and how to mend it */
    EVENT_KINDS
};

struct event {
    uint64_t seq;    /* given by the bus, from 1, without gaps */
    int64_t wall_ns; /* given by the bus when 0 */
    enum event_kind kind;
    enum cause cause;          /* EXIT and STATE events */
    int32_t pid;               /* 0: none */
    int32_t status;            /* exit status, or signal number when by_signal; -1: not known */
    uint32_t by_signal;        /* bool */
    uint32_t starts;           /* SPAWN: how many times this instance was started */
    int64_t span_ns;           /* SPAWN: exit to exec; STATE to serving: start to ready; 0: does not apply */
    char service[EVENT_NAME];  /* "" where it concerns none */
    char instance[EVENT_NAME]; /* as `ps` shows it: "app-1"; "" where it concerns none */
    char from[16], to[16];     /* state or health names; "" where it does not apply */
    char text[EVENT_TEXT];     /* for people; may be "" */
};

/* "instance.exit" … Never NULL. */
const char *event_kind_name(enum event_kind kind);

/* A line for people, without time and newline: "app1-1 exited: killed by SIGKILL". */
#define EVENT_LINE 512
const char *event_format(const struct event *event, char line[EVENT_LINE]);

/* Subscribers, called in the order in which they came, in the thread that emits. */
struct event_sink {
    void (*fn)(struct event_sink *sink, const struct event *event);
    void *data;
    struct event_sink *next; /* the bus's */
};

struct event_bus {
    uint64_t last_seq;
    struct event_sink *first;
};

void event_subscribe(struct event_bus *bus, struct event_sink *sink);
void event_unsubscribe(struct event_bus *bus, struct event_sink *sink);

/* Fills seq and wall_ns of `event` and hands it to every sink. A sink must not unsubscribe another one meanwhile. */
void event_emit(struct event_bus *bus, struct event *event);

#endif
