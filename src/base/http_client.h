/* SPDX-License-Identifier: MIT
 *
 * One HTTP/1.1 exchange at a time over one non-blocking connection, driven by the caller's loop: for health probes,
 * the monitor and the monkey. No redirects, no TLS, no allocation after http_client_init(). The body is counted, and
 * its first bytes kept for messages; it is not delivered.
 */
#ifndef DARUMA_BASE_HTTP_CLIENT_H
#define DARUMA_BASE_HTTP_CLIENT_H

#include "base/board.h"
#include "base/http1.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_client_state {
    HTTP_CLIENT_CLOSED,     /* no connection */
    HTTP_CLIENT_CONNECTING, /* wants EPOLLOUT */
    HTTP_CLIENT_SENDING,    /* wants EPOLLOUT */
    HTTP_CLIENT_HEAD,       /* wants EPOLLIN: waiting for the response head */
    HTTP_CLIENT_BODY,       /* wants EPOLLIN */
    HTTP_CLIENT_DONE,       /* the response is whole; the connection is kept when `reusable` */
    HTTP_CLIENT_FAILED,     /* see `error`; the connection is closed */
};

enum { HTTP_CLIENT_BUFFER = 8192 };

struct http_client {
    int fd; /* -1: none */
    enum http_client_state state;
    int error;       /* FAILED: negative errno; -EBADMSG: malformed response, -EPIPE: closed before its end */
    bool reusable;   /* DONE: another request may be sent on this connection */
    bool reused;     /* this exchange was sent on a connection that had served before */
    bool keep_alive; /* from BODY on: the response allows another request on this connection */
    uint16_t status; /* from BODY on */
    uint64_t body_bytes;
    const char *request; /* the caller's, until the exchange ended */
    size_t request_len, request_sent;
    enum http1_method method;
    enum http1_framing framing;
    uint64_t body_left;
    struct http1_chunked chunked;
    uint32_t head_len;   /* buffer[0 … head_len): the response head, readable until the next exchange */
    uint32_t buffer_len; /* buffer[head_len … buffer_len): the body's first bytes, chunk framing taken off */
    /* Scratch that the caller lends (large; one may serve many clients): valid in the step in which `state` left HEAD. */
    struct http1_head *head;
    char buffer[HTTP_CLIENT_BUFFER];
};

void http_client_init(struct http_client *client, struct http1_head *scratch);

/*
 * Begins an exchange: sends `request` (a whole HTTP/1.1 message, which stays the caller's) on the kept connection, or
 * on a new one to `address`. 0, or a negative errno when no connection could be begun (state FAILED).
 */
int http_client_start(struct http_client *client, const struct board_address *address, enum http1_method method,
                      const char *request, size_t len);

/*
 * Goes on as far as possible without blocking; to be called when the descriptor is ready, and once after start.
 * Returns the epoll events to wait for next (EPOLLIN or EPOLLOUT), 0 when the exchange ended (DONE or FAILED).
 */
uint32_t http_client_step(struct http_client *client);

/* Closes the connection, whatever its state. Idempotent. */
void http_client_close(struct http_client *client);

/* The value of a response header field of this exchange, copied and shortened to `text`; false when it is absent. */
bool http_client_header(const struct http_client *client, const char *name, char *text, size_t size);

/* Resolves "host:port" (getaddrinfo(3), blocking) or takes a "unix:/path". 0 or a negative errno with `err`. */
int http_client_resolve(const char *host, const char *port, struct board_address *ret, struct err *err);

#endif
