/* SPDX-License-Identifier: MIT */
#include "daemon/listeners.h"

#include "base/hash.h"
#include "daemon/listen_socket.h"
#include "daemon/listener_board.h"
#include "daemon/routes.h"
#include "daemon/workers.h"
#include "gateway/gateway.h"
#include "runtime/ports.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    uint32_t hash = (uint32_t)hash_text(seed);

    int fd = earlier && listen_socket_inet("127.0.0.1", earlier, ret) == 0 ? listen_socket_open(ret, 0) : -EADDRINUSE;
    if (fd != -EADDRINUSE)
        return fd;

    ports_range(&low, &high);
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
                         const struct spec_port *port, struct problems *problems)
{
    char key[LISTENER_NAME], seed[2 * LISTENER_NAME];
    struct listener *listener = find(listeners, private_key(service, port->target, key));
    struct board_address address;

    if (listener) {
        listener->wanted = true;
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
        for (size_t p = 0; p < service->ports_len; p++)
            if (service->ports[p].protocol != SPEC_PROTOCOL_UDP)
                open_private(listeners, spec, service, &service->ports[p], problems);
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

static int publish_private(struct listeners *listeners, const struct spec *spec, const struct spec_service *service,
                           struct board *board)
{
    char key[LISTENER_NAME];
    bool primary = true;
    int r = 0;

    for (size_t p = 0; r == 0 && p < service->ports_len; p++) {
        const struct spec_port *port = &service->ports[p];
        if (port->protocol == SPEC_PROTOCOL_UDP)
            continue;
        struct listener *listener = find(listeners, private_key(service, port->target, key));
        if (listener) {
            listener->primary = primary;
            r = listener_publish_private(listener, spec, port, board);
        }
        primary = false;
    }
    return r;
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
            listener_withdraw(&listeners->list[i - 1], board);
            give_up_at(listeners, i - 1);
        }
    r = outsides_publish(&listeners->outsides, board);
    for (size_t i = 0; r == 0 && i < spec->listeners_len; i++) {
        listener = find(listeners, published_key(&spec->listeners[i], key));
        if (listener)
            r = listener_publish(listener, spec, &spec->listeners[i], board);
    }
    for (size_t i = 0; r == 0 && i < spec->services_len; i++)
        r = publish_private(listeners, spec, &spec->services[i], board);
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
