/* SPDX-License-Identifier: MIT
 *
 * Where output is read to: one buffer in a file that is mapped shared, so that what a pipe has given away is not lost with
 * whoever read it. Between two deliveries it is all zeros; bytes that are there in the next life were read and perhaps
 * not passed on. (A piece of output that ends in zero bytes loses these then, and nothing else.)
 */
#ifndef DARUMA_OBSERVE_INBOX_H
#define DARUMA_OBSERVE_INBOX_H

#include "base/err.h"
#include "base/event.h"

#include <stddef.h>
#include <stdint.h>

enum { INBOX_SIZE = 64 << 10 }; /* a pipe's usual capacity */

struct inbox {
    uint64_t magic;
    uint64_t number; /* of the delivery; whoever has passed it on remembers that */
    uint32_t stream;
    uint32_t pad;
    char instance[EVENT_NAME];
    char data[INBOX_SIZE];
};

/* Maps the file at `path`, or a new one in its place when it is none of ours. NULL with `err`. */
struct inbox *inbox_open(const char *path, struct err *err);
/* Accepts NULL. The file stays. */
void inbox_close(struct inbox *inbox);

/* The next delivery will be this instance's. */
void inbox_begin(struct inbox *inbox, const char *instance, int stream);
/* `len` bytes of it were passed on. */
void inbox_end(struct inbox *inbox, size_t len);

/* How many bytes of the last delivery are there. */
size_t inbox_length(const struct inbox *inbox);

#endif
