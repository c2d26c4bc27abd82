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

/* --- a location ------------------------------------------------------------------------------------------------- */

void nginx_make_forward(struct making *making, struct nginx_scope *scope, const struct nginx_location *location,
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
    if (upstream) {
        add_peers(making, upstream, to);
        make_balance(making, upstream, route);
    } else {
        node_append(making->load->pool, to, node_string(making->load->pool, place, with_port(making, target.host)));
    }
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
