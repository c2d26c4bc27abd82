/* SPDX-License-Identifier: MIT
 *
 * What a route of x-gateway asks for (host, path), what it answers by itself (redirect, respond, maintenance), and which
 * header fields it changes.
 */
#include "compose/spec_build.h"

#include "base/board.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 32 }; /* segments of a path: what the gateway looks up */

/* --- host and path ---------------------------------------------------------------------------------------------- */

static char *read_host(struct loading *load, const struct node *node)
{
    const char *text = node_str(node);
    if (!text)
        return pool_strdup(load->pool, "");
    char *host = pool_strdup(load->pool, text);
    size_t labels_at = strncmp(host, "*.", 2) == 0 ? 2 : 0, len = strlen(host);
    bool good = len > labels_at && len <= 253 && host[labels_at] != '.' && host[len - 1] != '.';

    for (size_t i = labels_at; good && i < len; i++) {
        host[i] = (char)tolower((unsigned char)host[i]);
        good = isalnum((unsigned char)host[i]) || strchr("-._:[]", host[i]);
    }
    if (good && host[0] != '[' && strchr(host, ':'))
        problem_error(load->problems, node->place, "`%s`: a host is written without its port", text);
    else if (!good)
        problem_error(load->problems, node->place,
                      "`%s` is no host; write shop.example.org, or *.example.org for all below it", text);
    return host;
}

/* Only what is written as the gateway will see it can ever match: without escapes for plain letters, `//`, `.`, `..`. */
static char *read_path(struct loading *load, const struct node *node, bool exact)
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
    if (!good || depth > DEPTH_MAX)
        problem_error(
            load->problems, node->place,
            "`%s` is no path to route by; write /api: it begins with a slash, and has no query, no %%-escapes, "
            "no `//`, `.` or `..` and at most %d segments",
            text, DEPTH_MAX);
    if (!exact && len > 0 && path[len - 1] == '/')
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
        const char *read = load_read(load, file->place, node_str(file), &len);
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

static void read_redirect(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *to = node_get(node, "to");
    int64_t status = read_int(node, "status", 308);

    if (status != 301 && status != 302 && status != 307 && status != 308)
        problem_error(load->problems, place_of(node, "status"), "a redirect has the status 301, 302, 307 or 308");
    ret->location = pool_strdup(load->pool, read_text(node, "to", ""));
    ret->page.status = (uint32_t)status;
    if (!to)
        return;
    (void)check_value(load, to->place, ret->location);
    for (const char *at = strchr(ret->location, '{'); at; at = strchr(at + 1, '{'))
        if (strncmp(at, "{host}", 6) != 0 && strncmp(at, "{path}", 6) != 0 && strncmp(at, "{rest}", 6) != 0)
            problem_error(load->problems, to->place, "a redirect knows {host}, {path} and {rest}, not `%.16s`", at);
    if (strncmp(ret->location, "http://", 7) != 0 && strncmp(ret->location, "https://", 8) != 0 &&
        ret->location[0] != '/' && strncmp(ret->location, "{path}", 6) != 0 && strncmp(ret->location, "{rest}", 6) != 0)
        problem_error(load->problems, to->place, "`%s`: a redirect leads to http://…, https://… or a /path",
                      ret->location);
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
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
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

static struct spec_rewrite read_rewrite(struct loading *load, const struct node *node, size_t room)
{
    const struct node *set = node_get(node, "set"), *remove = node_get(node, "remove");
    struct spec_rewrite rewrite = { .set = POOL_ARRAY(load->pool, char *, (set ? set->len : 0) + 1),
                                    .remove = read_strings(load->pool, remove) };
    size_t len = 0;

    if (!rewrite.remove)
        rewrite.remove = POOL_ARRAY(load->pool, char *, 1);
    for (size_t i = 0; remove && i < remove->len; i++)
        (void)check_name(load, node_at(remove, i)->place, rewrite.remove[i], false);
    for (size_t i = 0; set && i < set->len; i++) {
        const struct entry *entry = &set->entries[i];
        const char *value = node_text(load->pool, entry->value);
        (void)check_name(load, entry->place, entry->key, true);
        (void)check_value(load, entry->value->place, value);
        rewrite.set[i] = pool_printf(load->pool, "%s: %s", entry->key, value);
        len += strlen(rewrite.set[i]) + 2;
    }
    if (len > room)
        problem_error(load->problems, set->place, "a route may add %zu bytes of header fields here, not %zu", room,
                      len);
    return rewrite;
}

/* --- a route ---------------------------------------------------------------------------------------------------- */

static void read_action(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *redirect = node_get(node, "redirect"), *respond = node_get(node, "respond");
    const struct node *maintenance = node_get(node, "maintenance");
    int actions = (node_get(node, "to") != NULL) + (redirect != NULL) + (respond != NULL);

    ret->location = pool_strdup(load->pool, "");
    if (actions > 1 || (actions == 0 && !maintenance))
        problem_error(load->problems, node->place, "a route has one of `to`, `redirect` and `respond`");
    ret->page = read_page(load, respond, 200, "");
    ret->action = respond ? SPEC_RESPOND : SPEC_FORWARD;
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

void spec_build_route(struct loading *load, const struct node *node, struct spec_route *ret)
{
    const struct node *headers = node_get(node, "headers");

    ret->path_exact = strcmp(read_text(node, "match", "prefix"), "exact") == 0;
    ret->host = read_host(load, node_get(node, "host"));
    ret->path = read_path(load, node_get(node, "path"), ret->path_exact);
    ret->strip = read_bool(node, "strip", false);
    ret->body_limit = read_int(node, "body_limit", 0);
    if (!node_get(node, "path") && (ret->path_exact || ret->strip))
        problem_error(load->problems, node->place,
                      "`match` and `strip` say what is done with a `path`, which is missing");
    read_action(load, node, ret);
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
        differ = left->path_exact - right->path_exact;
    return differ != 0 ? differ : left->place.line - right->place.line;
}

static bool says_more_than_tcp(const struct spec_route *route)
{
    return *route->host || *route->path || route->action != SPEC_FORWARD || route->maintenance ||
           route->body_limit > 0 || route->request.set[0] || route->request.remove[0] || route->response.set[0] ||
           route->response.remove[0];
}

void spec_check_routes(struct loading *load, const struct spec_listener *listener)
{
    const struct spec_route **sorted = POOL_ARRAY(load->pool, const struct spec_route *, listener->routes_len);

    for (size_t i = 0; i < listener->routes_len; i++) {
        sorted[i] = &listener->routes[i];
        if (listener->protocol == SPEC_PROTOCOL_TCP && says_more_than_tcp(sorted[i]))
            problem_error(
                load->problems, sorted[i]->place,
                "a route of a tcp listener only leads to services: hosts, paths, pages and headers are HTTP's");
    }
    qsort(sorted, listener->routes_len, sizeof(*sorted), compare_routes);
    for (size_t i = 1; i < listener->routes_len; i++)
        if (strcmp(sorted[i - 1]->host, sorted[i]->host) == 0 && strcmp(sorted[i - 1]->path, sorted[i]->path) == 0 &&
            sorted[i - 1]->path_exact == sorted[i]->path_exact)
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
    for (char **name = rewrite->remove; name && *name; name++)
        len += strlen(*name) + 1;
    return len;
}

void spec_check_room(struct loading *load, const struct spec *spec)
{
    size_t routes = 0, text = 0;

    for (size_t i = 0; i < spec->services_len; i++)
        routes += spec->services[i].ports_len; /* each has a private listener */
    for (size_t i = 0; i < spec->listeners_len; i++)
        for (size_t r = 0; r < spec->listeners[i].routes_len; r++) {
            const struct spec_route *route = &spec->listeners[i].routes[r];
            routes++;
            text += text_len(route->host) + text_len(route->path) + text_len(route->location) +
                    text_len(route->page.type) + text_len(route->page.body) + rewrite_len(&route->request) +
                    rewrite_len(&route->response);
            if (route->maintenance)
                text += text_len(route->closed.type) + text_len(route->closed.body);
            if (routes <= BOARD_ROUTES && text <= BOARD_TEXT)
                continue;
            problem_error(load->problems, route->place,
                          "the gateway has room for %d routes with %d bytes of hosts, paths, headers and pages in all",
                          BOARD_ROUTES, BOARD_TEXT);
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
