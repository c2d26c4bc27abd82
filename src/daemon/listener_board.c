/* SPDX-License-Identifier: MIT */
#include "daemon/listener_board.h"

#include "base/clock.h"
#include "daemon/listen_socket.h"
#include "daemon/routes.h"
#include "supervise/supervise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void fill_route(struct board_route *route, int slot, const struct spec_route *wanted)
{
    *route = (struct board_route){
        .listener = (uint32_t)slot,
        .retry_on = wanted->retry_on,
        .attempts = wanted->attempts,
        .retry_timeout_ns = wanted->retry_timeout_ns,
        .connect_timeout_ns = wanted->connect_timeout_ns,
        .response_timeout_ns = wanted->response_timeout_ns,
        .idle_timeout_ns = wanted->idle_timeout_ns,
        .patience_min_ns = wanted->patience_min_ns,
        .patience_max_ns = wanted->patience_max_ns,
        .hold_ns = wanted->hold_ns,
    };
}

static uint32_t max_inflight_outside(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->outside_len; i++)
        if (strcmp(spec->outside[i].name, name) == 0)
            return spec->outside[i].max_inflight;
    return 0;
}

/* Whoever serves the service's port `target`; 0: the one that is named, or its first one. */
static int add_target(struct board *board, const struct spec *spec, const struct spec_target *to, uint16_t target,
                      struct board_route *route)
{
    char name[BOARD_NAME];
    uint16_t port = 0;
    const struct spec_service *service = spec_target_service(spec, to->name, &port);
    const char *known = service ? supervisor_board_name(service, target ? target : port, name) : to->name;
    int index = board_service_add(board, known);
    if (index < 0 || route->targets == BOARD_TARGETS)
        return -ENOSPC;
    board->services[index].outside = !service;
    board->services[index].proxy = service ? service->proxy_protocol : 0;
    board->services[index].max_inflight = service ? service->max_inflight : max_inflight_outside(spec, to->name);
    board->services[index].slow_start_ns = service ? service->slow_start_ns : 0;
    route->backups |= (uint32_t)to->backup << route->targets;
    route->weight[route->targets] = (uint16_t)to->weight;
    route->service[route->targets++] = (uint16_t)index;
    return 0;
}

static int add_route_index(struct listener *listener, int index)
{
    if (listener->routes_len == listener->routes_cap) {
        size_t cap = listener->routes_cap ? 2 * listener->routes_cap : 4;
        int *grown = reallocarray(listener->routes, cap, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        listener->routes = grown;
        listener->routes_cap = cap;
    }
    listener->routes[listener->routes_len++] = index;
    return 0;
}

/* Puts the n-th route of a listener on the board, over the one that was the n-th before: requests on it go on. */
static int put_route(struct listener *listener, size_t n, const struct board_route *route, struct board *board)
{
    if (n < listener->routes_len) {
        struct board_route *slot = &board->routes[listener->routes[n]];
        *slot = *route;
        slot->used = 1;
        return 0;
    }
    int index = board_route_add(board, route);
    return index < 0 ? index : add_route_index(listener, index);
}

static void drop_routes(struct listener *listener, size_t from, struct board *board)
{
    for (size_t n = from; n < listener->routes_len; n++)
        board->routes[listener->routes[n]].used = 0;
    if (listener->routes_len > from)
        listener->routes_len = from;
}

/* The board may outlive us (base/guard.h): a listener with its address is the same one, with its routes. Without a
   predecessor there is none. */
static void recover(struct listener *listener, const struct board *board)
{
    for (uint32_t i = 0; i < board->used_listeners; i++)
        if (board->listeners[i].state == BOARD_LISTENER_ACTIVE &&
            board->listeners[i].address.len == listener->address.len &&
            memcmp(&board->listeners[i].address.u, &listener->address.u, listener->address.len) == 0)
            listener->slot = (int)i;
    for (uint32_t i = 0; listener->slot >= 0 && i < board->used_routes; i++)
        if (board->routes[i].used && board->routes[i].listener == (uint32_t)listener->slot &&
            add_route_index(listener, (int)i) < 0)
            return; /* out of memory: it stays on the board, and leads where it led */
}

/* Makes sure that the listener has a slot, with what the file says of it now. `wanted` is NULL for a private one. */
static int put_listener(struct listener *listener, enum spec_protocol protocol, const struct spec_listener *wanted,
                        struct board *board)
{
    struct board_listener slot = {
        .state = BOARD_LISTENER_ACTIVE,
        .protocol = protocol == SPEC_PROTOCOL_TCP ? BOARD_TCP : BOARD_HTTP,
        .limits = wanted ? wanted->limits : board_usual_limits,
        .proxy = wanted && wanted->proxy,
        .address = listener->address,
    };
    if (wanted)
        slot.proxy_from_len =
            routes_fill_networks(wanted->proxy_from, wanted->proxy_from_len, slot.proxy_from, BOARD_PROXY_FROM);
    char text[BOARD_ADDRESS_TEXT];

    (void)snprintf(slot.name, sizeof(slot.name), "%.63s", board_address_format(&listener->address, text));
    listen_socket_defer(listener->fd, slot.protocol == BOARD_HTTP);
    if (listener->slot < 0)
        recover(listener, board);
    if (listener->slot < 0) {
        listener->slot = board_listener_add(board, &slot);
        return listener->slot < 0 ? listener->slot : 0;
    }
    struct board_listener *before = &board->listeners[listener->slot];
    slot.generation = before->generation;
    slot.route = before->route;
    *before = slot;
    return 0;
}

int listener_publish(struct listener *listener, const struct spec *spec, const struct spec_listener *wanted,
                     struct board *board)
{
    int r = put_listener(listener, wanted->protocol, wanted, board);

    if (wanted->path && wanted->mode != listener->mode && chmod(wanted->path, wanted->mode) == 0)
        listener->mode = wanted->mode;
    for (size_t i = 0; r == 0 && i < wanted->routes_len; i++) {
        struct board_route route;
        fill_route(&route, listener->slot, &wanted->routes[i]);
        route.order = (uint32_t)i;
        r = routes_fill(board, &wanted->routes[i], &route);
        for (size_t t = 0; r == 0 && t < wanted->routes[i].to_len; t++)
            r = add_target(board, spec, &wanted->routes[i].to[t], wanted->published_by ? wanted->target : 0, &route);
        if (r == 0)
            r = put_route(listener, i, &route, board);
    }
    drop_routes(listener, wanted->routes_len, board);
    if (r == 0 && listener->routes_len > 0)
        board->listeners[listener->slot].route = (uint32_t)listener->routes[0];
    return r;
}

/* The rules between services: those of a published port of the same service where there is one, for HTTP. Otherwise
   what Compose's users expect of a name: it holds while the peer is away. A TCP connection (a pool to a database) may
   be silent as long as it likes. */
static const struct spec_route *private_rules(const struct spec *spec, const char *service, enum spec_protocol protocol)
{
    static const struct spec_route http = {
        .retry_on = BOARD_RETRY_ERROR | BOARD_RETRY_TIMEOUT,
        .attempts = 3,
        .connect_timeout_ns = 2 * NS_PER_S, /* as of routes in the file */
        .response_timeout_ns = 60 * NS_PER_S,
        .idle_timeout_ns = 300 * NS_PER_S,
        .patience_min_ns = 25 * NS_PER_MS,
        .patience_max_ns = NS_PER_S,
        .hold_ns = 10 * NS_PER_S,
    };
    static const struct spec_route tcp = {
        .retry_on = BOARD_RETRY_ERROR,
        .attempts = 3,
        .connect_timeout_ns = 2 * NS_PER_S, /* as of routes in the file */
        .hold_ns = 10 * NS_PER_S,
    };

    if (protocol == SPEC_PROTOCOL_TCP)
        return &tcp;
    for (size_t i = 0; i < spec->listeners_len; i++) {
        const struct spec_listener *listener = &spec->listeners[i];
        if (listener->protocol == SPEC_PROTOCOL_HTTP && listener->routes_len == 1 && listener->routes[0].to_len == 1 &&
            strcmp(listener->routes[0].to[0].name, service) == 0)
            return &listener->routes[0];
    }
    return &http;
}

int listener_publish_private(struct listener *listener, const struct spec *spec, const struct spec_port *port,
                             struct board *board)
{
    struct board_route route;

    int r = put_listener(listener, port->protocol, NULL, board);
    if (r < 0)
        return r;
    const struct spec_route *rules = private_rules(spec, listener->service, port->protocol);
    fill_route(&route, listener->slot, rules);
    r = routes_fill_balance(board, &rules->balance, &route);
    if (r == 0)
        r = add_target(board, spec, &(struct spec_target){ .name = listener->service }, port->target, &route);
    if (r == 0)
        r = put_route(listener, 0, &route, board);
    if (r == 0)
        board->listeners[listener->slot].route = (uint32_t)listener->routes[0];
    return r;
}

void listener_withdraw(struct listener *listener, struct board *board)
{
    if (listener->slot < 0)
        return;
    drop_routes(listener, 0, board);
    board->listeners[listener->slot].state = BOARD_LISTENER_CLOSED;
}
