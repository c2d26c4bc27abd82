/* SPDX-License-Identifier: MIT
 *
 * What a route of x-gateway asks for (host, path), what it answers by itself (redirect, respond, maintenance), and which
 * header fields it changes.
 */
#include "compose/spec_build.h"

#include "base/board.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/regex.h"
#include "base/template.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 32 }; /* segments of a path: what the gateway looks up */

/* --- host and path ---------------------------------------------------------------------------------------------- */

/* Tells what is wrong with a regular expression. */
static void check_regex(struct loading *load, const struct node *node, const char *text)
{
    char why[128];
    struct regex *regex = regex_new(text, strlen(text), false, why, sizeof(why));
    if (!regex)
        problem_error(load->problems, node->place, "`%s` is no regular expression: %s", text, why);
    regex_free(regex);
}

static char *read_host(struct loading *load, const struct node *node)
{
    const char *text = node_str(node);
    if (!text)
        return pool_strdup(load->pool, "");
    char *host = pool_strdup(load->pool, text);
    size_t len = strlen(host), from = strncmp(host, "*.", 2) == 0 ? 2 : 0;
    size_t to = from == 0 && len > 2 && strcmp(host + len - 2, ".*") == 0 ? len - 2 : len;
    bool good = to > from && len <= 253 && host[from] != '.' && host[to - 1] != '.';

    if (host[0] == '~') {
        check_regex(load, node, host + 1);
        return host;
    }
    for (size_t i = from; good && i < to; i++) {
        host[i] = (char)tolower((unsigned char)host[i]);
        good = isalnum((unsigned char)host[i]) || strchr("-._:[]", host[i]);
    }
    if (good && host[0] != '[' && strchr(host, ':'))
        problem_error(load->problems, node->place, "`%s`: a host is written without its port", text);
    else if (!good)
        problem_error(load->problems, node->place,
                      "`%s` is no host; write shop.example.org, *.example.org for all below it, shop.example.*, or a "
                      "regular expression behind a ~",
                      text);
    return host;
}

static char *read_regex(struct loading *load, const struct node *node)
{
    const char *text = node_str(node);
    if (text)
        check_regex(load, node, text);
    return pool_strdup(load->pool, text ? text : "");
}

/* Only what is written as the gateway will see it can ever match: without escapes for plain letters, `//`, `.`, `..`. */
static char *read_path(struct loading *load, const struct node *node, enum spec_match match)
{
    const char *text = node_str(node);
    if (!text)
        return pool_strdup(load->pool, "");
    char *path = pool_strdup(load->pool, text);
    size_t len = strlen(path), depth = 0;
    bool good = path[0] == '/' && len <= 1024;

    for (size_t i = 0; good && i < len; i++) {
        size_t segment = strcspn(path + i + 1, "/");
        good = path[i] > ' ' && path[i] < 0x7f && !strchr("?#%", path[i]);
        if (path[i] != '/')
            continue;
        depth++;
        good = good && !(segment == 0 && path[i + 1]) && !(segment == 1 && path[i + 1] == '.') &&
               !(segment == 2 && path[i + 1] == '.' && path[i + 2] == '.');
    }
    if (!good || (depth > DEPTH_MAX && match == SPEC_PREFIX))
        problem_error(
            load->problems, node->place,
            "`%s` is no path to route by; write /api: it begins with a slash, and has no query, no %%-escapes, "
            "no `//`, `.` or `..` and at most %d segments",
            text, DEPTH_MAX);
    if (match == SPEC_PREFIX && len > 0 && path[len - 1] == '/')
        path[len - 1] = '\0';
    return path;
}

/* --- pages ------------------------------------------------------------------------------------------------------ */

/* May it stand in a header? Anything but control bytes. */
static bool check_value(struct loading *load, struct place place, const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            problem_error(load->problems, place, "a header field cannot hold control characters or line ends");
            return false;
        }
    return true;
}

static struct spec_page read_page(struct loading *load, const struct node *node, uint32_t status, const char *body)
{
    const struct node *file = node_get(node, "file"), *text = node_get(node, "body");
    const char *page = text ? node_text(load->pool, text) : body;
    size_t len = strlen(page);

    if (file && text)
        problem_error(load->problems, file->place, "`file` and `body` cannot both be the page");
    else if (file) {
        const char *read = load_read(load, file->place, load_real_path(load, node_str(file)), &len);
        page = read ? read : "";
        if (strlen(page) != len)
            problem_error(load->problems, file->place, "the page holds a zero byte; only text can be a page");
    }
    if (len > BOARD_PAGE)
        problem_error(load->problems, (file ? file : text)->place, "a page may have %d bytes, not %zu", BOARD_PAGE,
                      len);
    const char *type = read_text(node, "content_type",
                                 strncasecmp(page, "<!doctype html", 14) == 0 || strncasecmp(page, "<html", 5) == 0
                                     ? "text/html; charset=utf-8"
                                     : "text/plain; charset=utf-8");
    (void)check_value(load, place_of(node, "content_type"), type);
    return (struct spec_page){
        .status = (uint32_t)read_int(node, "status", status),
        .type = pool_strdup(load->pool, *page ? type : ""),
        .body = pool_strdup(load->pool, page),
        .retry_after_s = (read_duration(node, "retry_after", 0) + NS_PER_S - 1) / NS_PER_S,
    };
}

/* The text as a template. */
static char *read_template(struct loading *load, struct place place, const char *text)
{
    char *compiled = pool_alloc(load->pool, TEMPLATE_ROOM(strlen(text)));
    const char *bad = "";

    if (check_value(load, place, text) && !template_compile(text, compiled, &bad))
        problem_error(load->problems, place, "`%.24s`: in braces can stand %s; a brace itself is written {{", bad,
                      template_gaps);
    return compiled;
}

/* Where a client is sent. */
static char *read_location(struct loading *load, const struct node *node)
{
    static const char *const begins[] = {
        "http://", "https://", "/", "{path}", "{plain_path}", "{rest}", "{scheme}://"
    };
    const char *text = node_str(node);
    bool good = false;

    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        good = good || strncmp(text, begins[i], strlen(begins[i])) == 0;
    if (!good)
        problem_error(load->problems, node->place, "`%s`: a redirect leads to http://…, https://… or a /path", text);
    return read_template(load, node->place, text);
}

static void read_redirect(struct loading *load, const struct node *node, struct spec_route *ret)
{
    int64_t status = read_int(node, "status", 308);

    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        problem_error(load->problems, place_of(node, "status"), "a redirect has the status 301, 302, 303, 307 or 308");
    if (node_str(node_get(node, "to")))
        ret->location = read_location(load, node_get(node, "to"));
    ret->page.status = (uint32_t)status;
}

/* --- header fields ---------------------------------------------------------------------------------------------- */

/* The framing is the gateway's own business, and so is who was before it. */
static bool check_name(struct loading *load, struct place place, const char *name, bool set)
{
    static const char *const ours[] = { "connection", "content-length", "keep-alive",        "te",
                                        "trailer",    "upgrade",        "transfer-encoding", "proxy-connection" };
    bool good = *name;

    for (const char *c = name; *c; c++)
        good = good && (isalnum((unsigned char)*c) || strchr("!#$%&'*+-.^_`|~", *c));
    if (!good)
        problem_error(load->problems, place, "`%s` is no name of a header field", name);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (strcasecmp(name, ours[i]) == 0) {
            problem_error(load->problems, place, "`%s` is written by the gateway itself", name);
            return false;
        }
    if (!set && strcasecmp(name, "host") == 0) {
        problem_error(load->problems, place, "a request cannot be without `Host`; `set` another one");
        return false;
    }
    return good;
}

/* Adds to `len` what the lines take on the board. */
static char **read_fields(struct loading *load, const struct node *map, size_t *len)
{
    char **lines = POOL_ARRAY(load->pool, char *, (map ? map->len : 0) + 1);

    for (size_t i = 0; map && i < map->len; i++) {
        const struct entry *entry = &map->entries[i];
        (void)check_name(load, entry->place, entry->key, true);
        lines[i] = pool_printf(load->pool, "%s: %s", entry->key,
                               read_template(load, entry->value->place, node_text(load->pool, entry->value)));
        *len += strlen(lines[i]) + 2;
    }
    return lines;
}

/* Adds to `len` by how much the head of an answer may grow. */
static char **read_locations(struct loading *load, const struct node *list, size_t *len)
{
    char **locations = POOL_ARRAY(load->pool, char *, (list ? list->len : 0) + 1);
    size_t most = 0;

    for (size_t i = 0; list && i < list->len; i++) {
        const struct node *item = node_at(list, i);
        const char *from = read_text(item, "from", ""), *to = read_text(item, "to", "");
        (void)check_value(load, place_of(item, "from"), from);
        (void)check_value(load, place_of(item, "to"), to);
        locations[i] = pool_printf(load->pool, "%s\n%s", from, to);
        most = strlen(to) > most ? strlen(to) : most;
    }
    *len += most;
    return locations;
}

static struct spec_rewrite read_rewrite(struct loading *load, const struct node *node, size_t room)
{
    const struct node *remove = node_get(node, "remove");
    size_t len = 0;
    struct spec_rewrite rewrite = {
        .set = read_fields(load, node_get(node, "set"), &len),
        .add = read_fields(load, node_get(node, "add"), &len),
        .add_on_success = read_fields(load, node_get(node, "add_on_success"), &len),
        .remove = read_strings(load->pool, remove),
        .locations = read_locations(load, node_get(node, "location"), &len),
    };

    if (!rewrite.remove)
        rewrite.remove = POOL_ARRAY(load->pool, char *, 1);
    for (size_t i = 0; remove && i < remove->len; i++)
        (void)check_name(load, node_at(remove, i)->place, rewrite.remove[i], false);
    if (len > room)
        problem_error(load->problems, node->place, "a route may add %zu bytes of header fields here, not %zu", room,
                      len);
    return rewrite;
}

/* --- rules ------------------------------------------------------------------------------------------------------ */

static void read_rule(struct loading *load, const struct node *node, struct spec_rule *ret)
{
    /* What may hold a space would break the request line that it comes into. */
    static const char broken[] = { TEMPLATE_COOKIE, TEMPLATE_FORWARDED_FOR, TEMPLATE_HEADER, TEMPLATE_PROTOCOL, '\0' };
    static const struct {
        const char *word;
        enum board_then then;
    } words[] = {
        { "next", BOARD_THEN_NEXT },         { "last", BOARD_THEN_LAST },           { "break", BOARD_THEN_BREAK },
        { "redirect", BOARD_THEN_REDIRECT }, { "permanent", BOARD_THEN_PERMANENT },
    };
    const struct node *match = node_get(node, "match"), *to = node_get(node, "to");
    const char *word = read_text(node, "then", "next"), *text = read_text(node, "to", "");

    ret->regex = read_regex(load, match);
    (void)check_value(load, place_of(node, "match"), ret->regex);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i].word, word) == 0)
            ret->then = words[i].then;
    ret->to = read_template(load, place_of(node, "to"), text);
    bool away = ret->then == BOARD_THEN_REDIRECT || ret->then == BOARD_THEN_PERMANENT;
    if (to && (strchr(text, ' ') || template_has(ret->to, broken)))
        problem_error(load->problems, to->place, "a path holds no space, and no gap that may hold one");
    if (to && !away && text[0] != '/' && text[0] != '{')
        problem_error(load->problems, to->place, "`%s` is no path; it begins with a slash", text);
}

static void read_rules(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *list = node_get(node, "rewrite");

    ret->rules_len = list ? list->len : 0;
    ret->rules = POOL_ARRAY(load->pool, struct spec_rule, ret->rules_len);
    for (size_t i = 0; i < ret->rules_len; i++)
        read_rule(load, node_at(list, i), &ret->rules[i]);
}

/* --- a route ---------------------------------------------------------------------------------------------------- */

static void read_action(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *redirect = node_get(node, "redirect"), *respond = node_get(node, "respond");
    const struct node *maintenance = node_get(node, "maintenance");
    int actions = (node_get(node, "to") != NULL) + (redirect != NULL) + (respond != NULL);

    ret->location = pool_strdup(load->pool, "");
    bool passes = actions == 0 && !maintenance && node_get(node, "rewrite");
    if (actions > 1 || (actions == 0 && !maintenance && !passes))
        problem_error(load->problems, node->place, "a route has one of `to`, `redirect` and `respond`");
    if (passes && (ret->match != SPEC_REGEX || !ret->first))
        problem_error(
            load->problems, node->place,
            "a route that only rewrites says `match: regex` and `first: true`, for others are asked behind it");
    ret->page = read_page(load, respond, 200, "");
    ret->action = passes ? SPEC_PASS : respond ? SPEC_RESPOND : SPEC_FORWARD;
    if (redirect) {
        ret->action = SPEC_REDIRECT;
        read_redirect(load, redirect, ret);
    }
    ret->maintenance = maintenance && read_bool(maintenance, "enabled", true);
    ret->closed = read_page(load, maintenance, 503, "This service is being maintained. Please come again later.\n");
    if (actions == 0 && maintenance && !ret->maintenance)
        problem_error(load->problems, maintenance->place,
                      "without maintenance this route leads nowhere; add `to`, `redirect` or `respond`");
}

static void read_error_page(struct loading *load, const struct node *node, struct spec_error_page *ret)
{
    const struct node *on = node_get(node, "on"), *redirect = node_get(node, "redirect");
    size_t len = node_is(on, NODE_LIST) ? on->len : 1;

    ret->on = POOL_ARRAY(load->pool, int64_t, len);
    ret->on_len = len;
    for (size_t i = 0; i < len; i++) {
        const struct node *status = node_is(on, NODE_LIST) ? node_at(on, i) : on;
        ret->on[i] = node_is(status, NODE_INT) ? status->u.integer : 0;
    }
    if (len == 0 || len > BOARD_ERROR_STATUSES)
        problem_error(load->problems, on->place, "an error page is for at least one and at most %d statuses",
                      BOARD_ERROR_STATUSES);
    ret->page = read_page(load, node, redirect ? 302 : 0, "");
    if (!redirect)
        return;
    if (node_get(node, "body") || node_get(node, "file"))
        problem_error(load->problems, redirect->place, "there is a page or a redirect, not both");
    ret->location = read_location(load, redirect);
}

static void read_error_pages(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *list = node_get(node, "error_pages");

    ret->intercept = read_bool(node, "intercept_errors", false);
    ret->errors_len = list ? list->len : 0;
    ret->errors = POOL_ARRAY(load->pool, struct spec_error_page, ret->errors_len);
    for (size_t i = 0; i < ret->errors_len; i++)
        read_error_page(load, node_at(list, i), &ret->errors[i]);
    if (ret->intercept && ret->errors_len == 0)
        problem_error(load->problems, place_of(node, "intercept_errors"), "`intercept_errors` needs `error_pages`");
}

static enum spec_match read_match(const struct node *node)
{
    static const char *const words[] = {
        [SPEC_PREFIX] = "prefix", [SPEC_EXACT] = "exact", [SPEC_BEGINS] = "begins", [SPEC_REGEX] = "regex"
    };
    const char *word = read_text(node, "match", "prefix");
    size_t match = 0;
    while (match < ARRAY_LEN(words) - 1 && strcmp(words[match], word) != 0)
        match++;
    return (enum spec_match)match;
}

/* `strip` is `replace` with nothing. */
static char *read_replace(struct loading *load, const struct node *node, enum spec_match match)
{
    const struct node *replace = node_get(node, "replace"), *strip = node_get(node, "strip");
    const char *text = read_text(node, "replace", "");

    if (replace && strip)
        problem_error(load->problems, strip->place, "`strip` and `replace` cannot both say what becomes of the path");
    if (replace && (text[0] != '/' || strpbrk(text, " #")))
        problem_error(load->problems, replace->place, "`%s` is no path; it begins with a slash", text);
    (void)check_value(load, place_of(node, "replace"), text);
    if (!replace && !read_bool(node, "strip", false))
        return NULL;
    if (match == SPEC_REGEX)
        problem_error(load->problems, place_of(node, replace ? "replace" : "strip"),
                      "what a regular expression matched is no prefix; use `rewrite`");
    return pool_strdup(load->pool, text);
}

void spec_build_route(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *headers = node_get(node, "headers");

    ret->match = read_match(node);
    ret->host = read_host(load, node_get(node, "host"));
    ret->path = ret->match == SPEC_REGEX ? read_regex(load, node_get(node, "path"))
                                         : read_path(load, node_get(node, "path"), ret->match);
    ret->first = read_bool(node, "first", false);
    ret->replace = read_replace(load, node, ret->match);
    ret->body_limit = read_int(node, "body_limit", 0);
    if (!node_get(node, "path") && (node_get(node, "match") || ret->replace))
        problem_error(load->problems, node->place,
                      "`match`, `strip` and `replace` say what is done with a `path`, which is missing");
    read_action(load, node, ret);
    read_rules(load, node, ret);
    read_error_pages(load, node, ret);
    ret->request = read_rewrite(load, node_get(headers, "request"), BOARD_REWRITE);
    ret->response = read_rewrite(load, node_get(headers, "response"), BOARD_REWRITE_RESPONSE);
}

static int compare_routes(const void *a, const void *b)
{
    const struct spec_route *left = *(const struct spec_route *const *)a, *right = *(const struct spec_route *const *)b;
    int differ = strcmp(left->host, right->host);
    if (differ == 0)
        differ = strcmp(left->path, right->path);
    if (differ == 0)
        differ = (int)left->match - (int)right->match;
    return differ != 0 ? differ : left->place.line - right->place.line;
}

static bool says_more_than_tcp(const struct spec_route *route)
{
    return *route->host || *route->path || route->action != SPEC_FORWARD || route->maintenance ||
           route->body_limit > 0 || route->request.set[0] || route->request.remove[0] || route->response.set[0] ||
           route->response.remove[0] || route->response.add[0] || route->response.add_on_success[0] ||
           route->response.locations[0] || route->replace || route->rules_len > 0 || route->errors_len > 0 ||
           *route->sticky.cookie || *route->balance.name || route->balance.hash_of == BOARD_HASH_URI;
}

void spec_check_routes(struct loading *load, const struct spec_listener *listener)
{
    const struct spec_route **sorted = POOL_ARRAY(load->pool, const struct spec_route *, listener->routes_len);

    for (size_t i = 0; i < listener->routes_len; i++) {
        sorted[i] = &listener->routes[i];
        if (listener->protocol == SPEC_PROTOCOL_TCP && says_more_than_tcp(sorted[i]))
            problem_error(load->problems, sorted[i]->place,
                          "a route of a tcp listener only leads to services: hosts, paths, pages, headers and cookies "
                          "are HTTP's");
    }
    qsort(sorted, listener->routes_len, sizeof(*sorted), compare_routes);
    for (size_t i = 1; i < listener->routes_len; i++)
        if (strcmp(sorted[i - 1]->host, sorted[i]->host) == 0 && strcmp(sorted[i - 1]->path, sorted[i]->path) == 0 &&
            sorted[i - 1]->match == sorted[i]->match)
            problem_error(load->problems, sorted[i]->place, "the route in line %d asks for the same host and path",
                          sorted[i - 1]->place.line);
}

static size_t text_len(const char *text)
{
    return text ? strlen(text) : 0;
}

static size_t rewrite_len(const struct spec_rewrite *rewrite)
{
    size_t len = 0;
    for (char **line = rewrite->set; line && *line; line++)
        len += 2 * strlen(*line) + 3; /* its name counts twice */
    for (char **line = rewrite->add; line && *line; line++)
        len += strlen(*line) + 2;
    for (char **line = rewrite->add_on_success; line && *line; line++)
        len += strlen(*line) + 2;
    for (char **name = rewrite->remove; name && *name; name++)
        len += strlen(*name) + 1;
    for (char **location = rewrite->locations; location && *location; location++)
        len += strlen(*location) + 1;
    return len;
}

void spec_check_room(struct loading *load, const struct spec *spec)
{
    size_t routes = 0, text = 0, errors = 0, rules = 0;

    for (size_t i = 0; i < spec->services_len; i++)
        routes += spec->services[i].ports_len; /* each has a private listener */
    for (size_t i = 0; i < spec->listeners_len; i++)
        for (size_t r = 0; r < spec->listeners[i].routes_len; r++) {
            const struct spec_route *route = &spec->listeners[i].routes[r];
            routes++;
            text += text_len(route->host) + text_len(route->path) + text_len(route->location) +
                    text_len(route->balance.name) + text_len(route->sticky.cookie) + SPEC_STICKY_MORE +
                    text_len(route->replace) + text_len(route->page.type) + text_len(route->page.body) +
                    rewrite_len(&route->request) + rewrite_len(&route->response);
            for (size_t e = 0; e < route->errors_len; e++)
                text += text_len(route->errors[e].page.type) + text_len(route->errors[e].page.body) +
                        text_len(route->errors[e].location);
            for (size_t e = 0; e < route->rules_len; e++)
                text += text_len(route->rules[e].regex) + text_len(route->rules[e].to) + 3;
            errors += route->errors_len;
            rules += route->rules_len;
            if (route->maintenance)
                text += text_len(route->closed.type) + text_len(route->closed.body);
            if (routes <= BOARD_ROUTES && text <= BOARD_TEXT && errors <= BOARD_ERROR_PAGES && rules <= BOARD_RULES)
                continue;
            problem_error(
                load->problems, route->place,
                "the gateway has room for %d routes with %d error pages and %d bytes of hosts, paths, headers "
                "and pages in all",
                BOARD_ROUTES, BOARD_ERROR_PAGES, BOARD_TEXT);
            return;
        }
}

/* --- who is believed -------------------------------------------------------------------------------------------- */

static bool read_network(const char *text, struct spec_network *ret)
{
    char address[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    unsigned long bits = 0;
    char *end = NULL;

    *ret = (struct spec_network){ .family = strcmp(text, "unix:") == 0 ? AF_UNIX : AF_INET };
    if (ret->family == AF_UNIX)
        return true;
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, ret->address) != 1) {
        ret->family = AF_INET6;
        if (inet_pton(AF_INET6, address, ret->address) != 1)
            return false;
    }
    unsigned most = ret->family == AF_INET ? 32 : 128;
    if (text[len] && !isdigit((unsigned char)text[len + 1]))
        return false;
    bits = text[len] ? strtoul(text + len + 1, &end, 10) : most;
    ret->bits = (unsigned)bits;
    return bits <= most && (!end || !*end);
}

struct spec_network *spec_build_networks(struct loading *load, const struct node *list, size_t most, size_t *ret_len)
{
    size_t len = list ? list->len : 0;
    struct spec_network *networks = POOL_ARRAY(load->pool, struct spec_network, len);

    if (len > most)
        problem_error(load->problems, list->place, "at most %zu networks of proxies can be named", most);
    for (size_t i = 0; i < len; i++)
        if (!read_network(node_str(node_at(list, i)), &networks[i]))
            problem_error(load->problems, node_at(list, i)->place,
                          "`%s` is no network; write 10.0.0.0/8, 192.0.2.1, 2001:db8::/32, or unix: for Unix sockets",
                          node_str(node_at(list, i)));
    *ret_len = len;
    return networks;
}
