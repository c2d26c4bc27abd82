/* SPDX-License-Identifier: MIT
 *
 * Fills the gaps of a template (base/template.h) with what one request says. Pure.
 */
#ifndef DARUMA_GATEWAY_EXPAND_H
#define DARUMA_GATEWAY_EXPAND_H

#include "base/http1.h"
#include "base/template.h"
#include "gateway/route.h"
#include "gateway/text.h"

#include <netinet/in.h>

/* What is known of the request. */
struct gw_facts {
    const char *buf;
    const struct http1_head *head; /* of the request, over `buf`; NULL: not at hand any more, such gaps stay empty */
    struct gw_span peer;           /* the client's address as text */
    const char *made_id;           /* X-Request-Id when it sent no usable one */
    uint16_t port;                 /* that it connected to */
    struct gw_span target;         /* its path and query as the route sees them; with `path` */
    const struct gw_path *path;    /* normalised; NULL: not at hand */
    struct gw_span rest[3];        /* what follows the route's path; without text: the path */
};

/* The same with room for what is made for it. */
struct gw_gathered {
    struct gw_facts facts;
    char peer[INET6_ADDRSTRLEN];
    char id[GW_REQUEST_ID];
    bool whole; /* all of the path was rewritten (rewrite.h) */
};

/* The request's Host without its port, as it was written. */
struct gw_span gw_expand_host(const char *buf, struct http1_slice host);

/* Appends the template with its gaps filled. */
void gw_expand(struct text *text, struct gw_span template, const struct gw_facts *facts);

/* Appends header lines, "Name: template\r\n" each. A line whose gaps leave it without a value is left out. */
void gw_expand_lines(struct text *text, struct gw_span lines, const struct gw_facts *facts);

#endif
