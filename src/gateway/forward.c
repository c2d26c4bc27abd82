/* SPDX-License-Identifier: MIT */
#include "gateway/forward.h"

#include "base/board.h"
#include "base/cleanup.h"
#include "base/http1_class.h"
#include "gateway/expand.h"
#include "gateway/text.h"

#include <errno.h>
#include <strings.h>

static void add_slice(struct text *text, const char *buf, struct http1_slice slice)
{
    text_add(text, buf + slice.at, slice.len);
}

static void add_field(struct text *text, const char *name, const char *buf, struct http1_slice value)
{
    text_put(text, name);
    text_add(text, ": ", 2);
    add_slice(text, buf, value);
    text_add(text, "\r\n", 2);
}

/* Where the line of field `i` ends: where the next one begins, or the empty line. */
static uint32_t line_end(const struct http1_head *head, unsigned i)
{
    return i + 1u < head->headers ? head->header[i + 1].name.at : head->len - 2;
}

/* Copies the lines of all fields that `skip` does not name, neighbours in one go. */
static void copy_fields(struct text *text, const char *buf, const struct http1_head *head, uint64_t skip)
{
    for (unsigned i = 0; i < head->headers;) {
        const struct http1_header *header = &head->header[i];
        if (header->hop_by_hop || (skip >> header->field & 1)) {
            i++;
            continue;
        }
        uint32_t from = header->name.at, to = line_end(head, i);
        for (i++; i < head->headers; i++) {
            header = &head->header[i];
            if (header->hop_by_hop || (skip >> header->field & 1))
                break;
            to = line_end(head, i);
        }
        text_add(text, buf + from, to - from);
    }
}

/* Takes the next line off `lines`; false at their end. */
static bool next_line(struct gw_span *lines, struct gw_span *ret)
{
    const char *end = lines->len > 0 ? memchr(lines->text, '\n', lines->len) : NULL;
    if (!end)
        return false;
    *ret = (struct gw_span){ lines->text, (size_t)(end - lines->text) };
    lines->text += ret->len + 1;
    lines->len -= ret->len + 1;
    return true;
}

/* Marks the fields that a route does not let through. */
static void mark_dropped(const char *buf, struct http1_head *head, struct gw_span names)
{
    struct gw_span name;
    while (next_line(&names, &name))
        for (unsigned i = 0; i < head->headers; i++) {
            struct http1_header *header = &head->header[i];
            if (header->name.len == name.len && strncasecmp(buf + header->name.at, name.text, name.len) == 0)
                header->hop_by_hop = true;
        }
}

/* Has the route its own word about Date? */
static bool is_date_dropped(struct gw_span names)
{
    struct gw_span name;
    while (next_line(&names, &name))
        if (name.len == 4 && memcmp(name.text, "date", 4) == 0)
            return true;
    return false;
}

#define FIELD_BIT(id) (UINT64_C(1) << HTTP1_FIELD_##id)

static const struct http1_header *find(const struct http1_head *head, enum http1_field field)
{
    for (unsigned i = 0; i < head->headers; i++)
        if (head->header[i].field == field)
            return &head->header[i];
    return NULL;
}

static void add_framing(struct text *text, const struct http1_head *head)
{
    if (head->framing == HTTP1_CHUNKED) {
        text_put(text, "Transfer-Encoding: chunked\r\n");
    } else if (find(head, HTTP1_FIELD_CONTENT_LENGTH)) {
        text_put(text, "Content-Length: ");
        text_number(text, head->content_length);
        text_add(text, "\r\n", 2);
    }
}

static void add_upgrade(struct text *text, const char *buf, const struct http1_head *head)
{
    text_put(text, "Connection: upgrade\r\n");
    for (unsigned i = 0; i < head->headers; i++)
        if (head->header[i].field == HTTP1_FIELD_UPGRADE)
            add_field(text, "Upgrade", buf, head->header[i].value);
}

/* The fields of that kind that may be passed on, as one list that ours is added to. */
static void add_list(struct text *text, const char *buf, const struct http1_head *head, enum http1_field field)
{
    for (unsigned i = 0; i < head->headers; i++) {
        const struct http1_header *header = &head->header[i];
        if (header->field == field && header->value.len > 0 && !header->hop_by_hop) {
            add_slice(text, buf, header->value);
            text_add(text, ", ", 2);
        }
    }
}

static bool has(const struct http1_head *head, enum http1_field field)
{
    const struct http1_header *header = find(head, field);
    return header && !header->hop_by_hop;
}

/* RFC 7239 §6: an IPv6 address stands in brackets and quotes. Host may hold nothing that needs an escape, but a colon, for
   which it is quoted: parsed requests have checked it. */
static void add_rfc7239(struct text *text, const char *buf, const struct http1_head *head,
                        const struct gw_forward_request *facts)
{
    bool v6 = memchr(facts->peer.text, ':', facts->peer.len);
    text_put(text, "Forwarded: ");
    if (facts->trusted)
        add_list(text, buf, head, HTTP1_FIELD_FORWARDED);
    text_put(text, v6 ? "for=\"[" : "for=");
    text_add(text, facts->peer.text, facts->peer.len);
    text_put(text, v6 ? "]\"" : "");
    if (head->host.len > 0) {
        text_put(text, ";host=\"");
        add_slice(text, buf, head->host);
        text_put(text, "\"");
    }
    text_put(text, ";proto=http\r\n");
}

/* Somebody in front of us that may be believed knows better than we what the first hop was. */
static bool wanted(const struct http1_head *head, const struct gw_forward_request *facts, enum board_own own,
                   enum http1_field field)
{
    return !(facts->own & own) && (!facts->trusted || !has(head, field));
}

static void add_forwarded(struct text *text, const char *buf, const struct http1_head *head,
                          const struct gw_forward_request *facts)
{
    if (!(facts->own & BOARD_OWN_FORWARDED_FOR)) {
        text_put(text, "X-Forwarded-For: ");
        if (facts->trusted)
            add_list(text, buf, head, HTTP1_FIELD_X_FORWARDED_FOR);
        text_add(text, facts->peer.text, facts->peer.len);
        text_add(text, "\r\n", 2);
    }
    if (wanted(head, facts, BOARD_OWN_FORWARDED_PROTO, HTTP1_FIELD_X_FORWARDED_PROTO))
        text_put(text, "X-Forwarded-Proto: http\r\n");
    if (wanted(head, facts, BOARD_OWN_FORWARDED_HOST, HTTP1_FIELD_X_FORWARDED_HOST) && head->host.len > 0)
        add_field(text, "X-Forwarded-Host", buf, head->host);
    if (wanted(head, facts, BOARD_OWN_FORWARDED_PORT, HTTP1_FIELD_X_FORWARDED_PORT) && facts->port > 0) {
        text_put(text, "X-Forwarded-Port: ");
        text_number(text, facts->port);
        text_add(text, "\r\n", 2);
    }
    if (!(facts->own & BOARD_OWN_FORWARDED))
        add_rfc7239(text, buf, head, facts);
}

bool gw_forward_id_valid(const char *text, size_t len)
{
    if (len == 0 || len > 128)
        return false;
    for (size_t i = 0; i < len; i++) {
        char low = http1_lower(text[i]);
        if (!((low >= 'a' && low <= 'z') || (low >= '0' && low <= '9') || memchr("._:/+=-", low, 7)))
            return false;
    }
    return true;
}

struct gw_span gw_forward_id(const char *buf, const struct http1_head *head, const char made[GW_REQUEST_ID])
{
    const struct http1_header *header = find(head, HTTP1_FIELD_X_REQUEST_ID);
    if (header && !header->hop_by_hop && gw_forward_id_valid(buf + header->value.at, header->value.len))
        return (struct gw_span){ buf + header->value.at, header->value.len };
    return (struct gw_span){ made, GW_REQUEST_ID };
}

static const char our_via[] = "daruma";

unsigned gw_forward_hops(const char *buf, const struct http1_head *head)
{
    unsigned hops = 0;
    for (unsigned i = 0; i < head->headers; i++) {
        if (head->header[i].field != HTTP1_FIELD_VIA)
            continue;
        const char *at = buf + head->header[i].value.at, *end = at + head->header[i].value.len;
        while ((at = memmem(at, (size_t)(end - at), our_via, sizeof(our_via) - 1))) {
            hops++;
            at += sizeof(our_via) - 1;
        }
    }
    return hops;
}

static void add_target(struct text *text, const char *buf, const struct http1_head *head,
                       const struct gw_forward_request *facts)
{
    if (facts->target[0].text) {
        for (int i = 0; i < 3; i++)
            text_add(text, facts->target[i].text, facts->target[i].len);
        return;
    }
    /* An absolute-form target may have no path of its own: RFC 9112 §3.2.1, §3.2.4. */
    if (head->path.len == 0 && head->method == HTTP1_OPTIONS)
        text_add(text, "*", 1);
    else if (head->path.len == 0 || buf[head->path.at] == '?')
        text_add(text, "/", 1);
    add_slice(text, buf, head->path);
}

/* HTTP/1.0 knows no Host, but HTTP/1.1 must have one, and many servers insist that it is not empty. */
static void add_host(struct text *text, const char *buf, const struct http1_head *head,
                     const struct gw_forward_request *facts)
{
    text_put(text, "Host: ");
    if (head->host.len > 0)
        add_slice(text, buf, head->host);
    else
        text_add(text, facts->service.text, facts->service.len);
    text_add(text, "\r\n", 2);
}

/* Which fields of the client's are replaced by ours. */
static uint64_t replaced_fields(const struct gw_forward_request *facts)
{
    static const struct {
        uint32_t own; /* enum board_own */
        uint64_t field;
        bool kept_if_trusted;
    } ours[] = {
        { BOARD_OWN_FORWARDED_FOR, FIELD_BIT(X_FORWARDED_FOR), false },
        { BOARD_OWN_FORWARDED, FIELD_BIT(FORWARDED), false },
        { BOARD_OWN_FORWARDED_PROTO, FIELD_BIT(X_FORWARDED_PROTO), true },
        { BOARD_OWN_FORWARDED_HOST, FIELD_BIT(X_FORWARDED_HOST), true },
        { BOARD_OWN_FORWARDED_PORT, FIELD_BIT(X_FORWARDED_PORT), true },
    };
    uint64_t skip = FIELD_BIT(HOST) | FIELD_BIT(CONTENT_LENGTH) | FIELD_BIT(X_REQUEST_ID);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (!(facts->own & ours[i].own) && !(ours[i].kept_if_trusted && facts->trusted))
            skip |= ours[i].field;
    return skip;
}

static ssize_t finish(struct text *text, const char *out)
{
    text_add(text, "\r\n", 2);
    return text->full ? -ENOSPC : text->at - out;
}

ssize_t gw_forward_request(const char *buf, struct http1_head *head, const struct gw_forward_request *facts, char *out,
                           size_t size)
{
    struct text text = { .at = out, .end = out + size };

    if (facts->rewrite.drop.len > 0)
        mark_dropped(buf, head, facts->rewrite.drop);
    struct gw_span id = gw_forward_id(buf, head, facts->made_id);
    add_slice(&text, buf, head->method_name);
    text_add(&text, " ", 1);
    add_target(&text, buf, head, facts);
    text_put(&text, " HTTP/1.1\r\n");
    if (!(facts->own & BOARD_OWN_HOST))
        add_host(&text, buf, head, facts);
    copy_fields(&text, buf, head, replaced_fields(facts));
    add_framing(&text, head);
    add_forwarded(&text, buf, head, facts);
    if (!(facts->own & BOARD_OWN_REQUEST_ID)) {
        text_put(&text, "X-Request-Id: ");
        text_add(&text, id.text, id.len);
        text_add(&text, "\r\n", 2);
    }
    if (facts->via && !(facts->own & BOARD_OWN_VIA))
        text_put(&text, "Via: 1.1 daruma\r\n");
    gw_expand_lines(&text, facts->rewrite.add, facts->gaps);
    if (head->upgrade)
        add_upgrade(&text, buf, head);
    return finish(&text, out);
}

static void add_cookie(struct text *text, const struct gw_span cookie[3])
{
    text_put(text, "Set-Cookie: ");
    text_add(text, cookie[0].text, cookie[0].len);
    text_add(text, "=", 1);
    text_add(text, cookie[1].text, cookie[1].len);
    text_add(text, cookie[2].text, cookie[2].len);
    text_add(text, "\r\n", 2);
}

/* The Location of an answer that a route rewrites, if it begins as one of the pairs says, and what it becomes. */
static struct http1_header *find_location(const char *buf, struct http1_head *head, struct gw_span pairs,
                                          struct gw_span ret[2])
{
    struct http1_header *location = head->header;
    const struct http1_header *none = head->header + head->headers;
    while (location < none && (location->hop_by_hop || location->name.len != 8 ||
                               strncasecmp(buf + location->name.at, "Location", 8) != 0))
        location++;
    if (location == none)
        return NULL;
    struct gw_span value = { buf + location->value.at, location->value.len };
    struct gw_span from, to;
    while (next_line(&pairs, &from) && next_line(&pairs, &to)) {
        if (from.len > value.len || memcmp(value.text, from.text, from.len) != 0)
            continue;
        ret[0] = to;
        ret[1] = (struct gw_span){ value.text + from.len, value.len - from.len };
        return location;
    }
    return NULL;
}

static void add_location(struct text *text, const struct gw_span location[2])
{
    text_put(text, "Location: ");
    text_add(text, location[0].text, location[0].len);
    text_add(text, location[1].text, location[1].len);
    text_add(text, "\r\n", 2);
}

bool gw_forward_is_good(unsigned status)
{
    return status == 200 || status == 201 || status == 204 || status == 206 ||
           (status >= 301 && status <= 308 && status != 305 && status != 306);
}

ssize_t gw_forward_response(const char *buf, struct http1_head *head, const struct gw_forward_response *facts,
                            char *out, size_t size)
{
    struct text text = { .at = out, .end = out + size };
    uint64_t skip = FIELD_BIT(CONTENT_LENGTH);
    struct http1_header *location = NULL;
    struct gw_span moved[2] = { { 0 } };

    if (facts->rewrite.drop.len > 0)
        mark_dropped(buf, head, facts->rewrite.drop);
    if (facts->rewrite.locations.len > 0)
        location = find_location(buf, head, facts->rewrite.locations, moved);
    if (location)
        location->hop_by_hop = true; /* as it was it goes no further */
    text_put(&text, "HTTP/1.1 ");
    text_number(&text, head->status);
    text_add(&text, " ", 1);
    add_slice(&text, buf, head->reason);
    text_add(&text, "\r\n", 2);
    if (facts->served_by)
        skip |= FIELD_BIT(X_SERVED_BY);
    copy_fields(&text, buf, head, skip);
    if (location)
        add_location(&text, moved);
    if (facts->enchunk)
        text_put(&text, "Transfer-Encoding: chunked\r\n");
    else if (head->status >= 200 && head->status != 204 && !facts->dechunk)
        add_framing(&text, head);
    if (head->upgrade)
        add_upgrade(&text, buf, head);
    else if (facts->close && head->status >= 200)
        text_put(&text, "Connection: close\r\n");
    else if (facts->http10)
        text_put(&text, "Connection: keep-alive\r\n");
    if (facts->date.len > 0 && !is_date_dropped(facts->rewrite.drop)) {
        text_put(&text, "Date: ");
        text_add(&text, facts->date.text, facts->date.len);
        text_add(&text, "\r\n", 2);
    }
    if (facts->served_by && head->status >= 200) {
        text_put(&text, "X-Served-By: ");
        text_put(&text, facts->served_by);
        text_add(&text, "\r\n", 2);
    }
    if (head->status >= 200 && facts->cookie[0].len > 0)
        add_cookie(&text, facts->cookie);
    if (head->status >= 200)
        gw_expand_lines(&text, facts->rewrite.add, facts->gaps);
    if (gw_forward_is_good(head->status))
        gw_expand_lines(&text, facts->rewrite.add_on_success, facts->gaps);
    return finish(&text, out);
}

uint32_t gw_forward_keep_alive(const char *buf, const struct http1_head *head)
{
    static const char name[] = "timeout=";
    const size_t len = sizeof(name) - 1;
    const struct http1_header *field = find(head, HTTP1_FIELD_KEEP_ALIVE);
    uint32_t seconds = 0;

    if (!field)
        return 0;
    const char *at = buf + field->value.at, *end = at + field->value.len;
    while ((size_t)(end - at) >= len && strncasecmp(at, name, len) != 0)
        at++;
    if ((size_t)(end - at) < len)
        return 0;
    for (at += len; at < end && *at >= '0' && *at <= '9' && seconds < 100000; at++)
        seconds = seconds * 10 + (uint32_t)(*at - '0');
    return seconds;
}
