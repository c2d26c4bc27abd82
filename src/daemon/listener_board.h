/* SPDX-License-Identifier: MIT
 *
 * One listener with its routes and their targets, put on the board for the workers. Each listener keeps its slots on the
 * board over changes of the file, and finds them again after a death of the supervisor, so that requests on them go on.
 *
 * All of it belongs between board_write_begin() and board_write_end(); the board's texts were cleared before.
 */
#ifndef DARUMA_DAEMON_LISTENER_BOARD_H
#define DARUMA_DAEMON_LISTENER_BOARD_H

#include "daemon/listeners.h"

/* A published one, as `wanted` describes it. 0; -ENOSPC: the board is full, and may have part of it; -ENOMEM. */
int listener_publish(struct listener *listener, const struct spec *spec, const struct spec_listener *wanted,
                     struct board *board);

/* The one between services that leads to `port` of its service. As above. */
int listener_publish_private(struct listener *listener, const struct spec *spec, const struct spec_port *port,
                             struct board *board);

/* Takes it and its routes off the board. Nothing when it is not there. */
void listener_withdraw(struct listener *listener, struct board *board);

#endif
