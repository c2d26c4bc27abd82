/* SPDX-License-Identifier: MIT */
#include "daemon/routes.h"

#include <ctype.h>
#include <errno.h>
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

/* A field that is set replaces those of the same name. */
static int fill_rewrite(struct board *board, const struct spec_rewrite *rewrite, struct board_rewrite *ret)
{
    int r = 0;
    *ret = (struct board_rewrite){ 0 };
    for (char **name = rewrite->remove; r == 0 && name && *name; name++)
        r = append_name(board, *name, strlen(*name), &ret->drop);
    for (char **line = rewrite->set; r == 0 && line && *line; line++)
        r = append_name(board, *line, strcspn(*line, ":"), &ret->drop);
    for (char **line = rewrite->set; r == 0 && line && *line; line++) {
        r = append(board, *line, strlen(*line), &ret->add);
        if (r == 0)
            r = append(board, "\r\n", 2, &ret->add);
    }
    return r;
}

static bool sets_host(const struct spec_rewrite *rewrite)
{
    for (char **line = rewrite->set; line && *line; line++)
        if (strncasecmp(*line, "host:", 5) == 0)
            return true;
    return false;
}

int routes_fill(struct board *board, const struct spec_route *route, struct board_route *ret)
{
    static const enum board_action actions[] = {
        [SPEC_FORWARD] = BOARD_FORWARD,
        [SPEC_REDIRECT] = BOARD_REDIRECT,
        [SPEC_RESPOND] = BOARD_RESPOND,
    };
    ret->action = actions[route->action];
    ret->body_limit = (uint64_t)route->body_limit;
    ret->flags = (route->path_exact ? BOARD_PATH_EXACT : 0u) | (route->strip ? BOARD_STRIP : 0u) |
                 (sets_host(&route->request) ? BOARD_SETS_HOST : 0u) | (route->maintenance ? BOARD_MAINTENANCE : 0u);
    int r = add_string(board, route->host, &ret->host);
    if (r == 0)
        r = add_string(board, route->path, &ret->path);
    if (r == 0)
        r = add_string(board, route->location, &ret->location);
    if (r == 0)
        r = fill_page(board, &route->page, &ret->page);
    if (r == 0 && route->maintenance)
        r = fill_page(board, &route->closed, &ret->closed);
    if (r == 0)
        r = fill_rewrite(board, &route->request, &ret->request);
    if (r == 0)
        r = fill_rewrite(board, &route->response, &ret->response);
    return r;
}

void routes_fill_common(struct board *board, const struct spec *spec)
{
    board->served_by = spec->served_by;
    board->via = spec->via;
    board->access = (uint32_t)spec->access_log.format;
    board->access_sample = (uint32_t)(spec->access_log.sample * UINT32_MAX);
    board->connections = spec->connections;
    board->used_trusted = 0;
    for (size_t i = 0; i < spec->trusted_len && i < BOARD_TRUSTED; i++) {
        struct board_network *network = &board->trusted[board->used_trusted++];
        *network = (struct board_network){ .family = (uint16_t)spec->trusted[i].family,
                                           .bits = (uint16_t)spec->trusted[i].bits };
        memcpy(network->address, spec->trusted[i].address, sizeof(network->address));
    }
}
