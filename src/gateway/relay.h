/* SPDX-License-Identifier: MIT
 *
 * Moves the bytes of an HTTP exchange: the request upwards, the response downwards, each through one block, so that who
 * reads slowly slows down who writes.
 */
#ifndef DARUMA_GATEWAY_RELAY_H
#define DARUMA_GATEWAY_RELAY_H

#include "gateway/expand.h"
#include "gateway/worker.h"

/* Looks at request bytes that have arrived from `at` in `in` on: how many are body, and is it whole? 0, or -EBADMSG
   when its chunks are malformed, -EFBIG when it is larger than the route allows. */
int gw_relay_take_body(struct gw_worker *worker, struct conn *conn, uint32_t at);

/* Is the body of this request, as far as is known, larger than its route allows? */
bool gw_relay_body_too_large(const struct gw_worker *worker, const struct conn *conn, const struct http1_head *head);

/* The id that this request gets when it brings none: the same for every attempt, and for no other request. */
void gw_relay_make_id(const struct gw_worker *worker, const struct conn *conn, char id[GW_REQUEST_ID]);

/* Makes worker->head that of this connection's request. False when it is not there any more. */
bool gw_relay_read_head(struct gw_worker *worker, struct conn *conn);

/* What templates are filled from, over worker->head and worker->path. False when the request is not at hand any more: then
   only what does not come from it is there. */
bool gw_relay_gather(struct gw_worker *worker, struct conn *conn, struct gw_gathered *ret);

/* The part of it that needs no route, over worker->head. */
void gw_relay_gather_request(struct gw_worker *worker, const struct conn *conn, struct gw_gathered *ret);

/* The bytes on the board of what a route does to header fields. */
struct gw_rewrite gw_relay_rewrite(const struct board *view, const struct board_rewrite *on_board);
/* Has any of them a gap? */
bool gw_relay_has_gaps(const struct gw_rewrite *rewrite);

/* SENDING: sends what is there of the request. True when something moved. */
bool gw_relay_request(struct gw_worker *worker, struct conn *conn);

/* Has all of the request gone to the upstream? */
bool gw_relay_request_sent(const struct conn *conn);

/* SENDING and RELAYING: both directions, one step each. True when it is worth another one. */
bool gw_relay(struct gw_worker *worker, struct conn *conn);

#endif
