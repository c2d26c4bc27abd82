/* SPDX-License-Identifier: MIT
 *
 * Time. Everything inside daruma is nanoseconds in an int64_t: monotonic for durations and deadlines, wall clock
 * only for what people read.
 */
#ifndef DARUMA_BASE_CLOCK_H
#define DARUMA_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

int64_t clock_now(void);  /* CLOCK_MONOTONIC */
int64_t clock_wall(void); /* CLOCK_REALTIME, since the Epoch */

/* Sleeps whole; for command-line tools only, never inside a loop. */
void clock_sleep(int64_t ns);

/* "2026-11-22T08:00:00.123Z" (RFC 3339, UTC) into `text`. */
#define CLOCK_TEXT 32
const char *clock_format_wall(int64_t wall_ns, char text[CLOCK_TEXT]);

/* A duration for people: "3 ms", "1.25 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
const char *clock_format_span(int64_t ns, char text[CLOCK_TEXT]);

#endif
