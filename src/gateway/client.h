/* SPDX-License-Identifier: MIT
 *
 * Who a client is: the other end of the connection, or whom a proxy that is trusted names. Pure.
 */
#ifndef DARUMA_GATEWAY_CLIENT_H
#define DARUMA_GATEWAY_CLIENT_H

#include "base/board.h"
#include "base/http1.h"
#include "gateway/slots.h"

#include <arpa/inet.h>

struct gw_client {
    uint8_t address[16]; /* network order */
    int family;          /* AF_INET, AF_INET6; anything else: it has no address */
};

/* The other end of the connection. */
struct gw_client gw_client_peer(const struct conn *conn);

/* Is its address in one of the networks? */
bool gw_client_is_in(const struct gw_client *client, const struct board_network *networks, uint32_t count);

/*
 * Whose request it is. When `client`, who sent it, is in one of the `trusted` networks, it is the last one in
 * X-Forwarded-For that is not; behind more proxies of ours, the first one. What is no address ends the search: nobody
 * that is trusted vouches for what stands before it.
 */
struct gw_client gw_client_behind(struct gw_client client, const char *buf, const struct http1_head *head,
                                  const struct board_network *trusted, uint32_t count);

/* Its address as text, "unknown" when it has none; the length. */
size_t gw_client_text(const struct gw_client *client, char text[INET6_ADDRSTRLEN]);

#endif
