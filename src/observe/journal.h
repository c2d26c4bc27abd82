/* SPDX-License-Identifier: MIT
 *
 * The last events, kept in memory for who asks later, and the form in which they are told.
 */
#ifndef DARUMA_OBSERVE_JOURNAL_H
#define DARUMA_OBSERVE_JOURNAL_H

#include "base/arena.h"
#include "base/event.h"

#include <jansson.h>

enum { JOURNAL_EVENTS = 4096 };

struct journal {
    struct event_sink sink; /* of the bus it listens to */
    struct event_bus *bus;
    struct arena_file *arena; /* where the ring is kept as well; NULL: nowhere */
    uint64_t last_seq;        /* 0: none yet */
    struct event ring[JOURNAL_EVENTS];
};

/* The shape of an arena (base/arena.h) for it. */
extern const struct arena_shape journal_shape;

/* Begins with the events that an earlier journal kept in `arena` (NULL: none), and the bus goes on to count from there. NULL
   when out of memory. Listens from now on; bus and arena outlive it. */
struct journal *journal_new(struct event_bus *bus, struct arena_file *arena);
/* Accepts NULL. */
void journal_free(struct journal *journal);

/* The first kept event with a number above `seq`, or NULL. Valid until the next event. */
const struct event *journal_after(const struct journal *journal, uint64_t seq);

/* An event as docs/admin-api.md describes it. A new reference; NULL when out of memory. */
json_t *journal_json(const struct event *event);

#endif
