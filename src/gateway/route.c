/* SPDX-License-Identifier: MIT */
#include "gateway/route.h"

#include "base/http1_class.h"
#include "gateway/text.h"

#include <errno.h>
#include <string.h>

#define HASH_SEED  UINT64_C(14695981039346656037)
#define HASH_PRIME UINT64_C(1099511628211)
#define EXACT_SALT UINT64_C(0x9e3779b97f4a7c15)

enum { HOST_MAX = 255 }; /* bytes of a name that a route can have */

/* --- paths ------------------------------------------------------------------------------------------------------ */

static int hex_digit(char byte)
{
    if (!http1_is(byte, HTTP1_IS_HEX))
        return -1;
    return byte <= '9' ? byte - '0' : http1_lower(byte) - 'a' + 10;
}

/* RFC 3986 §2.3, and the slash: what an escape may stand for without changing its meaning for whoever decodes. */
static bool decodes(unsigned byte)
{
    char low = http1_lower((char)byte);
    return (low >= 'a' && low <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
           byte == '~' || byte == '/';
}

/* Nearly every path: nothing to look at twice. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '%' || (text[i] == '/' && i + 1 < len && (text[i + 1] == '/' || text[i + 1] == '.')))
            return false;
    return true;
}

struct writer {
    struct gw_path *path;
    size_t len, segment; /* where the present segment begins */
};

/* The present segment is over. False: it leads above the root. */
static bool end_segment(struct writer *writer, bool slash)
{
    char *room = writer->path->room;
    size_t len = writer->len - writer->segment;
    const char *segment = room + writer->segment;

    if (len == 2 && segment[0] == '.' && segment[1] == '.') {
        if (writer->segment <= 1)
            return false;
        writer->len = writer->segment - 1;
        while (room[writer->len - 1] != '/')
            writer->len--;
        writer->path->moved = true;
    } else if ((len == 0 && slash) || (len == 1 && segment[0] == '.')) {
        writer->len = writer->segment;
        writer->path->moved = true;
    } else if (slash) {
        room[writer->len++] = '/';
    }
    writer->segment = writer->len;
    return true;
}

static bool write_path(struct writer *writer, const char *text, size_t len)
{
    char *room = writer->path->room;
    for (size_t i = 1; i < len; i++) {
        char byte = text[i];
        if (byte == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1, low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            unsigned value = (unsigned)(high << 4 | low);
            i += 2;
            if (!decodes(value)) {
                static const char digits[] = "0123456789ABCDEF";
                room[writer->len++] = '%';
                room[writer->len++] = digits[high];
                room[writer->len++] = digits[low];
                continue;
            }
            byte = (char)value;
        }
        if (byte != '/')
            room[writer->len++] = byte;
        else if (!end_segment(writer, true))
            return false;
    }
    return end_segment(writer, false);
}

bool gw_path_normalise(const char *target, size_t len, struct gw_path *ret)
{
    const char *query = memchr(target, '?', len);

    ret->raw_len = query ? (size_t)(query - target) : len;
    ret->text = target;
    ret->len = ret->raw_len;
    ret->changed = ret->moved = false;
    if (ret->len == 0 || *target != '/') { /* of an absolute form without a path; of OPTIONS * */
        ret->text = "/";
        ret->len = 1;
        return true;
    }
    if (is_plain(target, ret->len))
        return true;
    if (ret->len > sizeof(ret->room))
        return false;
    struct writer writer = { .path = ret, .len = 1, .segment = 1 };
    ret->room[0] = '/';
    if (!write_path(&writer, target, ret->raw_len))
        return false;
    ret->text = ret->room;
    ret->len = writer.len;
    ret->changed = ret->len != ret->raw_len || memcmp(ret->room, target, ret->len) != 0;
    return true;
}

/* --- the index -------------------------------------------------------------------------------------------------- */

static uint64_t hash_byte(uint64_t hash, char byte)
{
    return (hash ^ (uint8_t)byte) * HASH_PRIME;
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = hash_byte(hash, bytes[i]);
    return hash;
}

/* The low bits decide about the slot; FNV's high bits are the better ones. */
static uint64_t spread(uint64_t hash)
{
    hash *= UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

static uint64_t group_hash(uint32_t listener, const char *host, size_t len)
{
    return spread(hash_bytes(HASH_SEED ^ listener, host, len));
}

static uint64_t route_hash(uint64_t path, uint32_t group, bool exact)
{
    return spread((path ^ group * HASH_PRIME) + (exact ? EXACT_SALT : 0));
}

/* The path of a route as the prefix that it is: "/" asks for nothing. */
static const char *route_path(const struct board *view, const struct board_route *route, size_t *ret_len)
{
    const char *path = board_text(view, route->path, ret_len);
    if (*ret_len == 1 && !(route->flags & BOARD_PATH_EXACT))
        *ret_len = 0;
    return path;
}

static uint32_t find_group(const struct gw_routes *routes, const struct board *view, uint32_t listener,
                           const char *host, size_t len)
{
    uint64_t hash = group_hash(listener, host, len);
    for (uint32_t at = (uint32_t)hash % GW_ROUTE_SLOTS; routes->group_slots[at] > 0; at = (at + 1) % GW_ROUTE_SLOTS) {
        uint32_t index = routes->group_slots[at] - 1;
        const struct gw_route_group *group = &routes->group[index];
        size_t known;
        if (group->hash == hash && group->listener == listener && group->host.len == len &&
            memcmp(board_text(view, group->host, &known), host, len) == 0)
            return index;
    }
    return GW_ROUTE_NONE;
}

static uint32_t add_group(struct gw_routes *routes, const struct board *view, const struct board_route *route)
{
    size_t len;
    const char *host = board_text(view, route->host, &len);
    uint32_t index = find_group(routes, view, route->listener, host, len);
    if (index != GW_ROUTE_NONE)
        return index;
    index = routes->groups++;
    routes->group[index] = (struct gw_route_group){
        .hash = group_hash(route->listener, host, len),
        .listener = route->listener,
        .host = { .at = route->host.at, .len = (uint32_t)len },
    };
    if (len > 0 && host[0] == '*')
        routes->wildcards[route->listener] = true;
    uint32_t at = (uint32_t)routes->group[index].hash % GW_ROUTE_SLOTS;
    while (routes->group_slots[at] > 0)
        at = (at + 1) % GW_ROUTE_SLOTS;
    routes->group_slots[at] = index + 1;
    return index;
}

static void add_route(struct gw_routes *routes, const struct board *view, uint32_t index)
{
    const struct board_route *route = &view->routes[index];
    bool exact = route->flags & BOARD_PATH_EXACT;
    uint32_t group = add_group(routes, view, route), depth = 0;
    size_t len;
    const char *path = route_path(view, route, &len);

    for (size_t i = 0; i < len; i++)
        depth += path[i] == '/';
    if (!exact && depth > routes->group[group].depth)
        routes->group[group].depth = depth < GW_ROUTE_DEPTH ? depth : GW_ROUTE_DEPTH;
    routes->route_group[index] = group;
    routes->path_hash[index] = route_hash(hash_bytes(HASH_SEED, path, len), group, exact);
    uint32_t at = (uint32_t)routes->path_hash[index] % GW_ROUTE_SLOTS;
    while (routes->path_slots[at] > 0)
        at = (at + 1) % GW_ROUTE_SLOTS;
    routes->path_slots[at] = index + 1;
}

void gw_routes_update(struct gw_routes *routes, const struct board *view)
{
    uint8_t count[BOARD_LISTENERS] = { 0 };

    if (routes->built && routes->version == view->routes_version)
        return;
    routes->built = true;
    routes->version = view->routes_version;
    routes->groups = 0;
    memset(routes->wildcards, 0, sizeof(routes->wildcards));
    memset(routes->group_slots, 0, sizeof(routes->group_slots));
    memset(routes->path_slots, 0, sizeof(routes->path_slots));
    memset(routes->only, 0xff, sizeof(routes->only));
    for (uint32_t i = 0; i < view->used_routes; i++) {
        const struct board_route *route = &view->routes[i];
        size_t path_len;
        if (!route->used || route->listener >= BOARD_LISTENERS)
            continue;
        add_route(routes, view, i);
        (void)route_path(view, route, &path_len);
        bool alone = count[route->listener] == 0 && route->host.len == 0 && path_len == 0;
        routes->only[route->listener] = alone ? i : GW_ROUTE_NONE;
        count[route->listener] = 1;
    }
}

/* --- looking up ------------------------------------------------------------------------------------------------- */

/* The path's hashes at its segments' ends, computed in one pass. */
struct path_hashes {
    unsigned count;
    uint64_t hash[GW_ROUTE_DEPTH + 1]; /* [n]: of the first n segments */
    size_t len[GW_ROUTE_DEPTH + 1];
    uint64_t whole;
};

static void hash_path(struct path_hashes *hashes, const struct gw_path *path)
{
    uint64_t hash = HASH_SEED;
    hashes->count = 0;
    for (size_t i = 0; i <= path->len; i++) {
        bool end = i == path->len;
        if (hashes->count <= GW_ROUTE_DEPTH && (end ? path->text[i - 1] != '/' : path->text[i] == '/')) {
            hashes->hash[hashes->count] = hash;
            hashes->len[hashes->count++] = i;
        }
        if (!end)
            hash = hash_byte(hash, path->text[i]);
    }
    hashes->whole = hash;
}

static uint32_t find_path(const struct gw_routes *routes, const struct board *view, uint32_t group, uint64_t hash,
                          bool exact, const char *path, size_t len)
{
    hash = route_hash(hash, group, exact);
    for (uint32_t at = (uint32_t)hash % GW_ROUTE_SLOTS; routes->path_slots[at] > 0; at = (at + 1) % GW_ROUTE_SLOTS) {
        uint32_t index = routes->path_slots[at] - 1;
        const struct board_route *route = &view->routes[index];
        if (routes->path_hash[index] != hash || routes->route_group[index] != group ||
            exact != ((route->flags & BOARD_PATH_EXACT) != 0))
            continue;
        size_t known_len;
        const char *known = route_path(view, route, &known_len);
        if (known_len == len && memcmp(known, path, len) == 0)
            return index;
    }
    return GW_ROUTE_NONE;
}

static uint32_t find_in_group(const struct gw_routes *routes, const struct board *view, uint32_t group,
                              const struct gw_path *path, const struct path_hashes *hashes)
{
    if (group == GW_ROUTE_NONE)
        return GW_ROUTE_NONE;
    uint32_t found = find_path(routes, view, group, hashes->whole, true, path->text, path->len);
    unsigned deepest = routes->group[group].depth;
    if (deepest >= hashes->count)
        deepest = hashes->count - 1;
    for (unsigned n = deepest + 1; found == GW_ROUTE_NONE && n > 0; n--)
        found = find_path(routes, view, group, hashes->hash[n - 1], false, path->text, hashes->len[n - 1]);
    return found;
}

/* Without its port and without the last dot, in lower case. Its length; 0: none that a route could name. */
static size_t plain_host(const char *host, size_t len, char name[HOST_MAX + 1])
{
    const char *end = len > 0 && *host == '[' ? memchr(host, ']', len) : NULL;
    const char *colon = memchr(end ? end : host, ':', len - (size_t)(end ? end - host : 0));
    if (colon)
        len = (size_t)(colon - host);
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len > HOST_MAX)
        return 0;
    for (size_t i = 0; i < len; i++)
        name[i] = http1_lower(host[i]);
    return len;
}

uint32_t gw_route_find(const struct gw_routes *routes, const struct board *view, uint32_t listener, const char *host,
                       size_t host_len, const struct gw_path *path)
{
    if (routes->only[listener] != GW_ROUTE_NONE)
        return routes->only[listener];

    /* One byte before the name is left for the wildcard's asterisk. */
    char room[HOST_MAX + 2], *name = room + 1;
    size_t len = plain_host(host, host_len, name);
    struct path_hashes hashes;
    hash_path(&hashes, path);

    uint32_t found = GW_ROUTE_NONE;
    if (len > 0)
        found = find_in_group(routes, view, find_group(routes, view, listener, name, len), path, &hashes);
    unsigned labels = 0;
    for (size_t at = 0; found == GW_ROUTE_NONE && routes->wildcards[listener] && at < len && labels < GW_ROUTE_LABELS;
         at++) {
        if (name[at] != '.' || at == 0)
            continue;
        char before = name[at - 1];
        name[at - 1] = '*';
        found =
            find_in_group(routes, view, find_group(routes, view, listener, name + at - 1, len - at + 1), path, &hashes);
        name[at - 1] = before;
        labels++;
    }
    if (found == GW_ROUTE_NONE)
        found = find_in_group(routes, view, find_group(routes, view, listener, "", 0), path, &hashes);
    return found;
}

/* --- what follows from a route ---------------------------------------------------------------------------------- */

/* Where in the target as it was written the first `len` bytes of the normalised path end. */
static size_t raw_end(const char *target, size_t raw_len, size_t len)
{
    size_t at = 0;
    for (size_t seen = 0; seen < len && at < raw_len; seen++) {
        bool decoded = target[at] == '%' && at + 2 < raw_len &&
                       decodes((unsigned)(hex_digit(target[at + 1]) << 4 | hex_digit(target[at + 2])));
        at += decoded ? 3 : 1;
    }
    return at;
}

void gw_route_strip(const struct board *view, const struct board_route *route, const char *target, size_t len,
                    const struct gw_path *path, struct gw_span ret[2])
{
    size_t prefix;
    (void)board_text(view, route->path, &prefix);
    if (prefix <= 1 || prefix > path->len) {
        ret[0] = (struct gw_span){ "", 0 };
        ret[1] = (struct gw_span){ target, len };
        return;
    }
    size_t from = path->changed ? raw_end(target, path->raw_len, prefix) : prefix;
    if (!path->moved && from < path->raw_len && target[from] == '/') {
        ret[0] = (struct gw_span){ "", 0 };
        ret[1] = (struct gw_span){ target + from, len - from };
        return;
    }
    ret[0] = (struct gw_span){ path->text + prefix, path->len - prefix };
    if (ret[0].len == 0)
        ret[0] = (struct gw_span){ "/", 1 };
    ret[1] = (struct gw_span){ target + path->raw_len, len - path->raw_len };
}

/* The path as it goes into a Location: never with two slashes in front, which would name another host. */
static void add_path(struct text *text, struct gw_span target, const struct gw_path *path)
{
    bool as_written = !path->moved && path->raw_len > 0 && target.text[0] == '/';
    if (as_written)
        text_add(text, target.text, path->raw_len);
    else
        text_add(text, path->text, path->len);
    text_add(text, target.text + path->raw_len, target.len - path->raw_len);
}

ssize_t gw_route_location(const struct board *view, const struct board_route *route, struct gw_span host,
                          struct gw_span target, const struct gw_path *path, char *out, size_t size)
{
    struct text text = { .at = out, .end = out + size };
    struct gw_span rest[2];
    size_t len;
    const char *at = board_text(view, route->location, &len), *end = at + len;
    const char *bracket = host.len > 0 && host.text[0] == '[' ? memchr(host.text, ']', host.len) : NULL;
    const char *after = bracket ? bracket : host.text;
    const char *colon = memchr(after, ':', host.len - (size_t)(after - host.text));

    while (at < end) {
        size_t left = (size_t)(end - at);
        if (left >= 6 && memcmp(at, "{host}", 6) == 0) {
            text_add(&text, host.text, colon ? (size_t)(colon - host.text) : host.len);
            at += 6;
        } else if (left >= 6 && memcmp(at, "{path}", 6) == 0) {
            add_path(&text, target, path);
            at += 6;
        } else if (left >= 6 && memcmp(at, "{rest}", 6) == 0) {
            gw_route_strip(view, route, target.text, target.len, path, rest);
            /* Of no prefix the rest is the path itself, and that has its own rule. */
            if (rest[0].len == 0 && rest[1].text == target.text) {
                add_path(&text, target, path);
            } else {
                text_add(&text, rest[0].text, rest[0].len);
                text_add(&text, rest[1].text, rest[1].len);
            }
            at += 6;
        } else {
            text_add(&text, at++, 1);
        }
    }
    return text.full ? -ENOSPC : text.at - out;
}
