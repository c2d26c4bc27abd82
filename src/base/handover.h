/* SPDX-License-Identifier: MIT
 *
 * What a program leaves to the one that takes its place in the same process (execve(2), base/guard.h): memory that processes share
 * and that outlives the mapping (memfd_create(2)), and numbers and texts, all of them named in the new program's arguments.
 *
 *     daruma --take-over worker channel=7 bell=5 … memory:board=8 memory:gauges=9
 *
 * One list for the process, as there is one table of descriptors.
 */
#ifndef DARUMA_BASE_HANDOVER_H
#define DARUMA_BASE_HANDOVER_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The option by which a program is told that it takes another one's place; what that was follows. */
#define HANDOVER_OPTION "--take-over"

enum { HANDOVER_PARTS = 16 }; /* of memory */

/*
 * Shared memory of that size. In a program that took another one's place it is what that one had under the same name; else
 * it is zeroed. NULL with `err`; also when what was handed over is of another size.
 */
void *handover_memory(const char *name, size_t size, struct err *err);
/* Unmaps it and closes its descriptor: it is not handed over any more. Accepts NULL. */
void handover_memory_free(void *memory);
/* The descriptors of all of it; how many. */
size_t handover_fds(int fds[HANDOVER_PARTS]);

/* A thing that is handed over beside the memory: `text`, or the number when that is NULL. */
struct handover_item {
    const char *name, *text;
    int64_t number;
};
/* Arguments for the program that is to go on as `what`, NULL-terminated, with the memory of the names in `memory`; NULL: all.
   They are not freed. NULL: out of memory. */
char **handover_argv(const char *what, const struct handover_item *items, size_t n, const char *const *memory);

/* In the new program: takes what stands in its arguments, whose strings are kept. */
void handover_take(int argc, char **argv);
/* What was handed over under that name; `otherwise` (NULL) when nothing was. */
int64_t handover_number(const char *name, int64_t otherwise);
const char *handover_text(const char *name);

#endif
