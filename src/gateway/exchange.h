/* SPDX-License-Identifier: MIT
 *
 * One request from its whole head to the end of its answer: which route it takes, whether it may pass, and what is counted.
 * Where it goes is attempt.h, what happens when that fails is failure.h. TCP connections take the same way up to their
 * tunnel.
 */
#ifndef DARUMA_GATEWAY_EXCHANGE_H
#define DARUMA_GATEWAY_EXCHANGE_H

#include "gateway/worker.h"

/* The request head of `conn` is whole and in worker->head. */
void gw_exchange_request(struct gw_worker *worker, struct conn *conn);

/* A client of a TCP listener was accepted. */
void gw_exchange_tcp(struct gw_worker *worker, struct conn *conn);

/* SENDING: the request turns out to be none that may go on. The attempt ends without blame, the answer is our own. */
void gw_exchange_refuse(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why);

/* A whole head of an answer has come, an interim one (1xx) or the final one. */
void gw_exchange_answered(struct gw_worker *worker, struct conn *conn, unsigned status);

/* `endpoint`, which is still the one that was asked, has answered with a 5xx. */
void gw_exchange_count_5xx(struct gw_worker *worker, const struct conn *conn, uint32_t endpoint);

/* It is not served: an answer of our own, or the end of a TCP connection. */
void gw_exchange_give_up(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why);

/* Ends what is in progress, counts it, and closes the upstream connection if there still is one. Idempotent. */
void gw_exchange_drop(struct gw_worker *worker, struct conn *conn);

#endif
