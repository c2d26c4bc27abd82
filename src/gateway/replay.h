/* SPDX-License-Identifier: MIT
 *
 * The connection that a dead worker had in hand: back to its mark (mark.h), and what the last call has moved since.
 *
 *     read from a socket     bytes received (1 less after a FIN) - SIOCINQ      what is not in the slot's `taken`
 *     written to it          bytes acknowledged (1 less where we connected) + SIOCOUTQ      … in its `given`
 *
 * The first figures are TCP_INFO's, tcp(7). A Unix socket has none: there the kernel has left the number of bytes in the
 * message header in the arena (recvmmsg(2), sendmmsg(2)), or the bytes themselves in the pipe.
 */
#ifndef DARUMA_GATEWAY_REPLAY_H
#define DARUMA_GATEWAY_REPLAY_H

#include "gateway/worker.h"

/* What was half done is undone. The index of the connection, or GW_NONE. */
uint32_t gw_replay_roll_back(struct gw_worker *worker);

/* Fills worker->replay. False when the figures cannot be those of this connection. */
bool gw_replay_ask(struct gw_worker *worker, const struct conn *conn);

#endif
