/* SPDX-License-Identifier: MIT */
#include "base/http1_facts.h"

#include "base/http1_class.h"

#include <errno.h>
#include <string.h>

enum { CONNECTION_NAMES = 32 /* fields that Connection may name */ };

/* Fields that a sender cannot have removed by naming them in Connection: without them the message would mean something
   else behind us, or would hide where it came from. */
static bool never_hop_by_hop(enum http1_field field)
{
    switch (field) {
    case HTTP1_FIELD_HOST:
    case HTTP1_FIELD_CONTENT_LENGTH:
    case HTTP1_FIELD_X_FORWARDED_FOR:
    case HTTP1_FIELD_X_FORWARDED_PROTO:
    case HTTP1_FIELD_X_FORWARDED_HOST:
    case HTTP1_FIELD_X_FORWARDED_PORT:
    case HTTP1_FIELD_FORWARDED:
    case HTTP1_FIELD_VIA:
        return true;
    default:
        return false;
    }
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

/* Takes the next element off a comma-separated list; false at its end. Elements may be empty. */
static bool next_element(const char **at, const char *end, const char **ret_from, const char **ret_to)
{
    if (*at > end)
        return false;
    const char *comma = *at < end ? memchr(*at, ',', (size_t)(end - *at)) : NULL;
    const char *from = *at, *to = comma ? comma : end;
    *at = to + 1;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    *ret_from = from;
    *ret_to = to;
    return true;
}

/* Digits only; the same value may be repeated as a list or as several fields (RFC 9110 §8.6), another one may not. */
static void read_length(struct http1_facts *facts, const char *at, const char *end)
{
    const char *from, *to;
    while (next_element(&at, end, &from, &to)) {
        uint64_t value = 0;
        if (from == to || http1_scan(from, to, HTTP1_IS_DIGIT) != to) {
            facts->malformed = true;
            return;
        }
        for (; from < to; from++) {
            if (value > (INT64_MAX - 9) / 10) {
                facts->too_long = true;
                return;
            }
            value = value * 10 + (uint64_t)(*from - '0');
        }
        if (facts->length && value != facts->content_length)
            facts->malformed = true;
        facts->length = true;
        facts->content_length = value;
    }
}

static void read_codings(struct http1_facts *facts, const char *at, const char *end)
{
    const char *from, *to;
    facts->coding = true;
    while (next_element(&at, end, &from, &to)) {
        if (from == to || facts->chunked)
            facts->malformed = true; /* an empty element; something behind chunked */
        else if (http1_equal_nocase(from, (size_t)(to - from), "chunked", 7))
            facts->chunked = true;
        else
            facts->unknown = true;
    }
}

static int read_connection(struct http1_facts *facts, struct http1_head *head, const char *buf,
                           struct http1_slice value)
{
    const char *at = buf + value.at, *end = at + value.len, *from, *to;
    unsigned names = 0;
    while (next_element(&at, end, &from, &to)) {
        size_t len = (size_t)(to - from);
        if (http1_equal_nocase(from, len, "close", 5)) {
            facts->close = true;
        } else if (http1_equal_nocase(from, len, "keep-alive", 10)) {
            facts->keep_alive = true;
        } else if (http1_equal_nocase(from, len, "upgrade", 7)) {
            facts->upgrade = true;
        } else if (len > 0) {
            if (++names > CONNECTION_NAMES)
                return -1;
            for (unsigned i = 0; i < head->headers; i++) {
                struct http1_header *header = &head->header[i];
                if (header->name.len == len && !never_hop_by_hop(header->field) &&
                    http1_equal_nocase(buf + header->name.at, len, from, len))
                    header->hop_by_hop = true;
            }
        }
    }
    return 0;
}

int http1_facts_read(const char *buf, struct http1_head *head, struct http1_facts *facts)
{
    for (unsigned i = 0; i < head->headers; i++) {
        const struct http1_header *header = &head->header[i];
        const char *value = buf + header->value.at, *end = value + header->value.len;
        switch ((enum http1_field)header->field) {
        case HTTP1_FIELD_HOST:
            facts->hosts++;
            facts->host = header->value;
            break;
        case HTTP1_FIELD_CONTENT_LENGTH:
            read_length(facts, value, end);
            break;
        case HTTP1_FIELD_TRANSFER_ENCODING:
            read_codings(facts, value, end);
            break;
        case HTTP1_FIELD_CONNECTION:
            if (read_connection(facts, head, buf, header->value) < 0)
                return -1;
            break;
        case HTTP1_FIELD_UPGRADE:
            facts->upgrade_field = true;
            break;
        case HTTP1_FIELD_EXPECT:
            facts->expect = facts->expect || http1_equal_nocase(value, header->value.len, "100-continue", 12);
            break;
        default:
            break;
        }
    }
    head->keep_alive = !facts->close && (head->minor == 1 || facts->keep_alive);
    return 0;
}

/* uri-host [ ":" port ], RFC 9110 §7.2. May be empty. */
static bool host_ok(const char *host, size_t len)
{
    const char *end = host + len, *at = http1_scan(host, end, HTTP1_IS_HOST);
    if (len > 0 && *host == '[') {
        const char *close = memchr(host, ']', len);
        if (!close)
            return false;
        for (at = host + 1; (at = http1_scan(at, close, HTTP1_IS_HOST)) < close; at++)
            if (*at != ':')
                return false;
        at = close + 1;
    }
    return at == end || (*at == ':' && http1_scan(at + 1, end, HTTP1_IS_DIGIT) == end);
}

/* Where the target names an authority it outranks the Host field: RFC 9112 §3.2.2. */
static bool read_target(const char *buf, struct http1_head *head)
{
    const char *at = buf + head->target.at, *end = at + head->target.len;

    if (*at == '/') {
        head->path = head->target;
        return true;
    }
    if (head->method == HTTP1_CONNECT) {
        head->host = head->target;
        head->path = (struct http1_slice){ .at = head->target.at };
        return head->host.len > 0 && host_ok(at, head->target.len);
    }
    if (head->target.len == 1 && *at == '*') {
        head->path = head->target;
        return head->method == HTTP1_OPTIONS;
    }
    size_t scheme = head->target.len > 7 && http1_equal_nocase(at, 7, "http://", 7)    ? 7
                    : head->target.len > 8 && http1_equal_nocase(at, 8, "https://", 8) ? 8
                                                                                       : 0;
    if (scheme == 0)
        return false;
    const char *authority = at + scheme, *path = authority;
    while (path < end && *path != '/' && *path != '?')
        path++;
    head->host = (struct http1_slice){ .at = (uint32_t)(authority - buf), .len = (uint32_t)(path - authority) };
    head->path = (struct http1_slice){ .at = (uint32_t)(path - buf), .len = (uint32_t)(end - path) };
    return head->host.len > 0 && host_ok(authority, head->host.len);
}

int http1_judge_request(const char *buf, struct http1_head *head, const struct http1_facts *facts)
{
    if (facts->coding && (facts->length || head->minor == 0 || facts->malformed))
        return -400;
    if (facts->coding && (facts->unknown || !facts->chunked))
        return -501;
    if (facts->malformed)
        return -400;
    if (facts->too_long)
        return -413;
    if (facts->hosts > 1 || (facts->hosts == 0 && head->minor == 1))
        return -400;
    if (facts->hosts && !host_ok(buf + facts->host.at, facts->host.len))
        return -400;

    head->host = facts->host;
    if (!read_target(buf, head))
        return -400;
    head->content_length = facts->content_length;
    head->framing = facts->chunked ? HTTP1_CHUNKED : facts->content_length > 0 ? HTTP1_LENGTH : HTTP1_NO_BODY;
    head->upgrade = facts->upgrade && facts->upgrade_field && head->minor == 1;
    head->expect_continue = facts->expect && head->minor == 1;
    return 0;
}

int http1_judge_response(struct http1_head *head, const struct http1_facts *facts, enum http1_method request)
{
    if (facts->malformed || facts->too_long)
        return -EBADMSG;
    if (facts->coding && (facts->length || head->minor == 0 || facts->unknown || !facts->chunked))
        return -EBADMSG;

    head->content_length = facts->content_length;
    head->upgrade = head->status == 101;
    bool bodiless = head->status < 200 || head->status == 204 || head->status == 304 || request == HTTP1_HEAD ||
                    (request == HTTP1_CONNECT && head->status < 300);
    if (bodiless)
        head->framing = HTTP1_NO_BODY;
    else if (facts->chunked)
        head->framing = HTTP1_CHUNKED;
    else if (facts->length)
        head->framing = facts->content_length > 0 ? HTTP1_LENGTH : HTTP1_NO_BODY;
    else
        head->framing = HTTP1_UNTIL_CLOSE;
    if (head->framing == HTTP1_UNTIL_CLOSE)
        head->keep_alive = false;
    return 0;
}
