/* SPDX-License-Identifier: MIT
 *
 * Where the gateway listens: what x-gateway declares, then one listener for each published port.
 */
#include "compose/spec_build.h"

#include "compose/schema.h"
#include "compose/value.h"

#include "base/board.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <string.h>

#define BURST_NS (10 * 365 * 24 * 3600 * (double)NS_PER_S) /* so much time may come at once: far from overflowing */

enum { ATTEMPTS = 3, RETRY = BOARD_RETRY_ERROR | BOARD_RETRY_TIMEOUT };

static const struct spec_route usual = {
    .retry_on = RETRY,
    .attempts = ATTEMPTS,
    /* More than the 1 s after which the kernel repeats a SYN that found the backlog of a busy instance full. */
    .connect_timeout_ns = 2 * NS_PER_S,
    .response_timeout_ns = 60 * NS_PER_S,
    .idle_timeout_ns = 300 * NS_PER_S,
    .patience_min_ns = 25 * NS_PER_MS,
    .patience_max_ns = 1 * NS_PER_S,
    .hold_ns = 10 * NS_PER_S,
    .balance = { .placement = BOARD_P2C_EWMA, .name = "" },
    .sticky = { .cookie = "" },
    .forwarded = true,
    .via = true,
    .host = "",
    .path = "",
    .location = "",
};

static uint32_t read_retry_on(const struct node *list)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } words[] = {
        { "error", BOARD_RETRY_ERROR },  { "timeout", BOARD_RETRY_TIMEOUT },
        { "http_500", BOARD_RETRY_500 }, { "http_502", BOARD_RETRY_502 },
        { "http_503", BOARD_RETRY_503 }, { "http_504", BOARD_RETRY_504 },
        { "http_403", BOARD_RETRY_403 }, { "http_404", BOARD_RETRY_404 },
        { "http_429", BOARD_RETRY_429 }, { "non_idempotent", BOARD_RETRY_NON_IDEMPOTENT },
    };
    uint32_t flags = 0;

    for (size_t i = 0; i < list->len; i++)
        for (size_t j = 0; j < ARRAY_LEN(words); j++)
            if (strcmp(words[j].word, node_str(node_at(list, i))) == 0)
                flags |= words[j].flag;
    return flags;
}

static void build_route(struct loading *load, struct spec *spec, const struct node *node,
                        const struct spec_balance *balance, struct spec_route *ret)
{
    const struct node *retry = node_get(node, "retry"), *on = node_get(retry, "on"),
                      *patience = node_get(node, "patience");

    *ret = (struct spec_route){
        .retry_on = on ? read_retry_on(on) : usual.retry_on,
        .attempts = (uint32_t)read_int(retry, "attempts", usual.attempts),
        .retry_timeout_ns = read_duration(retry, "timeout", 0),
        .connect_timeout_ns = read_duration(node, "connect_timeout", usual.connect_timeout_ns),
        .response_timeout_ns = read_duration(node, "response_timeout", usual.response_timeout_ns),
        .idle_timeout_ns = read_duration(node, "idle_timeout", usual.idle_timeout_ns),
        .patience_min_ns = read_duration(patience, "min", usual.patience_min_ns),
        .patience_max_ns = read_duration(patience, "max", usual.patience_max_ns),
        .hold_ns = read_duration(node, "hold", usual.hold_ns),
        .balance = spec_read_balance(load, node_get(node, "balance"), balance),
        .forwarded = read_bool(node, "forwarded", true),
        .via = read_bool(node, "via", true),
        .place = node->place,
    };
    if (ret->patience_max_ns > 0 && ret->patience_min_ns > ret->patience_max_ns)
        problem_error(load->problems, patience->place,
                      "`patience.min` is longer than `patience.max` (1s unless given)");
    spec_build_targets(load, spec, node_get(node, "to"), ret);
    spec_build_sticky(load, node_get(node, "sticky"), ret);
    spec_build_route(load, node, ret);
}

/* "0.0.0.0:8080", ":8080", "8080", "[::]:80", "unix:/path". */
static bool read_address(struct loading *load, const struct node *node, const char *directory,
                         struct spec_listener *ret)
{
    static const char local[] = "unix:";
    const char *text = node_str(node), *colon = strrchr(text, ':');
    unsigned char address[sizeof(struct in6_addr)];
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    const char *host = pool_strndup(load->pool, text + bracketed, len - 2 * (size_t)bracketed);
    int64_t port;

    ret->host = pool_strdup(load->pool, "");
    if (strncmp(text, local, sizeof(local) - 1) == 0 && text[sizeof(local) - 1]) {
        ret->path = pool_strdup(load->pool, load_path(load, directory, text + sizeof(local) - 1));
        return true;
    }
    if (value_int(colon ? colon + 1 : text, &port) < 0 || port < 1 || port > 65535 ||
        (*host && inet_pton(bracketed ? AF_INET6 : AF_INET, host, address) != 1)) {
        problem_error(load->problems, node->place,
                      "`%s` is no address to listen at; write 0.0.0.0:8080, :8080, [::]:8080 or unix:/path", text);
        return false;
    }
    ret->host = pool_strdup(load->pool, host);
    ret->port = (uint16_t)port;
    return true;
}

/* What `node` (`limits`, may be NULL) says; what it does not, as in `otherwise`. */
static struct board_limits read_limits(struct loading *load, const struct node *node,
                                       const struct board_limits *otherwise)
{
    const struct node *requests = node_get(node, "requests_per_source");
    struct board_limits limits = {
        .header_timeout_ns = read_duration(node, "header_timeout", otherwise->header_timeout_ns),
        .body_timeout_ns = read_duration(node, "body_timeout", otherwise->body_timeout_ns),
        .keep_alive_ns = read_duration(node, "keep_alive", otherwise->keep_alive_ns),
        .source_interval_ns = otherwise->source_interval_ns,
        .source_burst = otherwise->source_burst,
        .source_connections = (uint32_t)read_int(node, "connections_per_source", otherwise->source_connections),
        .body_rate = (uint32_t)read_int(node, "body_rate", otherwise->body_rate),
        .header_size = (uint32_t)read_int(node, "header_size", otherwise->header_size),
        .header_count = (uint32_t)read_int(node, "header_count", otherwise->header_count),
        .target_size = (uint32_t)read_int(node, "target_size", otherwise->target_size),
    };
    if (limits.header_size < 256 || limits.header_size > BOARD_HEADER_SIZE)
        problem_error(load->problems, place_of(node, "header_size"), "`header_size` lies between 256 and %d bytes",
                      BOARD_HEADER_SIZE);
    if (limits.target_size < 1 || limits.target_size > BOARD_HEADER_SIZE)
        problem_error(load->problems, place_of(node, "target_size"), "`target_size` lies between 1 and %d bytes",
                      BOARD_HEADER_SIZE);
    if (requests) {
        int64_t rate = read_int(requests, "rate", 0), per = read_duration(requests, "per", NS_PER_S);
        limits.source_interval_ns = rate > 0 ? per / rate : 0;
        limits.source_burst = (uint32_t)read_int(requests, "burst", rate > 0 ? rate : 1);
        if (rate > 0 && (limits.source_interval_ns < NS_PER_US || limits.source_interval_ns > 3600 * NS_PER_S))
            problem_error(load->problems, requests->place,
                          "`requests_per_source` lies between one an hour and a million a second");
        else if (limits.source_burst * (double)limits.source_interval_ns > BURST_NS)
            problem_error(load->problems, requests->place,
                          "`burst` is more than `rate` allows in ten years; write a lower one");
    }
    return limits;
}

static const struct spec_listener *find_same(const struct spec *spec, const struct spec_listener *listener)
{
    if (!listener->path)
        return spec_find_listener(spec, listener->host, listener->port);
    for (size_t i = 0; i < spec->listeners_len; i++)
        if (spec->listeners[i].path && strcmp(spec->listeners[i].path, listener->path) == 0)
            return &spec->listeners[i];
    return NULL;
}

static void add_declared(struct loading *load, const struct node *node, const struct board_limits *limits,
                         struct spec *spec)
{
    const struct node *routes = node_get(node, "routes"), *address = node_get(node, "address");
    struct spec_listener listener = {
        .protocol = strcmp(read_text(node, "protocol", "http"), "tcp") == 0 ? SPEC_PROTOCOL_TCP : SPEC_PROTOCOL_HTTP,
        .limits = read_limits(load, node_get(node, "limits"), limits),
        .proxy = read_bool(node, "proxy_protocol", false),
        .mode = (uint32_t)read_int(node, "mode", 0666),
        .place = node->place,
    };

    bool somewhere = read_address(load, address, spec->working_dir, &listener);
    const struct spec_balance balance = spec_read_balance(load, node_get(node, "balance"), &usual.balance);
    if (somewhere && !listener.path && node_get(node, "mode"))
        problem_error(load->problems, place_of(node, "mode"), "`mode` is of Unix sockets; this one is no path");
    listener.proxy_from =
        spec_build_networks(load, node_get(node, "proxy_from"), BOARD_PROXY_FROM, &listener.proxy_from_len);
    if (listener.proxy_from_len > 0 && !listener.proxy)
        problem_error(load->problems, place_of(node, "proxy_from"),
                      "`proxy_from` says who may send a PROXY header; without `proxy_protocol: true` there is none");
    const struct spec_listener *before = somewhere ? find_same(spec, &listener) : NULL;
    if (before)
        problem_error(load->problems, address->place, "a listener for %s stands already in line %d", node_str(address),
                      before->place.line);
    if (routes->len == 0 || (listener.protocol == SPEC_PROTOCOL_TCP && routes->len > 1))
        problem_error(load->problems, routes->place, "a listener needs %s",
                      routes->len ? "one route only for tcp" : "a route");
    listener.routes = POOL_ARRAY(load->pool, struct spec_route, routes->len);
    listener.routes_len = routes->len;
    for (size_t i = 0; i < routes->len; i++)
        build_route(load, spec, node_at(routes, i), &balance, &listener.routes[i]);
    spec_check_routes(load, &listener);
    if (somewhere)
        spec->listeners[spec->listeners_len++] = listener;
}

static void add_published(struct loading *load, struct spec_service *service, const struct spec_port *port,
                          const struct board_limits *limits, struct spec *spec)
{
    const struct spec_listener *before = spec_find_listener(spec, port->host_ip, port->published);

    /* One too many is enough for compose_unsupported() to tell it. */
    if (spec->listeners_len > BOARD_LISTENERS)
        return;
    /* Told by compose_unsupported(): the file as such is right, and may be loaded for other things. */
    if (before)
        return;
    struct spec_route *route = POOL_NEW(load->pool, struct spec_route);
    *route = usual;
    route->to = POOL_NEW(load->pool, struct spec_target);
    route->to->name = service->name;
    route->to_len = 1;
    route->place = port->place;
    spec->listeners[spec->listeners_len++] = (struct spec_listener){
        .host = port->host_ip,
        .port = port->published,
        .protocol = port->protocol,
        .limits = *limits,
        .routes = route,
        .routes_len = 1,
        .published_by = service->name,
        .target = port->target,
        .place = port->place,
    };
}

void spec_build_access_log(struct loading *load, const struct node *node, struct spec *spec)
{
    const struct node *sample = node_get(node, "sample");
    double share = node_is(sample, NODE_FLOAT) ? sample->u.number : (double)read_int(node, "sample", 1);

    if (share < 0 || share > 1)
        problem_error(load->problems, sample->place, "`sample` lies between 0 (nothing is logged) and 1 (everything)");
    spec->access_log = (struct spec_access_log){
        .format = !node                                                    ? BOARD_ACCESS_NONE
                  : strcmp(read_text(node, "format", "json"), "json") == 0 ? BOARD_ACCESS_JSON
                                                                           : BOARD_ACCESS_COMBINED,
        .path = pool_strdup(load->pool, read_text(node, "path", "")),
        .sample = share,
    };
}

void spec_build_listeners(struct loading *load, const struct node *gateway, struct spec *spec)
{
    const struct node *declared = node_get(gateway, "listeners");
    const struct board_limits limits = read_limits(load, node_get(gateway, "limits"), &board_usual_limits);
    size_t room = declared ? declared->len : 0;

    for (size_t i = 0; i < spec->services_len; i++)
        room += spec->services[i].published_len;
    spec->connections = (uint32_t)read_int(gateway, "max_connections", 0);
    spec->connections_place = place_of(gateway, "max_connections");
    spec->listeners = POOL_ARRAY(load->pool, struct spec_listener, room);
    for (size_t i = 0; declared && i < declared->len; i++)
        add_declared(load, node_at(declared, i), &limits, spec);
    for (size_t i = 0; i < spec->services_len; i++) {
        struct spec_service *service = &spec->services[i];
        for (size_t j = 0; j < service->published_len; j++)
            if (service->published[j].protocol != SPEC_PROTOCOL_UDP)
                add_published(load, service, &service->published[j], &limits, spec);
    }
    spec_check_room(load, spec);
}
