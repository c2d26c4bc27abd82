/* SPDX-License-Identifier: MIT
 *
 * Where a location leads, and what becomes of header fields on the way.
 */
#include "compose/nginx_make.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <string.h>
#include <strings.h>

/* --- where a location leads ------------------------------------------------------------------------------------- */

/* What stands behind `proxy_pass`. */
struct target {
    const char *host; /* as it stands there: "backend", "app1:5000", "unix:/run/app.sock" */
    const char *uri;  /* NULL: none */
    bool whole;       /* the URI, a template, stands for all of the path: there were variables */
};

static bool refuse_target(struct making *making, struct place place, const char *what)
{
    problem_error(making->load->problems, place, "%s", what);
    return false;
}

/* The path and query that a service gets where variables say all of it; NULL: as the client wrote them. */
static const char *whole_uri(struct making *making, const char *uri)
{
    static const char query[] = "{?}{query}";
    size_t len = strlen(uri), tail = sizeof(query) - 1;

    if (strcmp(uri, "{uri}") == 0)
        return NULL;
    if (len > tail && strcmp(uri + len - tail, query) == 0)
        return pool_strndup(making->load->pool, uri, len - tail); /* a rule keeps the query */
    return pool_printf(making->load->pool, "%s?", uri);
}

static bool read_target(struct making *making, const struct nginx_scope *scope, const struct nginx_directive *directive,
                        struct target *ret)
{
    const struct nginx_word *word = &directive->words[1];
    bool variables = strchr(word->text, '$');
    const char *text = variables ? nginx_template(scope, word) : word->text;

    if (!text)
        return false;
    if (strncasecmp(text, "https://", 8) == 0)
        return refuse_target(making, word->place,
                             "`proxy_pass https://…`: the gateway speaks plain HTTP to services; keep nginx for this "
                             "(--keep-nginx)");
    if (variables && text[0] == '{')
        return refuse_target(making, word->place, "`proxy_pass` is understood with a fixed service only: name it");
    if (strncasecmp(text, "http://", 7) != 0)
        return refuse_target(making, word->place, "`proxy_pass` begins with http://");
    text += 7;
    bool is_unix = strncmp(text, "unix:", 5) == 0;
    const char *uri = is_unix ? strchr(text + 5, ':') : variables ? strpbrk(text, "/{") : strchr(text, '/');
    ret->host = uri ? pool_strndup(making->load->pool, text, (size_t)(uri - text)) : text;
    ret->uri = is_unix && uri ? uri + 1 : uri;
    ret->whole = variables && uri;
    if (!*ret->host || (variables && is_unix && uri))
        return refuse_target(making, word->place, "`proxy_pass` is understood with a fixed service only: name it");
    if (ret->whole)
        ret->uri = whole_uri(making, ret->uri);
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

static struct node *make_peer(struct making *making, const struct nginx_peer *peer, bool weighted)
{
    struct place place = peer->address.place;
    const char *address = with_port(making, peer->address.text);
    struct node *map = new_map(making, place);

    if (!weighted && !peer->backup && peer->max_conns == 0)
        return node_string(making->load->pool, place, address);
    set_text(making, map, "service", place, address);
    if (weighted)
        set_int(making, map, "weight", place, peer->weight);
    if (peer->backup)
        set_bool(making, map, "backup", place, true);
    if (peer->max_conns > 0)
        set_int(making, map, "max_inflight", place, peer->max_conns);
    return map;
}

static void add_peers(struct making *making, const struct nginx_upstream *upstream, struct node *to)
{
    bool weighted = false;
    for (const struct nginx_peer *peer = upstream->peers; peer; peer = peer->next)
        weighted = weighted || peer->weight != 1;
    for (const struct nginx_peer *peer = upstream->peers; peer; peer = peer->next)
        if (!peer->down)
            node_append(making->load->pool, to, make_peer(making, peer, weighted));
}

/* `hash` of what x-gateway knows a hash of. */
static struct node *make_hash(struct making *making, const struct nginx_word *key)
{
    static const struct {
        const char *nginx, *ours;
    } prefixes[] = { { "$http_", "header" }, { "$cookie_", "cookie" } };
    const char *text = key->text;

    if (strcmp(text, "$remote_addr") == 0 || strcmp(text, "$binary_remote_addr") == 0)
        return node_string(making->load->pool, key->place, "source");
    if (strcmp(text, "$request_uri") == 0)
        return node_string(making->load->pool, key->place, "uri");
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t len = strlen(prefixes[i].nginx);
        if (strncmp(text, prefixes[i].nginx, len) != 0 || strchr(text + 1, '$'))
            continue;
        char *name = pool_strdup(making->load->pool, text + len);
        for (char *c = name; i == 0 && *c; c++)
            *c = *c == '_' ? '-' : *c;
        struct node *hash = new_map(making, key->place);
        set_text(making, hash, prefixes[i].ours, key->place, name);
        return hash;
    }
    problem_error(making->load->problems, key->place,
                  "a hash is understood of $remote_addr, of $request_uri, of a header field ($http_NAME) and of a "
                  "cookie ($cookie_NAME)");
    return NULL;
}

static void make_balance(struct making *making, const struct nginx_upstream *upstream, struct node *route)
{
    struct node *hash = upstream->key.text ? make_hash(making, &upstream->key) : NULL;
    if (!hash) {
        set_text(making, route, "balance", upstream->place, upstream->balance);
        return;
    }
    struct node *balance = new_map(making, hash->place);
    set(making, balance, "hash", hash);
    set(making, route, "balance", balance);
}

static void make_retry(struct making *making, const struct nginx_settings *settings, size_t peers, struct place place,
                       struct node *route)
{
    struct node *retry = inner(making, route, "retry", NODE_MAP);
    int64_t attempts = settings->tries > 0 ? settings->tries : peers > 3 ? (int64_t)peers : 3;

    if (settings->next_upstream.items)
        set(making, retry, "on", settings->next_upstream.items);
    if (settings->tries_ns > 0)
        set_time(making, retry, "timeout", place, settings->tries_ns);
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
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
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

void nginx_make_response_headers(struct making *making, const struct nginx_scope *scope, struct node *route)
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

/* `proxy_redirect default`: where the service is asked in place of where it was asked for. */
static void add_default_location(struct making *making, const struct target *target,
                                 const struct nginx_location *location, struct node *to)
{
    const struct nginx_word *word = &location->proxy_pass->words[1];
    struct node *map = new_map(making, word->place);

    if (strchr(word->text, '$'))
        return; /* as nginx */
    set_text(making, map, "from", word->place,
             target->uri ? word->text : pool_printf(making->load->pool, "%s/", word->text));
    set_text(making, map, "to", word->place, target->uri ? location->path.text : "/");
    node_append(making->load->pool, to, map);
}

static void make_locations(struct making *making, const struct target *target, const struct nginx_location *location,
                           struct node *route)
{
    const struct node *items = location->settings.redirects.items;
    struct node *list = new_list(making, location->proxy_pass->place);

    if (!items)
        add_default_location(making, target, location, list);
    for (size_t i = 0; items && i < items->len; i++)
        if (node_get(node_at(items, i), "from"))
            node_append(making->load->pool, list, node_at(items, i));
        else
            add_default_location(making, target, location, list);
    if (list->len > 0)
        set(making, inner(making, inner(making, route, "headers", NODE_MAP), "response", NODE_MAP), "location", list);
}

/* --- a location ------------------------------------------------------------------------------------------------- */

/* The path and query of `proxy_pass` in place of what the location has matched, or of all. */
static void make_uri(struct making *making, const struct target *target, const struct nginx_location *location,
                     struct node *route)
{
    struct place place = location->proxy_pass->words[1].place;
    bool is_regex = location->match == NGINX_REGEX || location->match == NGINX_REGEX_CASELESS;
    const char *path = is_regex ? node_str(node_get(route, "path")) : "^";

    if (!target->uri)
        return;
    if (!target->whole) {
        if (is_regex)
            problem_error(making->load->problems, place,
                          "`proxy_pass` cannot have a path in a location with a regular expression");
        else
            set_text(making, route, "replace", place, target->uri);
        return;
    }
    if (location->rewrites)
        problem_error(
            making->load->problems, place,
            "a path with variables in `proxy_pass` is not understood together with `rewrite`; leave it out here");
    struct node *rule = new_map(making, place);
    set_text(making, rule, "match", place, path);
    set_text(making, rule, "to", place, target->uri);
    set_text(making, rule, "then", place, "break");
    node_append(making->load->pool, inner(making, route, "rewrite", NODE_LIST), rule);
}

void nginx_make_forward(struct making *making, struct nginx_scope *scope, const struct nginx_location *location,
                        struct node *route)
{
    const struct nginx_directive *directive = location->proxy_pass;
    struct place place = directive->words[1].place;
    struct node *to = new_list(making, place);
    struct target target;

    if (!read_target(making, scope, directive, &target))
        return;
    const struct nginx_upstream *upstream = nginx_config_upstream(making->config, target.host);
    const char *colon = strrchr(target.host, ':');
    scope->proxy_host = strncmp(target.host, "unix:", 5) == 0 ? "localhost" : target.host;
    scope->proxy_port = colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) ? colon + 1 : "80";
    if (upstream) {
        add_peers(making, upstream, to);
        make_balance(making, upstream, route);
    } else {
        node_append(making->load->pool, to, node_string(making->load->pool, place, with_port(making, target.host)));
    }
    set(making, route, "to", to);
    make_uri(making, &target, location, route);
    make_retry(making, &location->settings, to->len, place, route);
    make_times(making, &location->settings, place, route);
    if (location->settings.body_limit > 0)
        set_int(making, route, "body_limit", place, location->settings.body_limit);
    set_bool(making, route, "forwarded", place, false);
    set_bool(making, route, "via", place, false);
    make_request_headers(making, scope, place, route);
    make_locations(making, &target, location, route);
}
