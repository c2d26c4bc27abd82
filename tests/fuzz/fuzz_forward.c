/* SPDX-License-Identifier: MIT
 *
 * Heads as they are passed on, from any bytes that we understand. The first byte says what the rest is (q: a request,
 * else an answer), the second under which facts it goes on.
 *  - Whatever we forward, we and a reader that is not ours (Debian's libhttp-parser) understand as the same message.
 */
#include "gateway/forward.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

/* What the other reader understood. */
struct seen {
    bool whole, chunked, sized;
    uint64_t length;
    unsigned method, status, hosts;
    char target[GW_FORWARD_MAX];
    size_t target_len;
};

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct seen *seen = parser->data;
    memcpy(seen->target + seen->target_len, at, len);
    seen->target_len += len;
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
    ((struct seen *)parser->data)->hosts += len == 4 && strncasecmp(at, "host", 4) == 0;
    return 0;
}

static int on_head(http_parser *parser)
{
    struct seen *seen = parser->data;
    seen->whole = true;
    seen->chunked = parser->flags & F_CHUNKED;
    seen->sized = parser->flags & F_CONTENTLENGTH;
    seen->length = parser->content_length;
    seen->method = parser->method;
    seen->status = parser->status_code;
    return 1; /* no body follows here */
}

/* It takes a field whose name only begins like this one for this one, and refuses the message. */
static bool is_misread(const char *head, size_t len)
{
    static const char name[] = "\ntransfer-encoding";
    const size_t name_len = sizeof(name) - 1;
    for (size_t at = 0; at + name_len < len; at++)
        if (strncasecmp(head + at, name, name_len) == 0 && head[at + name_len] != ':')
            return true;
    return false;
}

static enum http_errno read_elsewhere(const char *head, size_t len, enum http_parser_type type, struct seen *seen)
{
    static const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_headers_complete = on_head,
    };
    http_parser parser;
    http_parser_init(&parser, type);
    parser.data = seen;
    seen->whole = false;
    seen->hosts = 0;
    seen->target_len = 0;
    (void)http_parser_execute(&parser, &settings, head, len);
    return HTTP_PARSER_ERRNO(&parser);
}

/* No route has anything to say. */
static const struct gw_rewrite none = { { "", 0 }, { "", 0 }, { "", 0 } };

static void check_request(const char *buf, size_t len, unsigned facts_of)
{
    static char out[GW_FORWARD_MAX];
    static struct seen seen;
    struct http1_head head, again;
    struct gw_forward_request facts = {
        .peer = { "2001:db8::1", 11 },
        .service = { "shop", 4 },
        .trusted = facts_of & 1,
        .via = facts_of & 2,
        .port = facts_of & 4 ? 8080 : 0,
        .rewrite = none,
    };
    memset(facts.made_id, 'f', sizeof(facts.made_id));
    if (http1_parse_request(buf, len, &http1_default_limits, &head) <= 0 || head.method == HTTP1_CONNECT)
        return;
    const struct http1_head before = head;
    ssize_t length = gw_forward_request(buf, &head, &facts, out, sizeof(out));
    CHECK(length > 0);
    const struct http1_limits wide = { .head = sizeof(out), .target = sizeof(out), .headers = HTTP1_HEADERS };
    CHECK(http1_parse_request(out, (size_t)length, &wide, &again) == length);
    CHECK(again.framing == before.framing && again.content_length == before.content_length);
    CHECK(again.method == before.method && again.upgrade == before.upgrade && again.minor == 1);
    CHECK(again.host.len > 0);
    CHECK(before.host.len == 0 || (again.host.len == before.host.len &&
                                   memcmp(out + again.host.at, buf + before.host.at, again.host.len) == 0));

    enum http_errno error = read_elsewhere(out, (size_t)length, HTTP_REQUEST, &seen);
    if (error == HPE_INVALID_METHOD || is_misread(out, (size_t)length)) /* it knows a list of methods */
        return;
    CHECK(error == HPE_OK && seen.whole && seen.hosts == 1);
    CHECK(seen.chunked == (again.framing == HTTP1_CHUNKED) && !(seen.chunked && seen.sized));
    CHECK(again.framing != HTTP1_LENGTH || (seen.sized && seen.length == again.content_length));
    CHECK(seen.target_len == again.target.len && memcmp(seen.target, out + again.target.at, seen.target_len) == 0);
}

static void check_response(const char *buf, size_t len, unsigned facts_of)
{
    static char out[GW_FORWARD_MAX];
    static struct seen seen;
    struct http1_head head, again;
    enum http1_method asked = facts_of & 1 ? HTTP1_HEAD : HTTP1_GET;
    if (http1_parse_response(buf, len, asked, &http1_default_limits, &head) <= 0)
        return;
    const struct http1_head before = head;
    const struct gw_forward_response facts = {
        .rewrite = none,
        .served_by = facts_of & 2 ? "app-1" : NULL,
        .close = facts_of & 4,
        .dechunk = facts_of & 8 && head.framing == HTTP1_CHUNKED,
        .enchunk = facts_of & 8 && head.framing == HTTP1_UNTIL_CLOSE,
    };
    enum http1_framing framing = facts.dechunk   ? HTTP1_UNTIL_CLOSE
                                 : facts.enchunk ? HTTP1_CHUNKED
                                                 : (enum http1_framing)before.framing;
    ssize_t length = gw_forward_response(buf, &head, &facts, out, sizeof(out));
    CHECK(length > 0);
    const struct http1_limits wide = { .head = sizeof(out), .target = 0, .headers = HTTP1_HEADERS };
    CHECK(http1_parse_response(out, (size_t)length, asked, &wide, &again) == length);
    CHECK(again.status == before.status && again.framing == framing);
    CHECK(framing != HTTP1_LENGTH || again.content_length == before.content_length);

    if (is_misread(out, (size_t)length))
        return;
    CHECK(read_elsewhere(out, (size_t)length, HTTP_RESPONSE, &seen) == HPE_OK && seen.whole);
    CHECK(seen.status == before.status && !(seen.chunked && seen.sized));
    CHECK(framing != HTTP1_CHUNKED || seen.chunked);
    CHECK(framing != HTTP1_LENGTH || seen.length == before.content_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    /* A copy of exact size, so that the sanitizer sees each byte read beyond. */
    char *buf = malloc(size - 2 ? size - 2 : 1);
    CHECK(buf);
    memcpy(buf, data + 2, size - 2);
    if (data[0] == 'q')
        check_request(buf, size - 2, data[1]);
    else
        check_response(buf, size - 2, data[1]);
    free(buf);
    return 0;
}
