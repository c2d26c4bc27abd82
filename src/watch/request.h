/* SPDX-License-Identifier: MIT
 *
 * What is sent: a URL and options become a whole HTTP/1.1 message, in which {n} is replaced by the probe's number.
 * Everything is checked and laid out once; rendering a probe's message neither allocates nor fails. Pure.
 */
#ifndef DARUMA_WATCH_REQUEST_H
#define DARUMA_WATCH_REQUEST_H

#include "base/err.h"
#include "base/http1.h"
#include "watch/jar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch_request_options {
    const char *url;            /* "http://host[:port][/path][?query]"; the scheme may be left out */
    const char *method;         /* NULL: GET, or POST when there is data */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
    const char *data;           /* NULL: no body */
    bool close;                 /* ask for a new connection each time */
    bool session;               /* leave room for cookies */
};

struct watch_request {
    char host[256], port[8];  /* for http_client_resolve(); an IPv6 address without brackets */
    enum http1_method method; /* decides the framing of the answer */
    char *head, *data;        /* texts with {n}; the head's last line is not there yet */
    bool varies;              /* every probe's message is another one */
    size_t max_len;           /* of a rendered message */
};

/* 0, or -EINVAL / -ENOMEM with `err`. */
int watch_request_init(struct watch_request *request, const struct watch_request_options *options, struct err *err);
/* Accepts zeroed ones. */
void watch_request_free(struct watch_request *request);

/* Writes probe `number`'s message to `out`, which has room for max_len bytes; its length. `jar` may be NULL. */
size_t watch_request_render(const struct watch_request *request, uint64_t number, const struct watch_jar *jar,
                            char *out);

#endif
