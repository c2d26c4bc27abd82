/* SPDX-License-Identifier: MIT
 *
 * How a worker takes over from one that has died: descriptors are open in the table that they shared, what each of them is
 * stands in the arena. docs/adoption.md explains it with its arithmetic.
 *
 * In this order: the connection that was in hand is put back to its last mark (mark.h); each slot is checked, and one that
 * does not pass is dropped alone; descriptors that are no slot's are closed, but for a socket that was just accepted;
 * lists, pools, counts and deadlines are built anew; the kernel is asked what the last call of the dead one has moved;
 * events that it had fetched are carried out; sockets at which something goes on are asked what they are ready for now.
 * Then it serves. Clients that rest, as most of many do, are proven in the turns that follow, or when they are next in hand.
 */
#ifndef DARUMA_GATEWAY_ADOPT_H
#define DARUMA_GATEWAY_ADOPT_H

#include "gateway/worker.h"

/* Can the arena be used at all? It is of our layout and size, and no adoption of it has failed several times in a row. */
bool gw_adopt_possible(const struct gw_worker *worker);

/* Opens the epoll set and the alarm, or takes over those that are there. 0 or a negative errno. */
int gw_adopt_epoll(struct gw_worker *worker);

/* Takes over everything else; nothing in the first life. The view is that of now. 0 or -ENOMEM. */
int gw_adopt(struct gw_worker *worker);

/* Proves some more of those that rest, and tells of the adoption when all are. For each turn while worker->proven is not GW_NONE. */
void gw_adopt_go_on(struct gw_worker *worker);

/* Asks an unproven connection's socket for its SO_COOKIE. False: it is another one, and the slot has been given up. */
bool gw_adopt_prove(struct gw_worker *worker, struct conn *conn);

/* To be asked before an idle connection is taken in hand: is its descriptor what the slot says? */
static inline bool gw_adopt_holds(struct gw_worker *worker, struct conn *conn)
{
    return !(conn->flags & CONN_UNPROVEN) || gw_adopt_prove(worker, conn);
}

#endif
