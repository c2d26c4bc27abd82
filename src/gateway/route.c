/* SPDX-License-Identifier: MIT */
#include "gateway/route.h"

#include "base/hash.h"
#include "base/http1_class.h"

#include <errno.h>
#include <string.h>

enum { HOST_MAX = 255 }; /* bytes of a name that a route can have */

/* --- the index -------------------------------------------------------------------------------------------------- */

static uint64_t group_hash(uint32_t listener, const char *host, size_t len)
{
    return hash_mix(hash_bytes(HASH_SEED ^ listener, host, len));
}

static uint64_t route_hash(uint64_t path, uint32_t group, enum board_match match)
{
    return hash_mix(path ^ ((uint64_t)group << 3 | match));
}

/* The path of a route as the prefix that it is: "/" asks for nothing. */
static const char *route_path(const struct board *view, const struct board_route *route, size_t *ret_len)
{
    const char *path = board_text(view, route->path, ret_len);
    if (*ret_len == 1 && (route->match == BOARD_PREFIX || route->match == BOARD_BEGINS))
        *ret_len = 0;
    return path;
}

/* What asks for nothing is a prefix, whatever it calls itself. */
static enum board_match match_of(const struct board_route *route, size_t path_len)
{
    return path_len == 0 && route->match == BOARD_BEGINS ? BOARD_PREFIX : (enum board_match)route->match;
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

static struct regex *compile(const char *text, size_t len, bool caseless)
{
    char why[1]; /* whoever loaded the file has told it */
    return regex_new(text, len, caseless, why, sizeof(why));
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
        .order = UINT32_MAX,
        .regex = GW_ROUTE_NONE,
        .host = { .at = route->host.at, .len = (uint32_t)len },
    };
    if (len > 0 && host[0] == '*')
        routes->wildcards[route->listener] = true;
    else if (len > 0 && host[0] != '~' && host[len - 1] == '*')
        routes->tails[route->listener] = true;
    uint32_t at = (uint32_t)routes->group[index].hash % GW_ROUTE_SLOTS;
    while (routes->group_slots[at] > 0)
        at = (at + 1) % GW_ROUTE_SLOTS;
    routes->group_slots[at] = index + 1;
    return index;
}

/* Those that want to be first come before the others; else it is the order of the file. */
static void add_regex(struct gw_routes *routes, const struct board *view, uint32_t index, uint32_t group)
{
    const struct board_route *route = &view->routes[index];
    size_t len;
    const char *text = board_text(view, route->path, &len);
    uint32_t *at = &routes->group[group].regex;

    routes->regex[index] = compile(text, len, false);
    for (; *at != GW_ROUTE_NONE; at = &routes->regex_next[*at]) {
        const struct board_route *other = &view->routes[*at];
        bool first = route->flags & BOARD_FIRST, other_first = other->flags & BOARD_FIRST;
        if (first != other_first ? first : route->order < other->order)
            break;
    }
    routes->regex_next[index] = *at;
    *at = index;
}

/* The rules stand on the board one behind the other, as they are carried out. */
static void add_rules(struct gw_routes *routes, const struct board *view, uint32_t index)
{
    size_t len;
    const char *at = board_text(view, view->routes[index].rewrites, &len), *end = at + len;
    uint32_t *last = &routes->rules_of[index];

    while (at < end && routes->rules < BOARD_RULES) {
        const char *regex_end = memchr(at, '\n', (size_t)(end - at));
        const char *to_end = regex_end ? memchr(regex_end + 1, '\n', (size_t)(end - regex_end - 1)) : NULL;
        if (!to_end)
            return;
        routes->rule[routes->rules] = (struct gw_rule){
            .regex = compile(at + 1, (size_t)(regex_end - at - 1), false),
            .to = { regex_end + 1, (size_t)(to_end - regex_end - 1) },
            .then = (enum board_then) * at,
        };
        *last = ++routes->rules;
        last = &routes->rule[routes->rules - 1].next;
        routes->rewrites[view->routes[index].listener] = true;
        at = to_end + 1;
    }
}

static void add_route(struct gw_routes *routes, const struct board *view, uint32_t index)
{
    const struct board_route *route = &view->routes[index];
    uint32_t group_index = add_group(routes, view, route), depth = 0;
    struct gw_route_group *group = &routes->group[group_index];
    size_t len;
    const char *path = route_path(view, route, &len);

    routes->route_group[index] = group_index;
    add_rules(routes, view, index);
    if (route->order < group->order)
        group->order = route->order;
    if (route->match == BOARD_REGEX) {
        add_regex(routes, view, index, group_index);
        return;
    }
    for (size_t i = 0; i < len; i++)
        depth += path[i] == '/';
    if (route->match == BOARD_PREFIX && depth > group->depth)
        group->depth = depth < GW_ROUTE_DEPTH ? depth : GW_ROUTE_DEPTH;
    if (route->match == BOARD_BEGINS && len > group->begins)
        group->begins = (uint32_t)len;
    routes->path_hash[index] = route_hash(hash_bytes(HASH_SEED, path, len), group_index, match_of(route, len));
    uint32_t at = (uint32_t)routes->path_hash[index] % GW_ROUTE_SLOTS;
    while (routes->path_slots[at] > 0)
        at = (at + 1) % GW_ROUTE_SLOTS;
    routes->path_slots[at] = index + 1;
}

void gw_routes_free(struct gw_routes *routes)
{
    for (uint32_t i = 0; i < BOARD_ROUTES; i++) {
        regex_free(routes->regex[i]);
        routes->regex[i] = NULL;
    }
    for (uint32_t i = 0; i < routes->groups; i++) {
        regex_free(routes->group[i].host_regex);
        routes->group[i].host_regex = NULL;
    }
    for (uint32_t i = 0; i < routes->rules; i++) {
        regex_free(routes->rule[i].regex);
        routes->rule[i].regex = NULL;
    }
}

/* Hosts by regular expressions are asked in the order in which the file names them. */
static void link_host_regexes(struct gw_routes *routes, const struct board *view)
{
    for (uint32_t i = 0; i < routes->groups; i++) {
        struct gw_route_group *group = &routes->group[i];
        size_t len;
        const char *host = board_text(view, group->host, &len);
        if (len == 0 || host[0] != '~')
            continue;
        uint32_t *at = &routes->host_regex[group->listener];
        while (*at != GW_ROUTE_NONE && routes->group[*at].order < group->order)
            at = &routes->group[*at].next;
        group->host_regex = compile(host + 1, len - 1, true);
        group->next = *at;
        *at = i;
    }
}

void gw_routes_update(struct gw_routes *routes, const struct board *view)
{
    uint8_t count[BOARD_LISTENERS] = { 0 };

    if (routes->built && routes->version == view->routes_version)
        return;
    gw_routes_free(routes);
    routes->built = true;
    routes->version = view->routes_version;
    routes->groups = routes->rules = 0;
    memset(routes->rules_of, 0, sizeof(routes->rules_of));
    memset(routes->rewrites, 0, sizeof(routes->rewrites));
    memset(routes->wildcards, 0, sizeof(routes->wildcards));
    memset(routes->tails, 0, sizeof(routes->tails));
    memset(routes->group_slots, 0, sizeof(routes->group_slots));
    memset(routes->path_slots, 0, sizeof(routes->path_slots));
    memset(routes->only, 0xff, sizeof(routes->only));
    memset(routes->host_regex, 0xff, sizeof(routes->host_regex));
    for (uint32_t i = 0; i < view->used_routes; i++) {
        const struct board_route *route = &view->routes[i];
        size_t path_len;
        if (!route->used || route->listener >= BOARD_LISTENERS)
            continue;
        add_route(routes, view, i);
        (void)route_path(view, route, &path_len);
        bool alone = count[route->listener] == 0 && route->host.len == 0 && path_len == 0 && route->rewrites.len == 0;
        routes->only[route->listener] = alone ? i : GW_ROUTE_NONE;
        count[route->listener] = 1;
    }
    link_host_regexes(routes, view);
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
            hash = hash_bytes(hash, path->text + i, 1);
    }
    hashes->whole = hash;
}

/* What is looked for. */
struct search {
    const struct gw_routes *routes;
    const struct board *view;
    uint32_t listener;
    bool passed;
    struct gw_path *path;
    struct path_hashes hashes;
};

static uint32_t find_path(const struct gw_routes *routes, const struct board *view, uint32_t group, uint64_t hash,
                          enum board_match match, const char *path, size_t len)
{
    hash = route_hash(hash, group, match);
    for (uint32_t at = (uint32_t)hash % GW_ROUTE_SLOTS; routes->path_slots[at] > 0; at = (at + 1) % GW_ROUTE_SLOTS) {
        uint32_t index = routes->path_slots[at] - 1;
        const struct board_route *route = &view->routes[index];
        if (routes->path_hash[index] != hash || routes->route_group[index] != group)
            continue;
        size_t known_len;
        const char *known = route_path(view, route, &known_len);
        if (known_len == len && match_of(route, len) == match && memcmp(known, path, len) == 0)
            return index;
    }
    return GW_ROUTE_NONE;
}

/* The longest route whose bytes the path begins with, and that is longer than `beyond`. */
static uint32_t find_begins(const struct search *search, uint32_t group, size_t beyond)
{
    const struct gw_routes *routes = search->routes;
    const struct gw_path *path = search->path;
    uint64_t hash = HASH_SEED;
    size_t most = routes->group[group].begins < path->len ? routes->group[group].begins : path->len;
    uint32_t found = GW_ROUTE_NONE;

    for (size_t len = 1; len <= most; len++) {
        hash = hash_bytes(hash, path->text + len - 1, 1);
        uint32_t index =
            len > beyond ? find_path(routes, search->view, group, hash, BOARD_BEGINS, path->text, len) : GW_ROUTE_NONE;
        found = index != GW_ROUTE_NONE ? index : found;
    }
    return found;
}

/* The longest prefix of either kind. */
static uint32_t find_prefix(const struct search *search, uint32_t group)
{
    const struct gw_routes *routes = search->routes;
    const struct path_hashes *hashes = &search->hashes;
    uint32_t found = GW_ROUTE_NONE;
    unsigned deepest = routes->group[group].depth;
    size_t len = 0;

    if (deepest >= hashes->count)
        deepest = hashes->count - 1;
    for (unsigned n = deepest + 1; found == GW_ROUTE_NONE && n > 0; n--) {
        len = hashes->len[n - 1];
        found = find_path(routes, search->view, group, hashes->hash[n - 1], BOARD_PREFIX, search->path->text, len);
    }
    if (routes->group[group].begins == 0)
        return found;
    uint32_t begins = find_begins(search, group, found == GW_ROUTE_NONE ? 0 : len);
    return begins != GW_ROUTE_NONE ? begins : found;
}

/* The first regular expression from `*at` on that matches, of those that want to be first or of the others. */
static uint32_t find_regex(const struct search *search, uint32_t *at, bool first)
{
    const struct gw_routes *routes = search->routes;
    const struct board *view = search->view;
    struct gw_path *path = search->path;

    for (; *at != GW_ROUTE_NONE; *at = routes->regex_next[*at]) {
        if (((view->routes[*at].flags & BOARD_FIRST) != 0) != first)
            break;
        if (search->passed && view->routes[*at].action == BOARD_PASS)
            continue;
        if (routes->regex[*at] && regex_match(routes->regex[*at], path->text, path->len, path->group) > 0) {
            path->grouped = true;
            return *at;
        }
    }
    return GW_ROUTE_NONE;
}

static uint32_t find_in_group(const struct search *search, uint32_t group)
{
    const struct gw_routes *routes = search->routes;
    const struct board *view = search->view;

    if (group == GW_ROUTE_NONE)
        return GW_ROUTE_NONE;
    uint32_t regex = routes->group[group].regex;
    uint32_t found = find_regex(search, &regex, true);
    if (found == GW_ROUTE_NONE)
        found =
            find_path(routes, view, group, search->hashes.whole, BOARD_EXACT, search->path->text, search->path->len);
    if (found != GW_ROUTE_NONE)
        return found;
    uint32_t prefix = find_prefix(search, group);
    if (prefix != GW_ROUTE_NONE && (view->routes[prefix].flags & BOARD_FIRST))
        return prefix;
    found = find_regex(search, &regex, false);
    return found != GW_ROUTE_NONE ? found : prefix;
}

static uint32_t find_by_name(const struct search *search, const char *name, size_t len)
{
    return find_in_group(search, find_group(search->routes, search->view, search->listener, name, len));
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

/* "*.example.org": what stands behind each dot of the name, the longest first. One byte before the name is free. */
static uint32_t find_by_tail(const struct search *search, char *name, size_t len)
{
    uint32_t found = GW_ROUTE_NONE;
    unsigned labels = 0;

    for (size_t at = 1; found == GW_ROUTE_NONE && at < len && labels < GW_ROUTE_LABELS; at++) {
        if (name[at] != '.')
            continue;
        char before = name[at - 1];
        name[at - 1] = '*';
        found = find_by_name(search, name + at - 1, len - at + 1);
        name[at - 1] = before;
        labels++;
    }
    return found;
}

/* "www.example.*": what stands before each dot, the longest first. One byte behind the name is free. */
static uint32_t find_by_head(const struct search *search, char *name, size_t len)
{
    uint32_t found = GW_ROUTE_NONE;
    unsigned labels = 0;

    for (size_t at = len; found == GW_ROUTE_NONE && at > 1 && labels < GW_ROUTE_LABELS; at--) {
        if (name[at - 1] != '.')
            continue;
        char behind = name[at];
        name[at] = '*';
        found = find_by_name(search, name, at + 1);
        name[at] = behind;
        labels++;
    }
    return found;
}

static uint32_t find_by_regex(const struct search *search, const char *name, size_t len)
{
    const struct gw_routes *routes = search->routes;
    struct regex_group unused[REGEX_GROUPS];
    uint32_t found = GW_ROUTE_NONE;

    for (uint32_t at = routes->host_regex[search->listener]; found == GW_ROUTE_NONE && at != GW_ROUTE_NONE;
         at = routes->group[at].next)
        if (routes->group[at].host_regex && regex_match(routes->group[at].host_regex, name, len, unused) > 0)
            found = find_in_group(search, at);
    return found;
}

uint32_t gw_route_find(const struct gw_routes *routes, const struct board *view, uint32_t listener, const char *host,
                       size_t host_len, bool passed, struct gw_path *path)
{
    if (routes->only[listener] != GW_ROUTE_NONE)
        return routes->only[listener];

    /* A byte before the name and one behind it are left for the wildcard's asterisk. */
    char room[HOST_MAX + 3], *name = room + 1;
    size_t len = plain_host(host, host_len, name);
    struct search search;
    search.routes = routes;
    search.view = view;
    search.listener = listener;
    search.passed = passed;
    search.path = path;
    hash_path(&search.hashes, path);

    uint32_t found = GW_ROUTE_NONE;
    if (len > 0)
        found = find_by_name(&search, name, len);
    if (found == GW_ROUTE_NONE && routes->wildcards[listener])
        found = find_by_tail(&search, name, len);
    if (found == GW_ROUTE_NONE && routes->tails[listener])
        found = find_by_head(&search, name, len);
    if (found == GW_ROUTE_NONE && len > 0)
        found = find_by_regex(&search, name, len);
    if (found == GW_ROUTE_NONE)
        found = find_by_name(&search, "", 0);
    return found;
}

/* --- what follows from a route ---------------------------------------------------------------------------------- */

/* How much of the normalised path the route takes. */
static size_t taken_len(const struct board *view, const struct board_route *route, const struct gw_path *path)
{
    size_t len;
    (void)board_text(view, route->path, &len);
    if (route->match == BOARD_PREFIX && len == 1)
        len = 0;
    return route->match == BOARD_REGEX ? 0 : len < path->len ? len : path->len;
}

void gw_route_replace(const struct board *view, const struct board_route *route, struct gw_span with,
                      const char *target, size_t len, const struct gw_path *path, struct gw_span ret[3])
{
    size_t taken = taken_len(view, route, path);
    size_t from = path->changed ? gw_path_raw_end(target, path->raw_len, taken) : taken;
    bool by_bytes = route->match == BOARD_BEGINS, whole = from >= path->raw_len;

    ret[0] = with;
    if (path->raw_len == 0 || *target != '/') {
        /* "*" is no path; of an absolute form without one it is "/". */
        bool asterisk = len > 0 && *target == '*';
        ret[1] = asterisk || with.len > 0 ? (struct gw_span){ "", 0 } : (struct gw_span){ "/", 1 };
        ret[0].len = asterisk ? 0 : with.len;
        ret[2] = (struct gw_span){ target, len };
        return;
    }
    if (!whole && !path->moved && (by_bytes || target[from] == '/')) {
        ret[1] = (struct gw_span){ "", 0 };
        ret[2] = (struct gw_span){ target + from, len - from };
    } else {
        ret[1] = (struct gw_span){ path->text + taken, path->len - taken };
        ret[2] = (struct gw_span){ target + path->raw_len, len - path->raw_len };
    }
    /* Of segments nothing is left, or the replacement ends with the slash that the rest begins with. */
    struct gw_span *rest = ret[1].len > 0 ? &ret[1] : &ret[2];
    bool slash = ret[1].len > 0 || !whole;
    if (ret[0].len == 0 && !slash)
        ret[1] = (struct gw_span){ "/", 1 };
    if (!by_bytes && ret[0].len > 0 && ret[0].text[ret[0].len - 1] == '/' && rest->len > 0 && *rest->text == '/') {
        rest->text++;
        rest->len--;
    }
}
