/* SPDX-License-Identifier: MIT
 *
 * Owns the shared mapping's layout. Written by the supervisor, read by the workers (see board.h).
 */
#include "base/board.h"

#include "base/clock.h"
#include "base/handover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

const struct board_limits board_usual_limits = {
    .header_timeout_ns = 60 * NS_PER_S,
    .body_timeout_ns = 60 * NS_PER_S,
    .keep_alive_ns = 75 * NS_PER_S,
    .source_burst = 1,
    .body_rate = 500,
    .header_size = BOARD_HEADER_SIZE,
    .header_count = 100,
    .target_size = 8 * 1024,
};

struct board *board_new(struct err *err)
{
    struct board *board = handover_memory("board", sizeof(*board), err);
    if (!board)
        return NULL;
    board->magic = BOARD_MAGIC;
    board->layout = BOARD_LAYOUT;
    return board;
}

void board_free(struct board *board)
{
    handover_memory_free(board);
}

/* The depth of the bracket is the writer's own business and never read by others. */
static unsigned depth;

void board_write_begin(struct board *board)
{
    if (depth++ > 0)
        return;
    /* Odd already: the writer before us died in the middle of a change, which ours completes. */
    if (atomic_load_explicit(&board->sequence, memory_order_relaxed) % 2 == 0)
        atomic_fetch_add_explicit(&board->sequence, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

void board_write_end(struct board *board)
{
    if (--depth > 0)
        return;
    atomic_fetch_add_explicit(&board->sequence, 1, memory_order_release);
}

int board_listener_add(struct board *board, const struct board_listener *listener)
{
    uint32_t at = 0;
    while (at < board->used_listeners && board->listeners[at].state == BOARD_LISTENER_ACTIVE)
        at++;
    if (at == BOARD_LISTENERS)
        return -ENOSPC;
    board_write_begin(board);
    uint32_t generation = board->listeners[at].generation + 1;
    board->listeners[at] = *listener;
    board->listeners[at].generation = generation;
    if (at == board->used_listeners)
        board->used_listeners++;
    board_write_end(board);
    return (int)at;
}

int board_route_add(struct board *board, const struct board_route *route)
{
    uint32_t at = 0;
    while (at < board->used_routes && board->routes[at].used)
        at++;
    if (at == BOARD_ROUTES)
        return -ENOSPC;
    board_write_begin(board);
    board->routes[at] = *route;
    board->routes[at].used = 1;
    board->routes_version++;
    if (at == board->used_routes)
        board->used_routes++;
    board_write_end(board);
    return (int)at;
}

int board_text_add(struct board *board, const char *bytes, size_t len, struct board_text *ret)
{
    if (len > BOARD_TEXT - board->used_text)
        return -ENOSPC;
    board_write_begin(board);
    memcpy(board->text + board->used_text, bytes, len);
    *ret = (struct board_text){ .at = board->used_text, .len = (uint32_t)len };
    board->used_text += (uint32_t)len;
    board_write_end(board);
    return 0;
}

void board_text_clear(struct board *board)
{
    board_write_begin(board);
    board->used_text = 0;
    board->used_error_pages = 0;
    board->routes_version++;
    board_write_end(board);
}

int board_error_page_add(struct board *board, const struct board_error_page *page, struct board_route *route)
{
    if (board->used_error_pages == BOARD_ERROR_PAGES)
        return -ENOSPC;
    board_write_begin(board);
    board->error_pages[board->used_error_pages] = *page;
    board->error_pages[board->used_error_pages].next = route->errors;
    route->errors = ++board->used_error_pages;
    board_write_end(board);
    return 0;
}

/* used_services: there is none of that name. */
static uint32_t find_service(const struct board *board, const char *name)
{
    uint32_t at = 0;
    while (at < board->used_services && strcmp(board->services[at].name, name) != 0)
        at++;
    return at;
}

int board_service_add(struct board *board, const char *name)
{
    uint32_t at = find_service(board, name);
    if (at == BOARD_SERVICES)
        return -ENOSPC;
    board_write_begin(board);
    if (at == board->used_services) {
        board->services[at] = (struct board_service){ 0 };
        (void)snprintf(board->services[at].name, BOARD_NAME, "%s", name);
        board->used_services++;
    }
    board_write_end(board);
    return (int)at;
}

void board_service_vacate(struct board *board, const char *name, bool vacant)
{
    uint32_t at = find_service(board, name);
    if (at == board->used_services)
        return;
    board_write_begin(board);
    board->services[at].vacant = vacant;
    board_write_end(board);
}

static bool endpoint_reusable(const struct board_endpoint *endpoint, int64_t now_ns)
{
    return endpoint->state == BOARD_ENDPOINT_FREE ||
           (endpoint->state == BOARD_ENDPOINT_GONE && now_ns - endpoint->since_ns >= BOARD_GONE_NS);
}

int board_endpoint_add(struct board *board, int service, const char *instance, const struct board_address *address,
                       int64_t now_ns)
{
    uint32_t at = 0;
    while (at < board->used_endpoints && !endpoint_reusable(&board->endpoints[at], now_ns))
        at++;
    if (at == BOARD_ENDPOINTS)
        return -ENOSPC;
    board_write_begin(board);
    struct board_endpoint *endpoint = &board->endpoints[at];
    uint32_t generation = endpoint->generation + 1;
    *endpoint = (struct board_endpoint){
        .generation = generation ? generation : 1,
        .service = (uint16_t)service,
        .state = BOARD_ENDPOINT_UP,
        .weight = BOARD_WEIGHT_USUAL,
        .since_ns = now_ns,
        .address = *address,
    };
    (void)snprintf(endpoint->instance, sizeof(endpoint->instance), "%s", instance);
    if (at == board->used_endpoints)
        board->used_endpoints++;
    board_write_end(board);
    return (int)at;
}

void board_endpoint_weigh(struct board *board, int endpoint, uint32_t weight)
{
    board_write_begin(board);
    board->endpoints[endpoint].weight = weight;
    board_write_end(board);
}

void board_endpoint_set(struct board *board, int endpoint, enum board_endpoint_state state, enum cause cause,
                        uint32_t suspects, int64_t now_ns)
{
    board_write_begin(board);
    struct board_endpoint *slot = &board->endpoints[endpoint];
    slot->state = (uint8_t)state;
    slot->cause = (uint8_t)cause;
    slot->suspects = suspects;
    slot->since_ns = now_ns;
    board_write_end(board);
}

void board_endpoint_alive(struct board *board, int endpoint, int64_t at_ns)
{
    board_write_begin(board);
    board->endpoints[endpoint].alive_ns = at_ns;
    board_write_end(board);
}

static void copy_used(const struct board *board, struct board *view)
{
    view->magic = board->magic;
    view->layout = board->layout;
    view->served_by = board->served_by;
    view->via = board->via;
    view->access = board->access;
    view->access_sample = board->access_sample;
    view->connections = board->connections;
    view->used_trusted = board->used_trusted;
    memcpy(view->trusted, board->trusted, sizeof(view->trusted));
    view->routes_version = board->routes_version;
    view->used_text = board->used_text;
    view->used_error_pages = board->used_error_pages;
    memcpy(view->error_pages, board->error_pages, view->used_error_pages * sizeof(view->error_pages[0]));
    view->used_listeners = board->used_listeners;
    view->used_routes = board->used_routes;
    view->used_services = board->used_services;
    view->used_endpoints = board->used_endpoints;
    memcpy(view->listeners, board->listeners, view->used_listeners * sizeof(view->listeners[0]));
    memcpy(view->routes, board->routes, view->used_routes * sizeof(view->routes[0]));
    memcpy(view->services, board->services, view->used_services * sizeof(view->services[0]));
    memcpy(view->endpoints, board->endpoints, view->used_endpoints * sizeof(view->endpoints[0]));
    memcpy(view->text, board->text, view->used_text);
}

enum { REFRESH_TRIES = 64 };

bool board_refresh(const struct board *board, struct board *view)
{
    bool torn = false; /* the view holds half of a change: it cannot be left like that */
    for (int tries = 0; torn || tries < REFRESH_TRIES; tries++) {
        uint32_t before = atomic_load_explicit(&board->sequence, memory_order_acquire);
        if (before == atomic_load_explicit(&view->sequence, memory_order_relaxed) && !torn)
            return false;
        if (before & 1)
            continue;
        copy_used(board, view);
        atomic_thread_fence(memory_order_acquire);
        torn = atomic_load_explicit(&board->sequence, memory_order_relaxed) != before;
        if (torn)
            continue;
        atomic_store_explicit(&view->sequence, before, memory_order_relaxed);
        return true;
    }
    return false;
}

const char *board_address_format(const struct board_address *address, char text[BOARD_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN];

    (void)snprintf(text, BOARD_ADDRESS_TEXT, "-");
    if (address->len == 0)
        return text;
    switch (address->u.any.sa_family) {
    case AF_INET: {
        struct sockaddr_in in;
        memcpy(&in, &address->u, sizeof(in));
        if (inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host)))
            (void)snprintf(text, BOARD_ADDRESS_TEXT, "%s:%u", host, ntohs(in.sin_port));
        break;
    }
    case AF_INET6: {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->u, sizeof(in6));
        if (inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host)))
            (void)snprintf(text, BOARD_ADDRESS_TEXT, "[%s]:%u", host, ntohs(in6.sin6_port));
        break;
    }
    case AF_UNIX: {
        struct sockaddr_un un = { 0 };
        memcpy(&un, &address->u, sizeof(un) < address->len ? sizeof(un) : address->len);
        (void)snprintf(text, BOARD_ADDRESS_TEXT, "unix:%.*s", (int)sizeof(un.sun_path), un.sun_path);
        break;
    }
    default:
        break;
    }
    return text;
}
