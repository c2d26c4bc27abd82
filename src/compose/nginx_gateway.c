/* SPDX-License-Identifier: MIT
 *
 * From what the directives say to the tree of x-gateway: servers become routes of their listeners, once for each name.
 */
#include "compose/nginx_gateway.h"

#include "compose/nginx_config.h"
#include "compose/nginx_files.h"
#include "compose/value.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <string.h>
#include <strings.h>

/* The tree that is being made. */
struct making {
    struct loading *load;
    struct nginx_config *config;
    const struct nginx_surroundings *around;
};

/* --- nodes ------------------------------------------------------------------------------------------------------ */

static void set(struct making *making, struct node *map, const char *key, struct node *value)
{
    (void)node_set(making->load->pool, map, key, value->place, value);
}

static void set_text(struct making *making, struct node *map, const char *key, struct place place, const char *text)
{
    set(making, map, key, node_string(making->load->pool, place, text));
}

static void set_int(struct making *making, struct node *map, const char *key, struct place place, int64_t value)
{
    set(making, map, key, node_int(making->load->pool, place, value));
}

static void set_bool(struct making *making, struct node *map, const char *key, struct place place, bool value)
{
    set(making, map, key, node_bool(making->load->pool, place, value));
}

static void set_time(struct making *making, struct node *map, const char *key, struct place place, int64_t ns)
{
    set_text(making, map, key, place, value_format_duration(making->load->pool, ns));
}

static struct node *new_map(struct making *making, struct place place)
{
    return node_new(making->load->pool, NODE_MAP, place);
}

static struct node *new_list(struct making *making, struct place place)
{
    return node_new(making->load->pool, NODE_LIST, place);
}

/* The map or list behind the key, made when it is not there. */
static struct node *inner(struct making *making, struct node *map, const char *key, enum node_kind kind)
{
    struct node *there = node_get(map, key);
    if (!there)
        set(making, map, key, there = node_new(making->load->pool, kind, map->place));
    return there;
}

/* --- where a location leads ------------------------------------------------------------------------------------- */

/* What stands behind `proxy_pass`. */
struct target {
    const char *host; /* as it stands there: "backend", "app1:5000", "unix:/run/app.sock" */
    const char *uri;  /* NULL: none */
};

static bool read_target(struct making *making, const struct nginx_settings *settings,
                        const struct nginx_directive *directive, struct target *ret)
{
    const struct nginx_word *word = &directive->words[1];
    struct problems *problems = making->load->problems;
    const struct nginx_scope scope = { .config = making->config, .settings = settings };
    const char *text = word->text;

    if (strchr(text, '$')) {
        text = nginx_template(&scope, word);
        if (text && strchr(text, '{'))
            problem_error(problems, word->place, "`proxy_pass` is understood with fixed targets only");
        if (!text || strchr(text, '{'))
            return false;
    }
    if (strncasecmp(text, "http://", 7) != 0) {
        problem_error(problems, word->place,
                      strncasecmp(text, "https://", 8) == 0
                          ? "`proxy_pass https://…`: the gateway speaks plain HTTP to services"
                          : "`proxy_pass` begins with http://");
        return false;
    }
    text += 7;
    const char *uri = strncmp(text, "unix:", 5) == 0 ? strchr(text + 5, ':') : strchr(text, '/');
    ret->host = uri ? pool_strndup(making->load->pool, text, (size_t)(uri - text)) : text;
    ret->uri = uri && *uri == ':' ? uri + 1 : uri;
    return true;
}

/* "app" → "app:80". */
static const char *with_port(struct making *making, const char *host)
{
    const char *bracket = strchr(host, ']');
    if (strncmp(host, "unix:", 5) == 0 || strchr(bracket ? bracket : host, ':'))
        return host;
    return pool_printf(making->load->pool, "%s:80", host);
}

static void add_peers(struct making *making, const struct nginx_upstream *upstream, struct node *to)
{
    for (const struct nginx_peer *peer = upstream->peers; peer; peer = peer->next) {
        if (peer->down)
            continue;
        node_append(making->load->pool, to,
                    node_string(making->load->pool, peer->address.place, with_port(making, peer->address.text)));
    }
}

static void make_retry(struct making *making, const struct nginx_settings *settings, size_t peers, struct place place,
                       struct node *route)
{
    struct node *retry = inner(making, route, "retry", NODE_MAP);
    int64_t attempts = settings->tries > 0 ? settings->tries : peers > 3 ? (int64_t)peers : 3;

    if (settings->next_upstream.items)
        set(making, retry, "on", settings->next_upstream.items);
    set_int(making, retry, "attempts", place, attempts < 100 ? attempts : 100);
}

static void make_times(struct making *making, const struct nginx_settings *settings, struct place place,
                       struct node *route)
{
    int64_t idle =
        settings->read_timeout_ns > settings->send_timeout_ns ? settings->read_timeout_ns : settings->send_timeout_ns;
    if (settings->connect_timeout_ns >= 0)
        set_time(making, route, "connect_timeout", place, settings->connect_timeout_ns);
    if (settings->read_timeout_ns >= 0)
        set_time(making, route, "response_timeout", place, settings->read_timeout_ns);
    set_time(making, route, "idle_timeout", place, idle >= 0 ? idle : 60 * NS_PER_S);
}

/* --- header fields ---------------------------------------------------------------------------------------------- */

/* Upgrade, and the Connection that goes with it, are passed on without being asked. */
static bool is_of_connection(struct making *making, const char *name, const char *value)
{
    static const char *const harmless[] = { "", "upgrade", "close", "keep-alive", "$http_connection", "$http_upgrade" };

    if (strcasecmp(name, "Connection") != 0 && strcasecmp(name, "Upgrade") != 0)
        return false;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strcasecmp(value, harmless[i]) == 0)
            return true;
    return value[0] == '$' && node_entry(making->config->ignored, value + 1);
}

static void make_request_headers(struct making *making, const struct nginx_scope *scope, struct place place,
                                 struct node *route)
{
    const struct node *items = scope->settings->request.items;
    struct node *fields = inner(making, inner(making, route, "headers", NODE_MAP), "request", NODE_MAP);
    bool has_host = false;

    for (size_t i = 0; items && i < items->len; i++) {
        const struct node *name = node_get(node_at(items, i), "name"), *value = node_get(node_at(items, i), "value");
        const struct nginx_word word = { node_str(value), value->place };
        if (is_of_connection(making, node_str(name), word.text))
            continue;
        const char *text = nginx_template(scope, &word);
        has_host = has_host || strcasecmp(node_str(name), "Host") == 0;
        if (text && !*text)
            node_append(making->load->pool, inner(making, fields, "remove", NODE_LIST),
                        node_string(making->load->pool, name->place, node_str(name)));
        else if (text)
            set_text(making, inner(making, fields, "set", NODE_MAP), node_str(name), value->place, text);
    }
    if (!has_host)
        set_text(making, inner(making, fields, "set", NODE_MAP), "Host", place, scope->proxy_host);
}

static void make_response_headers(struct making *making, const struct nginx_scope *scope, struct node *route)
{
    const struct node *items = scope->settings->response.items, *hidden = scope->settings->hidden.items;

    for (size_t i = 0; items && i < items->len; i++) {
        const struct node *item = node_at(items, i), *value = node_get(item, "value");
        const struct nginx_word word = { node_str(value), value->place };
        const char *key = node_get(item, "always")->u.boolean ? "add" : "add_on_success";
        const char *text = nginx_template(scope, &word);
        if (!text || !*text)
            continue;
        struct node *response = inner(making, inner(making, route, "headers", NODE_MAP), "response", NODE_MAP);
        set_text(making, inner(making, response, key, NODE_MAP), node_str(node_get(item, "name")), value->place, text);
    }
    for (size_t i = 0; hidden && i < hidden->len; i++) {
        struct node *response = inner(making, inner(making, route, "headers", NODE_MAP), "response", NODE_MAP);
        node_append(making->load->pool, inner(making, response, "remove", NODE_LIST), node_at(hidden, i));
    }
}

/* --- a location ------------------------------------------------------------------------------------------------- */

static void make_forward(struct making *making, struct nginx_scope *scope, const struct nginx_location *location,
                         struct node *route)
{
    const struct nginx_directive *directive = location->proxy_pass;
    struct place place = directive->words[1].place;
    struct node *to = new_list(making, place);
    struct target target;

    if (!read_target(making, &location->settings, directive, &target))
        return;
    const struct nginx_upstream *upstream = nginx_config_upstream(making->config, target.host);
    const char *colon = strrchr(target.host, ':');
    scope->proxy_host = strncmp(target.host, "unix:", 5) == 0 ? "localhost" : target.host;
    scope->proxy_port = colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) ? colon + 1 : "80";
    if (upstream)
        add_peers(making, upstream, to);
    else
        node_append(making->load->pool, to, node_string(making->load->pool, place, with_port(making, target.host)));
    set(making, route, "to", to);
    if (target.uri && (location->match == NGINX_REGEX || location->match == NGINX_REGEX_CASELESS))
        problem_error(making->load->problems, place,
                      "`proxy_pass` cannot have a path in a location with a regular expression");
    else if (target.uri)
        set_text(making, route, "replace", place, target.uri);
    make_retry(making, &location->settings, to->len, place, route);
    make_times(making, &location->settings, place, route);
    if (location->settings.body_limit > 0)
        set_int(making, route, "body_limit", place, location->settings.body_limit);
    set_bool(making, route, "forwarded", place, false);
    set_bool(making, route, "via", place, false);
    make_request_headers(making, scope, place, route);
}

static bool is_redirect(int64_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
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
    if (more && strchr(more->text, '$'))
        problem_error(making->load->problems, more->place, "the text of `return` is understood without variables only");
    set_int(making, action, "status", word->place, status);
    if (more)
        set_text(making, action, "body", more->place, more->text);
    set(making, route, "respond", action);
}

/* What it answers to. */
static void make_path(struct making *making, const struct nginx_location *location, struct node *route)
{
    static const char *const words[] = {
        [NGINX_PREFIX] = "begins", [NGINX_PREFIX_FINAL] = "begins",  [NGINX_EXACT] = "exact",
        [NGINX_REGEX] = "regex",   [NGINX_REGEX_CASELESS] = "regex",
    };
    const struct nginx_word *path = &location->path;
    const char *text = path->text;

    if (location->match == NGINX_REGEX_CASELESS)
        text = pool_printf(making->load->pool, "(?i)%s", text);
    set_text(making, route, "path", path->place, text);
    set_text(making, route, "match", path->place, words[location->match]);
    if (location->match == NGINX_PREFIX_FINAL)
        set_bool(making, route, "first", path->place, true);
}

/* Told instead of being forgotten. */
static void tell_missing(struct making *making, const struct nginx_location *location)
{
    if (location->rewrites)
        problem_error(making->load->problems, location->rewrites->place, "`rewrite` is not understood yet");
    if (location->settings.error_pages.items)
        problem_error(making->load->problems, node_at(location->settings.error_pages.items, 0)->place,
                      "`error_page` is not understood yet");
}

static struct node *make_location(struct making *making, const struct nginx_server *server,
                                  const struct nginx_location *location)
{
    struct node *route = new_map(making, location->place);
    struct nginx_scope scope = {
        .config = making->config,
        .settings = &location->settings,
        .server_name = server->names_len > 0 ? server->names[0].text : "",
        .regex = location->match >= NGINX_REGEX ? location->path.text : NULL,
    };

    make_path(making, location, route);
    tell_missing(making, location);
    if (location->returns)
        make_return(making, &scope, location->returns, route);
    else if (location->proxy_pass)
        make_forward(making, &scope, location, route);
    else
        problem_error(making->load->problems, location->files ? location->files->place : location->place,
                      "this location has neither `proxy_pass` nor `return`: the gateway serves no files");
    make_response_headers(making, &scope, route);
    return route;
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

static struct node *make_server(struct making *making, const struct nginx_server *server)
{
    struct node *routes = new_list(making, server->place);

    tell_missing(making, &server->root);
    if (server->root.returns) {
        struct node *route = new_map(making, server->root.returns->place);
        struct nginx_scope scope = { .config = making->config,
                                     .settings = &server->root.settings,
                                     .server_name = server->names_len > 0 ? server->names[0].text : "" };
        make_return(making, &scope, server->root.returns, route);
        make_response_headers(making, &scope, route);
        node_append(making->load->pool, routes, route);
        return routes;
    }
    for (const struct nginx_location *location = server->locations; location; location = location->next)
        node_append(making->load->pool, routes, make_location(making, server, location));
    make_rest(making, server, routes);
    return routes;
}

/* --- listeners -------------------------------------------------------------------------------------------------- */

static void add_routes(struct making *making, struct node *listener, const struct node *routes, const char *host,
                       struct place place)
{
    struct node *all = inner(making, listener, "routes", NODE_LIST);

    for (size_t i = 0; i < routes->len; i++) {
        struct node *route = node_copy(making->load->pool, node_at(routes, i));
        if (host)
            set_text(making, route, "host", place, host);
        node_append(making->load->pool, all, route);
    }
}

/* Does a server of those before have that name at that listener? */
static bool name_is_taken(const struct node *listener, const char *name)
{
    const struct node *routes = node_get(listener, "routes");
    for (size_t i = 0; routes && i < routes->len; i++) {
        const char *host = node_str(node_get(node_at(routes, i), "host"));
        if (host && strcasecmp(host, name) == 0)
            return true;
    }
    return false;
}

static void add_name(struct making *making, struct node *listener, const struct node *routes,
                     const struct nginx_word *name)
{
    if (!*name->text || strcmp(name->text, "_") == 0)
        return;
    if (name_is_taken(listener, name->text))
        problem_warning(making->load->problems, name->place,
                        "a server before has the name `%s` already; this one is not reached by it", name->text);
    else
        add_routes(making, listener, routes, name->text, name->place);
}

/* ".example.org" is example.org and *.example.org. */
static void add_names(struct making *making, struct node *listener, const struct nginx_server *server,
                      const struct node *routes)
{
    for (size_t i = 0; i < server->names_len; i++) {
        const struct nginx_word *name = &server->names[i];
        if (name->text[0] != '.') {
            add_name(making, listener, routes, name);
            continue;
        }
        const struct nginx_word below = { pool_printf(making->load->pool, "*%s", name->text), name->place };
        add_name(making, listener, routes, &(struct nginx_word){ name->text + 1, name->place });
        add_name(making, listener, routes, &below);
    }
}

static bool listens_at(const struct nginx_server *server, const char *host, uint16_t port, bool *ret_default)
{
    for (const struct nginx_listen *listen = server->listens; listen; listen = listen->next)
        if (listen->port == port && (!host || strcmp(listen->host, host) == 0)) {
            *ret_default = listen->is_default;
            return true;
        }
    return false;
}

/* `host` NULL: whoever listens at that port, whatever address. */
static void make_listener(struct making *making, struct node *gateway, const char *address, struct place place,
                          const char *host, uint16_t port, const struct node *made)
{
    struct node *listener = new_map(making, place);
    size_t count = 0, usual = 0, n = 0;
    bool is_default, found = false;

    for (const struct nginx_server *server = making->config->servers; server; server = server->next, n++)
        if (listens_at(server, host, port, &is_default)) {
            if (count++ == 0 || (is_default && !found))
                usual = n;
            found = found || is_default;
        }
    if (count == 0)
        return;
    set_text(making, listener, "address", place, address);
    n = 0;
    for (const struct nginx_server *server = making->config->servers; server && count > 1; server = server->next, n++)
        if (listens_at(server, host, port, &is_default))
            add_names(making, listener, server, node_at(made, n));
    add_routes(making, listener, node_at(made, usual), NULL, place);
    node_append(making->load->pool, inner(making, gateway, "listeners", NODE_LIST), listener);
}

static void make_listeners(struct making *making, struct node *gateway, const struct node *made)
{
    struct node *seen = new_map(making, (struct place){ 0 });

    for (size_t i = 0; i < making->around->ports_len; i++) {
        const struct nginx_port *port = &making->around->ports[i];
        make_listener(making, gateway, port->address, port->place, NULL, port->target, made);
    }
    for (const struct nginx_server *server = making->config->servers; server && !making->around->ports;
         server = server->next)
        for (const struct nginx_listen *listen = server->listens; listen; listen = listen->next) {
            const char *address = pool_printf(making->load->pool, "%s:%u", listen->host, listen->port);
            if (node_entry(seen, address))
                continue;
            set_bool(making, seen, address, listen->place, true);
            make_listener(making, gateway, address, listen->place, listen->host, listen->port, made);
        }
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static struct node *make_gateway(struct making *making, struct place place)
{
    struct node *gateway = new_map(making, place), *made = new_list(making, place);

    for (const struct nginx_server *server = making->config->servers; server; server = server->next)
        node_append(making->load->pool, made, make_server(making, server));
    make_listeners(making, gateway, made);
    if (!node_get(gateway, "listeners") && making->load->problems->errors == 0)
        problem_error(making->load->problems, place, "no server of this configuration listens at %s",
                      making->around->ports ? "a port that its service publishes" : "any address");
    return gateway;
}

struct node *nginx_gateway_load(struct loading *load, struct place place, const char *path,
                                const struct nginx_surroundings *around)
{
    struct nginx_config config = { .pool = load->pool, .problems = load->problems };
    struct making making = { .load = load, .config = &config, .around = around };
    size_t errors = load->problems->errors;

    const struct nginx_directive *directives = nginx_files_parse(load, around, &place, path);
    if (load->problems->errors == errors)
        nginx_config_read(&config, directives);
    if (load->problems->errors > errors)
        return NULL;
    struct node *gateway = make_gateway(&making, place);
    return load->problems->errors == errors ? gateway : NULL;
}
