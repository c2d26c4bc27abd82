/* SPDX-License-Identifier: MIT
 *
 * From what the directives say to the tree of x-gateway: servers become routes of their listeners, once for each name.
 */
#include "compose/nginx_gateway.h"

#include "compose/nginx_files.h"
#include "compose/nginx_make.h"

#include "base/board.h"

#include <string.h>
#include <strings.h>

/* --- listeners -------------------------------------------------------------------------------------------------- */

/* Those that have a host of their own (nginx_server.c) are left out. */
static void add_routes(struct making *making, struct node *listener, const struct node *routes, const char *host,
                       struct place place)
{
    struct node *all = inner(making, listener, "routes", NODE_LIST);

    for (size_t i = 0; i < routes->len; i++) {
        if (node_get(node_at(routes, i), "host"))
            continue;
        struct node *route = node_copy(making->load->pool, node_at(routes, i));
        if (host)
            set_text(making, route, "host", place, host);
        node_append(making->load->pool, all, route);
    }
}

/* Does a server of those before have that name at that listener? */
static bool name_is_taken(const struct node *listener, const char *name)
{
    const struct node *routes = node_get(listener, "routes");
    for (size_t i = 0; routes && i < routes->len; i++) {
        const char *host = node_str(node_get(node_at(routes, i), "host"));
        if (host && strcasecmp(host, name) == 0)
            return true;
    }
    return false;
}

static void add_name(struct making *making, struct node *listener, const struct node *routes,
                     const struct nginx_word *name)
{
    if (!*name->text || strcmp(name->text, "_") == 0)
        return;
    if (name_is_taken(listener, name->text))
        problem_warning(making->load->problems, name->place,
                        "a server before has the name `%s` already; this one is not reached by it", name->text);
    else
        add_routes(making, listener, routes, name->text, name->place);
}

static bool is_host(const struct nginx_server *server, const char *name)
{
    const struct nginx_host *host = server->hosts;
    while (host && strcasecmp(host->name.text, name) != 0)
        host = host->next;
    return host;
}

/* What an `if` does with hosts; the first one counts. */
static void add_hosts(struct making *making, struct node *listener, const struct node *routes)
{
    for (size_t i = 0; i < routes->len; i++) {
        const char *host = node_str(node_get(node_at(routes, i), "host"));
        if (host && !name_is_taken(listener, host))
            node_append(making->load->pool, inner(making, listener, "routes", NODE_LIST),
                        node_copy(making->load->pool, node_at(routes, i)));
    }
}

/* ".example.org" is example.org and *.example.org. */
static void add_names(struct making *making, struct node *listener, const struct nginx_server *server,
                      const struct node *routes)
{
    add_hosts(making, listener, routes);
    for (size_t i = 0; i < server->names_len; i++) {
        const struct nginx_word *name = &server->names[i];
        if (is_host(server, name->text))
            continue;
        if (name->text[0] != '.') {
            add_name(making, listener, routes, name);
            continue;
        }
        const struct nginx_word below = { pool_printf(making->load->pool, "*%s", name->text), name->place };
        add_name(making, listener, routes, &(struct nginx_word){ name->text + 1, name->place });
        add_name(making, listener, routes, &below);
    }
}

static bool listens_at(const struct nginx_server *server, const char *host, uint16_t port, bool *ret_default)
{
    for (const struct nginx_listen *listen = server->listens; listen; listen = listen->next)
        if (listen->port == port && (!host || strcmp(listen->host, host) == 0)) {
            *ret_default = listen->is_default;
            return true;
        }
    return false;
}

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* What the server that everybody gets at first says about clients. */
static void make_limits(struct making *making, const struct nginx_server *server, struct node *listener)
{
    const struct nginx_settings *settings = &server->root.settings;
    struct node *limits = new_map(making, server->place);

    if (settings->keep_alive_ns > 0)
        set_time(making, limits, "keep_alive", server->place, settings->keep_alive_ns);
    if (settings->header_timeout_ns >= 0)
        set_time(making, limits, "header_timeout", server->place, settings->header_timeout_ns);
    if (settings->target_size >= 0) {
        set_int(making, limits, "target_size", server->place, within(settings->target_size, 256, BOARD_HEADER_SIZE));
        set_int(making, limits, "header_size", server->place, within(settings->header_size, 256, BOARD_HEADER_SIZE));
    }
    if (limits->len > 0)
        set(making, listener, "limits", limits);
}

/* `host` NULL: whoever listens at that port, whatever address. */
static void make_listener(struct making *making, struct node *gateway, const char *address, struct place place,
                          const char *host, uint16_t port, const struct node *made)
{
    struct node *listener = new_map(making, place);
    const struct nginx_server *first = NULL;
    size_t count = 0, usual = 0, n = 0;
    bool is_default, found = false;

    for (const struct nginx_server *server = making->config->servers; server; server = server->next, n++)
        if (listens_at(server, host, port, &is_default)) {
            if (count++ == 0 || (is_default && !found)) {
                usual = n;
                first = server;
            }
            found = found || is_default;
        }
    if (count == 0)
        return;
    set_text(making, listener, "address", place, address);
    make_limits(making, first, listener);
    n = 0;
    for (const struct nginx_server *server = making->config->servers; server; server = server->next, n++)
        if (listens_at(server, host, port, &is_default) && (count > 1 || server->hosts))
            add_names(making, listener, server, node_at(made, n));
    add_routes(making, listener, node_at(made, usual), NULL, place);
    node_append(making->load->pool, inner(making, gateway, "listeners", NODE_LIST), listener);
}

static void make_listeners(struct making *making, struct node *gateway, const struct node *made)
{
    struct node *seen = new_map(making, (struct place){ 0 });

    for (size_t i = 0; i < making->around->ports_len; i++) {
        const struct nginx_port *port = &making->around->ports[i];
        make_listener(making, gateway, port->address, port->place, NULL, port->target, made);
    }
    for (const struct nginx_server *server = making->config->servers; server && !making->around->ports;
         server = server->next)
        for (const struct nginx_listen *listen = server->listens; listen; listen = listen->next) {
            const char *address = pool_printf(making->load->pool, "%s:%u", listen->host, listen->port);
            if (node_entry(seen, address))
                continue;
            set_bool(making, seen, address, listen->place, true);
            make_listener(making, gateway, address, listen->place, listen->host, listen->port, made);
        }
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static void make_access_log(struct making *making, struct node *gateway)
{
    const struct nginx_directive *directive = making->config->access_log;
    if (!directive)
        return;
    const struct nginx_word *word = &directive->words[1];
    const char *file = NULL;
    if (strncmp(word->text, "syslog:", 7) != 0 && strncmp(word->text, "/dev/", 5) != 0 && !strchr(word->text, '$'))
        file = nginx_files_locate(making->load, making->around, word->text);
    if (!file) {
        problem_warning(making->load->problems, word->place, "`access_log` is left out: %s is no file of this machine",
                        word->text);
        return;
    }
    struct node *log = new_map(making, directive->place);
    set_text(making, log, "path", word->place, file);
    set_text(making, log, "format", word->place, "combined");
    set(making, gateway, "access_log", log);
}

static struct node *make_gateway(struct making *making, struct place place)
{
    struct node *gateway = new_map(making, place), *made = new_list(making, place);

    for (const struct nginx_server *server = making->config->servers; server; server = server->next)
        node_append(making->load->pool, made, nginx_make_server(making, server));
    make_listeners(making, gateway, made);
    make_access_log(making, gateway);
    if (!node_get(gateway, "listeners") && making->load->problems->errors == 0)
        problem_error(making->load->problems, place, "no server of this configuration listens at %s",
                      making->around->ports ? "a port that its service publishes" : "any address");
    return gateway;
}

struct node *nginx_gateway_make(struct loading *load, struct place place, const struct nginx_directive *directives,
                                const struct nginx_surroundings *around)
{
    struct nginx_config config = { .pool = load->pool, .problems = load->problems };
    struct making making = { .load = load, .config = &config, .around = around };
    size_t errors = load->problems->errors;

    nginx_config_read(&config, directives);
    struct node *gateway = load->problems->errors == errors ? make_gateway(&making, place) : NULL;
    return load->problems->errors == errors ? gateway : NULL;
}

struct node *nginx_gateway_load(struct loading *load, struct place place, const char *path,
                                const struct nginx_surroundings *around)
{
    size_t errors = load->problems->errors;
    const struct nginx_directive *directives = nginx_files_parse(load, around, &place, path);
    return load->problems->errors == errors ? nginx_gateway_make(load, place, directives, around) : NULL;
}
