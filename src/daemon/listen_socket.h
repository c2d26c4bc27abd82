/* SPDX-License-Identifier: MIT
 *
 * Opens one listening socket, as workers want it: TCP over IPv4 or IPv6, or a Unix socket.
 */
#ifndef DARUMA_DAEMON_LISTEN_SOCKET_H
#define DARUMA_DAEMON_LISTEN_SOCKET_H

#include "base/board.h"

#include <stdbool.h>
#include <sys/types.h>

/* "" and "0.0.0.0" are all IPv4 addresses; names are not looked up: a listener must not depend on a resolver. 0 or
   -EINVAL. */
int listen_socket_inet(const char *host, uint16_t port, struct board_address *ret);
/* 0, or -ENAMETOOLONG: more than 107 bytes. */
int listen_socket_unix(const char *path, struct board_address *ret);

/*
 * The socket, an inherited one (base/inherit.h) where there is one, non-blocking and close-on-exec, or a negative errno of
 * bind(2). `address` becomes what it is bound to: port
 * 0 is any free one. `mode`: permissions of a Unix socket. One that is there already is replaced when nobody listens on
 * it any more; -EADDRINUSE when somebody does, -EEXIST when it is no socket.
 */
int listen_socket_open(struct board_address *address, mode_t mode);

/*
 * Are clients to be accepted only once they have said something (TCP_DEFER_ACCEPT, tcp(7)), or after a second? Where they
 * speak first, as in HTTP, that saves waking a worker twice. Where it cannot be had, as on a Unix socket, nothing changes.
 */
void listen_socket_defer(int fd, bool defer);

/* The path of a Unix socket's address, else NULL. */
const char *listen_socket_path(const struct board_address *address);

#endif
