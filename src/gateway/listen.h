/* SPDX-License-Identifier: MIT
 *
 * Listening sockets, which all workers share, and accepting from them. When descriptors run out the worker stops
 * accepting for a moment and serves what it has.
 */
#ifndef DARUMA_GATEWAY_LISTEN_H
#define DARUMA_GATEWAY_LISTEN_H

#include "gateway/worker.h"

/* Takes the descriptor over as board listener `index`; one that was there before is closed. */
void gw_listen_add(struct gw_worker *worker, uint32_t index, uint32_t generation, int fd);
void gw_listen_close(struct gw_worker *worker, uint32_t index);
void gw_listen_close_all(struct gw_worker *worker);

/* Accepts a few. */
void gw_listen_accept(struct gw_worker *worker, uint32_t index);

/* Takes in a client that was accepted on board listener `index` and has no slot yet. */
void gw_listen_take(struct gw_worker *worker, uint32_t index, int fd);

/* The pause after a lack of descriptors is over. */
void gw_listen_resume(struct gw_worker *worker);

#endif
