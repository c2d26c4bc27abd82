/* SPDX-License-Identifier: MIT
 *
 * A client of the Docker Engine's API (https://docs.docker.com/engine/api/), over its Unix socket or TCP, in the
 * caller's loop: libcurl does HTTP, the loop watches its sockets and its timer. Nothing waits. Every call opens or
 * reuses a connection of its own, so that a stream or an answer that does not come holds up nobody else.
 *
 * The version of the API is the Engine's own, at most ENGINE_NEWEST and at least ENGINE_OLDEST. It is asked for by the
 * first call, and again after a call that found no Engine: another one may have taken its place.
 */
#ifndef DARUMA_RUNTIME_ENGINE_H
#define DARUMA_RUNTIME_ENGINE_H

#include "base/err.h"
#include "base/loop.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_OLDEST "1.41" /* Docker 20.10 */
#define ENGINE_NEWEST "1.47" /* what this client was written against */

struct engine;
struct engine_call;

struct engine_request {
    const char *method; /* "GET", "POST", "DELETE"; "PUT" with an upload */
    const char *path;   /* "/containers/json?all=1": without host and version; copied */
    json_t *body;       /* sent as JSON; borrowed, NULL: none */
    /* Instead of `body`: a tar archive that is read from here until its end; non-blocking, stays the caller's, is
       not to be closed before the call ended. 0: none. */
    int upload_fd;
    int64_t timeout_ns; /* for the whole call; 0: none, as a stream has none */
    void *owner;
    /* The head of a successful answer is there: a stream has begun. NULL: not told. Bound as `data` is. */
    void (*opened)(void *owner);
    /* Pieces of the body of a successful answer, as they come. NULL: the body is collected and parsed. It must not
       begin, cancel or free calls. */
    void (*data)(void *owner, const char *data, size_t len);
    /*
     * Ended; comes from the loop, never from inside engine_begin(), and is the last to be heard of the call.
     * `status`: that of HTTP; or a negative errno when there was no whole answer: -ENOENT and -ECONNREFUSED no Engine,
     * -EACCES not allowed to its socket, -ETIMEDOUT, -EPROTO too old, -EIO all else. `json`: the parsed body, or NULL;
     * borrowed. `err` says what went wrong from status 400 on and below 0, in the Engine's own words where it has any.
     */
    void (*done)(void *owner, int status, const json_t *json, const struct err *err);
};

/* `host` as DOCKER_HOST writes it: unix:///path or tcp://host:port; NULL or "": unix:///var/run/docker.sock. NULL with
   `err` when it is something else, or out of memory. */
struct engine *engine_new(struct loop *loop, const char *host, struct err *err);
/* Cancels every call. Accepts NULL. */
void engine_free(struct engine *engine);

/* Where the Engine is, for messages. */
const char *engine_host(const struct engine *engine);
/* Is it reached through a socket of this machine? */
bool engine_is_local(const struct engine *engine);
/* Is it on another machine, as far as its address says? */
bool engine_is_remote(const struct engine *engine);
/* Does it run as an ordinary user? Its socket is that user's then. */
bool engine_is_rootless(const struct engine *engine);
/* Is it Podman's service? False before its first answer. */
bool engine_is_podman(const struct engine *engine);

/* Begins a call. -ENOMEM. */
int engine_begin(struct engine *engine, const struct engine_request *request, struct engine_call **ret);
/* Ends it without another word. Accepts NULL. Not from inside `data`. */
void engine_cancel(struct engine_call *call);

/* Which version to speak with an Engine that says `theirs` ("1.43"); NULL when it is older than ENGINE_OLDEST. */
const char *engine_choose_version(const char *theirs);

/* Percent-encodes `text` for a path or a query behind `format`, which has one %s. NULL when out of memory; free(). */
char *engine_path(const char *format, const char *text) __attribute__((format_arg(1)));

#endif
