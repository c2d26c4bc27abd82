/* SPDX-License-Identifier: MIT
 *
 * From a server and its locations to routes.
 */
#include "compose/nginx_make.h"

#include "compose/nginx_files.h"

#include "base/board.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_redirect(int64_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The text of a `return` as a page. */
static void make_text(struct making *making, const struct nginx_scope *scope, const struct nginx_word *word,
                      struct node *page)
{
    if (strchr(word->text, '$'))
        problem_error(making->load->problems, word->place,
                      "the text of `return` is understood without variables only; let the service answer that, or keep "
                      "nginx (--keep-nginx)");
    set_text(making, page, "body", word->place, word->text);
    if (scope->settings->default_type && *word->text)
        set_text(making, page, "content_type", word->place, scope->settings->default_type);
}

/* return CODE; return CODE text; return CODE url; return url; */
static void make_return(struct making *making, const struct nginx_scope *scope, const struct nginx_directive *directive,
                        struct node *route)
{
    const struct nginx_word *word = &directive->words[1], *more = directive->len > 2 ? &directive->words[2] : NULL;
    struct node *action = new_map(making, directive->place);
    int64_t status = 302;

    if (value_int(word->text, &status) < 0)
        more = word;
    if (status < 200 || status > 599) {
        problem_error(making->load->problems, word->place, "`return %s`: a status lies between 200 and 599",
                      word->text);
        return;
    }
    const char *text = more ? nginx_template(scope, more) : "";
    if (!text)
        return;
    if (is_redirect(status) && more) {
        set_text(making, action, "to", more->place, text);
        set_int(making, action, "status", word->place, status);
        set(making, route, "redirect", action);
        return;
    }
    set_int(making, action, "status", word->place, status);
    if (more)
        make_text(making, scope, more, action);
    set(making, route, "respond", action);
}

static const char *quoted(struct making *making, const char *path)
{
    struct text text = { .pool = making->load->pool };
    for (; *path; path++) {
        if (!isalnum((unsigned char)*path) && *path != '/')
            text_putc(&text, '\\');
        text_putc(&text, *path);
    }
    return text_str(&text);
}

/* Stands it beside the other one with a longer path, which is chosen before it? */
static bool is_before(const struct nginx_location *other, const struct nginx_location *location)
{
    return other->parent == location->parent && other != location && other->match <= NGINX_PREFIX_FINAL &&
           strncmp(other->path.text, location->path.text, strlen(location->path.text)) == 0;
}

/* A regular expression inside of locations is asked only where those are chosen: "^(?=/api/)(?!/api/v2/)[\s\S]*?(?:REGEX)". */
static const char *nested_regex(struct making *making, const struct nginx_server *server,
                                const struct nginx_location *location)
{
    struct text text = { .pool = making->load->pool };

    text_puts(&text, "^");
    for (const struct nginx_location *outer = location->parent; outer; outer = outer->parent) {
        text_puts(&text, pool_printf(making->load->pool, "(?=%s)", quoted(making, outer->path.text)));
        for (const struct nginx_location *other = server->locations; other; other = other->next)
            if (is_before(other, outer))
                text_puts(&text, pool_printf(making->load->pool, "(?!%s)", quoted(making, other->path.text)));
    }
    text_puts(&text, pool_printf(making->load->pool, "[\\s\\S]*?(?%s:%s)",
                                 location->match == NGINX_REGEX_CASELESS ? "i" : "", location->path.text));
    return text_str(&text);
}

/* The regular expression of a location as the gateway asks it. */
static const char *regex_of(struct making *making, const struct nginx_server *server,
                            const struct nginx_location *location)
{
    if (location->parent)
        return nested_regex(making, server, location);
    return location->match == NGINX_REGEX ? location->path.text
                                          : pool_printf(making->load->pool, "(?i)%s", location->path.text);
}

/* What it answers to. */
static void make_path(struct making *making, const struct nginx_server *server, const struct nginx_location *location,
                      struct node *route)
{
    static const char *const words[] = {
        [NGINX_PREFIX] = "begins", [NGINX_PREFIX_FINAL] = "begins",  [NGINX_EXACT] = "exact",
        [NGINX_REGEX] = "regex",   [NGINX_REGEX_CASELESS] = "regex",
    };
    struct place place = location->path.place;
    const char *text = location->match < NGINX_REGEX ? location->path.text : regex_of(making, server, location);

    set_text(making, route, "path", place, text);
    set_text(making, route, "match", place, words[location->match]);
    if (location->match == NGINX_PREFIX_FINAL)
        set_bool(making, route, "first", place, true);
}

/* --- error pages ------------------------------------------------------------------------------------------------ */

/* The location that nginx would take for the path of an error page; regular expressions are not asked. */
static const struct nginx_location *find_location(const struct nginx_server *server, const char *path)
{
    const struct nginx_location *best = NULL;
    size_t most = 0;
    for (const struct nginx_location *location = server->locations; location; location = location->next) {
        size_t len = strlen(location->path.text);
        if (location->match == NGINX_EXACT && strcmp(location->path.text, path) == 0)
            return location;
        if (location->match > NGINX_PREFIX_FINAL || strncmp(location->path.text, path, len) != 0 || len < most)
            continue;
        best = location;
        most = len;
    }
    return best;
}

/* Only files are asked for there. */
static bool serves_files(const struct nginx_location *location)
{
    return !location->proxy_pass && !location->returns && !location->rewrites;
}

static const char *file_at(struct making *making, const struct nginx_server *server,
                           const struct nginx_location *location, const char *path)
{
    const char *directory = location ? location->settings.root : server->root.settings.root;
    return directory ? nginx_files_find(making->load, making->around,
                                        pool_printf(making->load->pool, "%s%s", directory, path))
                     : NULL;
}

/* The location that answers in place of an error; NULL: it is looked for among the files. */
static const struct nginx_location *find_page(const struct nginx_server *server, const char *uri)
{
    if (uri[0] != '@')
        return find_location(server, uri);
    const struct nginx_location *location = server->locations;
    while (location && (location->match != NGINX_NAMED || strcmp(location->path.text, uri) != 0))
        location = location->next;
    return location;
}

/* Fields of an error page are those of the location in which it came up; of its own it has Retry-After. */
static void make_page_fields(struct making *making, const struct nginx_location *location,
                             const struct nginx_list *list, struct node *page)
{
    const struct node *items = location->settings.response.items;

    for (size_t i = 0; items && location->settings.response.level != list->level && i < items->len; i++) {
        const struct node *name = node_get(node_at(items, i), "name"), *value = node_get(node_at(items, i), "value");
        int64_t seconds;
        if (strcasecmp(node_str(name), "Retry-After") == 0 && value_int(node_str(value), &seconds) == 0 && seconds > 0)
            set_time(making, page, "retry_after", value->place, seconds * NS_PER_S);
        else
            problem_warning(making->load->problems, name->place,
                            "`add_header %s` is left out: an error page has the fields of the location in which the "
                            "error came up; write it there with `always`",
                            node_str(name));
    }
}

/* A `return` that answers in place of an error. Its own status counts where `=` asks for it. */
static bool make_returned_page(struct making *making, const struct nginx_scope *from,
                               const struct nginx_location *location, int64_t as, struct node *page)
{
    const struct nginx_directive *returns = location->returns;
    const struct nginx_scope scope = { .config = making->config,
                                       .settings = &location->settings,
                                       .server_name = from->server_name };
    int64_t status = 302;
    bool has_status = value_int(returns->words[1].text, &status) == 0;
    const struct nginx_word *more = returns->len > 2 ? &returns->words[2] : has_status ? NULL : &returns->words[1];

    if (!more || (is_redirect(status) && as < 0))
        return false;
    if (is_redirect(status)) {
        const char *to = nginx_template(&scope, more);
        if (to)
            set_text(making, page, "redirect", more->place, to);
    } else {
        make_text(making, &scope, more, page);
    }
    if (as == 0)
        set_int(making, page, "status", returns->place, status);
    make_page_fields(making, location, &from->settings->response, page);
    return true;
}

/* What the client gets; `as`: the status that the page has then, -1: that of the error. False: nothing of the
   configuration's. */
static bool make_error_page(struct making *making, const struct nginx_scope *scope, const struct nginx_server *server,
                            const struct node *uri, int64_t as, struct node *page)
{
    const struct nginx_word word = { node_str(uri), uri->place };
    if (word.text[0] != '/' && word.text[0] != '@') {
        const char *text = nginx_template(scope, &word);
        if (text)
            set_text(making, page, "redirect", uri->place, text);
        return text;
    }
    const struct nginx_location *location = find_page(server, word.text);
    if (location && location->returns && make_returned_page(making, scope, location, as, page))
        return true;
    if (location && (location->match == NGINX_NAMED || !serves_files(location))) {
        problem_error(making->load->problems, uri->place,
                      "an error page is understood as a file, as a location with a `return` of a text, or as a URL; a "
                      "service that stands in for another one is written as `server … backup` of its upstream");
        return false;
    }
    const char *file = word.text[0] == '/' ? file_at(making, server, location, word.text) : NULL;
    if (file)
        set_text(making, page, "file", uri->place, file);
    else
        problem_warning(making->load->problems, uri->place,
                        "the page %s is not there: the gateway answers with its own", word.text);
    return file;
}

static void make_errors(struct making *making, const struct nginx_scope *scope, const struct nginx_server *server,
                        struct node *route)
{
    const struct node *items = scope->settings->error_pages.items;

    for (size_t i = 0; items && i < items->len; i++) {
        const struct node *item = node_at(items, i), *codes = node_get(item, "codes");
        struct node *page = new_map(making, item->place), *as = node_get(item, "as");
        if (!make_error_page(making, scope, server, node_get(item, "uri"), as ? as->u.integer : -1, page))
            continue;
        set(making, page, "on", node_get(item, "codes"));
        if (as && as->u.integer > 0)
            set(making, page, "status", as);
        if (codes->len > BOARD_ERROR_STATUSES)
            problem_error(making->load->problems, item->place, "at most %d statuses of one page are understood",
                          BOARD_ERROR_STATUSES);
        node_append(making->load->pool, inner(making, route, "error_pages", NODE_LIST), page);
    }
    if (scope->settings->intercept && node_get(route, "error_pages"))
        set_bool(making, route, "intercept_errors", route->place, true);
}

/* Is it there for an error page only? */
static bool is_error_page(const struct nginx_server *server, const struct nginx_location *location)
{
    const struct nginx_location *from = &server->root;
    for (; from; from = from == &server->root ? server->locations : from->next) {
        const struct node *items = from->settings.error_pages.items;
        for (size_t i = 0; items && i < items->len; i++)
            if (find_location(server, node_str(node_get(node_at(items, i), "uri"))) == location)
                return true;
    }
    return false;
}

/* A rule whose replacement is a URL of its own sends the client there, whatever flag it has. */
static void make_rules(struct making *making, struct nginx_scope *scope, const struct nginx_location *location,
                       struct node *route)
{
    for (const struct nginx_rewrite *rewrite = location->rewrites; rewrite; rewrite = rewrite->next) {
        struct node *rule = new_map(making, rewrite->place);
        bool url = strncmp(rewrite->to.text, "http://", 7) == 0 || strncmp(rewrite->to.text, "https://", 8) == 0 ||
                   strncmp(rewrite->to.text, "$scheme", 7) == 0;
        const char *then = url && strcmp(rewrite->flag, "permanent") != 0 ? "redirect"
                           : *rewrite->flag                               ? rewrite->flag
                                                                          : "next";
        scope->regex = rewrite->regex.text;
        const char *to = nginx_template(scope, &rewrite->to);
        if (!to)
            continue;
        set_text(making, rule, "match", rewrite->regex.place, rewrite->regex.text);
        set_text(making, rule, "to", rewrite->to.place, to);
        set_text(making, rule, "then", rewrite->place, then);
        node_append(making->load->pool, inner(making, route, "rewrite", NODE_LIST), rule);
    }
}

/* 403, or 404 where nginx would look for a file, which is not there. */
static void make_status(struct making *making, const struct nginx_location *location, int64_t status,
                        struct node *route)
{
    struct node *respond = new_map(making, location->place);
    set_int(making, respond, "status", location->place, status);
    set(making, route, "respond", respond);
}

static bool has_inner(const struct nginx_server *server, const struct nginx_location *location)
{
    const struct nginx_location *inner = server->locations;
    while (inner && inner->parent != location)
        inner = inner->next;
    return inner;
}

static struct node *make_location(struct making *making, const struct nginx_server *server,
                                  const struct nginx_location *location)
{
    struct node *route = new_map(making, location->place);
    struct nginx_scope scope = {
        .config = making->config,
        .settings = &location->settings,
        .server_name = server->names_len > 0 ? server->names[0].text : "",
    };

    make_path(making, server, location, route);
    make_rules(making, &scope, location, route);
    scope.regex = location->match >= NGINX_REGEX ? location->path.text : NULL;
    if (location->returns)
        make_return(making, &scope, location->returns, route);
    else if (location->settings.denied)
        make_status(making, location, 403, route);
    else if (location->proxy_pass)
        nginx_make_forward(making, &scope, location, route);
    else if (location->rewrites || (has_inner(server, location) && !location->files))
        make_status(making, location, 404, route);
    else
        problem_error(making->load->problems, location->files ? location->files->place : location->place,
                      "this location has neither `proxy_pass` nor `return`, and the gateway serves no files: let a "
                      "service do it, or keep nginx (--keep-nginx)");
    nginx_make_response_headers(making, &scope, route);
    make_errors(making, &scope, server, route);
    return route;
}

/* `internal`: nobody outside gets there. */
static struct node *make_hidden(struct making *making, const struct nginx_server *server,
                                const struct nginx_location *location)
{
    struct node *route = new_map(making, location->place);
    make_path(making, server, location, route);
    make_status(making, location, 404, route);
    return route;
}

/* A file that nginx would serve: understood as the page that it is, for errors mostly. */
static void make_file(struct making *making, const struct nginx_server *server, const struct nginx_location *location,
                      struct node *routes)
{
    const char *file = file_at(making, server, location, location->path.text);
    if (!file)
        return;
    struct node *route = new_map(making, location->place), *respond = new_map(making, location->place);
    make_path(making, server, location, route);
    set_text(making, respond, "file", location->place, file);
    set(making, route, "respond", respond);
    node_append(making->load->pool, routes, route);
}

/* --- a server --------------------------------------------------------------------------------------------------- */

/* Where no location is for a path, nginx looks for a file; here there is none. */
static void make_rest(struct making *making, const struct nginx_server *server, struct node *routes)
{
    for (const struct nginx_location *location = server->locations; location; location = location->next)
        if (strcmp(location->path.text, "/") == 0 &&
            (location->match == NGINX_PREFIX || location->match == NGINX_PREFIX_FINAL))
            return;
    struct node *route = new_map(making, server->place), *respond = new_map(making, server->place);
    set_int(making, respond, "status", server->place, 404);
    set(making, route, "respond", respond);
    node_append(making->load->pool, routes, route);
}

static bool has_location(const struct nginx_server *server, enum nginx_match match, const char *path, size_t len)
{
    for (const struct nginx_location *location = server->locations; location; location = location->next)
        if (location->match == match && strlen(location->path.text) == len &&
            strncmp(location->path.text, path, len) == 0)
            return true;
    return false;
}

/* Where `/folder/` leads to a service, nginx sends who asks for `/folder` there. */
static void make_slash(struct making *making, const struct nginx_server *server, const struct nginx_location *location,
                       struct node *routes)
{
    const char *path = location->path.text;
    size_t len = strlen(path);

    if (!location->proxy_pass || location->match > NGINX_PREFIX_FINAL || len < 2 || path[len - 1] != '/' ||
        has_location(server, NGINX_EXACT, path, len - 1) || has_location(server, NGINX_PREFIX, path, len - 1))
        return;
    struct node *route = new_map(making, location->place), *redirect = new_map(making, location->place);
    set_text(making, route, "path", location->path.place, pool_strndup(making->load->pool, path, len - 1));
    set_text(making, route, "match", location->path.place, "exact");
    set_text(making, redirect, "to", location->place, pool_printf(making->load->pool, "%s{?}{query}", path));
    set_int(making, redirect, "status", location->place, 301);
    set(making, route, "redirect", redirect);
    nginx_make_response_headers(
        making, &(struct nginx_scope){ .config = making->config, .settings = &location->settings }, route);
    node_append(making->load->pool, routes, route);
}

/* What a server rewrites before any location is looked for. */
static void make_first_rules(struct making *making, struct nginx_scope *scope, const struct nginx_server *server,
                             struct node *routes)
{
    struct place place = server->root.rewrites->place;
    struct node *route = new_map(making, place);

    set_text(making, route, "path", place, "^");
    set_text(making, route, "match", place, "regex");
    set_bool(making, route, "first", place, true);
    make_rules(making, scope, &server->root, route);
    node_append(making->load->pool, routes, route);
}

/* What it answers to names that an `if` sends elsewhere; those routes have their host already. */
static void make_hosts(struct making *making, const struct nginx_scope *scope, const struct nginx_server *server,
                       struct node *routes)
{
    for (const struct nginx_host *host = server->hosts; host; host = host->next) {
        struct node *route = new_map(making, host->returns->place);
        set_text(making, route, "host", host->name.place, host->name.text);
        make_return(making, scope, host->returns, route);
        nginx_make_response_headers(making, scope, route);
        node_append(making->load->pool, routes, route);
    }
}

static void make_locations(struct making *making, const struct nginx_server *server, int depth, struct node *routes)
{
    for (const struct nginx_location *location = server->locations; location; location = location->next) {
        if (location->depth != depth || location->match == NGINX_NAMED)
            continue;
        if (location->internal) {
            node_append(making->load->pool, routes, make_hidden(making, server, location));
            continue;
        }
        if (serves_files(location) && is_error_page(server, location)) {
            if (location->match == NGINX_EXACT)
                make_file(making, server, location, routes);
            continue;
        }
        node_append(making->load->pool, routes, make_location(making, server, location));
        make_slash(making, server, location, routes);
    }
}

struct node *nginx_make_server(struct making *making, const struct nginx_server *server)
{
    struct node *routes = new_list(making, server->place);

    struct nginx_scope scope = { .config = making->config,
                                 .settings = &server->root.settings,
                                 .server_name = server->names_len > 0 ? server->names[0].text : "" };
    make_hosts(making, &scope, server, routes);
    if (server->root.rewrites)
        make_first_rules(making, &scope, server, routes);
    if (server->root.returns) {
        struct node *route = new_map(making, server->root.returns->place);
        make_return(making, &scope, server->root.returns, route);
        nginx_make_response_headers(making, &scope, route);
        node_append(making->load->pool, routes, route);
        return routes;
    }
    /* nginx asks the regular expressions of inner locations first. */
    for (int depth = server->depth; depth >= 0; depth--)
        make_locations(making, server, depth, routes);
    make_rest(making, server, routes);
    return routes;
}
