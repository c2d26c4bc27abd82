/* SPDX-License-Identifier: MIT
 *
 * One request from its whole head to the end of its answer: route, placement, hold, the verdict when an instance dies,
 * and retries. TCP connections take the same way up to their tunnel.
 */
#ifndef DARUMA_GATEWAY_EXCHANGE_H
#define DARUMA_GATEWAY_EXCHANGE_H

#include "gateway/retry.h"
#include "gateway/worker.h"

/* The request head of `conn` is whole and in worker->head. */
void gw_exchange_request(struct gw_worker *worker, struct conn *conn);

/* A client of a TCP listener was accepted. */
void gw_exchange_tcp(struct gw_worker *worker, struct conn *conn);

/* Something happened on the upstream connection while it was on its way. */
void gw_exchange_arrived(struct gw_worker *worker, struct conn *conn);

/* The present attempt has failed. What follows: a verdict, another attempt, hold, or an answer of our own. */
void gw_exchange_fail(struct gw_worker *worker, struct conn *conn, enum retry_failure failure);

/* SENDING: the request turns out to be none that may go on. The attempt ends without blame, the answer is our own. */
void gw_exchange_refuse(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why);

/* VERDICT: has the board said by now how the instance ended? With `last` it is not waited for any longer. */
void gw_exchange_judge(struct gw_worker *worker, struct conn *conn, bool last);

/* The answer's status may be retried: true when another attempt was begun, and the answer is dropped. */
bool gw_exchange_retry_status(struct gw_worker *worker, struct conn *conn, unsigned status);

/* A whole head of an answer has come, an interim one (1xx) or the final one. */
void gw_exchange_answered(struct gw_worker *worker, struct conn *conn, unsigned status);

/* Begins an attempt wherever the request may go now. 0, or -ENOENT: no endpoint; -EBUSY: none that has room; -EAGAIN: it is
   not its turn, for it is under suspicion, or a retry that the budget has no room for. */
int gw_exchange_try(struct gw_worker *worker, struct conn *conn);

/* It is not served: an answer of our own, or the end of a TCP connection. */
void gw_exchange_give_up(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why);

/* Ends what is in progress, counts it, and closes the upstream connection if there still is one. Idempotent. */
void gw_exchange_drop(struct gw_worker *worker, struct conn *conn);

/* A second attempt on `endpoint`, beside the rival that was the first. Counts against the budget. */
void gw_exchange_second(struct gw_worker *worker, struct conn *conn, uint32_t endpoint);

/* Where the request could go now, to none that was tried; negative as gw_balance_pick() says. */
int gw_exchange_elsewhere(struct gw_worker *worker, const struct conn *conn);

/* May it be sent to two endpoints? */
bool gw_exchange_is_safe(const struct gw_worker *worker, const struct conn *conn);

/* Counts an error of `endpoint` with a request of `route`; with `blame` it may be left out for it. */
void gw_exchange_count_failure(struct gw_worker *worker, uint32_t endpoint, uint32_t generation, uint32_t route,
                               bool blame);

/* One less in flight on `endpoint`. */
void gw_exchange_landed(struct gw_worker *worker, uint32_t endpoint, uint32_t generation);

/* Takes the count of the attempt off the endpoint. Idempotent. */
void gw_exchange_attempt_over(struct gw_worker *worker, struct conn *conn);

#endif
