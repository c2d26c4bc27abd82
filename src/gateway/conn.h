/* SPDX-License-Identifier: MIT
 *
 * A client connection: taking its slot, its one setter, reading request heads, the end.
 */
#ifndef DARUMA_GATEWAY_CONN_H
#define DARUMA_GATEWAY_CONN_H

#include "gateway/conn_fsm.h"
#include "gateway/worker.h"

/* Takes an accepted socket in: 0. It stays the caller's when it is turned away: -ENOBUFS, there are as many connections as
   there may be; -EDQUOT, its address has as many as it may have; -EPERM, it may not send the PROXY header that it would
   have to send. */
int gw_conn_open(struct gw_worker *worker, int fd, uint32_t listener, const struct sockaddr *peer);

/* The one setter: changes the state, its lists and its deadline. An event that has no business in the present state
   marks the connection with GW_ERROR; the loop closes it. */
void gw_conn_step(struct gw_worker *worker, struct conn *conn, enum conn_event event);

/* Arms the deadline of the present state anew: bytes have moved. */
void gw_conn_touch(struct gw_worker *worker, struct conn *conn);

/* CONNECTING, SENDING: looks at the attempt again at `at_ns`; 0: no more. Its end stays when it is. */
void gw_conn_look_again(struct gw_worker *worker, struct conn *conn, int64_t at_ns);

/* Goes on as far as possible without blocking. The connection may be gone afterwards. */
void gw_conn_drive(struct gw_worker *worker, struct conn *conn);

/* Its deadline has passed. */
void gw_conn_expire(struct gw_worker *worker, struct conn *conn);

/* Is anything ready for the client? */
bool gw_conn_has_output(const struct conn *conn);

/* Sends the bytes that are ready for the client. 1: all are out; 0: blocked; -1: the client takes no more. */
int gw_conn_flush(struct gw_worker *worker, struct conn *conn);

/* The exchange is over and its answer is out: the next request, or the end of the connection. */
void gw_conn_next(struct gw_worker *worker, struct conn *conn);

/* Closes it, whatever it was doing: the attempt ends, buffers and slot are given back. */
void gw_conn_close(struct gw_worker *worker, struct conn *conn);
/* The same with a reset, where an orderly end would look like the end of the answer. */
void gw_conn_abort(struct gw_worker *worker, struct conn *conn);

/* SENDING: bytes of an answer's head have come, and it is not whole. They belong to this attempt alone. */
static inline bool gw_conn_half_answered(const struct conn *conn)
{
    return conn->out != GW_NONE && conn->out_len > conn->out_ready;
}

#endif
