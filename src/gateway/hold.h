/* SPDX-License-Identifier: MIT
 *
 * Requests that wait (HELD): in `held` for an endpoint, which the board announces, or for their turn; in the queue
 * of a service for room on one of its endpoints, each of which has as much in flight as it may.
 *
 * A queue is in order of arrival, over all workers: each tells the others since when its first one waits, and leaves room
 * to whoever came first.
 */
#ifndef DARUMA_GATEWAY_HOLD_H
#define DARUMA_GATEWAY_HOLD_H

#include "gateway/worker.h"

/* No endpoint at the moment: `why` as gw_attempt_place() says it. Waits as long as the route allows; when that is over, or
   too many wait already, the answer is 503. */
void gw_hold(struct gw_worker *worker, struct conn *conn, int why);

/* HELD, and the time is over. */
void gw_hold_expired(struct gw_worker *worker, struct conn *conn);

/* For the one setter, gw_conn_step(): the state HELD begins, it ends. */
void gw_hold_enter(struct gw_worker *worker, struct conn *conn);
void gw_hold_leave(struct gw_worker *worker, struct conn *conn);

/* One that was held by a worker before us, in the order in which they came. */
void gw_hold_adopt(struct gw_worker *worker, struct conn *conn);

/* Its client has just ended its side of the connection. Who does so with the request has said all that there is to say, and
   waits for the answer; who does so after a second of waiting has given up, and would keep room from those who have not. */
bool gw_hold_given_up(const struct gw_worker *worker, const struct conn *conn);

/* The board has changed, or it may be the turn of somebody: tries all that wait, judges those that wait for a verdict. */
void gw_hold_wake(struct gw_worker *worker);

/* There may be room again: tries the first ones of the queues. */
void gw_hold_serve(struct gw_worker *worker);

#endif
