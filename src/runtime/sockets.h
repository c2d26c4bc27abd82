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
    int fd; /* blocking, as programs that are handed a socket expect it */
    struct board_address address;
};

struct sockets {
    char *directory;
    struct kept_socket *first;
};

/* 0 or -ENOMEM. The directory is made when the first socket is opened. */
int sockets_init(struct sockets *sockets, const char *run_dir);
/* Closes and unlinks all. */
void sockets_free(struct sockets *sockets);

/* The instance's socket, opened when it is not there yet; it stays owned here. NULL with `err`. */
const struct kept_socket *sockets_open(struct sockets *sockets, const char *instance, struct err *err);

/* The instance will not come back: closes and unlinks its socket, if there is one. */
void sockets_forget(struct sockets *sockets, const char *instance);

#endif
