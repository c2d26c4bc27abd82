/* SPDX-License-Identifier: MIT
 *
 * The buffer of an exchange:
 *
 *     buffer ┌ head ┬ first bytes of the body, without chunk framing ┬ free ┐
 *            0      head_len                                         buffer_len
 *
 * What does not fit any more is counted and dropped. No read is tried that is likely to find nothing: after the
 * request was sent, and after a read that did not fill its room, the caller's level-triggered loop says when to go on.
 */
#include "base/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void http_client_init(struct http_client *client, struct http1_head *scratch)
{
    /* The buffer stays untouched: thousands of clients that are never used shall cost no memory. */
    memset(client, 0, offsetof(struct http_client, buffer));
    client->fd = -1;
    client->head = scratch;
}

void http_client_close(struct http_client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
    client->state = HTTP_CLIENT_CLOSED;
    client->reusable = false;
}

static uint32_t fail(struct http_client *client, int error)
{
    http_client_close(client);
    client->state = HTTP_CLIENT_FAILED;
    client->error = error;
    return 0;
}

static uint32_t done(struct http_client *client, bool reusable)
{
    if (!reusable)
        http_client_close(client);
    client->state = HTTP_CLIENT_DONE;
    client->reusable = reusable;
    return 0;
}

/* 0 when the connection is there or on its way, or a negative errno. */
static int begin_connection(struct http_client *client, const struct board_address *address)
{
    int family = address->u.any.sa_family, on = 1;

    client->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return -errno;
    if (family != AF_UNIX)
        (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(client->fd, &address->u.any, address->len) < 0 && errno != EINPROGRESS)
        return -errno;
    return 0;
}

int http_client_start(struct http_client *client, const struct board_address *address, enum http1_method method,
                      const char *request, size_t len)
{
    bool reused = client->state == HTTP_CLIENT_DONE && client->reusable;

    client->error = 0;
    client->status = 0;
    client->body_bytes = 0;
    client->request = request;
    client->request_len = len;
    client->request_sent = 0;
    client->method = method;
    client->head_len = 0;
    client->buffer_len = 0;
    client->reused = reused;
    client->reusable = false;
    if (reused) {
        client->state = HTTP_CLIENT_SENDING;
        return 0;
    }
    http_client_close(client);
    int r = begin_connection(client, address);
    if (r < 0) {
        (void)fail(client, r);
        return r;
    }
    client->state = HTTP_CLIENT_CONNECTING;
    return 0;
}

/* A connection that is still being made answers EAGAIN, one that failed its error: sending is the test. */
static uint32_t step_send(struct http_client *client)
{
    while (client->request_sent < client->request_len) {
        ssize_t n = send(client->fd, client->request + client->request_sent, client->request_len - client->request_sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return EPOLLOUT;
        if (n < 0)
            return fail(client, -errno);
        client->state = HTTP_CLIENT_SENDING;
        client->request_sent += (size_t)n;
    }
    client->state = HTTP_CLIENT_HEAD;
    return EPOLLIN;
}

/* Accounts `len` bytes of the body at `data`, which is the end of the buffer when `kept`. EPOLLIN: more to come. */
static uint32_t take_body(struct http_client *client, char *data, size_t len, bool kept)
{
    size_t used = len, payload = len;
    bool ended = false;

    if (client->framing == HTTP1_LENGTH) {
        if (used > client->body_left)
            used = (size_t)client->body_left;
        client->body_left -= used;
        payload = used;
        ended = client->body_left == 0;
    } else if (client->framing == HTTP1_CHUNKED) {
        ssize_t n = http1_chunked_data(&client->chunked, data, len, data, &payload);
        if (n < 0)
            return fail(client, (int)n);
        used = (size_t)n;
        ended = client->chunked.done;
    }
    client->body_bytes += payload;
    if (kept)
        client->buffer_len += (uint32_t)payload;
    if (!ended)
        return EPOLLIN;
    /* Bytes behind the end belong to no request of ours: what they mean on a kept connection nobody can say. */
    return done(client, client->keep_alive && used == len);
}

/* Reads what is in the buffer as a head, passing over interim responses. EPOLLIN: more to come. */
static uint32_t take_head(struct http_client *client)
{
    static const struct http1_limits limits = {
        .head = HTTP_CLIENT_BUFFER,
        .target = HTTP_CLIENT_BUFFER,
        .headers = HTTP1_HEADERS,
    };
    struct http1_head *head = client->head;

    for (;;) {
        int n = http1_parse_response(client->buffer, client->buffer_len, client->method, &limits, head);
        if (n < 0)
            return fail(client, n);
        if (n == 0)
            return EPOLLIN;
        client->head_len = (uint32_t)n;
        client->status = head->status;
        if (head->status >= 200 || head->status == 101)
            break;
        client->buffer_len -= client->head_len;
        memmove(client->buffer, client->buffer + client->head_len, client->buffer_len);
        client->head_len = 0;
    }
    size_t rest = client->buffer_len - client->head_len;
    client->framing = head->framing;
    client->body_left = head->content_length;
    client->chunked = (struct http1_chunked){ 0 };
    client->keep_alive = head->keep_alive;
    if (client->framing == HTTP1_NO_BODY)
        return done(client, head->keep_alive && head->status != 101 && rest == 0);
    client->state = HTTP_CLIENT_BODY;
    client->buffer_len = client->head_len;
    return rest ? take_body(client, client->buffer + client->head_len, rest, true) : EPOLLIN;
}

static uint32_t at_end_of_stream(struct http_client *client)
{
    if (client->state == HTTP_CLIENT_BODY && client->framing == HTTP1_UNTIL_CLOSE)
        return done(client, false);
    return fail(client, -EPIPE);
}

static uint32_t step_receive(struct http_client *client)
{
    char drop[16 * 1024];

    for (;;) {
        /* A head always finds room: http1_parse_response() refuses one that fills the buffer. */
        bool kept = client->buffer_len < HTTP_CLIENT_BUFFER;
        /* cppcheck-suppress legacyUninitvar; it is written to, never read */
        char *to = kept ? client->buffer + client->buffer_len : drop;
        size_t room = kept ? HTTP_CLIENT_BUFFER - client->buffer_len : sizeof(drop);
        ssize_t n = recv(client->fd, to, room, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? EPOLLIN : fail(client, -errno);
        if (n == 0)
            return at_end_of_stream(client);
        uint32_t next;
        if (client->state == HTTP_CLIENT_HEAD) {
            client->buffer_len += (uint32_t)n;
            next = take_head(client);
        } else {
            next = take_body(client, to, (size_t)n, kept);
        }
        if (!next || (size_t)n < room)
            return next;
    }
}

uint32_t http_client_step(struct http_client *client)
{
    switch (client->state) {
    case HTTP_CLIENT_CONNECTING:
    case HTTP_CLIENT_SENDING:
        return step_send(client);
    case HTTP_CLIENT_HEAD:
    case HTTP_CLIENT_BODY:
        return step_receive(client);
    case HTTP_CLIENT_CLOSED:
    case HTTP_CLIENT_DONE:
    case HTTP_CLIENT_FAILED:
        break;
    }
    return 0;
}

bool http_client_header(const struct http_client *client, const char *name, char *text, size_t size)
{
    const char *at = client->buffer, *end = at + client->head_len;
    size_t name_len = strlen(name);

    while (at < end) {
        const char *line_end = memchr(at, '\r', (size_t)(end - at));
        if (!line_end)
            break;
        if ((size_t)(line_end - at) > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0) {
            for (at += name_len + 1; at < line_end && (*at == ' ' || *at == '\t'); at++)
                ;
            while (line_end > at && (line_end[-1] == ' ' || line_end[-1] == '\t'))
                line_end--;
            (void)snprintf(text, size, "%.*s", (int)(line_end - at), at);
            return true;
        }
        at = line_end + 2;
    }
    return false;
}

static int unix_address(const char *path, struct board_address *ret, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(address.sun_path))
        return err_set(err, -EINVAL, "\"%s\" is no path of a Unix socket (1 to %zu bytes)", path,
                       sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, len + 1);
    *ret = (struct board_address){ .len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + len + 1) };
    memcpy(&ret->u, &address, ret->len);
    return 0;
}

int http_client_resolve(const char *host, const char *port, struct board_address *ret, struct err *err)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found;

    if (strncmp(host, "unix:", 5) == 0)
        return unix_address(host + 5, ret, err);
    /* RFC 6761 §6.3: not for the resolver to answer; a small system may have no hosts file to know it from. */
    if (strcasecmp(host, "localhost") == 0)
        host = "127.0.0.1";
    int r = getaddrinfo(host, port, &hints, &found);
    if (r != 0)
        return err_set(err, r == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL, "%s:%s: %s", host, port, gai_strerror(r));
    /* One address is all there is to try, and what listens under a local name often does so on IPv4 alone. */
    const struct addrinfo *best = found;
    for (const struct addrinfo *each = found; each; each = each->ai_next)
        if (each->ai_family == AF_INET) {
            best = each;
            break;
        }
    if (best->ai_addrlen <= sizeof(ret->u)) {
        *ret = (struct board_address){ .len = best->ai_addrlen };
        memcpy(&ret->u, best->ai_addr, best->ai_addrlen);
    } else {
        r = err_set(err, -EAFNOSUPPORT, "%s:%s: an address of an unknown family", host, port);
    }
    freeaddrinfo(found);
    return r;
}
