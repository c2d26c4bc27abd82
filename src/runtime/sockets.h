/* SPDX-License-Identifier: MIT
 *
 * Listening sockets that outlive the instances they are handed to: Unix stream sockets in run_dir/sockets, one for each
 * instance's name. Between two lives of the instance connections wait in the backlog.
 */
#ifndef DARUMA_RUNTIME_SOCKETS_H
#define DARUMA_RUNTIME_SOCKETS_H

#include "base/board.h"
#include "base/err.h"

struct kept_socket {
    struct kept_socket *next;
    char *instance;
    int fd; /* blocking, as programs that are handed a socket expect it; -1: only the instance has it */
    struct board_address address;
};

struct sockets {
    char *directory;
    struct kept_socket *first;
};

/* 0 or -ENOMEM. The directory is made when the first socket is opened. */
int sockets_init(struct sockets *sockets, const char *run_dir);
/* The socket that the running process `pidfd` was handed, or without it: taken from the process when we may do that; else
   the instance alone has it, and the next one gets a new one. 0, or a negative errno with `err`. */
int sockets_adopt(struct sockets *sockets, const char *instance, int pidfd, struct err *err);

/* Closes and unlinks all. */
void sockets_free(struct sockets *sockets);

/* The instance's socket, opened when it is not there yet; it stays owned here. NULL with `err`. */
const struct kept_socket *sockets_open(struct sockets *sockets, const char *instance, struct err *err);

/* The instance will not come back: closes and unlinks its socket, if there is one. */
void sockets_forget(struct sockets *sockets, const char *instance);

#endif
