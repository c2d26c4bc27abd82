/* SPDX-License-Identifier: MIT */
#include "compose/nginx_blocks.h"

#include "compose/value.h"

#include "base/cleanup.h"

#include <string.h>

/* --- upstreams -------------------------------------------------------------------------------------------------- */

static bool with_value(const char *word, const char *name, const char **ret)
{
    size_t len = strlen(name);
    *ret = word + len + 1;
    return strncmp(word, name, len) == 0 && word[len] == '=';
}

void nginx_read_peer(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_peer *peer = POOL_NEW(block->config->pool, struct nginx_peer);
    const char *value;

    *peer = (struct nginx_peer){ .address = directive->words[1], .weight = 1 };
    for (size_t i = 2; i < directive->len; i++) {
        const struct nginx_word *word = &directive->words[i];
        if (with_value(word->text, "weight", &value) && strcmp(value, "0") != 0)
            peer->weight = nginx_number(block, word, value, 1000);
        else if (with_value(word->text, "max_conns", &value))
            peer->max_conns = nginx_number(block, word, value, 1000000);
        else if (strcmp(word->text, "backup") == 0)
            peer->backup = true;
        else if (strcmp(word->text, "down") == 0)
            peer->down = true;
        else if (strcmp(word->text, "resolve") == 0)
            continue; /* names are looked up at each `up` */
        else if (!with_value(word->text, "max_fails", &value) && !with_value(word->text, "fail_timeout", &value))
            /* max_fails and fail_timeout: who fails is left out after rules of our own, which know more. */
            problem_error(block->config->problems, word->place, "`%s` of a server is not understood", word->text);
    }
    *block->upstream->peers_end = peer;
    block->upstream->peers_end = &peer->next;
}

void nginx_read_least_conn(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "least_conn";
}

void nginx_read_ip_hash(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "hash";
    block->upstream->key = (struct nginx_word){ "$remote_addr", directive->place };
}

void nginx_read_hash(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->upstream->balance = "hash";
    block->upstream->key = directive->words[1];
}

void nginx_read_random(struct nginx_block *block, const struct nginx_directive *directive)
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

void nginx_read_upstream(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_upstream *upstream = POOL_NEW(block->config->pool, struct nginx_upstream);
    struct nginx_block inner = { .config = block->config, .context = IN_UPSTREAM, .upstream = upstream };
    const struct nginx_upstream *before = nginx_config_upstream(block->config, nginx_arg(directive, 1));

    if (before)
        problem_error(block->config->problems, directive->place, "an upstream `%s` stands already in line %d",
                      nginx_arg(directive, 1), before->place.line);
    *upstream = (struct nginx_upstream){ .name = nginx_arg(directive, 1),
                                         .balance = "round_robin",
                                         .place = directive->place,
                                         .peers_end = &upstream->peers };
    *block->config->upstreams_end = upstream;
    block->config->upstreams_end = &upstream->next;
    nginx_read_block(&inner, directive->first);
    if (!upstream->peers)
        problem_error(block->config->problems, directive->place, "the upstream `%s` has no `server`", upstream->name);
}

/* --- servers and locations -------------------------------------------------------------------------------------- */

/* "80", "*:80", "127.0.0.1", "127.0.0.1:80", "[::]:80", "localhost:80". */
static bool read_address(struct nginx_block *block, const char *text, struct nginx_listen *ret)
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

void nginx_read_listen(struct nginx_block *block, const struct nginx_directive *directive)
{
    static const char *const quiet[] = { "reuseport", "deferred", "bind" };
    struct nginx_listen *listen = POOL_NEW(block->config->pool, struct nginx_listen), **end = &block->server->listens;
    const char *value;

    listen->place = directive->words[1].place;
    if (!read_address(block, nginx_arg(directive, 1), listen))
        problem_error(block->config->problems, listen->place, "`%s` is no address that can be listened at here",
                      nginx_arg(directive, 1));
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
            problem_error(block->config->problems, word->place, "`listen … %s` is not understood: %s", word->text,
                          nginx_refused(word->text));
        else if (!known)
            problem_error(block->config->problems, word->place, "`listen … %s` is not understood", word->text);
    }
    while (*end)
        end = &(*end)->next;
    *end = listen;
}

void nginx_read_server_name(struct nginx_block *block, const struct nginx_directive *directive)
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

void nginx_read_server(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_server *server = POOL_NEW(block->config->pool, struct nginx_server);
    struct nginx_block inner = { .config = block->config,
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
    nginx_read_block(&inner, directive->first);
    if (!server->listens) {
        server->listens = POOL_NEW(block->config->pool, struct nginx_listen);
        *server->listens = (struct nginx_listen){ .host = "", .port = 80, .place = directive->place };
    }
}

/* location [= | ^~ | ~ | ~*] path { … }, or @name; the sign may touch the path. */
static bool read_location_path(struct nginx_block *block, const struct nginx_directive *directive,
                               struct nginx_location *ret)
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
    const char *text = nginx_arg(directive, 1);

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
    ret->match = text[0] == '@' ? NGINX_NAMED : NGINX_PREFIX;
    if (directive->len == 3)
        problem_error(block->config->problems, directive->words[1].place,
                      "`%s` is none of the signs =, ^~, ~ and ~* of a location", text);
    return directive->len == 2;
}

/*
 * A location in another one becomes one beside it, which nginx would choose for the same paths. Where it would not, that is
 * told: a ^~ counts only among those around which the same location stands.
 */
static bool check_nesting(struct nginx_block *block, struct nginx_location *inner)
{
    const struct nginx_location *outer = inner->parent;
    bool is_regex = inner->match == NGINX_REGEX || inner->match == NGINX_REGEX_CASELESS;
    const char *what = NULL;

    if (!outer)
        return true;
    if (inner->match == NGINX_NAMED)
        what = "a location with a name stands in a server";
    else if (outer->match != NGINX_PREFIX && outer->match != NGINX_PREFIX_FINAL)
        what = "a location is understood inside of one with a plain path only";
    else if (inner->match == NGINX_PREFIX_FINAL || (is_regex && outer->match == NGINX_PREFIX_FINAL))
        what = "this location together with the ^~ is not understood inside of another one; write it beside that one";
    else if (!is_regex && strncmp(inner->path.text, outer->path.text, strlen(outer->path.text)) != 0)
        what = "the path of a location begins with that of the one around it";
    if (what)
        problem_error(block->config->problems, inner->place, "%s", what);
    else if (inner->match == NGINX_PREFIX)
        inner->match = outer->match;
    return !what;
}

void nginx_read_location(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_location *location = POOL_NEW(block->config->pool, struct nginx_location);
    const struct nginx_location *parent = block->context == IN_LOCATION ? block->location : NULL;
    struct nginx_block inner = { .config = block->config,
                                 .context = IN_LOCATION,
                                 .settings = &location->settings,
                                 .server = block->server,
                                 .location = location };

    *location = (struct nginx_location){ .place = directive->place,
                                         .settings = *block->settings,
                                         .parent = parent,
                                         .depth = parent ? parent->depth + 1 : 0,
                                         .rewrites_end = &location->rewrites };
    location->settings.level = ++block->config->levels;
    if (!read_location_path(block, directive, location) || !check_nesting(block, location))
        return;
    if (location->depth > block->server->depth)
        block->server->depth = location->depth;
    *block->server->locations_end = location;
    block->server->locations_end = &location->next;
    nginx_read_block(&inner, directive->first);
}

/* The words between the parentheses of `if`, which may touch them. Returns how many. */
static size_t condition_of(struct nginx_block *block, const struct nginx_directive *directive,
                           struct nginx_word ret[static 3])
{
    size_t len = 0;
    for (size_t i = 1; i < directive->len; i++) {
        struct nginx_word word = directive->words[i];
        size_t size = strlen(word.text);
        if (i == 1 && word.text[0] == '(')
            word.text++, size--;
        if (i == directive->len - 1 && size > 0 && word.text[size - 1] == ')')
            word.text = pool_strndup(block->config->pool, word.text, --size);
        if (size > 0 && len < 3)
            ret[len] = word;
        len += size > 0;
    }
    return len;
}

/* Only what a route of another host can do. */
void nginx_read_if(struct nginx_block *block, const struct nginx_directive *directive)
{
    const struct nginx_directive *first = directive->first;
    struct nginx_word words[3];
    bool good = condition_of(block, directive, words) == 3 && strcmp(words[0].text, "$host") == 0 &&
                strcmp(words[1].text, "=") == 0 && !strchr(words[2].text, '$');

    good = good && block->context == IN_SERVER && !block->location->rewrites && first && !first->next &&
           strcmp(nginx_arg(first, 0), "return") == 0 && (first->len == 2 || first->len == 3);
    if (!good) {
        problem_error(block->config->problems, directive->place,
                      "`if` is understood as `if ($host = NAME) { return …; }` in a server without `rewrite` only; %s",
                      nginx_refused("if"));
        return;
    }
    struct nginx_host *host = POOL_NEW(block->config->pool, struct nginx_host), **end = &block->server->hosts;
    *host = (struct nginx_host){ .name = words[2], .returns = first };
    while (*end)
        end = &(*end)->next;
    *end = host;
}

/* Who may come. Clients are not told apart by their addresses: all of them, or nobody. */
void nginx_read_access(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_settings *settings = block->settings;
    if (settings->access_level == settings->level)
        return; /* the first one has said it for all */
    settings->access_level = settings->level;
    settings->denied = strcmp(nginx_arg(directive, 0), "deny") == 0;
    if (strcmp(nginx_arg(directive, 1), "all") != 0)
        problem_error(
            block->config->problems, directive->place,
            "`%s` is understood with `all` only: the gateway does not choose clients by their addresses; let the "
            "service or a packet filter do it, or keep nginx (--keep-nginx)",
            nginx_arg(directive, 0));
}

void nginx_read_proxy_pass(struct nginx_block *block, const struct nginx_directive *directive)
{
    if (block->location->proxy_pass)
        problem_error(block->config->problems, directive->place, "a location has one `proxy_pass`");
    block->location->proxy_pass = directive;
}

void nginx_read_return(struct nginx_block *block, const struct nginx_directive *directive)
{
    if (!block->location->returns)
        block->location->returns = directive;
}

void nginx_read_files(struct nginx_block *block, const struct nginx_directive *directive)
{
    if (!block->location->files)
        block->location->files = directive;
}

void nginx_read_root(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->root = nginx_arg(directive, 1);
    nginx_read_files(block, directive);
}

void nginx_read_internal(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->location->internal = true;
}

void nginx_read_rewrite(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_rewrite *rewrite = POOL_NEW(block->config->pool, struct nginx_rewrite);
    const char *flag = directive->len == 4 ? nginx_arg(directive, 3) : "";

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
