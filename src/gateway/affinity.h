/* SPDX-License-Identifier: MIT
 *
 * What binds a request to an endpoint: the hash of its source, of a header field or a cookie, or the endpoint that a sticky
 * cookie names. Pure: over a parsed head.
 */
#ifndef DARUMA_GATEWAY_AFFINITY_H
#define DARUMA_GATEWAY_AFFINITY_H

#include "base/board.h"
#include "base/http1.h"
#include "gateway/client.h"
#include "gateway/forward.h"

/* The key of a request for placement (balance_request.key): where it lies on the ring in the upper half. 0: it has none,
   or its route asks for none. The source of a request from a trusted `peer` is whom that names (client.h); of one without
   an address there is none. `buf` and `head` are NULL for TCP. */
uint64_t gw_affinity_key(const struct board *view, const struct board_route *route, const char *buf,
                         const struct http1_head *head, struct gw_client peer);

/* The value of a cookie, RFC 6265 §4.2.1; the first one of that name. Without text when there is none. */
struct gw_span gw_affinity_cookie(const char *buf, const struct http1_head *head, struct gw_span name);

/* What a sticky cookie holds for that key of an endpoint. */
enum { GW_STICKY_VALUE = 8 };
void gw_affinity_write(uint64_t key, char value[GW_STICKY_VALUE]);

#endif
