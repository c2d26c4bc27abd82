/* SPDX-License-Identifier: MIT
 *
 * What cannot work as plain processes, said before anything starts: all of it, each with its place.
 */
#include "runtime/process.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* The exact place where the file has one, else that of the service. */
static struct place place_or(struct place place, const struct spec_service *service)
{
    return place.file ? place : service->place;
}

const char *process_directory(const struct spec *spec, const struct spec_service *service)
{
    return service->working_dir[0] ? service->working_dir : spec->working_dir;
}

static bool check_directory(const struct spec *spec, const struct spec_service *service, struct problems *problems)
{
    struct stat info;
    const char *directory = process_directory(spec, service);
    struct place place = place_or(service->working_dir_place, service);

    if (stat(directory, &info) < 0)
        problem_error(problems, place, "service \"%s\": the working directory %s: %s; create it, or name another one",
                      service->name, directory, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        problem_error(problems, place, "service \"%s\": the working directory %s is not a directory", service->name,
                      directory);
    else
        return true;
    return false;
}

static void check_program(const struct spec *spec, const struct spec_service *service, struct problems *problems)
{
    struct strings argv = { 0 };
    CLEANUP_FREE char *program = NULL;
    int r = launch_command(service, &argv);

    if (r == -EINVAL)
        return; /* nothing says what to run: compose_unsupported() tells it */
    if (r < 0) {
        problem_error(problems, service->place, "service \"%s\": %s", service->name, strerror(-r));
        return;
    }
    const char *name = argv.list[0];
    const char *path = environment_get(service->environment, "PATH");
    r = launch_find_program(name, path ? path : getenv("PATH"), process_directory(spec, service), &program);
    struct place place = place_or(service->command_place, service);
    if (r == -ENOENT)
        problem_error(problems, place, "service \"%s\": command \"%s\" not found; %s", service->name, name,
                      strchr(name, '/') ? "is the path right? It starts from working_dir"
                                        : "install it, or give its path");
    else if (r == -EACCES)
        problem_error(problems, place, "service \"%s\": command \"%s\" is not executable; chmod +x may mend it",
                      service->name, name);
    else if (r < 0)
        problem_error(problems, place, "service \"%s\": command \"%s\": %s", service->name, name, strerror(-r));
    strings_free(&argv);
}

static void check_user(const struct spec_service *service, struct problems *problems)
{
    struct identity identity = { 0 };
    struct err err = { 0 };
    int r = launch_identity(service->user, &identity, &err);

    if (r < 0)
        problem_error(problems, place_or(service->user_place, service), "service \"%s\": %s", service->name,
                      err.code ? err.message : strerror(-r));
    identity_free(&identity);
}

static void check_ports(const struct spec_service *service, struct problems *problems)
{
    size_t tcp = 0;
    for (size_t i = 0; i < service->ports_len; i++)
        tcp += service->ports[i].protocol != SPEC_PROTOCOL_UDP;
    if (tcp > RUNTIME_PORTS)
        problem_error(problems, place_or(service->ports[0].place, service),
                      "service \"%s\" has %zu ports; at most %d can be served", service->name, tcp, RUNTIME_PORTS);
}

/* A probe of an HTTP or TCP health check must have an address that needs no name server. */
static void check_health(const struct spec_service *service, struct problems *problems)
{
    const struct spec_healthcheck *check = &service->healthcheck;
    uint8_t address[sizeof(struct in6_addr)];

    if (check->test != SPEC_TEST_HTTP && check->test != SPEC_TEST_TCP)
        return;
    struct place place = place_or(check->place, service);
    if (check->host) {
        if (inet_pton(AF_INET, check->host, address) != 1 && inet_pton(AF_INET6, check->host, address) != 1)
            problem_error(problems, place, "service \"%s\": the health check's host \"%s\" must be an IP address",
                          service->name, check->host);
        return;
    }
    bool known = check->port == 0 && (service->ports_len > 0 || service->process_socket);
    for (size_t i = 0; i < service->ports_len; i++)
        known = known || service->ports[i].target == check->port;
    if (!known)
        problem_error(problems, place,
                      "service \"%s\": the health check asks a port that the service does not have; "
                      "add it to \"expose\", or as \"x-daruma: {process: {port: …}}\"",
                      service->name);
}

void process_check(struct runtime *runtime, const struct spec *spec, struct problems *problems)
{
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        if (check_directory(spec, service, problems))
            check_program(spec, service, problems);
        check_user(service, problems);
        check_ports(service, problems);
        check_health(service, problems);
    }
    compose_unsupported(spec, SPEC_RUNTIME_PROCESS, problems);
}
