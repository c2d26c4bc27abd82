/* SPDX-License-Identifier: MIT
 *
 * How long clients wait for an answer of an instance, and for how long at most nobody was given one although somebody
 * waited: counted by route (struct route_gauge). An answer is what is below 500.
 */
#ifndef DARUMA_GATEWAY_WAITS_H
#define DARUMA_GATEWAY_WAITS_H

#include "gateway/worker.h"

/* The request waits from now on. */
void gw_waits_begin(struct gw_worker *worker, struct conn *conn);
/* The head of its answer is there. Nothing if it does not wait. */
void gw_waits_answered(struct gw_worker *worker, struct conn *conn);
/* It has ended. Nothing if it does not wait. */
void gw_waits_over(struct gw_worker *worker, struct conn *conn);

/* For a worker that takes over: nobody waits; and then for each connection, which may. */
void gw_waits_forget(struct gw_worker *worker);
void gw_waits_adopt(struct gw_worker *worker, const struct conn *conn);

#endif
