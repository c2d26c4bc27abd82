/* SPDX-License-Identifier: MIT
 *
 * Connections to endpoints: making them, keeping idle ones, noticing those that were closed.
 */
#ifndef DARUMA_GATEWAY_UPSTREAM_H
#define DARUMA_GATEWAY_UPSTREAM_H

#include "gateway/worker.h"

/* Joins `conn` to a kept connection of its endpoint. False when there is none. With `certain` each candidate is first
   asked whether it has been closed meanwhile, and none is taken that was idle for more than a second, or for more than
   half the time after which the endpoint was seen to close them: for requests that may not be sent twice. */
bool gw_upstream_reuse(struct gw_worker *worker, struct conn *conn, bool certain);

/* The upstream has closed a kept connection before it answered. Had it done so before a byte of the request reached it? Its
   end then acknowledges none of them, and no program behind it can have read any. False when that is not certain. */
bool gw_upstream_closed_before(const struct upstream *upstream);

/* Begins a fresh connection to the endpoint of `conn`. 1: it is there; 0: on its way; or a negative errno. */
int gw_upstream_connect(struct gw_worker *worker, struct conn *conn);

/* Has the connection that was on its way arrived? 1, 0 (not yet), or a negative errno. */
int gw_upstream_connected(struct gw_worker *worker, struct upstream *upstream);

/* Has nothing come behind the answer, no end and no byte? Who has read the answer to its last byte and no further has not
   seen: then the socket is asked. */
bool gw_upstream_quiet(struct upstream *upstream);

/* Takes it from its `conn` into the endpoint's pool. */
void gw_upstream_keep(struct gw_worker *worker, struct upstream *upstream);

/* The endpoint has closed an idle one. */
void gw_upstream_closed(struct gw_worker *worker, struct upstream *upstream);

/* Puts one that is idle on the endpoint's list, and arms its end. */
void gw_upstream_link(struct gw_worker *worker, struct upstream *upstream);

/* Closes it, idle or not. Its `conn`, if any, forgets it. */
void gw_upstream_close(struct gw_worker *worker, struct upstream *upstream);

/* Closes all idle ones of an endpoint. */
void gw_upstream_close_idle(struct gw_worker *worker, uint32_t endpoint);

/*
 * Acknowledges at once what has come, tcp(7) TCP_QUICKACK: many programs send head and body in two writes, and Nagle's
 * algorithm at their side keeps the second one back until the first is acknowledged, 40 ms later. Only called while a
 * response is incomplete, so that the usual one, which comes in one piece, costs no system call more.
 */
void gw_upstream_acknowledge(const struct upstream *upstream);

#endif
