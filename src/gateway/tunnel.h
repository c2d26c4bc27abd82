/* SPDX-License-Identifier: MIT
 *
 * Two sockets joined as they are: TCP connections, and HTTP connections after 101.
 */
#ifndef DARUMA_GATEWAY_TUNNEL_H
#define DARUMA_GATEWAY_TUNNEL_H

#include "gateway/worker.h"

/* TUNNEL: one step in each direction. Ends of stream are passed on one by one. True when it is worth another step. */
bool gw_tunnel(struct gw_worker *worker, struct conn *conn);

#endif
