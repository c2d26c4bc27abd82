/* SPDX-License-Identifier: MIT */
#include "daemon/listeners.h"

#include "base/clock.h"
#include "daemon/listen_socket.h"
#include "daemon/routes.h"
#include "daemon/workers.h"
#include "gateway/gateway.h"
#include "runtime/ports.h"
#include "supervise/supervise.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PRIVATE_TRIES = 2000 };

/* ---- the list ---- */

static struct listener *find(struct listeners *listeners, const char *key)
{
    for (size_t i = 0; i < listeners->len; i++)
        if (strcmp(listeners->list[i].key, key) == 0)
            return &listeners->list[i];
    return NULL;
}

static struct listener *add(struct listeners *listeners, const char *key)
{
    if (listeners->len == listeners->cap) {
        size_t cap = listeners->cap ? listeners->cap * 2 : 16;
        struct listener *list = reallocarray(listeners->list, cap, sizeof(*list));
        if (!list)
            return NULL;
        listeners->list = list;
        listeners->cap = cap;
    }
    struct listener *listener = &listeners->list[listeners->len++];
    *listener = (struct listener){ .fd = -1, .slot = -1, .wanted = true };
    (void)snprintf(listener->key, sizeof(listener->key), "%s", key);
    return listener;
}

static void remove_at(struct listeners *listeners, size_t i)
{
    if (listeners->list[i].fd >= 0)
        (void)close(listeners->list[i].fd);
    free(listeners->list[i].routes);
    listeners->list[i] = listeners->list[--listeners->len];
}

/* The same for good: nobody else listens on that socket either. A port is free by that, a path has to be removed. */
static void give_up_at(struct listeners *listeners, size_t i)
{
    const char *path = listen_socket_path(&listeners->list[i].address);
    if (path)
        (void)unlink(path);
    remove_at(listeners, i);
}

static const char *published_key(const struct spec_listener *wanted, char key[LISTENER_NAME])
{
    if (wanted->path) {
        (void)snprintf(key, LISTENER_NAME, "unix:%s", wanted->path);
        return key;
    }
    const char *host = wanted->host[0] ? wanted->host : "0.0.0.0";
    bool v6 = strchr(host, ':');

    /* Any free port: then whom it leads to is what stays the same. */
    const char *to = wanted->port == 0 && wanted->routes_len > 0 ? wanted->routes[0].to[0].name : NULL;
    (void)snprintf(key, LISTENER_NAME, "%s%.45s%s:%u%s%.32s", v6 ? "[" : "", host, v6 ? "]" : "", wanted->port,
                   to ? "/" : "", to ? to : "");
    return key;
}

static const char *private_key(const struct spec_service *service, uint16_t target, char key[LISTENER_NAME])
{
    (void)snprintf(key, LISTENER_NAME, "%.64s/%u", service->name, target);
    return key;
}

/* ---- opening ---- */

static bool published_by_us(const struct listeners *listeners, uint16_t port)
{
    for (size_t i = 0; i < listeners->len; i++)
        if (listeners->list[i].target == 0 && listeners->list[i].wanted && listeners->list[i].port == port)
            return true;
    return false;
}

static void explain_unix(struct problems *problems, const struct spec_listener *wanted, int error)
{
    if (error == -EADDRINUSE)
        problem_error(
            problems, wanted->place,
            "%s is taken: another program listens there (`ss -lxp src %s` says which), or another listener of "
            "this file",
            wanted->path, wanted->path);
    else if (error == -EEXIST)
        problem_error(problems, wanted->place, "%s is there and no socket; remove it, or listen at another path",
                      wanted->path);
    else if (error == -ENAMETOOLONG)
        problem_error(problems, wanted->place, "%s is too long for a socket: 107 bytes at most", wanted->path);
    else
        problem_error(problems, wanted->place, "%s cannot be opened: %s", wanted->path, strerror(-error));
}

static void explain(const struct listeners *listeners, struct problems *problems, const struct spec_listener *wanted,
                    const char *key, int error)
{
    if (wanted->path)
        explain_unix(problems, wanted, error);
    else if (error == -EADDRINUSE && published_by_us(listeners, wanted->port))
        problem_error(problems, wanted->place,
                      "port %s is published more than once; publish another port, or spread one over several services "
                      "with x-gateway.listeners",
                      key);
    else if (error == -EADDRINUSE)
        problem_error(problems, wanted->place,
                      "port %s is taken by another program (`ss -ltnp 'sport = :%u'` says which): end it, or publish "
                      "another port",
                      key, wanted->port);
    else if (error == -EACCES)
        problem_error(problems, wanted->place,
                      "port %s may not be opened: ports below 1024 need root (or lower "
                      "net.ipv4.ip_unprivileged_port_start); publish a higher one",
                      key);
    else if (error == -EADDRNOTAVAIL)
        problem_error(problems, wanted->place, "%s: this machine has no such address; use one that `ip addr` shows",
                      key);
    else if (error == -EINVAL)
        problem_error(problems, wanted->place, "\"%s\" is no IP address; write one, or leave it out for all",
                      wanted->host);
    else
        problem_error(problems, wanted->place, "port %s cannot be opened: %s", key, strerror(-error));
}

static void check_targets(const struct spec_listener *wanted, struct problems *problems)
{
    for (size_t i = 0; i < wanted->routes_len; i++)
        if (wanted->routes[i].to_len > BOARD_TARGETS)
            problem_error(problems, wanted->routes[i].place, "a route can lead to %d services, not to %zu",
                          BOARD_TARGETS, wanted->routes[i].to_len);
}

/* The port that it had in an earlier life; 0: none. */
static uint16_t earlier_port(const struct listeners *listeners, const char *key)
{
    json_int_t port = json_integer_value(json_object_get(listeners->ports, key));
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static bool is_spared(const struct listeners *listeners, uint16_t port)
{
    for (size_t i = 0; i < listeners->spared_len; i++)
        if (listeners->spared[i] == port)
            return true;
    return false;
}

static void open_published(struct listeners *listeners, const struct spec_listener *wanted, struct problems *problems)
{
    char key[LISTENER_NAME];
    struct board_address address;
    struct listener *listener = find(listeners, published_key(wanted, key));

    if (wanted->protocol == SPEC_PROTOCOL_UDP)
        return;
    check_targets(wanted, problems);
    if (listener && listener->wanted) {
        explain(listeners, problems, wanted, key, -EADDRINUSE);
        return;
    }
    if (listener) {
        listener->wanted = true;
        return;
    }
    if (!wanted->path && is_spared(listeners, wanted->port))
        return;
    uint16_t port = wanted->port ? wanted->port : earlier_port(listeners, key);
    int fd =
        wanted->path ? listen_socket_unix(wanted->path, &address) : listen_socket_inet(wanted->host, port, &address);
    if (fd == 0)
        fd = listen_socket_open(&address, wanted->mode);
    if (fd == -EADDRINUSE && !wanted->path && wanted->port == 0 && listen_socket_inet(wanted->host, 0, &address) == 0)
        fd = listen_socket_open(&address, wanted->mode);
    if (fd < 0) {
        explain(listeners, problems, wanted, key, fd);
        return;
    }
    listener = add(listeners, key);
    if (!listener) {
        (void)close(fd);
        problem_error(problems, wanted->place, "out of memory");
        return;
    }
    listener->fd = fd;
    listener->address = address;
    listener->port = wanted->port;
    listener->mode = wanted->mode;
}

static int open_private_socket(const char *seed, uint16_t earlier, struct board_address *ret)
{
    uint16_t low, high;
    uint32_t hash = 2166136261u;

    int fd = earlier && listen_socket_inet("127.0.0.1", earlier, ret) == 0 ? listen_socket_open(ret, 0) : -EADDRINUSE;
    if (fd != -EADDRINUSE)
        return fd;

    ports_range(&low, &high);
    for (const char *c = seed; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (uint32_t i = 0; i < PRIVATE_TRIES; i++) {
        int r = listen_socket_inet("127.0.0.1", (uint16_t)(low + (hash + i * 7) % (uint32_t)(high - low + 1)), ret);
        if (r == 0)
            r = listen_socket_open(ret, 0);
        if (r != -EADDRINUSE)
            return r;
    }
    return -EADDRINUSE;
}

static void open_private(struct listeners *listeners, const struct spec *spec, const struct spec_service *service,
                         const struct spec_port *port, bool primary, struct problems *problems)
{
    char key[LISTENER_NAME], seed[2 * LISTENER_NAME];
    struct listener *listener = find(listeners, private_key(service, port->target, key));
    struct board_address address;

    if (listener) {
        listener->wanted = true;
        listener->primary = primary;
        return;
    }
    (void)snprintf(seed, sizeof(seed), "%.64s/%s", spec->name, key);
    int fd = open_private_socket(seed, earlier_port(listeners, key), &address);
    if (fd >= 0)
        listener = add(listeners, key);
    if (!listener) {
        problem_error(problems, port->place, "no private port could be opened for \"%s\": %s", service->name,
                      strerror(fd < 0 ? -fd : ENOMEM));
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    struct sockaddr_in in;
    memcpy(&in, &address.u, sizeof(in));
    listener->fd = fd;
    listener->address = address;
    listener->port = ntohs(in.sin_port);
    listener->target = port->target;
    listener->primary = primary;
    (void)snprintf(listener->service, sizeof(listener->service), "%s", service->name);
}

static void check_room(const struct spec *spec, struct problems *problems)
{
    uint64_t room = (uint64_t)gateway_worker_room() * workers_wanted();

    if (spec->connections > room)
        problem_warning(problems, spec->connections_place,
                        "%u connections are more than the %" PRIu64 " that there are descriptors for; raise the hard "
                        "limit (`ulimit -Hn`, LimitNOFILE= in a unit) before daruma starts",
                        spec->connections, room);
}

void listeners_open(struct listeners *listeners, const struct spec *spec, struct problems *problems)
{
    check_room(spec, problems);
    for (size_t i = 0; i < listeners->len; i++)
        listeners->list[i].wanted = false;
    outsides_find(&listeners->outsides, spec, problems);
    for (size_t i = 0; i < spec->listeners_len; i++)
        open_published(listeners, &spec->listeners[i], problems);
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        bool primary = true;
        for (size_t p = 0; p < service->ports_len; p++) {
            if (service->ports[p].protocol == SPEC_PROTOCOL_UDP)
                continue;
            open_private(listeners, spec, service, &service->ports[p], primary, problems);
            primary = false;
        }
    }
}

void listeners_discard(struct listeners *listeners)
{
    for (size_t i = listeners->len; i > 0; i--)
        if (listeners->list[i - 1].slot < 0)
            give_up_at(listeners, i - 1);
}

/* ---- publishing ---- */

json_t *listeners_ports(const struct listeners *listeners)
{
    json_t *ports = json_object();

    for (size_t i = 0; i < listeners->len; i++) {
        const struct listener *listener = &listeners->list[i];
        struct sockaddr_in in; /* the port is at the same place in sockaddr_in6 */
        memcpy(&in, &listener->address.u, sizeof(in));
        if (in.sin_family != AF_UNIX && (listener->target != 0 || listener->port == 0))
            (void)json_object_set_new(ports, listener->key, json_integer(ntohs(in.sin_port)));
    }
    return ports;
}

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
static void listener_recover(struct listener *listener, const struct board *board)
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
    if (listener->slot < 0)
        listener_recover(listener, board);
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

static int publish_published(struct listener *listener, const struct spec *spec, const struct spec_listener *wanted,
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
        .connect_timeout_ns = NS_PER_S,
        .response_timeout_ns = 60 * NS_PER_S,
        .idle_timeout_ns = 300 * NS_PER_S,
        .patience_min_ns = 25 * NS_PER_MS,
        .patience_max_ns = NS_PER_S,
        .hold_ns = 10 * NS_PER_S,
    };
    static const struct spec_route tcp = {
        .retry_on = BOARD_RETRY_ERROR,
        .attempts = 3,
        .connect_timeout_ns = NS_PER_S,
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

static int publish_private(struct listener *listener, const struct spec *spec, const struct spec_port *port,
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

static void withdraw(struct listener *listener, struct board *board)
{
    if (listener->slot < 0)
        return;
    drop_routes(listener, 0, board);
    board->listeners[listener->slot].state = BOARD_LISTENER_CLOSED;
}

int listeners_publish(struct listeners *listeners, const struct spec *spec, struct board *board, struct err *err)
{
    char key[LISTENER_NAME];
    struct listener *listener;
    int r = 0;

    board_write_begin(board);
    board_text_clear(board); /* every route is written anew */
    routes_fill_common(board, spec);
    for (size_t i = listeners->len; i > 0; i--)
        if (!listeners->list[i - 1].wanted) {
            withdraw(&listeners->list[i - 1], board);
            give_up_at(listeners, i - 1);
        }
    r = outsides_publish(&listeners->outsides, board);
    for (size_t i = 0; r == 0 && i < spec->listeners_len; i++) {
        listener = find(listeners, published_key(&spec->listeners[i], key));
        if (listener)
            r = publish_published(listener, spec, &spec->listeners[i], board);
    }
    for (size_t i = 0; r == 0 && i < spec->services_len; i++)
        for (size_t p = 0; r == 0 && p < spec->services[i].ports_len; p++) {
            listener = find(listeners, private_key(&spec->services[i], spec->services[i].ports[p].target, key));
            if (listener)
                r = publish_private(listener, spec, &spec->services[i].ports[p], board);
        }
    board_write_end(board);
    if (r < 0)
        return err_set(
            err, r,
            "more listeners, routes, targets of a route or bytes of pages and headers than the gateway has room "
            "for (%d, %d, %d, %d)",
            BOARD_LISTENERS, BOARD_ROUTES, BOARD_TARGETS, BOARD_TEXT);
    return 0;
}

void listeners_close_published(struct listeners *listeners, struct board *board)
{
    board_write_begin(board);
    for (size_t i = listeners->len; i > 0; i--)
        if (listeners->list[i - 1].target == 0) {
            if (listeners->list[i - 1].slot >= 0)
                board->listeners[listeners->list[i - 1].slot].state = BOARD_LISTENER_CLOSED;
            give_up_at(listeners, i - 1);
        }
    board_write_end(board);
}

int listeners_fd(const struct listeners *listeners, uint32_t slot)
{
    for (size_t i = 0; i < listeners->len; i++)
        if (listeners->list[i].slot == (int)slot)
            return listeners->list[i].fd;
    return -1;
}

/* ---- peers ---- */

static void free_peers(struct listeners *listeners)
{
    for (char **peer = listeners->peers; peer && *peer; peer++)
        free(*peer);
    free(listeners->peers);
    listeners->peers = NULL;
}

/* "my-app" → "MY_APP". */
static void upper_name(const char *service, char name[BOARD_NAME])
{
    size_t i = 0;
    for (; i < BOARD_NAME - 1 && service[i]; i++)
        name[i] = isalnum((unsigned char)service[i]) ? (char)toupper((unsigned char)service[i]) : '_';
    name[i] = '\0';
}

const char *const *listeners_peers(struct listeners *listeners)
{
    size_t n = 0;
    bool failed = false;

    free_peers(listeners);
    listeners->peers = calloc(3 * listeners->len + 1, sizeof(*listeners->peers));
    if (!listeners->peers)
        return NULL;
    for (size_t i = 0; i < listeners->len; i++) {
        const struct listener *listener = &listeners->list[i];
        char name[BOARD_NAME];

        if (listener->target == 0 || listener->fd < 0)
            continue;
        upper_name(listener->service, name);
        if (listener->primary) {
            failed |= asprintf(&listeners->peers[n++], "%s_HOST=127.0.0.1", name) < 0;
            failed |= asprintf(&listeners->peers[n++], "%s_PORT=%u", name, listener->port) < 0;
        }
        failed |= asprintf(&listeners->peers[n++], "%s_PORT_%u=%u", name, listener->target, listener->port) < 0;
    }
    if (failed) {
        /* After a failure the pointer's value is not defined: what is not known to be good is given up. */
        free(listeners->peers);
        listeners->peers = NULL;
    }
    return (const char *const *)listeners->peers;
}

void listeners_free(struct listeners *listeners)
{
    while (listeners->len > 0)
        remove_at(listeners, listeners->len - 1);
    free(listeners->list);
    outsides_free(&listeners->outsides);
    free_peers(listeners);
    *listeners = (struct listeners){ 0 };
}
