/* SPDX-License-Identifier: MIT
 *
 * How a worker takes over from one that has died: descriptors are open in the table that they shared, what each of them is
 * stands in the arena. docs/adoption.md explains it with its arithmetic.
 *
 * In this order: the connection that was in hand is put back to its last mark (mark.h); each slot is checked, and one that
 * does not pass is dropped alone; descriptors that are no slot's are closed, but for a socket that was just accepted;
 * lists, pools, counts and deadlines are built anew; the kernel is asked what the last call of the dead one has moved, and
 * what every socket is ready for now.
 */
#ifndef DARUMA_GATEWAY_ADOPT_H
#define DARUMA_GATEWAY_ADOPT_H

#include "gateway/worker.h"

/* Can the arena be used at all? It is of our layout and size, and no adoption of it has failed several times in a row. */
bool gw_adopt_possible(const struct gw_worker *worker);

/* Opens the epoll set, or takes over the one that is there. 0 or a negative errno. */
int gw_adopt_epoll(struct gw_worker *worker);

/* Takes over everything else; nothing in the first life. The view is that of now. 0 or -ENOMEM. */
int gw_adopt(struct gw_worker *worker);

#endif
