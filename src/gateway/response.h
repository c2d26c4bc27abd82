/* SPDX-License-Identifier: MIT
 *
 * An upstream's answer: its heads, interim ones too, are read and written anew in place; its body is followed as far as
 * its framing says, and framed anew where the client needs that.
 */
#ifndef DARUMA_GATEWAY_RESPONSE_H
#define DARUMA_GATEWAY_RESPONSE_H

#include "gateway/worker.h"

/* What a response's head may hold, for it has to lie in a block and grow there. */
extern const struct http1_limits gw_response_limits;

/* Reads from the upstream when what came before is out. True when something came; the attempt may have failed by that,
   or the answer be whole. */
bool gw_response_read(struct gw_worker *worker, struct conn *conn, struct upstream *upstream);

/* SENDING: looks at what has come of the head. False when it is nothing that may be passed on. */
bool gw_response_head(struct gw_worker *worker, struct conn *conn);

#endif
