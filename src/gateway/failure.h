/* SPDX-License-Identifier: MIT
 *
 * An attempt that failed: what it was (the board's word about the instance decides), whom it is blamed on, and what
 * follows by the rules of retry.h: another attempt, hold, quarantine, or an answer of our own.
 */
#ifndef DARUMA_GATEWAY_FAILURE_H
#define DARUMA_GATEWAY_FAILURE_H

#include "gateway/retry.h"
#include "gateway/worker.h"

/* The present attempt has failed. */
void gw_failure(struct gw_worker *worker, struct conn *conn, enum retry_failure failure);

/* VERDICT: has the board said by now how the instance ended? With `last` it is not waited for any longer. */
void gw_failure_judge(struct gw_worker *worker, struct conn *conn, bool last);

/* Would somebody else be asked again after an answer of `endpoint`'s with that status, if there is anybody? */
bool gw_failure_is_unwelcome(struct gw_worker *worker, const struct conn *conn, uint32_t endpoint, uint32_t generation,
                             unsigned status);

/* The answer's status may be retried: true when another attempt was begun or goes on, and the answer is dropped. */
bool gw_failure_of_status(struct gw_worker *worker, struct conn *conn, unsigned status);

/* Counts an error of `endpoint` with a request of `route`; with `blame` it may be left out for it. */
void gw_failure_count(struct gw_worker *worker, uint32_t endpoint, uint32_t generation, uint32_t route, bool blame);

#endif
