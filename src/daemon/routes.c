/* SPDX-License-Identifier: MIT */
#include "daemon/routes.h"

#include "base/cleanup.h"
#include "base/template.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int add_string(struct board *board, const char *text, struct board_text *ret)
{
    *ret = (struct board_text){ 0 };
    return text && *text ? board_text_add(board, text, strlen(text), ret) : 0;
}

static int fill_page(struct board *board, const struct spec_page *page, struct board_page *ret)
{
    *ret = (struct board_page){ .status = page->status, .retry_after_s = (uint32_t)page->retry_after_s };
    int r = add_string(board, page->type, &ret->type);
    return r < 0 ? r : add_string(board, page->body, &ret->body);
}

/* Adds to a text that was begun before; its pieces lie one behind the other. */
static int append(struct board *board, const char *bytes, size_t len, struct board_text *text)
{
    struct board_text piece;
    int r = board_text_add(board, bytes, len, &piece);
    if (r < 0)
        return r;
    if (text->len == 0)
        text->at = piece.at;
    text->len += piece.len;
    return 0;
}

static int append_name(struct board *board, const char *name, size_t len, struct board_text *text)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < len; i++) {
        char low = (char)tolower((unsigned char)name[i]);
        r = append(board, &low, 1, text);
    }
    return r < 0 ? r : append(board, "\n", 1, text);
}

static int append_lines(struct board *board, char **lines, struct board_text *text)
{
    int r = 0;
    for (; r == 0 && lines && *lines; lines++) {
        r = append(board, *lines, strlen(*lines), text);
        if (r == 0)
            r = append(board, "\r\n", 2, text);
    }
    return r;
}

/* A field that is set replaces those of the same name. */
static int fill_rewrite(struct board *board, const struct spec_rewrite *rewrite, struct board_rewrite *ret)
{
    int r = 0;
    *ret = (struct board_rewrite){ 0 };
    for (char **name = rewrite->remove; r == 0 && name && *name; name++)
        r = append_name(board, *name, strlen(*name), &ret->drop);
    for (char **line = rewrite->set; r == 0 && line && *line; line++)
        r = append_name(board, *line, strcspn(*line, ":"), &ret->drop);
    if (r == 0)
        r = append_lines(board, rewrite->set, &ret->add);
    if (r == 0)
        r = append_lines(board, rewrite->add, &ret->add);
    if (r == 0)
        r = append_lines(board, rewrite->add_on_success, &ret->add_on_success);
    for (char **location = rewrite->locations; r == 0 && location && *location; location++) {
        r = append(board, *location, strlen(*location), &ret->locations);
        if (r == 0)
            r = append(board, "\n", 1, &ret->locations);
    }
    return r;
}

static uint32_t own_bit(const char *name, size_t len)
{
    static const struct {
        const char *name;
        enum board_own bit;
    } fields[] = {
        { "host", BOARD_OWN_HOST },
        { "x-forwarded-for", BOARD_OWN_FORWARDED_FOR },
        { "x-forwarded-proto", BOARD_OWN_FORWARDED_PROTO },
        { "x-forwarded-host", BOARD_OWN_FORWARDED_HOST },
        { "x-forwarded-port", BOARD_OWN_FORWARDED_PORT },
        { "forwarded", BOARD_OWN_FORWARDED },
        { "x-request-id", BOARD_OWN_REQUEST_ID },
        { "via", BOARD_OWN_VIA },
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (strlen(fields[i].name) == len && strncasecmp(fields[i].name, name, len) == 0)
            return fields[i].bit;
    return 0;
}

/* What the route sets or removes the gateway does not add by itself. */
static uint32_t own_fields(const struct spec_rewrite *rewrite)
{
    uint32_t own = 0;
    for (char **line = rewrite->set; line && *line; line++)
        own |= own_bit(*line, strcspn(*line, ":"));
    for (char **name = rewrite->remove; name && *name; name++)
        own |= own_bit(*name, strlen(*name));
    return own;
}

static bool uses_path(const struct spec_route *route)
{
    static const char vars[] = { TEMPLATE_GROUP, TEMPLATE_PATH, TEMPLATE_PLAIN_PATH, TEMPLATE_REST, '\0' };
    char **const lists[] = { route->request.set, route->response.set, route->response.add,
                             route->response.add_on_success };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (char **line = lists[i]; line && *line; line++)
            if (template_has(*line, vars))
                return true;
    return false;
}

static int add_rules(struct board *board, const struct spec_route *route, struct board_text *ret)
{
    int r = 0;
    *ret = (struct board_text){ 0 };
    for (size_t i = 0; r == 0 && i < route->rules_len; i++) {
        const struct spec_rule *rule = &route->rules[i];
        char then = (char)rule->then;
        r = append(board, &then, 1, ret);
        if (r == 0)
            r = append(board, rule->regex, strlen(rule->regex), ret);
        if (r == 0)
            r = append(board, "\n", 1, ret);
        if (r == 0)
            r = append(board, rule->to, strlen(rule->to), ret);
        if (r == 0)
            r = append(board, "\n", 1, ret);
    }
    return r;
}

int routes_fill_balance(struct board *board, const struct spec_balance *balance, struct board_route *ret)
{
    ret->placement = (uint32_t)balance->placement;
    ret->hash_of = (uint32_t)balance->hash_of;
    return add_string(board, balance->name, &ret->hash_name);
}

static int fill_sticky(struct board *board, const struct spec_sticky *sticky, struct board_route *ret)
{
    char more[SPEC_STICKY_MORE], age[32] = "";

    if (!*sticky->cookie)
        return 0;
    if (sticky->max_age_s > 0)
        (void)snprintf(age, sizeof(age), "; Max-Age=%" PRId64, sticky->max_age_s);
    (void)snprintf(more, sizeof(more), "; Path=/; HttpOnly; SameSite=Lax%s%s", age, sticky->secure ? "; Secure" : "");
    int r = add_string(board, sticky->cookie, &ret->sticky);
    return r < 0 ? r : add_string(board, more, &ret->sticky_more);
}

static int add_errors(struct board *board, const struct spec_route *route, struct board_route *ret)
{
    int r = 0;
    /* Each goes in front of those before: the first that fits is to be the first of the file. */
    for (size_t i = route->errors_len; r == 0 && i > 0; i--) {
        const struct spec_error_page *error = &route->errors[i - 1];
        struct board_error_page page = { .statuses = (uint32_t)error->on_len };
        for (size_t s = 0; s < error->on_len && s < BOARD_ERROR_STATUSES; s++)
            page.on[s] = (uint16_t)error->on[s];
        r = fill_page(board, &error->page, &page.page);
        if (r == 0)
            r = add_string(board, error->location, &page.location);
        if (r == 0)
            r = board_error_page_add(board, &page, ret);
    }
    return r;
}

int routes_fill(struct board *board, const struct spec_route *route, struct board_route *ret)
{
    static const enum board_action actions[] = {
        [SPEC_FORWARD] = BOARD_FORWARD,
        [SPEC_REDIRECT] = BOARD_REDIRECT,
        [SPEC_RESPOND] = BOARD_RESPOND,
        [SPEC_PASS] = BOARD_PASS,
    };
    static const enum board_match matches[] = {
        [SPEC_PREFIX] = BOARD_PREFIX,
        [SPEC_EXACT] = BOARD_EXACT,
        [SPEC_BEGINS] = BOARD_BEGINS,
        [SPEC_REGEX] = BOARD_REGEX,
    };
    ret->action = actions[route->action];
    ret->body_limit = (uint64_t)route->body_limit;
    ret->match = matches[route->match];
    ret->own =
        own_fields(&route->request) | (route->forwarded ? 0u : BOARD_OWN_ORIGIN) | (route->via ? 0u : BOARD_OWN_VIA);
    ret->flags = (route->first ? BOARD_FIRST : 0u) | (route->replace ? BOARD_REPLACE : 0u) |
                 (route->intercept ? BOARD_INTERCEPT : 0u) | (route->maintenance ? BOARD_MAINTENANCE : 0u) |
                 (uses_path(route) ? BOARD_USES_PATH : 0u);
    int r = routes_fill_balance(board, &route->balance, ret);
    if (r == 0)
        r = fill_sticky(board, &route->sticky, ret);
    if (r == 0)
        r = add_string(board, route->host, &ret->host);
    if (r == 0)
        r = add_string(board, route->path, &ret->path);
    if (r == 0)
        r = add_string(board, route->replace, &ret->replace);
    if (r == 0)
        r = add_string(board, route->location, &ret->location);
    if (r == 0)
        r = fill_page(board, &route->page, &ret->page);
    if (r == 0)
        r = add_rules(board, route, &ret->rewrites);
    if (r == 0)
        r = add_errors(board, route, ret);
    if (r == 0 && route->maintenance)
        r = fill_page(board, &route->closed, &ret->closed);
    if (r == 0)
        r = fill_rewrite(board, &route->request, &ret->request);
    if (r == 0)
        r = fill_rewrite(board, &route->response, &ret->response);
    return r;
}

uint32_t routes_fill_networks(const struct spec_network *networks, size_t len, struct board_network *ret, size_t room)
{
    uint32_t n = 0;
    for (; n < len && n < room; n++) {
        ret[n] = (struct board_network){ .family = (uint16_t)networks[n].family, .bits = (uint16_t)networks[n].bits };
        memcpy(ret[n].address, networks[n].address, sizeof(ret[n].address));
    }
    return n;
}

void routes_fill_common(struct board *board, const struct spec *spec)
{
    board->served_by = spec->served_by;
    board->via = spec->via;
    board->access = (uint32_t)spec->access_log.format;
    board->access_sample = (uint32_t)(spec->access_log.sample * UINT32_MAX);
    board->connections = spec->connections;
    board->used_trusted = routes_fill_networks(spec->trusted, spec->trusted_len, board->trusted, BOARD_TRUSTED);
}
