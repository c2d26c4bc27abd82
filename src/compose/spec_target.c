/* SPDX-License-Identifier: MIT
 *
 * Where a route leads: a service, one of its ports, or somebody outside of the project.
 */
#include "compose/spec_build.h"

#include "compose/value.h"

#include "base/board.h"
#include "base/nearest.h"

#include <string.h>
#include <sys/un.h>

/* A name that the service has in the networks of the project: container_name, hostname or an alias. */
static bool answers_to(const struct spec *spec, const struct spec_service *service, const char *name)
{
    const struct node *node = node_get(node_get(spec->tree, "services"), service->name);
    const struct node *networks = node_get(node, "networks");

    if (strcmp(service->container_name, name) == 0 || strcmp(service->hostname, name) == 0)
        return true;
    for (size_t i = 0; node_is(networks, NODE_MAP) && i < networks->len; i++) {
        const struct node *aliases = node_get(networks->entries[i].value, "aliases");
        for (size_t j = 0; node_is(aliases, NODE_LIST) && j < aliases->len; j++)
            if (node_str(node_at(aliases, j)) && strcmp(node_str(node_at(aliases, j)), name) == 0)
                return true;
    }
    return false;
}

static struct spec_service *find_service(const struct spec *spec, const char *name)
{
    const struct spec_service *found = spec_find_service(spec, name);
    for (size_t i = 0; !found && i < spec->services_len; i++)
        if (answers_to(spec, &spec->services[i], name))
            found = &spec->services[i];
    return found ? &spec->services[found - spec->services] : NULL;
}

/* In a network of containers every port can be reached, whether it is named under `expose` or not. */
static void expose(struct loading *load, struct spec_service *service, uint16_t target, struct place place)
{
    for (size_t i = 0; i < service->ports_len; i++)
        if (service->ports[i].target == target)
            return;
    struct spec_port *ports = POOL_ARRAY(load->pool, struct spec_port, service->ports_len + 1);
    if (service->ports_len > 0)
        memcpy(ports, service->ports, service->ports_len * sizeof(*ports));
    ports[service->ports_len++] = (struct spec_port){
        .target = target, .host_ip = pool_strdup(load->pool, ""), .protocol = SPEC_PROTOCOL_HTTP, .place = place
    };
    service->ports = ports;
}

static void add_outside(struct loading *load, struct spec *spec, struct spec_outside outside)
{
    struct spec_outside *list = POOL_ARRAY(load->pool, struct spec_outside, spec->outside_len + 1);

    for (size_t i = 0; i < spec->outside_len; i++)
        if (strcmp(spec->outside[i].name, outside.name) == 0)
            return;
    if (strlen(outside.name) >= BOARD_NAME)
        problem_error(load->problems, outside.place, "`%s` is longer than %d bytes; use a shorter name for it",
                      outside.name, BOARD_NAME - 1);
    if (spec->outside_len > 0)
        memcpy(list, spec->outside, spec->outside_len * sizeof(*list));
    list[spec->outside_len++] = outside;
    spec->outside = list;
}

static void tell_unknown(struct loading *load, const struct spec *spec, const struct node *name)
{
    const char *near = NULL;
    for (size_t i = 0; !problems_full(load->problems) && i < spec->services_len; i++)
        near = nearest_name(node_str(name), near, spec->services[i].name);
    problem_error(load->problems, name->place, "there is no service `%s` to route to%s%s%s", node_str(name),
                  near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

char *spec_build_target(struct loading *load, struct spec *spec, const struct node *name)
{
    const char *text = node_str(name), *colon = strrchr(text, ':');
    struct spec_outside outside = { .name = pool_strdup(load->pool, text), .place = name->place };
    struct spec_service *service = find_service(spec, text);
    int64_t port;

    if (service && service->ports_len == 0)
        problem_error(load->problems, name->place,
                      "service `%s` has no port to route to; name one (`%s:80`), or add it under `expose` or as "
                      "`x-daruma.process.port`",
                      service->name, service->name);
    if (service)
        return service->name;
    if (strncmp(text, "unix:/", 6) == 0) {
        outside.host = outside.name + 5;
        if (strlen(outside.host) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
            problem_error(load->problems, name->place, "the path of a Unix socket is shorter than %zu bytes",
                          sizeof(((struct sockaddr_un *)NULL)->sun_path));
        add_outside(load, spec, outside);
        return outside.name;
    }
    if (!colon || colon == text || value_int(colon + 1, &port) < 0 || port < 1 || port > 65535) {
        tell_unknown(load, spec, name);
        return outside.name;
    }
    bool bracketed = text[0] == '[' && colon[-1] == ']';
    outside.host = pool_strndup(load->pool, text + bracketed, (size_t)(colon - text) - 2 * (size_t)bracketed);
    outside.port = (uint16_t)port;
    service = find_service(spec, outside.host);
    if (!service) {
        add_outside(load, spec, outside);
        return outside.name;
    }
    expose(load, service, outside.port, name->place);
    return pool_printf(load->pool, "%s:%u", service->name, outside.port);
}
