/* SPDX-License-Identifier: MIT
 *
 * What an image is built from: the folder, without what its .dockerignore names, as a tar archive. A child process packs
 * it into a pipe, since reading files can take long and the supervisor's loop does not wait; nothing is stored.
 */
#ifndef DARUMA_RUNTIME_CONTEXT_H
#define DARUMA_RUNTIME_CONTEXT_H

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct context_source {
    const char *folder;
    const char *dockerfile; /* its name in the archive; sent in any case */
    const char *outside;    /* the file that it is, where it is none of the folder's, or NULL */
    const char *text;       /* or what it says, where it is no file at all; NULL */
};

struct context {
    int fd;    /* the archive; non-blocking, its end is the end of the file. -1: none */
    pid_t pid; /* 0: none */
};

/* Begins. Negative errno with `err`. */
int context_open(const struct context_source *source, struct context *ret, struct err *err);

/* Ends the child, if it is still there, and closes the pipe. 0 when everything was packed, else -EIO with `err`: what
   the child had to say. Accepts a closed one. */
int context_close(struct context *context, struct err *err);

/* A digest of what would be packed, as make(1) sees it: names, kinds, sizes and times of change, not contents. Never 0. Negative
   errno with `err`. */
int context_digest(const struct context_source *source, uint64_t *ret, struct err *err);

/* For tests: packs into `fd` and comes back. 0, or a negative errno with `err`. */
int context_pack(const struct context_source *source, int fd, struct err *err);

#endif
