/* SPDX-License-Identifier: MIT
 *
 * What an image is built from: the folder, without what its .dockerignore names, as a tar archive. A child process packs
 * it into a pipe, since reading files can take long and the supervisor's loop does not wait; nothing is stored.
 */
#ifndef DARUMA_RUNTIME_CONTEXT_H
#define DARUMA_RUNTIME_CONTEXT_H

#include "base/err.h"

#include <sys/types.h>

struct context {
    int fd;    /* the archive; non-blocking, its end is the end of the file. -1: none */
    pid_t pid; /* 0: none */
};

/* Begins. `dockerfile` is relative to the folder and sent in any case. Negative errno with `err`. */
int context_open(const char *folder, const char *dockerfile, struct context *ret, struct err *err);

/* Ends the child, if it is still there, and closes the pipe. 0 when everything was packed, else -EIO with `err`: what
   the child had to say. Accepts a closed one. */
int context_close(struct context *context, struct err *err);

/* For tests: packs into `fd` and comes back. 0, or a negative errno with `err`. */
int context_pack(const char *folder, const char *dockerfile, int fd, struct err *err);

#endif
