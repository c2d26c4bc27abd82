/* SPDX-License-Identifier: MIT
 *
 * The last events, kept in memory for who asks later, and the form in which they are told.
 */
#ifndef DARUMA_OBSERVE_JOURNAL_H
#define DARUMA_OBSERVE_JOURNAL_H

#include "base/event.h"

#include <jansson.h>

enum { JOURNAL_EVENTS = 4096 };

struct journal {
    struct event_sink sink; /* of the bus it listens to */
    struct event_bus *bus;
    uint64_t last_seq; /* 0: none yet */
    struct event ring[JOURNAL_EVENTS];
};

/* NULL when out of memory. Listens from now on; the bus outlives it. */
struct journal *journal_new(struct event_bus *bus);
/* Accepts NULL. */
void journal_free(struct journal *journal);

/* The first kept event with a number above `seq`, or NULL. Valid until the next event. */
const struct event *journal_after(const struct journal *journal, uint64_t seq);

/* An event as docs/admin-api.md describes it. A new reference; NULL when out of memory. */
json_t *journal_json(const struct event *event);

#endif
