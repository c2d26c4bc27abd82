/* SPDX-License-Identifier: MIT
 *
 * What `up` is asked for, as it travels from the command to the supervisor (POST /v1/up) and is kept there for
 * SIGHUP: the request that loads the project, the services that are meant and the numbers of replicas.
 */
#ifndef DARUMA_DAEMON_REQUEST_H
#define DARUMA_DAEMON_REQUEST_H

#include "base/err.h"
#include "compose/spec.h"

#include <jansson.h>

struct up_request {
    json_t *json; /* owns all strings */
    int64_t id;   /* the same number, the same request: it is done once. 0: none */
    struct compose_request compose;
    const char *const *services; /* NULL: all */
    const char *runtime;         /* --runtime or DARUMA_RUNTIME; NULL: neither */
    const char *const *renew;    /* services to be deployed anew, changed or not; NULL: none */
    bool build;                  /* images that are built are built anew first */
    bool replace;                /* deploys that go on turn round first */
    bool dry_run;                /* only says what would be done */
    const char **lists[6];       /* the arrays behind the lists above */
};

/* As docs/admin-api.md describes it. `scale`: {"SERVICE": N}, borrowed, may be NULL. NULL when out of memory. */
json_t *up_request_json(const struct compose_request *compose, const char *const *services, const json_t *scale,
                        const char *runtime);

/* Keeps a reference to `json`. -EINVAL with `err` when it has not the documented form. */
int up_request_parse(const json_t *json, struct up_request *ret, struct err *err);
/* What it leaves open, because its command does not ask for it, stays as the last one had it: `replace_nginx`. */
void up_request_inherit(struct up_request *request, const struct up_request *last);
/* Accepts a zeroed one. */
void up_request_free(struct up_request *request);

/* Puts the wanted numbers of replicas and what is to be built into the spec, and checks that the services that are named exist. -ENOENT or
   -EINVAL with `err`. */
int up_request_apply(const struct up_request *request, struct spec *spec, struct err *err);

#endif
