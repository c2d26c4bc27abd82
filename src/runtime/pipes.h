/* SPDX-License-Identifier: MIT
 *
 * What instances write into: named pipes RUN_DIR/pipes/INSTANCE.1 and .2, fresh ones at each start. The instance has its
 * end open for reading as well, so the pipe and what is in it outlive us, nobody is ended by SIGPIPE meanwhile, and
 * whoever comes after us opens it by its name. It also tells whose a running process is: its standard output leads there.
 */
#ifndef DARUMA_RUNTIME_PIPES_H
#define DARUMA_RUNTIME_PIPES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PIPES_STREAMS = 2 };

struct pipes {
    char *directory;
};

/* 0 or -ENOMEM. The directory is made with the first pipe. */
int pipes_init(struct pipes *pipes, const char *run_dir);
/* Removes the directory when it is empty. */
void pipes_free(struct pipes *pipes);

/* A new pipe for stream 1 or 2. Our end does not wait, the instance's does. 0; 1: it has no name, for the folder cannot be written,
   and only who has our end open after us finds it; or a negative errno with `err`. */
int pipes_make(struct pipes *pipes, const char *instance, int stream, int *ret_read, int *ret_write, struct err *err);

/* Our end of the one that is there, or a negative errno. `pid`: who writes into it, 0 when he is dead. */
int pipes_open(struct pipes *pipes, const char *instance, int stream, pid_t pid);

void pipes_remove(struct pipes *pipes, const char *instance);

/* Whose pipe a process has as its standard output or error: the instance's name into `ret`. False: nobody's of ours. */
bool pipes_owner(struct pipes *pipes, pid_t pid, char *ret, size_t size);

#endif
