/* SPDX-License-Identifier: MIT
 *
 * The table of directives: where each may stand, what it takes, and who reads it, or why it is left out.
 */
#include "compose/nginx_config.h"

#include "compose/value.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"

#include <string.h>

enum context {
    IN_MAIN = 1 << 0,
    IN_EVENTS = 1 << 1,
    IN_HTTP = 1 << 2,
    IN_UPSTREAM = 1 << 3,
    IN_SERVER = 1 << 4,
    IN_LOCATION = 1 << 5,
};
#define IN_LEVELS (IN_HTTP | IN_SERVER | IN_LOCATION)

enum { MANY = 64 }; /* words of a directive */

/* The block that is being read. */
struct block {
    struct nginx_config *config;
    enum context context;
    struct nginx_settings *settings;
    struct nginx_server *server;     /* in a server, or a location of it */
    struct nginx_location *location; /* what stands in a server stands in its `root` */
    struct nginx_upstream *upstream;
};

typedef void reader(struct block *block, const struct nginx_directive *directive);

struct rule {
    const char *name;
    unsigned contexts; /* enum context */
    size_t min, max;   /* words behind its name */
    bool block;
    reader *read;
    /* Without `read` it is left out. Why that is worth a word; NULL: nothing is lost. */
    const char *left_out;
};

static void read_block(struct block *block, const struct nginx_directive *first);

static const char *arg(const struct nginx_directive *directive, size_t n)
{
    return directive->words[n].text;
}

static bool is_on(struct block *block, const struct nginx_directive *directive)
{
    bool on = strcmp(arg(directive, 1), "on") == 0;
    if (!on && strcmp(arg(directive, 1), "off") != 0)
        problem_error(block->config->problems, directive->words[1].place, "`%s` is `on` or `off`", arg(directive, 0));
    return on;
}

/* --- numbers ---------------------------------------------------------------------------------------------------- */

bool nginx_time(const char *text, int64_t *ret_ns)
{
    int64_t seconds;

    if (value_int(text, &seconds) == 0 && seconds >= 0 && seconds < 1000000000) {
        *ret_ns = seconds * NS_PER_S;
        return true;
    }
    return value_duration(text, ret_ns) == 0 && *ret_ns >= 0;
}

bool nginx_size(const char *text, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    bool good = digits > 0 && digits < 16 && (!text[digits] || (strchr("kKmMgG", text[digits]) && !text[digits + 1]));
    return good && value_bytes(text, ret) == 0;
}

static int64_t time_of(struct block *block, const struct nginx_word *word)
{
    int64_t ns = 0;
    if (!nginx_time(word->text, &ns))
        problem_error(block->config->problems, word->place, "`%s` is no time; write 10s, 500ms or 1m", word->text);
    return ns;
}

static int64_t size_of(struct block *block, const struct nginx_word *word)
{
    int64_t bytes = 0;
    if (!nginx_size(word->text, &bytes))
        problem_error(block->config->problems, word->place, "`%s` is no size; write 8k or 10m", word->text);
    return bytes;
}

static int64_t number_of(struct block *block, const struct nginx_word *word, const char *text, int64_t max)
{
    int64_t number = 0;
    if (value_int(text, &number) < 0 || number < 0 || number > max)
        problem_error(block->config->problems, word->place, "`%s` is no number from 0 to %lld", text, (long long)max);
    return number;
}

/* --- lists that are inherited ----------------------------------------------------------------------------------- */

static struct node *own_list(struct block *block, struct nginx_list *list, enum node_kind kind)
{
    if (!list->items || list->level != block->settings->level)
        *list = (struct nginx_list){ node_new(block->config->pool, kind, (struct place){ 0 }), block->settings->level };
    return list->items;
}

static struct node *text_node(struct block *block, const struct nginx_word *word)
{
    return node_string(block->config->pool, word->place, word->text);
}

static struct node *add_map(struct block *block, struct nginx_list *list, struct place place)
{
    struct node *map = node_new(block->config->pool, NODE_MAP, place);
    node_append(block->config->pool, own_list(block, list, NODE_LIST), map);
    return map;
}

static void put(struct block *block, struct node *map, const char *key, struct node *value)
{
    (void)node_set(block->config->pool, map, key, value->place, value);
}

static void read_header(struct block *block, const struct nginx_directive *directive, struct nginx_list *list)
{
    struct node *map = add_map(block, list, directive->place);
    put(block, map, "name", text_node(block, &directive->words[1]));
    put(block, map, "value", text_node(block, &directive->words[2]));
}

static void read_set_header(struct block *block, const struct nginx_directive *directive)
{
    read_header(block, directive, &block->settings->request);
}

static void read_add_header(struct block *block, const struct nginx_directive *directive)
{
    bool always = directive->len == 4;
    if (always && strcmp(arg(directive, 3), "always") != 0)
        problem_error(block->config->problems, directive->words[3].place, "only `always` may stand here");
    read_header(block, directive, &block->settings->response);
    struct node *items = block->settings->response.items;
    put(block, node_at(items, items->len - 1), "always", node_bool(block->config->pool, directive->place, always));
}

static void read_hide_header(struct block *block, const struct nginx_directive *directive)
{
    node_append(block->config->pool, own_list(block, &block->settings->hidden, NODE_LIST),
                text_node(block, &directive->words[1]));
}

/* error_page 502 503 =200 /sorry.html; */
static void read_error_page(struct block *block, const struct nginx_directive *directive)
{
    struct pool *pool = block->config->pool;
    struct node *map = add_map(block, &block->settings->error_pages, directive->place);
    struct node *codes = node_new(pool, NODE_LIST, directive->place);
    size_t last = directive->len - 1;

    put(block, map, "uri", text_node(block, &directive->words[last]));
    if (arg(directive, last - 1)[0] == '=') {
        const struct nginx_word *word = &directive->words[--last];
        if (!word->text[1])
            problem_error(block->config->problems, word->place,
                          "`=` alone, the status of the page itself, is not understood; write `=200`");
        put(block, map, "as", node_int(pool, word->place, number_of(block, word, word->text + 1, 599)));
    }
    for (size_t i = 1; i < last; i++) {
        int64_t code = number_of(block, &directive->words[i], arg(directive, i), 599);
        if (code < 300)
            problem_error(block->config->problems, directive->words[i].place, "`%s` is no status of an error",
                          arg(directive, i));
        node_append(pool, codes, node_int(pool, directive->words[i].place, code));
    }
    put(block, map, "codes", codes);
}

static void read_next_upstream(struct block *block, const struct nginx_directive *directive)
{
    static const struct {
        const char *nginx, *ours;
    } words[] = {
        { "error", "error" },
        { "timeout", "timeout" },
        { "invalid_header", "error" },
        { "http_500", "http_500" },
        { "http_502", "http_502" },
        { "http_503", "http_503" },
        { "http_504", "http_504" },
        { "http_403", "http_403" },
        { "http_404", "http_404" },
        { "http_429", "http_429" },
        { "off", NULL },
        { "non_idempotent", "non_idempotent" },
    };
    struct node *list = own_list(block, &block->settings->next_upstream, NODE_LIST);

    for (size_t i = 1; i < directive->len; i++) {
        size_t w = 0;
        while (w < ARRAY_LEN(words) && strcmp(words[w].nginx, arg(directive, i)) != 0)
            w++;
        if (w == ARRAY_LEN(words))
            problem_error(block->config->problems, directive->words[i].place,
                          "`%s` is no reason to try the next server", arg(directive, i));
        else if (words[w].ours)
            node_append(block->config->pool, list,
                        node_string(block->config->pool, directive->words[i].place, words[w].ours));
    }
}

static void read_set(struct block *block, const struct nginx_directive *directive)
{
    const struct nginx_word *name = &directive->words[1], *value = &directive->words[2];
    if (name->text[0] != '$' || strchr(value->text, '$')) {
        problem_error(block->config->problems, directive->place,
                      "`set` is understood for a fixed text only, not for one made of variables");
        return;
    }
    struct node *all = own_list(block, &block->settings->constants, NODE_MAP);
    put(block, all, name->text + 1, text_node(block, value));
}

/* --- single values ---------------------------------------------------------------------------------------------- */

static void read_connect_timeout(struct block *block, const struct nginx_directive *directive)
{
    block->settings->connect_timeout_ns = time_of(block, &directive->words[1]);
}

static void read_read_timeout(struct block *block, const struct nginx_directive *directive)
{
    block->settings->read_timeout_ns = time_of(block, &directive->words[1]);
}

static void read_send_timeout(struct block *block, const struct nginx_directive *directive)
{
    block->settings->send_timeout_ns = time_of(block, &directive->words[1]);
}

static void read_tries(struct block *block, const struct nginx_directive *directive)
{
    block->settings->tries = number_of(block, &directive->words[1], arg(directive, 1), 100);
}

static void read_tries_timeout(struct block *block, const struct nginx_directive *directive)
{
    block->settings->tries_ns = time_of(block, &directive->words[1]);
}

static void read_intercept(struct block *block, const struct nginx_directive *directive)
{
    block->settings->intercept = is_on(block, directive);
}

static void read_body_size(struct block *block, const struct nginx_directive *directive)
{
    block->settings->body_limit = size_of(block, &directive->words[1]);
}

static void read_access_log(struct block *block, const struct nginx_directive *directive)
{
    if (!block->config->access_log)
        block->config->access_log = directive;
}

/* `map $http_upgrade $connection_upgrade { … }`, which everybody copies: Upgrade is passed on anyway. */
static void read_map(struct block *block, const struct nginx_directive *directive)
{
    if (strcmp(arg(directive, 1), "$http_upgrade") != 0 || arg(directive, 2)[0] != '$') {
        problem_error(block->config->problems, directive->place,
                      "`map` is not understood, but for that of $http_upgrade");
        return;
    }
    put(block, block->config->ignored, arg(directive, 2) + 1, text_node(block, &directive->words[2]));
}

/* --- upstreams -------------------------------------------------------------------------------------------------- */

static bool with_value(const char *word, const char *name, const char **ret)
{
    size_t len = strlen(name);
    *ret = word + len + 1;
    return strncmp(word, name, len) == 0 && word[len] == '=';
}

static void read_peer(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_peer *peer = POOL_NEW(block->config->pool, struct nginx_peer);
    const char *value;

    *peer = (struct nginx_peer){ .address = directive->words[1], .weight = 1 };
    for (size_t i = 2; i < directive->len; i++) {
        const struct nginx_word *word = &directive->words[i];
        if (with_value(word->text, "weight", &value))
            peer->weight = number_of(block, word, value, 1000);
        else if (with_value(word->text, "max_conns", &value))
            peer->max_conns = number_of(block, word, value, 1000000);
        else if (strcmp(word->text, "backup") == 0)
            peer->backup = true;
        else if (strcmp(word->text, "down") == 0)
            peer->down = true;
        else if (!with_value(word->text, "max_fails", &value) && !with_value(word->text, "fail_timeout", &value))
            /* max_fails and fail_timeout: who fails is left out after rules of our own, which know more. */
            problem_error(block->config->problems, word->place, "`%s` of a server is not understood", word->text);
    }
    *block->upstream->peers_end = peer;
    block->upstream->peers_end = &peer->next;
}

static void read_least_conn(struct block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "least_conn";
}

static void read_ip_hash(struct block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "hash";
    block->upstream->key = (struct nginx_word){ "$remote_addr", directive->place };
}

static void read_hash(struct block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "hash";
    block->upstream->key = directive->words[1];
}

static void read_random(struct block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "p2c";
}

struct nginx_upstream *nginx_config_upstream(const struct nginx_config *config, const char *name)
{
    struct nginx_upstream *upstream = config->upstreams;
    while (upstream && strcmp(upstream->name, name) != 0)
        upstream = upstream->next;
    return upstream;
}

static void read_upstream(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_upstream *upstream = POOL_NEW(block->config->pool, struct nginx_upstream);
    struct block inner = { .config = block->config, .context = IN_UPSTREAM, .upstream = upstream };
    const struct nginx_upstream *before = nginx_config_upstream(block->config, arg(directive, 1));

    if (before)
        problem_error(block->config->problems, directive->place, "an upstream `%s` stands already in line %d",
                      arg(directive, 1), before->place.line);
    *upstream = (struct nginx_upstream){
        .name = arg(directive, 1), .balance = "round_robin", .place = directive->place, .peers_end = &upstream->peers
    };
    *block->config->upstreams_end = upstream;
    block->config->upstreams_end = &upstream->next;
    read_block(&inner, directive->first);
    if (!upstream->peers)
        problem_error(block->config->problems, directive->place, "the upstream `%s` has no `server`", upstream->name);
}

/* --- servers and locations -------------------------------------------------------------------------------------- */

/* "80", "*:80", "127.0.0.1", "127.0.0.1:80", "[::]:80", "localhost:80". */
static bool read_address(struct block *block, const char *text, struct nginx_listen *ret)
{
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL, *colon = strrchr(bracket ? bracket : text, ':');
    int64_t port = 80;

    if (strspn(text, "0123456789") == strlen(text))
        colon = text - 1;
    if (strncmp(text, "unix:", 5) == 0 || (colon && (value_int(colon + 1, &port) < 0 || port < 1 || port > 65535)))
        return false;
    const char *host = colon >= text ? pool_strndup(block->config->pool, text, (size_t)(colon - text)) : text;
    if (colon == text - 1 || strcmp(host, "*") == 0)
        host = "";
    ret->host = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    ret->port = (uint16_t)port;
    return true;
}

static void read_listen(struct block *block, const struct nginx_directive *directive)
{
    static const char *const quiet[] = { "reuseport", "deferred", "bind" };
    struct nginx_listen *listen = POOL_NEW(block->config->pool, struct nginx_listen), **end = &block->server->listens;
    const char *value;

    listen->place = directive->words[1].place;
    if (!read_address(block, arg(directive, 1), listen))
        problem_error(block->config->problems, listen->place, "`%s` is no address that can be listened at here",
                      arg(directive, 1));
    for (size_t i = 2; i < directive->len; i++) {
        const struct nginx_word *word = &directive->words[i];
        bool known = with_value(word->text, "backlog", &value) || with_value(word->text, "ipv6only", &value) ||
                     with_value(word->text, "so_keepalive", &value) || with_value(word->text, "rcvbuf", &value) ||
                     with_value(word->text, "sndbuf", &value) || with_value(word->text, "fastopen", &value);
        for (size_t q = 0; q < ARRAY_LEN(quiet); q++)
            known = known || strcmp(word->text, quiet[q]) == 0;
        if (strcmp(word->text, "default_server") == 0 || strcmp(word->text, "default") == 0)
            listen->is_default = true;
        else if (strcmp(word->text, "ssl") == 0 || strcmp(word->text, "quic") == 0 || strcmp(word->text, "http2") == 0)
            problem_error(block->config->problems, word->place, "`listen … %s`: the gateway speaks plain HTTP/1.1 only",
                          word->text);
        else if (!known)
            problem_error(block->config->problems, word->place, "`listen … %s` is not understood", word->text);
    }
    while (*end)
        end = &(*end)->next;
    *end = listen;
}

static void read_server_name(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_server *server = block->server;
    struct nginx_word *names =
        POOL_ARRAY(block->config->pool, struct nginx_word, server->names_len + directive->len - 1);

    if (server->names_len > 0)
        memcpy(names, server->names, server->names_len * sizeof(*names));
    memcpy(names + server->names_len, directive->words + 1, (directive->len - 1) * sizeof(*names));
    server->names = names;
    server->names_len += directive->len - 1;
}

static void read_server(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_server *server = POOL_NEW(block->config->pool, struct nginx_server);
    struct block inner = { .config = block->config,
                           .context = IN_SERVER,
                           .settings = &server->root.settings,
                           .server = server,
                           .location = &server->root };

    server->place = directive->place;
    server->locations_end = &server->locations;
    server->root = (struct nginx_location){ .place = directive->place,
                                            .settings = *block->settings,
                                            .rewrites_end = &server->root.rewrites };
    server->root.settings.level = ++block->config->levels;
    *block->config->servers_end = server;
    block->config->servers_end = &server->next;
    read_block(&inner, directive->first);
    if (!server->listens) {
        server->listens = POOL_NEW(block->config->pool, struct nginx_listen);
        *server->listens = (struct nginx_listen){ .host = "", .port = 80, .place = directive->place };
    }
}

/* location [= | ^~ | ~ | ~*] path { … }; the sign may touch the path. */
static bool read_location_path(struct block *block, const struct nginx_directive *directive, struct nginx_location *ret)
{
    static const struct {
        const char *sign;
        enum nginx_match match;
    } signs[] = {
        { "=", NGINX_EXACT },
        { "^~", NGINX_PREFIX_FINAL },
        { "~*", NGINX_REGEX_CASELESS },
        { "~", NGINX_REGEX },
    };
    const char *text = arg(directive, 1);

    ret->match = NGINX_PREFIX;
    ret->path = directive->words[directive->len - 1];
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        size_t len = strlen(signs[i].sign);
        if (directive->len == 3 ? strcmp(text, signs[i].sign) != 0 : strncmp(text, signs[i].sign, len) != 0)
            continue;
        ret->match = signs[i].match;
        if (directive->len == 2)
            ret->path.text += len;
        return true;
    }
    if (text[0] == '@')
        problem_error(block->config->problems, directive->place, "named locations (`%s`) are not understood", text);
    else if (directive->len == 3)
        problem_error(block->config->problems, directive->words[1].place,
                      "`%s` is none of the signs =, ^~, ~ and ~* of a location", text);
    return directive->len == 2 && text[0] != '@';
}

static void read_location(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_location *location = POOL_NEW(block->config->pool, struct nginx_location);
    struct block inner = { .config = block->config,
                           .context = IN_LOCATION,
                           .settings = &location->settings,
                           .server = block->server,
                           .location = location };

    if (block->context == IN_LOCATION) {
        problem_error(
            block->config->problems, directive->place,
            "a location inside of another one is not understood; write it beside that one, with its whole path");
        return;
    }
    *location = (struct nginx_location){ .place = directive->place,
                                         .settings = *block->settings,
                                         .rewrites_end = &location->rewrites };
    location->settings.level = ++block->config->levels;
    if (!read_location_path(block, directive, location))
        return;
    *block->server->locations_end = location;
    block->server->locations_end = &location->next;
    read_block(&inner, directive->first);
}

static void read_proxy_pass(struct block *block, const struct nginx_directive *directive)
{
    if (block->location->proxy_pass)
        problem_error(block->config->problems, directive->place, "a location has one `proxy_pass`");
    block->location->proxy_pass = directive;
}

static void read_return(struct block *block, const struct nginx_directive *directive)
{
    if (!block->location->returns)
        block->location->returns = directive;
}

static void read_files(struct block *block, const struct nginx_directive *directive)
{
    if (!block->location->files)
        block->location->files = directive;
}

static void read_internal(struct block *block, const struct nginx_directive *directive)
{
    block->location->internal = true;
}

static void read_rewrite(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_rewrite *rewrite = POOL_NEW(block->config->pool, struct nginx_rewrite);
    const char *flag = directive->len == 4 ? arg(directive, 3) : "";

    if (block->location->returns)
        return; /* never reached */
    *rewrite = (struct nginx_rewrite){
        .regex = directive->words[1], .to = directive->words[2], .flag = flag, .place = directive->place
    };
    if (*flag && strcmp(flag, "last") != 0 && strcmp(flag, "break") != 0 && strcmp(flag, "redirect") != 0 &&
        strcmp(flag, "permanent") != 0)
        problem_error(block->config->problems, directive->words[3].place,
                      "`%s` is none of last, break, redirect and permanent", flag);
    *block->location->rewrites_end = rewrite;
    block->location->rewrites_end = &rewrite->next;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

static void read_http(struct block *block, const struct nginx_directive *directive)
{
    struct nginx_settings settings = {
        .level = ++block->config->levels,
        .connect_timeout_ns = -1,
        .read_timeout_ns = -1,
        .send_timeout_ns = -1,
        .body_limit = 1 << 20,
    };
    read_block(&(struct block){ .config = block->config,
                                .context = IN_HTTP,
                                .settings = &settings,
                                .location = &(struct nginx_location){ 0 } },
               directive->first);
}

static const char logs_are_ours[] = "errors are told as events; `daruma events` shows them";

static const struct rule rules[] = {
    { "access_log", IN_LEVELS, 1, MANY, .read = read_access_log },
    { "add_header", IN_LEVELS, 2, 3, .read = read_add_header },
    { "client_max_body_size", IN_LEVELS, 1, 1, .read = read_body_size },
    { "error_page", IN_LEVELS, 2, MANY, .read = read_error_page },
    { "hash", IN_UPSTREAM, 1, 2, .read = read_hash },
    { "http", IN_MAIN, 0, 0, .block = true, .read = read_http },
    { "internal", IN_LOCATION, 0, 0, .read = read_internal },
    { "ip_hash", IN_UPSTREAM, 0, 0, .read = read_ip_hash },
    { "least_conn", IN_UPSTREAM, 0, 0, .read = read_least_conn },
    { "listen", IN_SERVER, 1, MANY, .read = read_listen },
    { "location", IN_SERVER | IN_LOCATION, 1, 2, .block = true, .read = read_location },
    { "map", IN_HTTP, 2, 2, .block = true, .read = read_map },
    { "proxy_connect_timeout", IN_LEVELS, 1, 1, .read = read_connect_timeout },
    { "proxy_hide_header", IN_LEVELS, 1, 1, .read = read_hide_header },
    { "proxy_intercept_errors", IN_LEVELS, 1, 1, .read = read_intercept },
    { "proxy_next_upstream", IN_LEVELS, 1, MANY, .read = read_next_upstream },
    { "proxy_next_upstream_timeout", IN_LEVELS, 1, 1, .read = read_tries_timeout },
    { "proxy_next_upstream_tries", IN_LEVELS, 1, 1, .read = read_tries },
    { "proxy_pass", IN_LOCATION, 1, 1, .read = read_proxy_pass },
    { "proxy_read_timeout", IN_LEVELS, 1, 1, .read = read_read_timeout },
    { "proxy_send_timeout", IN_LEVELS, 1, 1, .read = read_send_timeout },
    { "proxy_set_header", IN_LEVELS, 2, 2, .read = read_set_header },
    { "random", IN_UPSTREAM, 0, 2, .read = read_random },
    { "return", IN_SERVER | IN_LOCATION, 1, 2, .read = read_return },
    { "rewrite", IN_SERVER | IN_LOCATION, 2, 3, .read = read_rewrite },
    { "server", IN_UPSTREAM, 1, MANY, .read = read_peer },
    { "server", IN_HTTP, 0, 0, .block = true, .read = read_server },
    { "server_name", IN_SERVER, 1, MANY, .read = read_server_name },
    { "set", IN_SERVER | IN_LOCATION, 2, 2, .read = read_set },
    { "upstream", IN_HTTP, 1, 1, .block = true, .read = read_upstream },

    /* Files are not served; where a location asks for nothing else, that is an error. */
    { "alias", IN_LOCATION, 1, 1, .read = read_files },
    { "autoindex", IN_LEVELS, 1, 1, .read = read_files },
    { "index", IN_LEVELS, 1, MANY, .read = read_files },
    { "root", IN_LEVELS, 1, 1, .read = read_files },

    /* Left out, and nothing is lost. */
    { "accept_mutex", .contexts = IN_EVENTS, 1, 1 },
    { "charset", .contexts = IN_LEVELS, 1, 1 },
    { "client_body_buffer_size", .contexts = IN_LEVELS, 1, 1 },
    { "client_body_timeout", .contexts = IN_LEVELS, 1, 1 },
    { "client_header_buffer_size", .contexts = IN_LEVELS, 1, 1 },
    { "client_header_timeout", .contexts = IN_LEVELS, 1, 1 },
    { "daemon", .contexts = IN_MAIN, 1, 1 },
    { "default_type", .contexts = IN_LEVELS, 1, 1 },
    { "events", IN_MAIN, 0, 0, .block = true },
    { "keepalive", .contexts = IN_UPSTREAM, 1, 1 },
    { "keepalive_requests", .contexts = IN_LEVELS | IN_UPSTREAM, 1, 1 },
    { "keepalive_timeout", .contexts = IN_LEVELS | IN_UPSTREAM, 1, 2 },
    { "large_client_header_buffers", .contexts = IN_LEVELS, 2, 2 },
    { "log_format", .contexts = IN_HTTP, 2, MANY },
    { "log_not_found", .contexts = IN_LEVELS, 1, 1 },
    { "master_process", .contexts = IN_MAIN, 1, 1 },
    { "multi_accept", .contexts = IN_EVENTS, 1, 1 },
    { "pcre_jit", .contexts = IN_MAIN, 1, 1 },
    { "pid", .contexts = IN_MAIN, 1, 1 },
    { "proxy_buffer_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_buffering", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_buffers", .contexts = IN_LEVELS, 2, 2 },
    { "proxy_busy_buffers_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_headers_hash_bucket_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_headers_hash_max_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_http_version", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_max_temp_file_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_redirect", IN_LEVELS, 1, 2, .left_out = "Location of answers is passed on as the service wrote it" },
    { "proxy_request_buffering", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_socket_keepalive", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_temp_file_write_size", .contexts = IN_LEVELS, 1, 1 },
    { "reset_timedout_connection", .contexts = IN_LEVELS, 1, 1 },
    { "resolver", .contexts = IN_LEVELS | IN_UPSTREAM, 1, MANY },
    { "resolver_timeout", .contexts = IN_LEVELS | IN_UPSTREAM, 1, 1 },
    { "send_timeout", .contexts = IN_LEVELS, 1, 1 },
    { "sendfile", .contexts = IN_LEVELS, 1, 1 },
    { "server_names_hash_bucket_size", .contexts = IN_HTTP, 1, 1 },
    { "server_names_hash_max_size", .contexts = IN_HTTP, 1, 1 },
    { "server_tokens", .contexts = IN_LEVELS, 1, 1 },
    { "tcp_nodelay", .contexts = IN_LEVELS, 1, 1 },
    { "tcp_nopush", .contexts = IN_LEVELS, 1, 1 },
    { "types", IN_LEVELS, 0, 0, .block = true },
    { "types_hash_bucket_size", .contexts = IN_LEVELS, 1, 1 },
    { "types_hash_max_size", .contexts = IN_LEVELS, 1, 1 },
    { "underscores_in_headers", .contexts = IN_HTTP | IN_SERVER, 1, 1 },
    { "use", .contexts = IN_EVENTS, 1, 1 },
    { "user", .contexts = IN_MAIN, 1, 2 },
    { "variables_hash_bucket_size", .contexts = IN_HTTP, 1, 1 },
    { "variables_hash_max_size", .contexts = IN_HTTP, 1, 1 },
    { "worker_connections", .contexts = IN_EVENTS, 1, 1 },
    { "worker_cpu_affinity", .contexts = IN_MAIN, 1, MANY },
    { "worker_priority", .contexts = IN_MAIN, 1, 1 },
    { "worker_processes", .contexts = IN_MAIN, 1, 1 },
    { "worker_rlimit_nofile", .contexts = IN_MAIN, 1, 1 },
    { "worker_shutdown_timeout", .contexts = IN_MAIN, 1, 1 },
    { "zone", .contexts = IN_UPSTREAM, 1, 2 },

    /* Left out, and that may be noticed. */
    { "error_log", IN_MAIN | IN_LEVELS, 1, 2, .left_out = logs_are_ours },
    { "etag", IN_LEVELS, 1, 1, .left_out = "no files are served" },
    { "gzip", IN_LEVELS, 1, 1, .left_out = "answers are passed on as they are; let the service compress them" },
    { "gzip_buffers", .contexts = IN_LEVELS, 2, 2 },
    { "gzip_comp_level", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_disable", .contexts = IN_LEVELS, 1, MANY },
    { "gzip_http_version", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_min_length", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_proxied", .contexts = IN_LEVELS, 1, MANY },
    { "gzip_static", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_types", .contexts = IN_LEVELS, 1, MANY },
    { "gzip_vary", .contexts = IN_LEVELS, 1, 1 },
    { "load_module", IN_MAIN, 1, 1, .left_out = "the gateway loads no modules" },
};

static const struct rule *find_rule(const char *name, enum context context)
{
    const struct rule *elsewhere = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (strcmp(rules[i].name, name) != 0)
            continue;
        if (rules[i].contexts & context)
            return &rules[i];
        elsewhere = &rules[i];
    }
    return elsewhere;
}

static void tell_unknown(struct block *block, const struct nginx_directive *directive)
{
    const char *near = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].contexts & block->context)
            near = nearest_name(arg(directive, 0), near, rules[i].name);
    problem_error(block->config->problems, directive->place, "`%s` is not understood%s%s%s", arg(directive, 0),
                  near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static void tell_left_out(struct block *block, const struct nginx_directive *directive, const char *why)
{
    struct nginx_config *config = block->config;
    const char *value = directive->len > 1 ? arg(directive, 1) : "";
    if (!why || strcmp(value, "off") == 0 || node_entry(config->told, arg(directive, 0)))
        return;
    put(block, config->told, arg(directive, 0), text_node(block, &directive->words[0]));
    problem_warning(config->problems, directive->place, "`%s` is left out: %s", arg(directive, 0), why);
}

static void read_directive(struct block *block, const struct nginx_directive *directive)
{
    const struct rule *rule = find_rule(arg(directive, 0), block->context);
    size_t args = directive->len - 1;

    if (!rule)
        tell_unknown(block, directive);
    else if (!(rule->contexts & block->context))
        problem_error(block->config->problems, directive->place, "`%s` may not stand here", rule->name);
    else if (directive->has_block != rule->block)
        problem_error(block->config->problems, directive->place,
                      rule->block ? "`%s` needs a block { … }" : "`%s` has no block { … }", rule->name);
    else if (args < rule->min || args > rule->max)
        problem_error(block->config->problems, directive->place, "`%s` takes %zu to %zu words, not %zu", rule->name,
                      rule->min, rule->max, args);
    else if (rule->read)
        rule->read(block, directive);
    else
        tell_left_out(block, directive, rule->left_out);
}

/* First what counts for the whole block, wherever in it that stands, then the blocks in it. */
static void read_block(struct block *block, const struct nginx_directive *first)
{
    for (int blocks = 0; blocks < 2; blocks++)
        for (const struct nginx_directive *directive = first; directive; directive = directive->next)
            if (directive->has_block == (blocks == 1))
                read_directive(block, directive);
}

void nginx_config_read(struct nginx_config *config, const struct nginx_directive *directives)
{
    config->told = node_new(config->pool, NODE_MAP, (struct place){ 0 });
    config->ignored = node_new(config->pool, NODE_MAP, (struct place){ 0 });
    config->upstreams_end = &config->upstreams;
    config->servers_end = &config->servers;
    read_block(&(struct block){ .config = config, .context = IN_MAIN }, directives);
}
