/* SPDX-License-Identifier: MIT */
#include "gateway/expand.h"

#include "base/http1_class.h"
#include "gateway/affinity.h"

#include <string.h>
#include <strings.h>

struct gw_span gw_expand_host(const char *buf, struct http1_slice host)
{
    const char *text = buf + host.at, *end = text + host.len;
    const char *bracket = host.len > 0 && *text == '[' ? memchr(text, ']', host.len) : NULL;
    const char *after = bracket ? bracket : text, *colon = memchr(after, ':', (size_t)(end - after));
    return (struct gw_span){ text, (size_t)((colon ? colon : end) - text) };
}

static void add_span(struct text *text, struct gw_span span)
{
    text_add(text, span.text, span.len);
}

/* --- parts of the head ------------------------------------------------------------------------------------------ */

/* The values of all fields of that name, as one list. */
static void add_fields(struct text *text, const struct gw_facts *facts, const char *name, size_t len)
{
    bool any = false;
    for (unsigned i = 0; i < facts->head->headers; i++) {
        const struct http1_header *header = &facts->head->header[i];
        if (header->name.len != len || strncasecmp(facts->buf + header->name.at, name, len) != 0)
            continue;
        text_put(text, any ? ", " : "");
        text_add(text, facts->buf + header->value.at, header->value.len);
        any = true;
    }
}

static void add_forwarded_for(struct text *text, const struct gw_facts *facts)
{
    static const char field[] = "x-forwarded-for";
    const char *before = text->at;
    add_fields(text, facts, field, sizeof(field) - 1);
    if (text->at > before)
        text_put(text, ", ");
    add_span(text, facts->peer);
}

static void add_host(struct text *text, const struct gw_facts *facts)
{
    struct gw_span host = gw_expand_host(facts->buf, facts->head->host);
    char *from = text->at;
    add_span(text, host);
    for (; from < text->at; from++)
        *from = http1_lower(*from);
}

/* --- the target ------------------------------------------------------------------------------------------------- */

/* With its question mark. */
static struct gw_span query_of(const struct gw_facts *facts)
{
    if (facts->path)
        return facts->path->query;
    const struct http1_slice target = facts->head->path;
    const char *begin = facts->buf + target.at, *mark = memchr(begin, '?', target.len);
    return mark ? (struct gw_span){ mark, (size_t)(begin + target.len - mark) } : (struct gw_span){ "", 0 };
}

static void add_query(struct text *text, const struct gw_facts *facts)
{
    struct gw_span query = query_of(facts);
    if (query.len > 1)
        text_add(text, query.text + 1, query.len - 1);
}

static void add_parameter(struct text *text, const struct gw_facts *facts, const char *name, size_t len)
{
    struct gw_span query = query_of(facts);
    if (query.len == 0)
        return;
    const char *at = query.text + 1, *end = query.text + query.len;
    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at)), *stop = next ? next : end;
        if ((size_t)(stop - at) > len && at[len] == '=' && memcmp(at, name, len) == 0) {
            text_add(text, at + len + 1, (size_t)(stop - at) - len - 1);
            return;
        }
        at = stop + 1;
    }
}

static void add_uri(struct text *text, const struct gw_facts *facts)
{
    if (facts->head->path.len == 0 || facts->buf[facts->head->path.at] == '?')
        text_put(text, "/");
    text_add(text, facts->buf + facts->head->path.at, facts->head->path.len);
}

/* As it was written, unless that could be taken for another host. */
static void add_path(struct text *text, const struct gw_facts *facts)
{
    if (!facts->path)
        return;
    bool as_written = !facts->path->moved && facts->path->raw_len > 0 && *facts->target.text == '/';
    if (as_written)
        text_add(text, facts->target.text, facts->path->raw_len);
    else
        text_add(text, facts->path->text, facts->path->len);
    add_span(text, query_of(facts));
}

static void add_rest(struct text *text, const struct gw_facts *facts)
{
    if (!facts->rest[1].text) {
        add_path(text, facts);
        return;
    }
    for (int i = 0; i < 3; i++)
        add_span(text, facts->rest[i]);
}

static void add_group(struct text *text, const struct regex_group *group)
{
    if (group->text)
        text_add(text, group->text, group->len);
}

/* --- filling ---------------------------------------------------------------------------------------------------- */

static void fill(struct text *text, const struct template_piece *piece, const struct gw_facts *facts)
{
    static const char *const protocols[] = { "HTTP/1.0", "HTTP/1.1" };

    switch (piece->var) {
    case TEMPLATE_CLIENT:
        add_span(text, facts->peer);
        return;
    case TEMPLATE_PORT:
        text_number(text, facts->port);
        return;
    case TEMPLATE_SCHEME:
        text_put(text, "http");
        return;
    default:
        if (!facts->head)
            return;
        break;
    }
    switch (piece->var) {
    case TEMPLATE_AUTHORITY:
        text_add(text, facts->buf + facts->head->host.at, facts->head->host.len);
        break;
    case TEMPLATE_COOKIE:
        add_span(text, gw_affinity_cookie(facts->buf, facts->head, (struct gw_span){ piece->text, piece->len }));
        break;
    case TEMPLATE_FORWARDED_FOR:
        add_forwarded_for(text, facts);
        break;
    case TEMPLATE_GROUP:
        if (facts->path && facts->path->grouped && piece->len > 0)
            add_group(text, &facts->path->group[piece->text[0] - '0']);
        break;
    case TEMPLATE_HEADER:
        add_fields(text, facts, piece->text, piece->len);
        break;
    case TEMPLATE_HOST:
        add_host(text, facts);
        break;
    case TEMPLATE_MARK:
        text_put(text, query_of(facts).len > 1 ? "?" : "");
        break;
    case TEMPLATE_METHOD:
        text_add(text, facts->buf + facts->head->method_name.at, facts->head->method_name.len);
        break;
    case TEMPLATE_PARAMETER:
        add_parameter(text, facts, piece->text, piece->len);
        break;
    case TEMPLATE_PATH:
        add_path(text, facts);
        break;
    case TEMPLATE_PLAIN_PATH:
        if (facts->path)
            text_add(text, facts->path->text, facts->path->len);
        break;
    case TEMPLATE_PROTOCOL:
        text_put(text, protocols[facts->head->minor > 0]);
        break;
    case TEMPLATE_QUERY:
        add_query(text, facts);
        break;
    case TEMPLATE_REQUEST_ID:
        add_span(text, gw_forward_id(facts->buf, facts->head, facts->made_id));
        break;
    case TEMPLATE_REST:
        add_rest(text, facts);
        break;
    case TEMPLATE_URI:
        add_uri(text, facts);
        break;
    default:
        break;
    }
}

void gw_expand(struct text *text, struct gw_span template, const struct gw_facts *facts)
{
    struct template_piece piece;

    if (template.len == 0)
        return; /* then its text may be NULL, which nothing may be added to */
    const char *at = template.text, *end = at + template.len;
    while (template_next(&at, end, &piece)) {
        if (piece.var)
            fill(text, &piece, facts);
        else
            text_add(text, piece.text, piece.len);
    }
}

void gw_expand_lines(struct text *text, struct gw_span lines, const struct gw_facts *facts)
{
    if (lines.len == 0 || !memchr(lines.text, TEMPLATE_OPEN, lines.len)) {
        add_span(text, lines);
        return;
    }
    const char *at = lines.text, *end = at + lines.len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *next = stop ? stop + 1 : end, *value = memchr(at, ' ', (size_t)(next - at));
        struct text before = *text;
        if (!value || next - value <= 3) {
            text_add(text, at, (size_t)(next - at));
        } else {
            text_add(text, at, (size_t)(value + 1 - at));
            const char *begin = text->at;
            gw_expand(text, (struct gw_span){ value + 1, (size_t)(next - value) - 3 }, facts);
            bool empty = text->at == begin;
            text_add(text, "\r\n", 2);
            if (empty && !text->full)
                *text = before;
        }
        at = next;
    }
}
