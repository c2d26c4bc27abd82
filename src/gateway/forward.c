/* SPDX-License-Identifier: MIT */
#include "gateway/forward.h"

#include "gateway/text.h"

#include <errno.h>

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

static void add_forwarded(struct text *text, const char *buf, const struct http1_head *head,
                          const struct gw_forward_request *facts)
{
    text_put(text, "X-Forwarded-For: ");
    for (unsigned i = 0; i < head->headers; i++) {
        const struct http1_header *header = &head->header[i];
        if (header->field == HTTP1_FIELD_X_FORWARDED_FOR && header->value.len > 0) {
            add_slice(text, buf, header->value);
            text_add(text, ", ", 2);
        }
    }
    text_add(text, facts->peer, facts->peer_len);
    text_add(text, "\r\n", 2);
    /* Somebody in front of us knows better than we what the first hop was. */
    if (!find(head, HTTP1_FIELD_X_FORWARDED_PROTO))
        text_put(text, "X-Forwarded-Proto: http\r\n");
    if (!find(head, HTTP1_FIELD_X_FORWARDED_HOST) && head->host.len > 0)
        add_field(text, "X-Forwarded-Host", buf, head->host);
}

static ssize_t finish(struct text *text, const char *out)
{
    text_add(text, "\r\n", 2);
    return text->full ? -ENOSPC : text->at - out;
}

ssize_t gw_forward_request(const char *buf, const struct http1_head *head, const struct gw_forward_request *facts,
                           char *out, size_t size)
{
    struct text text = { .at = out, .end = out + size };
    const uint64_t skip = FIELD_BIT(HOST) | FIELD_BIT(CONTENT_LENGTH) | FIELD_BIT(X_FORWARDED_FOR);

    add_slice(&text, buf, head->method_name);
    text_add(&text, " ", 1);
    /* An absolute-form target may have no path of its own: RFC 9112 §3.2.1, §3.2.4. */
    if (head->path.len == 0 && head->method == HTTP1_OPTIONS)
        text_add(&text, "*", 1);
    else if (head->path.len == 0 || buf[head->path.at] == '?')
        text_add(&text, "/", 1);
    add_slice(&text, buf, head->path);
    text_put(&text, " HTTP/1.1\r\n");
    add_field(&text, "Host", buf, head->host);
    copy_fields(&text, buf, head, skip);
    add_framing(&text, head);
    add_forwarded(&text, buf, head, facts);
    if (head->upgrade)
        add_upgrade(&text, buf, head);
    return finish(&text, out);
}

ssize_t gw_forward_response(const char *buf, const struct http1_head *head, const struct gw_forward_response *facts,
                            char *out, size_t size)
{
    struct text text = { .at = out, .end = out + size };
    uint64_t skip = FIELD_BIT(CONTENT_LENGTH);

    text_put(&text, "HTTP/1.1 ");
    text_number(&text, head->status);
    text_add(&text, " ", 1);
    add_slice(&text, buf, head->reason);
    text_add(&text, "\r\n", 2);
    if (facts->served_by)
        skip |= FIELD_BIT(X_SERVED_BY);
    copy_fields(&text, buf, head, skip);
    if (head->status >= 200 && head->status != 204 && !facts->dechunk)
        add_framing(&text, head);
    if (head->upgrade)
        add_upgrade(&text, buf, head);
    else if (facts->close && head->status >= 200)
        text_put(&text, "Connection: close\r\n");
    else if (facts->http10)
        text_put(&text, "Connection: keep-alive\r\n");
    if (facts->served_by && head->status >= 200) {
        text_put(&text, "X-Served-By: ");
        text_put(&text, facts->served_by);
        text_add(&text, "\r\n", 2);
    }
    return finish(&text, out);
}
