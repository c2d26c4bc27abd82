/* SPDX-License-Identifier: MIT
 *
 * Heads as they are passed on: hop-by-hop fields removed, framing written anew from what was understood, our own fields
 * added. Pure: the same input gives the same bytes, so a head that was sent in part is written again and goes on.
 */
#ifndef DARUMA_GATEWAY_FORWARD_H
#define DARUMA_GATEWAY_FORWARD_H

#include "base/http1.h"

#include <stdbool.h>
#include <sys/types.h>

/* A request head is at most 16 KiB; its Host may appear twice more (X-Forwarded-Host), the rest is small. */
enum { GW_FORWARD_MAX = 48 * 1024 };

struct gw_forward_request {
    const char *peer; /* the client's address as text */
    size_t peer_len;
};

/* Writes the head of `buf` for an upstream. Its length, or -ENOSPC. */
ssize_t gw_forward_request(const char *buf, const struct http1_head *head, const struct gw_forward_request *facts,
                           char *out, size_t size);

struct gw_forward_response {
    const char *served_by; /* NULL: no X-Served-By */
    bool close;            /* the client connection ends after this response */
    bool http10;           /* the client speaks HTTP/1.0 */
    bool dechunk;          /* the body goes out without its chunks, until close */
};

/* Writes a response head for the client; status 101 keeps its Upgrade. Its length, or -ENOSPC. */
ssize_t gw_forward_response(const char *buf, const struct http1_head *head, const struct gw_forward_response *facts,
                            char *out, size_t size);

#endif
