/* SPDX-License-Identifier: MIT
 *
 * The parser behind http1.h. It walks the head once, from left to right, and refuses at the first byte that is wrong;
 * so a refusal does not depend on how much has arrived, and a head fed byte by byte ends as the same head in one go.
 * What concerns several fields together (framing, Host) is judged when the head is whole: http1_facts.h.
 */
#include "base/http1.h"

#include "base/http1_class.h"
#include "base/http1_facts.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

const struct http1_limits http1_default_limits = { .head = 16 * 1024, .target = 8 * 1024, .headers = 100 };

enum {
    MORE = 0,       /* the parsers' "not complete yet" */
    EMPTY_LINES = 2 /* tolerated before a request line */
};

/* --- eight bytes at a time -------------------------------------------------------------------------------------- */

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS (ONES * 0x80)

/* The high bit of each byte of `word`, none above 0x7f, that is `from` … `to`; its other bits mean nothing. */
static inline uint64_t in_range(uint64_t word, uint8_t from, uint8_t to)
{
    return (word + ONES * (0x80u - from)) & ~(word + ONES * (0x7fu - to));
}

/* The same for bytes that are certainly a token's: letters and '-'. */
static inline uint64_t token_bytes(uint64_t word)
{
    return in_range(word | ONES * 0x20, 'a', 'z') | in_range(word, '-', '-');
}

/* And a field value's: 0x20 … 0x7e. */
static inline uint64_t value_bytes(uint64_t word)
{
    return in_range(word, ' ', '~');
}

/* As http1_scan(…, class); only where bytes are not certain it looks at them one by one. */
static inline const char *scan_words(const char *at, const char *end, uint64_t (*certain)(uint64_t), unsigned class)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        word = le64toh(word);
        uint64_t others = (~certain(word & ~HIGHS) | word) & HIGHS;
        if (others) {
            at += __builtin_ctzll(others) / 8;
            break;
        }
        at += 8;
    }
    return http1_scan(at, end, class);
}

bool http1_slice_is(const char *buf, struct http1_slice slice, const char *text)
{
    return http1_equal_nocase(buf + slice.at, slice.len, text, strlen(text));
}

/* --- field names ------------------------------------------------------------------------------------------------ */

/* Up to eight bytes, or'ed with 0x20. */
static inline uint64_t lower_word(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return word | ONES * 0x20;
}

enum { KNOWN = 24 /* at least as long as the longest name that is looked for */ };

/* Is `name`, a token as long as `known`, that name? A token byte or'ed with 0x20 equals a lower-case letter or '-'
   only when it is that letter in either case, or '-'. `len` is a constant: two or three words, which may overlap. */
static inline bool named(const char *name, const char known[KNOWN], size_t len)
{
    if (len <= 8)
        return lower_word(name, len) == lower_word(known, len);
    uint64_t differ = lower_word(name, 8) ^ lower_word(known, 8);
    if (len > 16)
        differ |= lower_word(name + 8, 8) ^ lower_word(known + 8, 8);
    return (differ | (lower_word(name + len - 8, 8) ^ lower_word(known + len - 8, 8))) == 0;
}
#define NAMED(text, id)                                                                                                \
    do {                                                                                                               \
        static const char known[KNOWN] = text;                                                                         \
        if (named(name, known, sizeof(text) - 1))                                                                      \
            return HTTP1_FIELD_##id;                                                                                   \
    } while (0)

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

static inline int literal(struct walk *walk, const char *text, size_t len)
{
    if ((size_t)(walk->end - walk->at) >= len && memcmp(walk->at, text, len) == 0) {
        walk->at += len;
        return 1;
    }
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
    const char *colon = scan_words(name, walk->end, token_bytes, HTTP1_IS_TOKEN);
    if (colon == walk->end)
        return MORE;
    if (colon == name || *colon != ':')
        return walk->malformed; /* obs-fold, space before the colon, no colon */

    const char *value = colon + 1;
    while (value < walk->end && (*value == ' ' || *value == '\t'))
        value++;
    const char *end = scan_words(value, walk->end, value_bytes, HTTP1_IS_VALUE);
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
    walk->at = http1_scan(method, walk->end, HTTP1_IS_TOKEN);
    if (walk->at == walk->end)
        return MORE;
    if (walk->at == method || *walk->at != ' ')
        return -400;
    head->method_name = slice(walk, method, walk->at);
    head->method = (uint8_t)method_of(method, head->method_name.len);

    const char *target = ++walk->at;
    walk->at = http1_scan(target, walk->end, HTTP1_IS_TARGET);
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

    struct http1_facts facts = { 0 };
    if (http1_facts_read(buf, &head, &facts) < 0)
        return -431;
    int refused = http1_judge_request(buf, &head, &facts);
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
        walk->at = scan_words(reason, walk->end, value_bytes, HTTP1_IS_VALUE);
        head->reason = slice(walk, reason, walk->at);
    }
    return LITERAL(walk, "\r\n");
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

    struct http1_facts facts = { 0 };
    if (http1_facts_read(buf, &head, &facts) < 0)
        return -EMSGSIZE;
    int refused = http1_judge_response(&head, &facts, request);
    if (refused < 0)
        return refused;
    hand_over(&head, ret);
    return (int)head.len;
}
