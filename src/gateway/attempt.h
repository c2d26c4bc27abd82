/* SPDX-License-Identifier: MIT
 *
 * One attempt of a request on one endpoint: where it goes, what it counts for, and its way up to the first byte that is
 * sent. A request that is retried has several, one with a rival has two at a time (hedge.h).
 */
#ifndef DARUMA_GATEWAY_ATTEMPT_H
#define DARUMA_GATEWAY_ATTEMPT_H

#include "gateway/retry.h"
#include "gateway/worker.h"

/* Where the request could go now, to none that was tried; negative as gw_balance_pick() says. */
int gw_attempt_elsewhere(struct gw_worker *worker, const struct conn *conn);

/* May it be sent to two endpoints? */
bool gw_attempt_is_safe(const struct gw_worker *worker, const struct conn *conn);

/* Begins an attempt wherever the request may go now. 0, or -ENOENT: no endpoint; -EBUSY: none that has room; -EAGAIN: it is
   not its turn, for it is under suspicion, or a retry that the budget has no room for. */
int gw_attempt_place(struct gw_worker *worker, struct conn *conn);

/* As above, and holds the request (hold.h) when it may go nowhere. */
void gw_attempt_or_hold(struct gw_worker *worker, struct conn *conn);

/* Does the budget (retry.h) allow another attempt after one that failed, or, `beside`, a second one beside the first? */
bool gw_attempt_has_room(const struct gw_worker *worker, const struct conn *conn, bool beside);

/* An attempt on `endpoint`. `fresh`: another one on the same endpoint, and on no kept connection. */
void gw_attempt(struct gw_worker *worker, struct conn *conn, uint32_t endpoint, bool fresh);

/* A second attempt on `endpoint`, beside the rival that was the first. Counts against the budget of such ones. */
void gw_attempt_second(struct gw_worker *worker, struct conn *conn, uint32_t endpoint);

/* The next attempt follows such a failure: is it one of those that the route and the budget allow? */
void gw_attempt_count_retry(struct gw_worker *worker, struct conn *conn, enum retry_failure failure);

/* Something happened on the upstream connection while it was on its way. */
void gw_attempt_arrived(struct gw_worker *worker, struct conn *conn);

/* Its connection speaks another protocol from now on, and is counted as such, too. */
void gw_attempt_upgraded(struct gw_worker *worker, struct conn *conn);
/* Takes the count of the attempt off the endpoint. Idempotent. */
void gw_attempt_over(struct gw_worker *worker, struct conn *conn);

/* One less in flight on `endpoint`. */
void gw_attempt_landed(struct gw_worker *worker, uint32_t endpoint, uint32_t generation);

#endif
