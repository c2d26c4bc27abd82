/* SPDX-License-Identifier: MIT
 *
 * The Engine's multiplexed streams: what a container without a terminal wrote to its standard output and error comes
 * over one connection, in frames.
 *
 *     ┌────────┬───────┬──────────────────┬────────────────┐
 *     │ stream │ 0 0 0 │ length, 32 bits, │ `length` bytes │
 *     │ 0 1 2  │       │ big endian       │                │
 *     └────────┴───────┴──────────────────┴────────────────┘
 */
#ifndef DARUMA_RUNTIME_FRAMES_H
#define DARUMA_RUNTIME_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frames {
    bool raw; /* a container with a terminal: no frames, all of it is stream 1 */
    uint8_t head[8];
    uint32_t head_len;
    uint32_t left; /* bytes of the present frame that are still to come */
};

/* Takes the next piece, cut anywhere, and hands on what is payload, as it came and without a copy. A stream that is
   neither 1 nor 2 counts as 1. */
void frames_take(struct frames *frames, const char *data, size_t len,
                 void (*fn)(void *owner, int stream, const char *data, size_t len), void *owner);

#endif
