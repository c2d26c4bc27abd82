/* SPDX-License-Identifier: MIT */
#include "observe/journal.h"

#include "base/clock.h"
#include "observe/text.h"

#include <stdlib.h>
#include <string.h>

static void keep(struct event_sink *sink, const struct event *event)
{
    struct journal *journal = sink->data;
    journal->ring[event->seq % JOURNAL_EVENTS] = *event;
    journal->last_seq = event->seq;
}

struct journal *journal_new(struct event_bus *bus)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return NULL;
    journal->bus = bus;
    journal->sink = (struct event_sink){ .fn = keep, .data = journal };
    event_subscribe(bus, &journal->sink);
    return journal;
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    event_unsubscribe(journal->bus, &journal->sink);
    free(journal);
}

const struct event *journal_after(const struct journal *journal, uint64_t seq)
{
    if (seq >= journal->last_seq)
        return NULL;
    if (seq + JOURNAL_EVENTS < journal->last_seq)
        seq = journal->last_seq - JOURNAL_EVENTS;
    /* The journal may have begun to listen after the first event: empty slots have number 0. */
    for (seq++; seq <= journal->last_seq; seq++)
        if (journal->ring[seq % JOURNAL_EVENTS].seq == seq)
            return &journal->ring[seq % JOURNAL_EVENTS];
    return NULL;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0])
        (void)json_object_set_new(object, key, text_json(text, strlen(text)));
}

static void set_number(json_t *object, const char *key, int64_t number)
{
    if (number)
        (void)json_object_set_new(object, key, json_integer(number));
}

json_t *journal_json(const struct event *event)
{
    char line[EVENT_LINE];
    json_t *object = json_object();

    (void)json_object_set_new(object, "seq", json_integer((json_int_t)event->seq));
    (void)json_object_set_new(object, "time", json_real((double)event->wall_ns / 1e9));
    set_text(object, "kind", event_kind_name(event->kind));
    set_text(object, "service", event->service);
    set_text(object, "instance", event->instance);
    set_text(object, "from", event->from);
    set_text(object, "to", event->to);
    set_number(object, "pid", event->pid);
    set_number(object, "starts", event->starts);
    if (event->cause != CAUSE_NONE)
        set_text(object, "cause", cause_name(event->cause));
    if (event->kind == EVENT_INSTANCE_EXIT && event->cause != CAUSE_SPAWN && event->status >= 0)
        (void)json_object_set_new(object, event->by_signal ? "signal" : "status", json_integer(event->status));
    if (event->span_ns)
        (void)json_object_set_new(object, "span_ms", json_real((double)event->span_ns / 1e6));
    set_text(object, "text", event->text);
    set_text(object, "line", event_format(event, line));
    return object;
}
