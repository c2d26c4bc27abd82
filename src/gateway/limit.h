/* SPDX-License-Identifier: MIT
 *
 * What clients may not do for ever, too often or too many at a time: struct board_limits of their listener, applied.
 */
#ifndef DARUMA_GATEWAY_LIMIT_H
#define DARUMA_GATEWAY_LIMIT_H

#include "gateway/worker.h"

/* For heads that were let in once, and are read again: what the file says now must not refuse them. */
extern const struct http1_limits gw_limit_any;

static inline const struct board_limits *gw_conn_limits(const struct gw_worker *worker, const struct conn *conn)
{
    return &worker->view->listeners[conn->listener].limits;
}

static inline void gw_limit_count(struct gw_worker *worker, enum gauge_limit limit)
{
    gw_count(&worker->gauges->limits[limit]);
}

/* Is there room for one connection more in all? */
bool gw_limit_room(const struct gw_worker *worker);

/* Counts the connection at its address. False when that has as many as it may have. Those of trusted proxies and Unix
   sockets are of many clients, and are not limited by it. */
bool gw_limit_enter(struct gw_worker *worker, struct conn *conn);
void gw_limit_leave(struct gw_worker *worker, struct conn *conn);

/* The request in worker->head has come, from its client or from a trusted proxy that names it: 0 when it may pass, else
   how many seconds later one may. */
uint32_t gw_limit_request(struct gw_worker *worker, struct conn *conn);

/* Part of the request's body has come. */
void gw_limit_body_came(const struct gw_worker *worker, struct conn *conn, size_t len);
/* SENDING, the body is not whole: when the client has not brought enough of it; 0: never. */
int64_t gw_limit_body_due(const struct gw_worker *worker, struct conn *conn);

#endif
