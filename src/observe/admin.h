/* SPDX-License-Identifier: MIT
 *
 * The admin server: HTTP/1.1 on the project's Unix socket (libmicrohttpd, without threads, inside the supervisor's
 * loop). It only carries; what is answered is api.h's.
 */
#ifndef DARUMA_OBSERVE_ADMIN_H
#define DARUMA_OBSERVE_ADMIN_H

#include "base/err.h"
#include "base/loop.h"
#include "observe/api.h"

struct admin;

/* A listening Unix socket at `path`: the inherited one (base/inherit.h), else what an earlier owner left there is removed, so
   the caller holds the project's lock. A descriptor, or a negative errno with `err`. */
int admin_listen(const char *path, struct err *err);

/* Serves on `listen_fd`, which becomes the server's. `api` and `loop` outlive it. NULL with `err`. */
struct admin *admin_new(struct loop *loop, int listen_fd, const struct api *api, struct err *err);

/* There is something new for those who follow. Cheap; what comes at the same time is delivered together. */
void admin_wake(struct admin *admin);

/* Ends all streams properly (waiting a moment for clients that still read), closes everything. Accepts NULL. */
void admin_free(struct admin *admin);

#endif
