/* SPDX-License-Identifier: MIT
 *
 * Answers of our own: short, plain text, named.
 */
#ifndef DARUMA_GATEWAY_ANSWER_H
#define DARUMA_GATEWAY_ANSWER_H

#include "gateway/worker.h"

/* Puts an answer into `out` and begins to write it (state ANSWERING). `why` is a sentence for a person; NULL: the usual
   one of that status. 503 carries Retry-After. The connection is kept when its flags say that it may be. */
void gw_answer(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why);

/* The answer that the route itself says: its page, or where it redirects to. `worker->head` and `worker->path` are
   those of the request. */
void gw_answer_page(struct gw_worker *worker, struct conn *conn, const struct board_page *page);
void gw_answer_redirect(struct gw_worker *worker, struct conn *conn);

/* gw_answer() into plain memory, for a client that there is no slot for. Its length; at most `size`. */
size_t gw_answer_text(unsigned status, const char *why, bool head_only, bool close, char *out, size_t size);

#endif
