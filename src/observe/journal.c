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
    /* Without room there the event is told all the same, and only forgotten by whoever comes after us. */
    if (journal->arena)
        (void)arena_store(journal->arena, (uint32_t)(event->seq % JOURNAL_EVENTS), event, sizeof(*event));
}

const struct arena_shape journal_shape = { .version = 1, .slots = JOURNAL_EVENTS, .size = sizeof(struct event) };

/* The bytes are whole, but not ours: texts end, and numbers are in their place. */
static void take_kept(struct journal *journal, uint32_t slot)
{
    const void *record;
    struct event event;

    if (arena_load(journal->arena, slot, &record) != sizeof(event))
        return;
    memcpy(&event, record, sizeof(event));
    if (event.seq % JOURNAL_EVENTS != slot || event.kind >= EVENT_KINDS || event.cause >= CAUSES)
        return;
    event.service[EVENT_NAME - 1] = event.instance[EVENT_NAME - 1] = event.text[EVENT_TEXT - 1] = '\0';
    event.from[sizeof(event.from) - 1] = event.to[sizeof(event.to) - 1] = '\0';
    journal->ring[slot] = event;
    if (event.seq > journal->last_seq)
        journal->last_seq = event.seq;
}

struct journal *journal_new(struct event_bus *bus, struct arena_file *arena)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return NULL;
    journal->bus = bus;
    journal->arena = arena;
    for (uint32_t slot = 0; arena && slot < JOURNAL_EVENTS; slot++)
        take_kept(journal, slot);
    if (journal->last_seq > bus->last_seq)
        bus->last_seq = journal->last_seq;
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
