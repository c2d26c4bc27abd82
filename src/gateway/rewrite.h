/* SPDX-License-Identifier: MIT
 *
 * Which route a request takes when routes rewrite its path on the way: find the route, carry out its rules, find again.
 */
#ifndef DARUMA_GATEWAY_REWRITE_H
#define DARUMA_GATEWAY_REWRITE_H

#include "gateway/worker.h"

/* What came of it. */
struct gw_rewritten {
    unsigned status; /* 0: `route` is the one. 301, 302: the client is sent to `target`. Else refuse it with this */
    uint32_t route;  /* the last one that was found, GW_ROUTE_NONE: none */
    struct gw_span target; /* path and query as that route sees them: those of the request, or in worker->target */
    bool whole;            /* all of the path was rewritten: the route does not replace any of it */
};

/* For the request in worker->head; worker->path is that of `target` afterwards. Depends on the request and the board alone,
   so that it is done again for each attempt. */
struct gw_rewritten gw_rewrite_find(struct gw_worker *worker, const struct conn *conn);

#endif
