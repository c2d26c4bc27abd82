/* SPDX-License-Identifier: MIT
 *
 * Second attempts beside the first: an attempt whose answer is overdue stays as the `rival` of a new one on another
 * endpoint. Whichever answers first wins, the other's connection is closed; an answer that would be asked for again elsewhere ends only
 * the attempt that got it. Only requests that may be sent twice.
 */
#ifndef DARUMA_GATEWAY_HEDGE_H
#define DARUMA_GATEWAY_HEDGE_H

#include "gateway/worker.h"

/* SENDING or CONNECTING, and the patience is over: tells the balance, and begins a second attempt if it may. */
void gw_hedge_overdue(struct gw_worker *worker, struct conn *conn);

/* Something happened on the rival's connection: it has won, or it is gone. */
void gw_hedge_rival_event(struct gw_worker *worker, struct conn *conn);

/* The present attempt is lost, and its connection closed: waits for the rival again. False when there is none. */
bool gw_hedge_fall_back(struct gw_worker *worker, struct conn *conn);

/* The rival is no longer needed. Idempotent. */
void gw_hedge_drop_rival(struct gw_worker *worker, struct conn *conn);

#endif
