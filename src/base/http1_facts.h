/* SPDX-License-Identifier: MIT
 *
 * What the fields of a whole head say together: how long the body is, whose request it is, whether the connection may be
 * used again. The second half of the parser behind http1.h, for http1.c alone: framing that two readers could understand
 * differently is refused here.
 */
#ifndef DARUMA_BASE_HTTP1_FACTS_H
#define DARUMA_BASE_HTTP1_FACTS_H

#include "base/http1.h"

struct http1_facts {
    bool length, coding;   /* Content-Length, Transfer-Encoding present */
    bool chunked, unknown; /* the codings: chunked as the last; one that we do not know */
    bool malformed, too_long;
    uint64_t content_length;
    unsigned hosts;
    struct http1_slice host;
    bool close, keep_alive, upgrade, upgrade_field, expect;
};

/* Reads all fields of `head` into `facts`, which is zero-initialised; sets their hop_by_hop as Connection says, and
   head->keep_alive. 0, or -1 when Connection names too many. */
int http1_facts_read(const char *buf, struct http1_head *head, struct http1_facts *facts);

/* RFC 9112 §3.2, §6.1 and §6.3 for a request: fills in framing, host and path. 0 or the negated status. */
int http1_judge_request(const char *buf, struct http1_head *head, const struct http1_facts *facts);

/* RFC 9112 §6.3 for the response to a `request`: fills in framing. 0 or -EBADMSG. */
int http1_judge_response(struct http1_head *head, const struct http1_facts *facts, enum http1_method request);

#endif
