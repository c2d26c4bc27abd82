/* SPDX-License-Identifier: MIT */
#include "gateway/affinity.h"

#include "base/hash.h"

#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static const char digits[] = "0123456789abcdef";

static struct gw_span slice_of(const char *buf, struct http1_slice slice)
{
    return (struct gw_span){ buf + slice.at, slice.len };
}

static struct gw_span header_value(const char *buf, const struct http1_head *head, struct gw_span name)
{
    for (unsigned i = 0; i < head->headers; i++)
        if (head->header[i].name.len == name.len &&
            strncasecmp(buf + head->header[i].name.at, name.text, name.len) == 0)
            return slice_of(buf, head->header[i].value);
    return (struct gw_span){ 0 };
}

/* "a=1; b=2" */
static struct gw_span cookie_in(struct gw_span pairs, struct gw_span name)
{
    const char *at = pairs.text, *end = at + pairs.len;
    while (at < end) {
        const char *next = memchr(at, ';', (size_t)(end - at));
        const char *stop = next ? next : end;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        if ((size_t)(stop - at) > name.len && memcmp(at, name.text, name.len) == 0 && at[name.len] == '=')
            return (struct gw_span){ at + name.len + 1, (size_t)(stop - at) - name.len - 1 };
        at = stop + 1;
    }
    return (struct gw_span){ 0 };
}

struct gw_span gw_affinity_cookie(const char *buf, const struct http1_head *head, struct gw_span name)
{
    struct gw_span value = { 0 };
    for (unsigned i = 0; i < head->headers && !value.text; i++)
        if (head->header[i].field == HTTP1_FIELD_COOKIE)
            value = cookie_in(slice_of(buf, head->header[i].value), name);
    return value;
}

static uint64_t key_of(struct gw_span span)
{
    return span.len == 0 ? 0 : hash_mix(hash_bytes(HASH_SEED, span.text, span.len)) | 1;
}

/* Whatever else a client writes there names nobody. */
static uint64_t read_sticky(struct gw_span value)
{
    uint64_t place = 0;
    if (value.len != GW_STICKY_VALUE)
        return 0;
    for (size_t i = 0; i < value.len; i++) {
        const char *digit = memchr(digits, value.text[i], 16);
        if (!digit)
            return 0;
        place = place << 4 | (uint64_t)(digit - digits);
    }
    return place << 32 | 1;
}

void gw_affinity_write(uint64_t key, char value[GW_STICKY_VALUE])
{
    for (int i = 0; i < GW_STICKY_VALUE; i++)
        value[i] = digits[key >> (60 - 4 * i) & 15];
}

/* TCP has no head that could name another one. */
static uint64_t source_key(const struct board *view, struct gw_client peer, const char *buf,
                           const struct http1_head *head)
{
    const struct gw_client client = head ? gw_client_behind(peer, buf, head, view->trusted, view->used_trusted) : peer;
    size_t len = client.family == AF_INET ? 4 : client.family == AF_INET6 ? 16 : 0;
    return key_of((struct gw_span){ (const char *)client.address, len });
}

uint64_t gw_affinity_key(const struct board *view, const struct board_route *route, const char *buf,
                         const struct http1_head *head, struct gw_client peer)
{
    struct gw_span name;
    if (route->sticky.len > 0) {
        name.text = board_text(view, route->sticky, &name.len);
        return read_sticky(gw_affinity_cookie(buf, head, name));
    }
    if (route->placement != BOARD_HASH)
        return 0;
    name.text = board_text(view, route->hash_name, &name.len);
    switch ((enum board_hash_of)route->hash_of) {
    case BOARD_HASH_HEADER:
        return key_of(header_value(buf, head, name));
    case BOARD_HASH_COOKIE:
        return key_of(gw_affinity_cookie(buf, head, name));
    case BOARD_HASH_URI:
        return key_of((struct gw_span){ buf + head->path.at, head->path.len });
    case BOARD_HASH_SOURCE:
        break;
    }
    return source_key(view, peer, buf, head);
}
