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

/* A request head is at most 16 KiB; its Host may appear twice more, each byte of it escaped once (X-Forwarded-Host,
   Forwarded); a route adds at most BOARD_REWRITE, the rest is small. */
enum { GW_FORWARD_MAX = 72 * 1024 };

/* Some bytes. */
struct gw_span {
    const char *text;
    size_t len;
};

/* What a route does to header fields: struct board_rewrite, as bytes. */
struct gw_rewrite {
    struct gw_span drop, add, add_on_success, locations;
};

struct gw_facts; /* expand.h */

enum { GW_REQUEST_ID = 32 };

struct gw_forward_request {
    struct gw_span peer;         /* the client's address as text */
    struct gw_span service;      /* the Host of requests that name none */
    bool trusted;                /* what it says about who was before it is believed and added to, else replaced */
    bool via;                    /* Via is added */
    uint32_t own;                /* enum board_own */
    uint16_t port;               /* that it connected to; 0: unknown */
    char made_id[GW_REQUEST_ID]; /* X-Request-Id, when it sent no usable one */
    struct gw_span target[3];    /* in place of the request's own target; the first without text: that one */
    const struct gw_facts *gaps; /* what the templates of `rewrite` are filled from */
    struct gw_rewrite rewrite;
};

/* Is it one that we pass on? At most 128 letters, digits and ._:/+=- */
bool gw_forward_id_valid(const char *text, size_t len);

/* The request's X-Request-Id when it is valid, else `made`. */
struct gw_span gw_forward_id(const char *buf, const struct http1_head *head, const char made[GW_REQUEST_ID]);

/* How often a request has come through a gateway of our kind, as its Via fields say. */
unsigned gw_forward_hops(const char *buf, const struct http1_head *head);

/* Writes the head of `buf` for an upstream. Its length, or -ENOSPC. Fields that are dropped are marked in `head`. */
ssize_t gw_forward_request(const char *buf, struct http1_head *head, const struct gw_forward_request *facts, char *out,
                           size_t size);

/* How many seconds the sender of a response keeps an idle connection: `Keep-Alive: timeout=5`. 0: it does not say, or
   nothing that can be used. */
uint32_t gw_forward_keep_alive(const char *buf, const struct http1_head *head);

struct gw_forward_response {
    const char *served_by;    /* NULL: no X-Served-By */
    bool close;               /* the client connection ends after this response */
    bool http10;              /* the client speaks HTTP/1.0 */
    bool dechunk;             /* the body goes out without its chunks, until close */
    bool enchunk;             /* a body until close goes out in chunks */
    struct gw_span date;      /* of an answer that does not say when it was made; none: nothing is added */
    struct gw_span cookie[3]; /* Set-Cookie: name, value, attributes; no name: none */
    struct gw_rewrite rewrite;
    const struct gw_facts *gaps; /* of the request; NULL: they have none */
};

/* Does add_header of such an answer count without `always`, as nginx has it? 200, 201, 204, 206, 301 … 304, 307, 308. */
bool gw_forward_is_good(unsigned status);

/* Writes a response head for the client; status 101 keeps its Upgrade. Its length, or -ENOSPC. */
ssize_t gw_forward_response(const char *buf, struct http1_head *head, const struct gw_forward_response *facts,
                            char *out, size_t size);

#endif
