/* SPDX-License-Identifier: MIT
 *
 * The parser behind http1.h. It walks the head once, from left to right, and refuses at the first byte that is wrong;
 * so a refusal does not depend on how much has arrived, and a head fed byte by byte ends as the same head in one go.
 * What concerns several fields together (framing, Host) is judged when the head is whole.
 */
#include "base/http1.h"

#include "base/http1_class.h"

#include <errno.h>
#include <string.h>

const struct http1_limits http1_default_limits = { .head = 16 * 1024, .target = 8 * 1024, .headers = 100 };

enum {
    MORE = 0,             /* the parsers' "not complete yet" */
    EMPTY_LINES = 2,      /* tolerated before a request line */
    CONNECTION_NAMES = 32 /* fields that Connection may name */
};

static inline const char *scan(const char *at, const char *end, unsigned class)
{
    while (at < end && http1_is(*at, class))
        at++;
    return at;
}

/* As scan(…, HTTP1_IS_VALUE), eight bytes at a time while all of them are plain: 0x20 … 0x7e. */
static inline const char *scan_value(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t control = (word - ones * 0x20) & ~word;
        uint64_t del = ((word ^ ones * 0x7f) - ones) & ~(word ^ ones * 0x7f);
        if ((control | del | word) & highs)
            break;
        at += 8;
    }
    return scan(at, end, HTTP1_IS_VALUE);
}

static bool equal_nocase(const char *bytes, size_t len, const char *text, size_t text_len)
{
    if (len != text_len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (http1_lower(bytes[i]) != http1_lower(text[i]))
            return false;
    return true;
}

bool http1_slice_is(const char *buf, struct http1_slice slice, const char *text)
{
    return equal_nocase(buf + slice.at, slice.len, text, strlen(text));
}

/* --- field names ------------------------------------------------------------------------------------------------ */

/* Is `name`, a token as long as `known`, that name? A token byte or'ed with 0x20 equals a lower-case letter or '-'
   only when it is that letter in either case, or '-'. */
static inline bool named(const char *name, const char *known, size_t len)
{
    unsigned differ = 0;
    for (size_t i = 0; i < len; i++)
        differ |= (unsigned)((name[i] | 0x20) ^ known[i]);
    return differ == 0;
}
#define NAMED(text, id)                                                                                                \
    if (named(name, text, sizeof(text) - 1))                                                                           \
    return HTTP1_FIELD_##id

static enum http1_field field_of(const char *name, size_t len)
{
    switch (len) {
    case 2:
        NAMED("te", TE);
        break;
    case 3:
        NAMED("via", VIA);
        break;
    case 4:
        NAMED("host", HOST);
        NAMED("date", DATE);
        break;
    case 6:
        NAMED("cookie", COOKIE);
        NAMED("server", SERVER);
        NAMED("expect", EXPECT);
        break;
    case 7:
        NAMED("upgrade", UPGRADE);
        NAMED("trailer", TRAILER);
        break;
    case 9:
        NAMED("forwarded", FORWARDED);
        break;
    case 10:
        NAMED("connection", CONNECTION);
        NAMED("keep-alive", KEEP_ALIVE);
        NAMED("set-cookie", SET_COOKIE);
        break;
    case 11:
        NAMED("retry-after", RETRY_AFTER);
        NAMED("x-served-by", X_SERVED_BY);
        break;
    case 12:
        NAMED("x-request-id", X_REQUEST_ID);
        break;
    case 14:
        NAMED("content-length", CONTENT_LENGTH);
        break;
    case 15:
        NAMED("x-forwarded-for", X_FORWARDED_FOR);
        NAMED("idempotency-key", IDEMPOTENCY_KEY);
        break;
    case 16:
        NAMED("x-forwarded-host", X_FORWARDED_HOST);
        NAMED("x-forwarded-port", X_FORWARDED_PORT);
        NAMED("proxy-connection", PROXY_CONNECTION);
        break;
    case 17:
        NAMED("transfer-encoding", TRANSFER_ENCODING);
        NAMED("x-forwarded-proto", X_FORWARDED_PROTO);
        break;
    case 18:
        NAMED("proxy-authenticate", PROXY_AUTHENTICATE);
        break;
    case 19:
        NAMED("proxy-authorization", PROXY_AUTHORIZATION);
        break;
    default:
        break;
    }
    return HTTP1_FIELD_OTHER;
}

static bool always_hop_by_hop(enum http1_field field)
{
    switch (field) {
    case HTTP1_FIELD_CONNECTION:
    case HTTP1_FIELD_KEEP_ALIVE:
    case HTTP1_FIELD_PROXY_CONNECTION:
    case HTTP1_FIELD_PROXY_AUTHENTICATE:
    case HTTP1_FIELD_PROXY_AUTHORIZATION:
    case HTTP1_FIELD_TE:
    case HTTP1_FIELD_TRANSFER_ENCODING:
    case HTTP1_FIELD_UPGRADE:
        return true;
    default:
        return false;
    }
}

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
    case HTTP1_FIELD_FORWARDED:
    case HTTP1_FIELD_VIA:
        return true;
    default:
        return false;
    }
}

/* --- the walk --------------------------------------------------------------------------------------------------- */

/* One walk over a head. `at` moves on; the steps return 1 when they are through, MORE, or a negative refusal. */
struct walk {
    const char *buf, *at, *end;
    int malformed; /* what to return for a syntax error: -400 or -EBADMSG */
    int too_large;
    const struct http1_limits *limits;
};

static struct http1_slice slice(const struct walk *walk, const char *from, const char *to)
{
    return (struct http1_slice){ .at = (uint32_t)(from - walk->buf), .len = (uint32_t)(to - from) };
}

static int literal(struct walk *walk, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (walk->at == walk->end)
            return MORE;
        if (*walk->at != text[i])
            return walk->malformed;
        walk->at++;
    }
    return 1;
}
#define LITERAL(walk, text) literal(walk, text, sizeof(text) - 1)

/* HTTP-version. A later minor version means that we may speak the highest that we know: RFC 9110 §2.5. */
static int walk_version(struct walk *walk, int unsupported, uint8_t *ret_minor)
{
    int step = LITERAL(walk, "HTTP/");
    if (step <= 0)
        return step;
    if (walk->at == walk->end)
        return MORE;
    if (!http1_is(*walk->at, HTTP1_IS_DIGIT))
        return walk->malformed;
    if (*walk->at != '1')
        return unsupported;
    step = LITERAL(walk, "1.");
    if (step <= 0)
        return step;
    if (walk->at == walk->end)
        return MORE;
    if (!http1_is(*walk->at, HTTP1_IS_DIGIT))
        return walk->malformed;
    *ret_minor = *walk->at++ == '0' ? 0 : 1;
    return 1;
}

/* One field line, its CRLF included. */
static int walk_field(struct walk *walk, struct http1_header *header)
{
    const char *name = walk->at;
    const char *colon = scan(name, walk->end, HTTP1_IS_TOKEN);
    if (colon == walk->end)
        return MORE;
    if (colon == name || *colon != ':')
        return walk->malformed; /* obs-fold, space before the colon, no colon */

    const char *value = colon + 1;
    while (value < walk->end && (*value == ' ' || *value == '\t'))
        value++;
    const char *end = scan_value(value, walk->end);
    if (end == walk->end)
        return MORE;
    walk->at = end;
    int step = LITERAL(walk, "\r\n");
    if (step <= 0)
        return step;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;

    enum http1_field field = field_of(name, (size_t)(colon - name));
    *header = (struct http1_header){
        .name = slice(walk, name, colon),
        .value = slice(walk, value, end),
        .field = (uint16_t)field,
        .hop_by_hop = always_hop_by_hop(field),
    };
    return 1;
}

static int walk_fields(struct walk *walk, struct http1_head *head)
{
    uint32_t limit = walk->limits->headers < HTTP1_HEADERS ? walk->limits->headers : HTTP1_HEADERS;
    head->headers = 0;
    for (;;) {
        if (walk->at == walk->end)
            return MORE;
        if (*walk->at == '\r') {
            int step = LITERAL(walk, "\r\n");
            if (step > 0)
                head->len = (uint32_t)(walk->at - walk->buf);
            return step;
        }
        if (head->headers == limit)
            return walk->too_large;
        int step = walk_field(walk, &head->header[head->headers]);
        if (step <= 0)
            return step;
        head->headers++;
    }
}

/* --- what fields mean together ---------------------------------------------------------------------------------- */

struct framing {
    bool length, coding;   /* Content-Length, Transfer-Encoding present */
    bool chunked, unknown; /* the codings: chunked as the last; one that we do not know */
    bool malformed, too_long;
    uint64_t content_length;
    unsigned hosts;
    struct http1_slice host;
    bool close, keep_alive, upgrade, upgrade_field, expect;
};

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
static void read_length(struct framing *framing, const char *at, const char *end)
{
    const char *from, *to;
    while (next_element(&at, end, &from, &to)) {
        uint64_t value = 0;
        if (from == to || scan(from, to, HTTP1_IS_DIGIT) != to) {
            framing->malformed = true;
            return;
        }
        for (; from < to; from++) {
            if (value > (INT64_MAX - 9) / 10) {
                framing->too_long = true;
                return;
            }
            value = value * 10 + (uint64_t)(*from - '0');
        }
        if (framing->length && value != framing->content_length)
            framing->malformed = true;
        framing->length = true;
        framing->content_length = value;
    }
}

static void read_codings(struct framing *framing, const char *at, const char *end)
{
    const char *from, *to;
    framing->coding = true;
    while (next_element(&at, end, &from, &to)) {
        if (from == to || framing->chunked)
            framing->malformed = true; /* an empty element; something behind chunked */
        else if (equal_nocase(from, (size_t)(to - from), "chunked", 7))
            framing->chunked = true;
        else
            framing->unknown = true;
    }
}

static int read_connection(struct framing *framing, struct http1_head *head, const char *buf, struct http1_slice value)
{
    const char *at = buf + value.at, *end = at + value.len, *from, *to;
    unsigned names = 0;
    while (next_element(&at, end, &from, &to)) {
        size_t len = (size_t)(to - from);
        if (equal_nocase(from, len, "close", 5)) {
            framing->close = true;
        } else if (equal_nocase(from, len, "keep-alive", 10)) {
            framing->keep_alive = true;
        } else if (equal_nocase(from, len, "upgrade", 7)) {
            framing->upgrade = true;
        } else if (len > 0) {
            if (++names > CONNECTION_NAMES)
                return -1;
            for (unsigned i = 0; i < head->headers; i++) {
                struct http1_header *header = &head->header[i];
                if (header->name.len == len && !never_hop_by_hop(header->field) &&
                    equal_nocase(buf + header->name.at, len, from, len))
                    header->hop_by_hop = true;
            }
        }
    }
    return 0;
}

static int read_fields(const char *buf, struct http1_head *head, struct framing *framing)
{
    for (unsigned i = 0; i < head->headers; i++) {
        const struct http1_header *header = &head->header[i];
        const char *value = buf + header->value.at, *end = value + header->value.len;
        switch ((enum http1_field)header->field) {
        case HTTP1_FIELD_HOST:
            framing->hosts++;
            framing->host = header->value;
            break;
        case HTTP1_FIELD_CONTENT_LENGTH:
            read_length(framing, value, end);
            break;
        case HTTP1_FIELD_TRANSFER_ENCODING:
            read_codings(framing, value, end);
            break;
        case HTTP1_FIELD_CONNECTION:
            if (read_connection(framing, head, buf, header->value) < 0)
                return -1;
            break;
        case HTTP1_FIELD_UPGRADE:
            framing->upgrade_field = true;
            break;
        case HTTP1_FIELD_EXPECT:
            framing->expect = framing->expect || equal_nocase(value, header->value.len, "100-continue", 12);
            break;
        default:
            break;
        }
    }
    head->keep_alive = !framing->close && (head->minor == 1 || framing->keep_alive);
    return 0;
}

/* uri-host [ ":" port ], RFC 9110 §7.2. May be empty. */
static bool host_ok(const char *host, size_t len)
{
    const char *end = host + len;
    if (scan(host, end, HTTP1_IS_HOST) != end)
        return false;
    const char *port;
    if (len > 0 && *host == '[') {
        const char *close = memchr(host, ']', len);
        if (!close)
            return false;
        port = close + 1;
    } else {
        const char *colon = len > 0 ? memchr(host, ':', len) : NULL;
        port = colon ? colon : end;
        if (memchr(host, '[', len) || memchr(host, ']', len))
            return false;
    }
    return port == end || (*port == ':' && scan(port + 1, end, HTTP1_IS_DIGIT) == end);
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
    size_t scheme = head->target.len > 7 && equal_nocase(at, 7, "http://", 7)    ? 7
                    : head->target.len > 8 && equal_nocase(at, 8, "https://", 8) ? 8
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

/* RFC 9112 §6.1 and §6.3 for a request. 0 or the negated status. */
static int judge_request(const char *buf, struct http1_head *head, struct framing *framing)
{
    if (framing->coding && (framing->length || head->minor == 0 || framing->malformed))
        return -400;
    if (framing->coding && (framing->unknown || !framing->chunked))
        return -501;
    if (framing->malformed)
        return -400;
    if (framing->too_long)
        return -413;
    if (framing->hosts > 1 || (framing->hosts == 0 && head->minor == 1))
        return -400;
    if (framing->hosts && !host_ok(buf + framing->host.at, framing->host.len))
        return -400;

    head->host = framing->host;
    if (!read_target(buf, head))
        return -400;
    head->content_length = framing->content_length;
    head->framing = framing->chunked ? HTTP1_CHUNKED : framing->content_length > 0 ? HTTP1_LENGTH : HTTP1_NO_BODY;
    head->upgrade = framing->upgrade && framing->upgrade_field && head->minor == 1;
    head->expect_continue = framing->expect && head->minor == 1;
    return 0;
}

static enum http1_method method_of(const char *text, size_t len)
{
    for (int method = HTTP1_GET; method <= HTTP1_PATCH; method++) {
        const char *name = http1_method_text(method);
        if (name[0] == text[0] && strlen(name) == len && memcmp(name, text, len) == 0)
            return method;
    }
    return HTTP1_OTHER;
}

static int walk_request_line(struct walk *walk, struct http1_head *head)
{
    const char *method = walk->at;
    walk->at = scan(method, walk->end, HTTP1_IS_TOKEN);
    if (walk->at == walk->end)
        return MORE;
    if (walk->at == method || *walk->at != ' ')
        return -400;
    head->method_name = slice(walk, method, walk->at);
    head->method = (uint8_t)method_of(method, head->method_name.len);

    const char *target = ++walk->at;
    walk->at = scan(target, walk->end, HTTP1_IS_TARGET);
    if ((size_t)(walk->at - target) > walk->limits->target)
        return -414;
    if (walk->at == walk->end)
        return MORE;
    if (walk->at == target || *walk->at != ' ')
        return -400;
    head->target = slice(walk, target, walk->at);
    walk->at++;

    int step = walk_version(walk, -505, &head->minor);
    return step <= 0 ? step : LITERAL(walk, "\r\n");
}

static int walk_request(struct walk *walk, struct http1_head *head)
{
    for (int lines = 0; walk->at < walk->end && *walk->at == '\r'; lines++) {
        if (lines == EMPTY_LINES)
            return -400;
        int step = LITERAL(walk, "\r\n");
        if (step <= 0)
            return step;
    }
    int step = walk_request_line(walk, head);
    return step <= 0 ? step : walk_fields(walk, head);
}

/* Copies only what counts: the unused part of header[] is most of the struct. */
static void hand_over(const struct http1_head *head, struct http1_head *ret)
{
    memcpy(ret, head, offsetof(struct http1_head, header) + head->headers * sizeof(head->header[0]));
}

/* A head that is as long as allowed and still not complete is too long. */
static int incomplete(int step, size_t len, const struct walk *walk)
{
    return step == MORE && len >= walk->limits->head ? walk->too_large : step;
}

int http1_parse_request(const char *buf, size_t len, const struct http1_limits *limits, struct http1_head *ret)
{
    struct http1_head head;
    struct walk walk = {
        .buf = buf,
        .at = buf,
        .end = buf + (len < limits->head ? len : limits->head),
        .malformed = -400,
        .too_large = -431,
        .limits = limits,
    };
    memset(&head, 0, offsetof(struct http1_head, header));
    int step = walk_request(&walk, &head);
    if (step <= 0)
        return incomplete(step, len, &walk);

    struct framing framing = { 0 };
    if (read_fields(buf, &head, &framing) < 0)
        return -431;
    int refused = judge_request(buf, &head, &framing);
    if (refused < 0)
        return refused;
    hand_over(&head, ret);
    return (int)head.len;
}

static int walk_status_line(struct walk *walk, struct http1_head *head)
{
    int step = walk_version(walk, -EBADMSG, &head->minor);
    if (step <= 0)
        return step;
    step = LITERAL(walk, " ");
    if (step <= 0)
        return step;
    for (int i = 0; i < 3; i++, walk->at++) {
        if (walk->at == walk->end)
            return MORE;
        if (!http1_is(*walk->at, HTTP1_IS_DIGIT) || (i == 0 && *walk->at == '0'))
            return -EBADMSG;
        head->status = (uint16_t)(head->status * 10 + (*walk->at - '0'));
    }
    if (walk->at == walk->end)
        return MORE;
    /* Many servers leave out the space when there is no phrase; nothing about it is ambiguous. */
    if (*walk->at == ' ') {
        const char *reason = ++walk->at;
        walk->at = scan_value(reason, walk->end);
        head->reason = slice(walk, reason, walk->at);
    }
    return LITERAL(walk, "\r\n");
}

/* RFC 9112 §6.3 for a response. 0 or -EBADMSG. */
static int judge_response(struct http1_head *head, const struct framing *framing, enum http1_method request)
{
    if (framing->malformed || framing->too_long)
        return -EBADMSG;
    if (framing->coding && (framing->length || head->minor == 0 || framing->unknown || !framing->chunked))
        return -EBADMSG;

    head->content_length = framing->content_length;
    head->upgrade = head->status == 101;
    bool bodiless = head->status < 200 || head->status == 204 || head->status == 304 || request == HTTP1_HEAD ||
                    (request == HTTP1_CONNECT && head->status < 300);
    if (bodiless)
        head->framing = HTTP1_NO_BODY;
    else if (framing->chunked)
        head->framing = HTTP1_CHUNKED;
    else if (framing->length)
        head->framing = framing->content_length > 0 ? HTTP1_LENGTH : HTTP1_NO_BODY;
    else
        head->framing = HTTP1_UNTIL_CLOSE;
    if (head->framing == HTTP1_UNTIL_CLOSE)
        head->keep_alive = false;
    return 0;
}

int http1_parse_response(const char *buf, size_t len, enum http1_method request, const struct http1_limits *limits,
                         struct http1_head *ret)
{
    struct http1_head head;
    struct walk walk = {
        .buf = buf,
        .at = buf,
        .end = buf + (len < limits->head ? len : limits->head),
        .malformed = -EBADMSG,
        .too_large = -EMSGSIZE,
        .limits = limits,
    };
    memset(&head, 0, offsetof(struct http1_head, header));
    int step = walk_status_line(&walk, &head);
    if (step > 0)
        step = walk_fields(&walk, &head);
    if (step <= 0)
        return incomplete(step, len, &walk);

    struct framing framing = { 0 };
    if (read_fields(buf, &head, &framing) < 0)
        return -EMSGSIZE;
    int refused = judge_response(&head, &framing, request);
    if (refused < 0)
        return refused;
    hand_over(&head, ret);
    return (int)head.len;
}
