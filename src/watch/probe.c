/* SPDX-License-Identifier: MIT
 *
 * A slot is one connection and, while it is busy, one probe. Free slots form a stack, so that the connection used last
 * is used next and few are open at low rates. Busy slots form a list in the order of their due instants, which is the
 * order of their deadlines too: one timer at its head serves them all.
 */
#include "watch/probe.h"

#include "base/clock.h"
#include "base/http_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BURST = 256 }; /* probes sent in one turn of the loop; then answers get their turn */

struct slot {
    struct loop_io io; /* added as long as there is a connection, also while the slot is free */
    struct watch *watch;
    struct slot *previous, *next; /* busy list; free stack (next only) */
    bool busy;
    struct watch_result result; /* of the probe that is under way */
    char *request;
    struct http_client client; /* last: its buffer is touched only when it is used */
};

struct watch {
    struct loop *loop;
    struct watch_options options;
    struct watch_events events;
    struct loop_timer tick, deadline;
    struct watch_tally tally;
    struct watch_jar jar;
    struct http1_head scratch;
    uint64_t next; /* number of the next probe */
    bool sending, ended;
    struct slot *slots;
    unsigned slots_used; /* slots[0 … slots_used) have been taken at least once */
    struct slot *free, *first_busy, *last_busy;
    unsigned busy;  /* slots in the busy list */
    char *requests; /* one for each slot, or one for all when they do not vary */
    size_t request_len;
};

static void end_if_idle(struct watch *watch)
{
    if (watch->sending || watch->first_busy || watch->ended)
        return;
    watch->ended = true;
    loop_timer_cancel(watch->loop, &watch->tick);
    loop_timer_cancel(watch->loop, &watch->deadline);
    watch->events.ended(watch->events.data);
}

static void drop_connection(struct slot *slot)
{
    loop_io_remove(slot->watch->loop, &slot->io);
    http_client_close(&slot->client);
}

static void report(struct watch *watch, struct watch_result *result, enum watch_kind kind)
{
    result->kind = kind;
    result->end_ns = clock_now();
    watch_tally_add(&watch->tally, result);
    watch->events.result(watch->events.data, result);
}

static void make_busy(struct slot *slot)
{
    struct watch *watch = slot->watch;
    slot->busy = true;
    watch->busy++;
    slot->next = NULL;
    slot->previous = watch->last_busy;
    if (watch->last_busy)
        watch->last_busy->next = slot;
    else
        watch->first_busy = slot;
    watch->last_busy = slot;
}

static void make_free(struct slot *slot)
{
    struct watch *watch = slot->watch;
    if (slot->previous)
        slot->previous->next = slot->next;
    else
        watch->first_busy = slot->next;
    if (slot->next)
        slot->next->previous = slot->previous;
    else
        watch->last_busy = slot->previous;
    slot->busy = false;
    watch->busy--;
    slot->next = watch->free;
    watch->free = slot;
}

static void finish(struct slot *slot, enum watch_kind kind)
{
    struct watch *watch = slot->watch;
    struct watch_result result = slot->result;

    if (slot->client.fd < 0 || !slot->client.reusable || !watch->options.keep_alive)
        drop_connection(slot);
    make_free(slot);
    report(watch, &result, kind);
}

static bool expected(const struct watch *watch, unsigned status)
{
    if (watch->options.expect)
        return status == watch->options.expect;
    return status >= 200 && status < 400;
}

/* Takes from the answer's head what is wanted of it: cookies, and who answered. What the front says (X-Served-By) counts
   for more than what the instance itself does. */
static void note_head(struct slot *slot)
{
    struct watch *watch = slot->watch;
    const struct http1_head *head = &watch->scratch;
    const char *text = slot->client.buffer;
    const struct http1_header *name = NULL;

    slot->result.status = head->status;
    for (unsigned i = 0; i < head->headers; i++) {
        const struct http1_header *header = &head->header[i];
        if (header->field == HTTP1_FIELD_SET_COOKIE && watch->options.session)
            watch_jar_set(&watch->jar, text + header->value.at, header->value.len);
        else if (header->field == HTTP1_FIELD_X_SERVED_BY ||
                 (!name && http1_slice_is(text, header->name, "x-instance")))
            name = header;
    }
    if (name)
        slot->result.instance = watch_tally_instance(&watch->tally, text + name->value.at, name->value.len);
}

/* Waits for what the client wants next. */
static int wait_for(struct slot *slot, uint32_t want)
{
    struct loop *loop = slot->watch->loop;
    return slot->io.added ? loop_io_change(loop, &slot->io, want) : loop_io_add(loop, &slot->io, slot->client.fd, want);
}

static void go_on(struct slot *slot)
{
    struct http_client *client = &slot->client;
    bool reading = client->state == HTTP_CLIENT_HEAD;
    uint32_t want = http_client_step(client);

    if (reading && client->head_len > 0)
        note_head(slot);
    if (want) {
        if (wait_for(slot, want) < 0)
            finish(slot, WATCH_NO_CONNECTION);
        return;
    }
    if (client->state == HTTP_CLIENT_FAILED)
        finish(slot, watch_kind_of(client->error));
    else
        finish(slot, expected(slot->watch, client->status) ? WATCH_OK : WATCH_STATUS);
}

static void on_io(struct loop_io *io, uint32_t events)
{
    struct slot *slot = io->data;
    if (!slot->busy) {
        drop_connection(slot); /* the server closed what we kept */
        return;
    }
    go_on(slot);
    end_if_idle(slot->watch);
}

/* NULL: every connection that is allowed is busy. */
static struct slot *take_slot(struct watch *watch)
{
    struct slot *slot = watch->free;
    if (slot) {
        watch->free = slot->next;
        return slot;
    }
    if (watch->slots_used == watch->options.connections)
        return NULL;
    size_t at = watch->slots_used++;
    slot = &watch->slots[at];
    slot->watch = watch;
    slot->io = (struct loop_io){ .fn = on_io, .data = slot };
    slot->request = watch->requests + (watch->options.request->varies ? at * watch->options.request->max_len : 0);
    http_client_init(&slot->client, &watch->scratch);
    return slot;
}

static void send_probe(struct watch *watch, uint64_t number, int64_t due_ns)
{
    const struct watch_request *request = watch->options.request;
    struct watch_result result = { .number = number, .due_ns = due_ns, .instance = -1 };
    struct slot *slot = take_slot(watch);

    if (!slot) {
        report(watch, &result, WATCH_NO_CONNECTION);
        return;
    }
    slot->result = result;
    make_busy(slot);
    if (request->varies)
        watch->request_len = watch_request_render(request, number, &watch->jar, slot->request);
    if (http_client_start(&slot->client, &watch->options.address, request->method, slot->request, watch->request_len) <
        0)
        finish(slot, watch_kind_of(slot->client.error));
    else
        go_on(slot);
}

static bool is_last(const struct watch *watch, uint64_t number)
{
    return (watch->options.count && number >= watch->options.count) ||
           (watch->options.duration_ns && watch_due(number, watch->options.rate) >= watch->options.duration_ns);
}

static void on_tick(struct loop_timer *timer)
{
    struct watch *watch = timer->data;
    int64_t now = loop_now(watch->loop);

    for (int burst = 0;; burst++) {
        int64_t due = watch->tally.start_ns + watch_due(watch->next, watch->options.rate);
        if (is_last(watch, watch->next)) {
            watch->sending = false;
            break;
        }
        if (due > now || burst == BURST) {
            /* The timer is in the heap's memory already, so this cannot fail. */
            loop_timer_set(watch->loop, timer, due);
            break;
        }
        if (now - due > watch->tally.lag_ns)
            watch->tally.lag_ns = now - due;
        send_probe(watch, watch->next++, due);
    }
    if (watch->first_busy && !loop_timer_armed(&watch->deadline))
        loop_timer_set(watch->loop, &watch->deadline, watch->first_busy->result.due_ns + watch->options.timeout_ns);
    end_if_idle(watch);
}

/* The timer may be early: it was armed for a probe that has ended meanwhile. */
static void on_deadline(struct loop_timer *timer)
{
    struct watch *watch = timer->data;
    int64_t now = loop_now(watch->loop);

    while (watch->first_busy && watch->first_busy->result.due_ns + watch->options.timeout_ns <= now) {
        struct slot *slot = watch->first_busy;
        drop_connection(slot);
        finish(slot, WATCH_TIMEOUT);
    }
    if (watch->first_busy)
        loop_timer_set(watch->loop, timer, watch->first_busy->result.due_ns + watch->options.timeout_ns);
    end_if_idle(watch);
}

struct watch *watch_new(struct loop *loop, const struct watch_options *options, const struct watch_events *events,
                        struct err *err)
{
    const struct watch_request *request = options->request;
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch) {
        /* Large blocks come as untouched pages: what is never used costs nothing. */
        watch->slots = calloc(options->connections, sizeof(*watch->slots));
        watch->requests = calloc(request->varies ? options->connections : 1, request->max_len);
    }
    if (!watch || !watch->slots || !watch->requests) {
        watch_free(watch);
        (void)err_set(err, -ENOMEM, "out of memory for %u connections", options->connections);
        return NULL;
    }
    watch->loop = loop;
    watch->options = *options;
    watch->events = *events;
    watch->tick = (struct loop_timer){ .fn = on_tick, .data = watch };
    watch->deadline = (struct loop_timer){ .fn = on_deadline, .data = watch };
    if (!request->varies)
        watch->request_len = watch_request_render(request, 0, NULL, watch->requests);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    if (watch->loop) {
        loop_timer_cancel(watch->loop, &watch->tick);
        loop_timer_cancel(watch->loop, &watch->deadline);
    }
    for (unsigned i = 0; i < watch->slots_used; i++)
        drop_connection(&watch->slots[i]);
    free(watch->slots);
    free(watch->requests);
    free(watch);
}

void watch_start(struct watch *watch)
{
    watch_tally_init(&watch->tally, clock_now());
    watch->sending = true;
    loop_timer_set(watch->loop, &watch->deadline, watch->tally.start_ns + watch->options.timeout_ns);
    loop_timer_set(watch->loop, &watch->tick, watch->tally.start_ns);
}

void watch_stop(struct watch *watch)
{
    if (!watch->sending)
        while (watch->first_busy) {
            drop_connection(watch->first_busy);
            make_free(watch->first_busy);
        }
    watch->sending = false;
    loop_timer_cancel(watch->loop, &watch->tick);
    end_if_idle(watch);
}

const struct watch_tally *watch_tally(const struct watch *watch)
{
    return &watch->tally;
}

unsigned watch_under_way(const struct watch *watch)
{
    return watch->busy;
}
