/* SPDX-License-Identifier: MIT
 *
 * Answers of our own: short, plain text, named.
 */
#ifndef DARUMA_GATEWAY_ANSWER_H
#define DARUMA_GATEWAY_ANSWER_H

#include "gateway/worker.h"

/* Puts an answer into `out` and begins to write it (state ANSWERING). `why` is a sentence for a person; NULL: the usual
   one of that status. 429 and 503 carry Retry-After. The connection is kept when its flags say that it may be. */
void gw_answer(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why);

/* The answer that the route itself says: its page, or where it redirects to. `worker->head` and `worker->path` are
   those of the request. */
void gw_answer_page(struct gw_worker *worker, struct conn *conn, const struct board_page *page);
/* Sends the client there; `location` may lie in worker->scratch or worker->target. */
void gw_answer_location(struct gw_worker *worker, struct conn *conn, unsigned status, struct gw_span location);
void gw_answer_redirect(struct gw_worker *worker, struct conn *conn);

/* What the route answers in place of that status; NULL: nothing of its own. */
const struct board_error_page *gw_answer_error_page(const struct gw_worker *worker, const struct conn *conn,
                                                    unsigned status);
void gw_answer_error(struct gw_worker *worker, struct conn *conn, const struct board_error_page *error,
                     unsigned status);

/* 429: the request came too early by so many seconds. */
void gw_answer_too_often(struct gw_worker *worker, struct conn *conn, uint32_t retry_after_s);

/* The same into plain memory, for a client that there is no slot for. Its length; at most `size`. */
struct gw_answer {
    unsigned status;
    const char *why;
    uint32_t retry_after_s; /* 0: a second for 429 and 503, else not said */
    bool head_only, close;
};
size_t gw_answer_text(const struct gw_answer *answer, char *out, size_t size);

#endif
