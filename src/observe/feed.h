/* SPDX-License-Identifier: MIT
 *
 * What a streamed answer reads from: JSON lines that are there already and, when followed, those that come. Feeds pull
 * from the journal and from the log files whenever the client has room, so a slow client costs no memory.
 */
#ifndef DARUMA_OBSERVE_FEED_H
#define DARUMA_OBSERVE_FEED_H

#include "base/buf.h"
#include "observe/journal.h"
#include "observe/logs.h"

#include <stdbool.h>

struct feed {
    const struct journal *journal; /* events: whose; NULL: logs */
    uint64_t seq;                  /* events: the last that was given */
    struct logs_reader *reader;    /* logs; owned */
    bool follow;                   /* goes on when all that is there was given */
};

/* A line of a log as it is told (docs/admin-api.md). NULL when out of memory. */
json_t *feed_log_line(const struct logs_line *line);

/* Appends some lines (about 32 KiB at most) to `out`. False when there are none at present. */
bool feed_fill(struct feed *feed, struct buf *out);

/* Releases what the feed owns. */
void feed_end(struct feed *feed);

#endif
