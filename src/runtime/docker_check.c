/* SPDX-License-Identifier: MIT
 *
 * What cannot work in containers, said before anything starts.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "runtime/container.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void check_ports(const struct spec_service *service, struct problems *problems)
{
    size_t tcp = 0;
    for (size_t i = 0; i < service->ports_len; i++)
        tcp += service->ports[i].protocol != SPEC_PROTOCOL_UDP;
    if (tcp > RUNTIME_PORTS)
        problem_error(problems, service->ports[0].place, "service \"%s\" has %zu ports; at most %d can be served",
                      service->name, tcp, RUNTIME_PORTS);
}

/* A probe that is no command comes from outside of the container. */
static void check_health(const struct spec_service *service, struct problems *problems)
{
    const struct spec_healthcheck *check = &service->healthcheck;
    uint8_t address[sizeof(struct in6_addr)];
    bool known = check->port == 0 && service->ports_len > 0;

    if (check->test != SPEC_TEST_HTTP && check->test != SPEC_TEST_TCP)
        return;
    for (size_t i = 0; i < service->ports_len; i++)
        known = known || service->ports[i].target == check->port;
    if (check->host && inet_pton(AF_INET, check->host, address) != 1 && inet_pton(AF_INET6, check->host, address) != 1)
        problem_error(problems, check->place, "service \"%s\": the health check's host \"%s\" must be an IP address",
                      service->name, check->host);
    else if (!check->host && !known)
        problem_error(problems, check->place,
                      "service \"%s\": the health check asks a port that the service does not have; add it to "
                      "\"expose\"",
                      service->name);
}

static void check_build(const struct spec_service *service, struct problems *problems)
{
    const json_t *build = json_object_get(service->model, "build");

    if (json_array_size(json_object_get(build, "platforms")) > 1)
        problem_warning(problems, service->place, "service \"%s\" is built for the first of its platforms only",
                        service->name);
}

/* Secrets and configs come from files, from variables, or from the compose file. */
static void check_files(const struct spec *spec, const struct spec_service *service, const char *section,
                        struct problems *problems)
{
    bool read_only = json_is_true(json_object_get(service->model, "read_only"));
    json_t *use;
    size_t i;

    json_array_foreach(json_object_get(service->model, section), i, use)
    {
        const char *source = docker_text(use, "source");
        const json_t *definition = container_definition(spec, section, source);
        const char *variable = docker_text(definition, "environment");
        if (*docker_text(definition, "file")) {
            if (json_object_get(use, "uid") || json_object_get(use, "gid") || json_object_get(use, "mode"))
                problem_warning(problems, service->place,
                                "service \"%s\" sees \"%s\" of %s as the file is here: `uid`, `gid` and `mode` have no "
                                "effect on a `file`",
                                service->name, source, section);
            continue;
        }
        if (container_content(spec, definition) && read_only)
            problem_error(
                problems, service->place,
                "service \"%s\" is `read_only`, so the Docker Engine lets nobody put \"%s\" of %s into it; write "
                "`file` instead",
                service->name, source, section);
        if (container_content(spec, definition))
            continue;
        if (*variable)
            problem_error(problems, service->place,
                          "service \"%s\": \"%s\" of %s is what the variable %s says, and there is none of that name",
                          service->name, source, section, variable);
        else
            problem_error(problems, service->place,
                          "service \"%s\": \"%s\" of %s is external; the Docker Engine knows such only in a swarm, "
                          "write `file`, `environment` or `content`",
                          service->name, source, section);
    }
}

/* What is there cannot be reached from here as if it were here. */
static void check_distance(const struct engine *engine, struct problems *problems)
{
    if (engine_is_remote(engine))
        problem_warning(
            problems, (struct place){ 0 },
            "the Docker Engine at %s is on another machine: the gateway reaches its containers only if there "
            "is a route to their networks, and folders, files and devices are those of that machine",
            engine_host(engine));
}

/* The networks of an Engine without root lie in a network namespace of its own. */
static void check_rootless(const struct engine *engine, const struct spec_service *service, struct problems *problems)
{
    if (service->ports_len > 0 && strcmp(docker_text(service->model, "network_mode"), "host") != 0)
        problem_warning(problems, service->ports[0].place,
                        "the Docker Engine at %s runs as an ordinary user (rootless), so the gateway has no way to the "
                        "network of service \"%s\"; `network_mode: host` gives it one",
                        engine_host(engine), service->name);
}

void docker_check(struct runtime *runtime, const struct spec *spec, struct problems *problems)
{
    const struct engine *engine = ((struct docker *)runtime)->engine;
    bool rootless = engine_is_rootless(engine);

    check_distance(engine, problems);
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        if (rootless)
            check_rootless(engine, service, problems);
        check_ports(service, problems);
        check_health(service, problems);
        check_build(service, problems);
        check_files(spec, service, "secrets", problems);
        check_files(spec, service, "configs", problems);
    }
    compose_unsupported(spec, SPEC_RUNTIME_DOCKER, problems);
}
