/* SPDX-License-Identifier: MIT
 *
 * Records that outlive who wrote them: a file that is mapped shared, in a folder on tmpfs. Whoever dies at whatever
 * instruction leaves each record either as it was before the last change or as it is after it.
 *
 *     header   magic, layout, version and shape of the records, the boot that it belongs to, checksum
 *     slot 0   copy 0: generation, length, checksum, bytes …    copy 1: the same
 *     slot 1   …
 *
 * A record is written to the copy that is not the present one; its generation, written last, is the commit mark. A copy
 * whose checksum does not fit its bytes is none. No pointers, and nothing in it is believed: the reader gets bytes that
 * are whole, and judges them himself. There is one writer at a time: who holds the lock of the folder.
 *
 * Numbers of processes and monotonic times mean nothing after a boot, so an arena of an earlier boot is an empty one.
 */
#ifndef DARUMA_BASE_ARENA_H
#define DARUMA_BASE_ARENA_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct arena_file {
    void *memory; /* NULL: none */
    int fd;
    uint32_t slots, size; /* of the records: how many, and how many bytes each may have */
    /* By slot and copy: its head is in no hole of the file. On tmpfs even looking at a hole fills it, or, where there is no
       room, ends us with SIGBUS. */
    bool *touched;
};

/* What the records are. */
struct arena_shape {
    uint32_t version; /* of their layout, the owner's */
    uint32_t slots, size;
};

/*
 * Opens the arena at `path`, or makes an empty one. 0, or a negative errno with `err`, and what is there stays. What cannot be used
 * (another version or shape, cut off, not ours, no arena at all) is replaced by an empty one, and `ret_refused` says why;
 * it is "" otherwise.
 */
int arena_open(struct arena_file *arena, const char *path, const struct arena_shape *shape, struct err *ret_refused,
               struct err *err);
/* Accepts a zeroed one. The file stays. */
void arena_close(struct arena_file *arena);

/* The record of a slot: its length, and where it is until the next arena_store() there. 0: the slot is empty. */
uint32_t arena_load(const struct arena_file *arena, uint32_t slot, const void **ret);

/* Puts a record of `len` bytes into the slot; 0 empties it. -ENOSPC when the file system has no room: the record before
   stays. */
int arena_store(struct arena_file *arena, uint32_t slot, const void *record, uint32_t len);

#endif
