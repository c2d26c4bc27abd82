/* SPDX-License-Identifier: MIT
 *
 * What a predecessor with the same descriptor table (base/guard.h) has left open. What each descriptor is, it says itself:
 * listening sockets are known by their address and named pipes by their file, and given to whoever would open another one
 * there, so that a table that was nearly full is no fuller afterwards; all else is closed before anything is opened, because
 * record locks belong to the table.
 *
 * Without a predecessor there is nothing to take, and nothing is different. One table, so one list for the process.
 */
#ifndef DARUMA_BASE_INHERIT_H
#define DARUMA_BASE_INHERIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Takes stock. `keep` (sorted by the function) are descriptors that stay as they are, with 0 … 2 and those of the file at
   `lock_path`. 0 or a negative errno; then some may be left open. */
int inherit_begin(int *keep, size_t n, const char *lock_path);

/* The listening socket at that address, which becomes the caller's; -1: none. */
int inherit_listener(const struct sockaddr *address, socklen_t len);

/* The end of that pipe (fifo(7)) that the predecessor had open, which becomes the caller's; -1: none. */
int inherit_pipe(const struct stat *file);

/* Is there a pipe that nobody has asked for? */
bool inherit_pipes_left(void);

/* Whoever wants something has it by now: the rest is closed. */
void inherit_end(void);

#endif
