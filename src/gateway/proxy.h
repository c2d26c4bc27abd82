/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol (base/proxy_header.h) on both sides: the header that a listener asks of every client before anything
 * else, and the one that services want to read first.
 */
#ifndef DARUMA_GATEWAY_PROXY_H
#define DARUMA_GATEWAY_PROXY_H

#include "gateway/worker.h"

/* Both ends of an accepted connection, as far as the socket tells. */
void gw_proxy_peer(struct conn *conn, const struct sockaddr *peer);

/* May this peer send a header to the listener? */
bool gw_proxy_allowed(const struct gw_worker *worker, const struct conn *conn);

/* PROXY: reads the header; who it names is then the client. True when it is worth another step. */
bool gw_proxy_read(struct gw_worker *worker, struct conn *conn);

/* Does this endpoint want a header? Then its connections are of one client each, and are not kept. */
static inline bool gw_proxy_wanted(const struct board *view, uint32_t endpoint)
{
    return view->services[view->endpoints[endpoint].service].proxy != 0;
}

/* Sends the header on a fresh upstream connection, if its endpoint wants one. 0 or a negative errno. */
int gw_proxy_send(struct gw_worker *worker, struct conn *conn);

#endif
