/* SPDX-License-Identifier: MIT
 *
 * What a worker hears from the supervisor: the board, of which it keeps a copy (worker->view), and messages on its channel
 * (gateway.h), which bring listeners, and say when to drain and as which program to go on.
 */
#ifndef DARUMA_GATEWAY_CHANNEL_H
#define DARUMA_GATEWAY_CHANNEL_H

#include "gateway/worker.h"

/* Takes the board as it is now, with all that follows from what changed on it. Cheap when nothing did. */
void gw_channel_board(struct gw_worker *worker);

/* Carries out what messages there are. The end of the channel is the end of the worker (worker->over). */
void gw_channel_read(struct gw_worker *worker);

/* Rings for the supervisor to look at the gauges, or at what the worker has done. */
void gw_channel_ring(const struct gw_worker *worker);

#endif
