/* SPDX-License-Identifier: MIT */
#include "watch/request.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NUMBER = 20 }; /* digits of the largest uint64_t */

static const char mark[] = "{n}";

/* The pieces of a URL; they point into it. */
struct url {
    const char *authority, *path;
    size_t authority_len;
};

static bool printable(const char *text, bool blanks)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text) ? *text != '\t' || !blanks : *text == ' ' && !blanks)
            return false;
    return true;
}

static int split_url(const char *text, struct url *ret, struct err *err)
{
    if (strncasecmp(text, "https://", 8) == 0)
        return err_set(err, -EINVAL, "%s: TLS is not supported; probe the http:// address behind it", text);
    const char *authority = strncasecmp(text, "http://", 7) == 0 ? text + 7 : text;
    if (strstr(authority, "://"))
        return err_set(err, -EINVAL, "%s: only http:// is understood", text);
    if (!printable(text, false))
        return err_set(err, -EINVAL, "the URL contains a blank or a control character; write %%20 for a blank");
    ret->authority = authority;
    ret->authority_len = strcspn(authority, "/?#");
    ret->path = authority + ret->authority_len;
    if (ret->authority_len == 0 || memchr(authority, '@', ret->authority_len))
        return err_set(err, -EINVAL, "%s: expected http://HOST[:PORT][/PATH]", text);
    return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static int split_authority(const struct url *url, struct watch_request *request, struct err *err)
{
    const char *host = url->authority, *end = host + url->authority_len, *host_end, *port;

    if (*host == '[') {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return err_set(err, -EINVAL, "%.*s: the bracket is not closed", (int)url->authority_len, url->authority);
        port = host_end + 1;
    } else {
        const char *colon = memchr(host, ':', url->authority_len);
        port = host_end = colon ? colon : end;
    }
    size_t port_len = port < end ? (size_t)(end - port) - 1 : 0;
    if (host_end == host || (size_t)(host_end - host) >= sizeof(request->host) || (port < end && *port != ':') ||
        port_len >= sizeof(request->port))
        return err_set(err, -EINVAL, "%.*s: expected HOST[:PORT]", (int)url->authority_len, url->authority);
    (void)snprintf(request->host, sizeof(request->host), "%.*s", (int)(host_end - host), host);
    (void)snprintf(request->port, sizeof(request->port), "%.*s", (int)port_len, port_len ? port + 1 : "");
    if (port_len == 0)
        (void)strcpy(request->port, "80");
    long number = strtol(request->port, NULL, 10);
    if (strspn(request->port, "0123456789") != strlen(request->port) || number < 1 || number > UINT16_MAX)
        return err_set(err, -EINVAL, "\"%s\" is no port number", request->port);
    return 0;
}

static bool has_header(const char *const *headers, const char *name)
{
    size_t len = strlen(name);
    for (; headers && *headers; headers++)
        if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
            return true;
    return false;
}

static int check_headers(const char *const *headers, struct err *err)
{
    for (const char *const *header = headers; header && *header; header++) {
        size_t name = strcspn(*header, ": \t");
        if (name == 0 || (*header)[name] != ':' || !printable(*header, true))
            return err_set(err, -EINVAL, "--header: expected \"Name: value\", not \"%s\"", *header);
    }
    if (has_header(headers, "Content-Length") || has_header(headers, "Transfer-Encoding"))
        return err_set(err, -EINVAL, "--header: how long the body is follows from --data");
    return 0;
}

static char *lay_out_head(const struct watch_request_options *options, const char *method, const struct url *url)
{
    CLEANUP_BUF struct buf head = { 0 };
    int path_len = (int)strcspn(url->path, "#");

    buf_printf(&head, "%s %s%.*s HTTP/1.1\r\n", method, *url->path == '/' ? "" : "/", path_len, url->path);
    if (!has_header(options->headers, "Host"))
        buf_printf(&head, "Host: %.*s\r\n", (int)url->authority_len, url->authority);
    if (!has_header(options->headers, "User-Agent"))
        buf_puts(&head, "User-Agent: daruma-watch\r\n");
    if (!has_header(options->headers, "Accept"))
        buf_puts(&head, "Accept: */*\r\n");
    if (options->close)
        buf_puts(&head, "Connection: close\r\n");
    if (options->data && !has_header(options->headers, "Content-Type"))
        buf_puts(&head, "Content-Type: application/x-www-form-urlencoded\r\n");
    for (const char *const *header = options->headers; header && *header; header++)
        buf_printf(&head, "%s\r\n", *header);
    return buf_take(&head);
}

static enum http1_method method_of(const char *text)
{
    for (int method = HTTP1_GET; method <= HTTP1_PATCH; method++)
        if (strcmp(http1_method_text(method), text) == 0)
            return method;
    return HTTP1_OTHER;
}

static size_t marks(const char *text)
{
    size_t n = 0;
    for (const char *at = text; at && (at = strstr(at, mark)); at += strlen(mark))
        n++;
    return n;
}

int watch_request_init(struct watch_request *request, const struct watch_request_options *options, struct err *err)
{
    const char *method = options->method ? options->method : options->data ? "POST" : "GET";
    struct url url = { 0 };

    *request = (struct watch_request){ .method = method_of(method) };
    if (!*method || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != strlen(method) ||
        request->method == HTTP1_CONNECT)
        return err_set(err, -EINVAL, "\"%s\" is no method to probe with", method);
    int r = split_url(options->url, &url, err);
    if (r == 0)
        r = split_authority(&url, request, err);
    if (r == 0)
        r = check_headers(options->headers, err);
    if (r < 0)
        return r;
    request->head = lay_out_head(options, method, &url);
    if (options->data)
        request->data = strdup(options->data);
    if (!request->head || (options->data && !request->data)) {
        watch_request_free(request);
        return err_set(err, -ENOMEM, "out of memory");
    }
    size_t numbers = marks(request->head) + marks(request->data);
    request->varies = numbers > 0 || options->session;
    request->max_len = strlen(request->head) + (request->data ? strlen(request->data) : 0) + numbers * NUMBER +
                       sizeof("Content-Length: \r\n\r\n") + NUMBER +
                       (options->session ? sizeof("Cookie: \r\n") + WATCH_JAR_BYTES : 0);
    return 0;
}

void watch_request_free(struct watch_request *request)
{
    free(request->head);
    free(request->data);
    request->head = request->data = NULL;
}

static char *put(char *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

/* Copies the text with every {n} replaced; where it ends. */
static char *expand(char *out, const char *text, const char *number, size_t number_len)
{
    for (const char *at; (at = strstr(text, mark)); text = at + strlen(mark)) {
        out = put(out, text, (size_t)(at - text));
        out = put(out, number, number_len);
    }
    return put(out, text, strlen(text));
}

size_t watch_request_render(const struct watch_request *request, uint64_t number, const struct watch_jar *jar,
                            char *out)
{
    char digits[NUMBER + 1];
    size_t digits_len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *at = expand(out, request->head, digits, digits_len);

    if (jar && *jar->line) {
        at = put(at, "Cookie: ", 8);
        at = put(at, jar->line, strlen(jar->line));
        at = put(at, "\r\n", 2);
    }
    if (!request->data) {
        at = put(at, "\r\n", 2);
        return (size_t)(at - out);
    }
    size_t n = marks(request->data);
    size_t data_len = strlen(request->data) - n * strlen(mark) + n * digits_len;
    at += sprintf(at, "Content-Length: %zu\r\n\r\n", data_len);
    at = expand(at, request->data, digits, digits_len);
    return (size_t)(at - out);
}
