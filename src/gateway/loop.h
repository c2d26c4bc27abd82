/* SPDX-License-Identifier: MIT
 *
 * The loop of a worker: one thread, one epoll set, edge-triggered. Turns: wait, take the time, hand each event to its
 * slot, then what is due and what was left over. It sleeps by an alarm that stays set, not by a timeout.
 */
#ifndef DARUMA_GATEWAY_LOOP_H
#define DARUMA_GATEWAY_LOOP_H

#include "gateway/worker.h"

/* One turn: sleeps until there is something to do, and does it. */
void gw_loop_turn(struct gw_worker *worker);

/* The guard's descriptor is another one after a new guard was made. 0 or a negative errno. */
int gw_loop_watch_guard(struct gw_worker *worker);

/* Carries out what epoll has to say, or would have had, and clears `event->events`. */
struct epoll_event;
void gw_loop_event(struct gw_worker *worker, struct epoll_event *event);

/* Puts the connection on the list of those to be driven in the next turn: it could go on, but others want to as well. */
void gw_loop_again(struct gw_worker *worker, struct conn *conn);

#endif
