/* SPDX-License-Identifier: MIT
 *
 * What the Engine says of a container (GET /containers/ID/json): when it ended last, where it is reached, its process.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *docker_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

/* "2026-11-22T09:32:21.138644333Z" → seconds since the Epoch; 0 when it is no time, or the Engine's "never". */
static double parse_time(const char *text)
{
    struct tm tm = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    double fraction = rest && *rest == '.' ? strtod(rest, NULL) : 0;
    time_t whole = rest ? timegm(&tm) : 0;
    return whole > 0 ? (double)whole + fraction : 0;
}

/* A port of the container, at its own address. */
static bool set_address(struct board_address *address, const char *ip, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1) {
        *address = (struct board_address){ .len = sizeof(in) };
        memcpy(&address->u, &in, sizeof(in));
        return true;
    }
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1) {
        *address = (struct board_address){ .len = sizeof(in6) };
        memcpy(&address->u, &in6, sizeof(in6));
        return true;
    }
    return false;
}

static void take_ports(struct runtime_handle *handle, const json_t *json)
{
    const json_t *networks = json_object_get(json_object_get(json, "NetworkSettings"), "Networks");
    const char *ip = handle->host_network ? "127.0.0.1" : "", *name;
    json_t *network;

    json_object_foreach((json_t *)networks, name, network)
    {
        if (!*ip)
            ip = docker_text(network, "IPAddress");
        if (!*ip)
            ip = docker_text(network, "GlobalIPv6Address");
    }
    handle->ports_len = 0;
    for (size_t i = 0; i < handle->targets_len; i++) {
        struct runtime_port *port = &handle->ports[handle->ports_len];
        port->target = handle->targets[i];
        handle->ports_len += set_address(&port->address, ip, port->target);
    }
}

/* A process of this machine that is the container's: its control group is named after the container. What has the same
   number here may be anybody's when the Engine is not on this machine, or we are in a container ourselves. */
static bool is_its_process(const struct runtime_handle *handle, pid_t pid)
{
    char path[48], groups[4096];

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, groups, sizeof(groups) - 1);
    if (n <= 0)
        return false;
    groups[n] = '\0';
    return strstr(groups, handle->id) != NULL;
}

void docker_check_free(struct spec_healthcheck *check)
{
    for (char **word = check->command; word && *word; word++)
        free(*word);
    free(check->command);
    *check = (struct spec_healthcheck){ 0 };
}

static int64_t span_of(const json_t *check, const char *key, int64_t otherwise)
{
    int64_t span = json_integer_value(json_object_get(check, key));
    return span > 0 ? span : otherwise;
}

/* ["CMD", WORDS…] or ["CMD-SHELL", TEXT]. What the file says, daruma has told the Engine to leave alone ("NONE"). */
static int take_check(struct runtime_handle *handle, const json_t *check)
{
    const json_t *test = json_object_get(check, "Test");
    const char *kind = json_string_value(json_array_get(test, 0));
    int64_t retries = json_integer_value(json_object_get(check, "Retries"));
    size_t words = json_array_size(test);

    docker_check_free(&handle->check);
    if (words < 2 || !kind || strncmp(kind, "CMD", 3) != 0)
        return 0;
    handle->check = (struct spec_healthcheck){
        .test = strcmp(kind, "CMD") == 0 ? SPEC_TEST_CMD : SPEC_TEST_SHELL,
        .command = calloc(words, sizeof(char *)),
        .interval_ns = span_of(check, "Interval", 30 * NS_PER_S),
        .timeout_ns = span_of(check, "Timeout", 30 * NS_PER_S),
        .start_period_ns = span_of(check, "StartPeriod", 0),
        .start_interval_ns = span_of(check, "StartInterval", 0),
        .retries = retries > 0 ? (int32_t)retries : 3,
    };
    for (size_t i = 1; i < words && handle->check.command; i++) {
        const char *word = json_string_value(json_array_get(test, i));
        handle->check.command[i - 1] = strdup(word ? word : "");
        if (!handle->check.command[i - 1])
            return -ENOMEM;
    }
    return handle->check.command ? 0 : -ENOMEM;
}

/* From when on its output belongs to this life: since the last one ended, which is not known any more when this one has
   ended, too. A program is quicker with its first line than the Engine with noting its start. */
static double new_output(const struct runtime_handle *handle, const json_t *state)
{
    if (handle->taken_over)
        return (double)clock_wall() / 1e9;
    if (handle->fresh)
        return 0;
    if (json_is_true(json_object_get(state, "Running")))
        return parse_time(docker_text(state, "FinishedAt"));
    return parse_time(docker_text(state, "StartedAt")) - 0.1;
}

bool docker_is_running(const json_t *state)
{
    return json_is_true(json_object_get(state, "Running")) && !json_is_true(json_object_get(state, "Restarting"));
}

/* What the file says is asked by daruma itself (`NONE`), also in a container that Compose has told to ask. */
static bool asks_itself(const struct runtime_handle *handle)
{
    const json_t *test = json_object_get(json_object_get(handle->body, "Healthcheck"), "Test");
    const char *kind = json_string_value(json_array_get(test, 0));
    return kind && strcmp(kind, "NONE") == 0;
}

int docker_take_state(struct runtime_handle *handle, const json_t *json)
{
    const json_t *state = json_object_get(json, "State");
    pid_t pid = (pid_t)json_integer_value(json_object_get(state, "Pid"));

    handle->frames.raw = json_is_true(json_object_get(json_object_get(json, "Config"), "Tty"));
    handle->logs_since = new_output(handle, state);
    take_ports(handle, json);
    handle->engine_pid = pid;
    handle->pid = pid > 0 && engine_is_local(handle->docker->engine) && is_its_process(handle, pid) ? pid : 0;
    return take_check(handle,
                      asks_itself(handle) ? NULL : json_object_get(json_object_get(json, "Config"), "Healthcheck"));
}
