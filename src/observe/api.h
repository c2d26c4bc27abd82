/* SPDX-License-Identifier: MIT
 *
 * The admin API without its transport: requests come as method, path, query and body, and get a status with JSON, or
 * a feed. docs/admin-api.md is what it promises. What the supervisor does is behind functions that daemon/ fills in.
 */
#ifndef DARUMA_OBSERVE_API_H
#define DARUMA_OBSERVE_API_H

#include "base/err.h"
#include "observe/feed.h"
#include "observe/journal.h"

#include <jansson.h>
#include <stdbool.h>

enum { API_PAUSE_MAX_S = 3600 };

/*
 * What can be asked of the supervisor. JSON results are new references, NULL when out of memory. The others return 0
 * or a negative errno with `err`: -EINVAL becomes 400, -ENOENT and -ESRCH 404, -EBUSY and
 * -EALREADY 409, all else 500.
 */
struct api_calls {
    void *data;
    json_t *(*project)(void *data);
    json_t *(*instances)(void *data);
    json_t *(*gateway)(void *data);
    /* Appends the text for Prometheus (observe/metrics.h). */
    void (*metrics)(void *data, struct buf *out);
    /* `request` as documented. `ret` gets the answer, also with -EINVAL ({"error", "problems"}, answered as 422). */
    int (*up)(void *data, const json_t *request, json_t **ret, struct err *err);
    void (*down)(void *data, bool kill, bool volumes);
    /* `service` NULL: all. */
    int (*restart)(void *data, const char *service, struct err *err);
    /* `version` 0: the one before. */
    int (*rollback)(void *data, const char *service, uint32_t version, struct err *err);
    /* The receipts of deploys, oldest first. */
    json_t *(*deploys)(void *data);
    /* `path` NULL: where the running program was started from. */
    int (*upgrade)(void *data, const char *path, json_t **ret, struct err *err);
    json_t *(*upgrading)(void *data);
    int (*scale)(void *data, const char *service, int replicas, struct err *err);
    /* `name`: a service or an instance; NULL: all. */
    int (*kill)(void *data, const char *name, int signo, struct err *err);
    /* `services` NULL-terminated, NULL: all. `signo` 0: only picks. `ret`: what happened to whom. */
    int (*chaos_kill)(void *data, const char *const *services, uint64_t pick, int signo, bool allow_last, json_t **ret,
                      struct err *err);
    /* The same, but stops it for `ns`. */
    int (*chaos_pause)(void *data, const char *const *services, uint64_t pick, int64_t ns, bool allow_last,
                       json_t **ret, struct err *err);
};

struct api {
    struct api_calls calls;
    const struct journal *journal;
    const char *logs_dir;
    const struct logs *logs;
};

struct api_request {
    const char *method, *path; /* the path without its query */
    const char *body;
    size_t body_len;
    /* The n-th value of a query parameter, or NULL. */
    const char *(*query)(const struct api_request *request, const char *name, size_t n);
    void *data; /* query's */
};

struct api_answer {
    unsigned status;
    json_t *json;     /* owned by who asked; NULL: no body */
    char *text;       /* instead of it, for Prometheus; owned by who asked; NULL: none */
    struct feed feed; /* is_feed: to be streamed, then feed_end() */
    bool is_feed;
    const char *allow; /* 405: the method that works here */
};

/* Always answers. */
void api_handle(const struct api *api, const struct api_request *request, struct api_answer *ret);

#endif
