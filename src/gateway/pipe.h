/* SPDX-License-Identifier: MIT
 *
 * Bytes that go from one socket to another without being looked at: through a pipe in the kernel, uncopied (splice(2)).
 * A connection holds a pipe only while bytes are in it; the empty ones lie in the worker's pool.
 */
#ifndef DARUMA_GATEWAY_PIPE_H
#define DARUMA_GATEWAY_PIPE_H

#include "gateway/worker.h"

/* Is it worth a pipe? The socket's last read filled all the room it had, and at least a block of bytes that need not be
   looked at is still to come. False too when no pipe is to be had: then they are copied as others are. */
bool gw_pipe_worth(struct gw_worker *worker, uint8_t io, uint64_t to_come);

/* Fills `pipe`, which is empty, from a socket, with `most` bytes at the most; only after gw_pipe_worth(). As gw_recv(). */
ssize_t gw_pipe_fill(struct gw_worker *worker, struct conn *conn, struct gw_pipe *pipe, struct gw_socket *socket,
                     uint64_t most);

/* Sends what it holds to a socket. As gw_send(). */
ssize_t gw_pipe_drain(struct gw_worker *worker, struct conn *conn, struct gw_pipe *pipe, struct gw_socket *socket);

/* How many bytes are in it, as the kernel says: more or less than `held` when who moved them last did not live to see it. */
uint32_t gw_pipe_bytes(const struct gw_pipe *pipe);

/* Forgets what it holds. Idempotent. */
void gw_pipe_drop(struct gw_pipe *pipe);

#endif
