/* SPDX-License-Identifier: MIT
 *
 * What a route of the file says about hosts, paths, pages and header fields, put on the board.
 */
#ifndef DARUMA_DAEMON_ROUTES_H
#define DARUMA_DAEMON_ROUTES_H

#include "base/board.h"
#include "compose/spec.h"

/* Fills in all of `ret` that does not concern targets, times and retries. 0, or -ENOSPC when the board has no room for its
   strings. */
int routes_fill(struct board *board, const struct spec_route *route, struct board_route *ret);

/* How it chooses an instance. 0 or -ENOSPC. */
int routes_fill_balance(struct board *board, const struct spec_balance *balance, struct board_route *ret);

/* What counts for all routes: whom the gateway believes, whether it adds Via, whether it names the instance. */
void routes_fill_common(struct board *board, const struct spec *spec);

/* Networks as the board holds them. How many fit. */
uint32_t routes_fill_networks(const struct spec_network *networks, size_t len, struct board_network *ret, size_t room);

#endif
