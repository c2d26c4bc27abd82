/* SPDX-License-Identifier: MIT */
#include "compose/spec_build.h"

#include "compose/schema.h"
#include "compose/value.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* --- Ports --- */

/* Ports of well-known servers that do not speak HTTP. */
static bool is_well_known_tcp(int64_t port)
{
    static const uint16_t ports[] = { 21,   22,   23,   25,   53,    110,   143,   389,   465,  587,  636,
                                      993,  995,  1433, 1521, 1883,  2181,  3306,  4222,  5432, 5672, 6379,
                                      6380, 8883, 9042, 9092, 11211, 26379, 27017, 27018, 27019 };
    for (size_t i = 0; i < ARRAY_LEN(ports); i++)
        if (ports[i] == port)
            return true;
    return false;
}

static enum spec_protocol protocol_of(const char *transport, const char *application, int64_t target)
{
    if (strcmp(transport, "tcp") != 0)
        return SPEC_PROTOCOL_UDP;
    if (*application)
        return strcmp(application, "http") == 0 ? SPEC_PROTOCOL_HTTP : SPEC_PROTOCOL_TCP;
    return is_well_known_tcp(target) ? SPEC_PROTOCOL_TCP : SPEC_PROTOCOL_HTTP;
}

static bool in_port_range(struct loading *load, struct place place, int64_t port, int64_t from)
{
    if (port >= from && port <= 65535)
        return true;
    problem_error(load->problems, place, "%lld is no port; ports lie between 1 and 65535", (long long)port);
    return false;
}

static void add_published(struct loading *load, const struct node *item, struct spec_service *service)
{
    const struct node *node = node_get(item, "target");
    int64_t target = read_int(item, "target", 0), published = 0;

    if (item->faulty || (node && node->kind != NODE_INT))
        return; /* told */
    if (!node) {
        problem_error(load->problems, item->place, "a port needs `target`, the port of the instance");
        return;
    }
    const char *text = read_text(item, "published", ""), *transport = read_text(item, "protocol", "tcp");

    /* Of a range for a single port the first is taken: the gateway listens there for all instances. */
    if (*text && value_int(pool_strndup(load->pool, text, strcspn(text, "-")), &published) < 0)
        problem_error(load->problems, place_of(item, "published"), "`%s` is no port", text);
    bool target_fits = in_port_range(load, place_of(item, "target"), target, 1);
    if (!in_port_range(load, place_of(item, "published"), published, 0) || !target_fits)
        return;
    if (strcmp(transport, "tcp") != 0)
        problem_warning(load->problems, item->place, "the gateway cannot serve %s; port %lld is not published",
                        transport, (long long)target);
    service->published[service->published_len++] = (struct spec_port){
        .target = (uint16_t)target,
        .published = (uint16_t)published,
        .host_ip = pool_strdup(load->pool, read_text(item, "host_ip", "")),
        .protocol = protocol_of(transport, read_text(item, "app_protocol", ""), target),
        .place = item->place,
    };
}

/* Targets that are there already, a bit for each. */
struct targets {
    uint8_t bits[65536 / 8];
};

static bool take_target(struct targets *targets, uint16_t port)
{
    uint8_t *byte = &targets->bits[port / 8], bit = (uint8_t)(1 << port % 8);
    bool is_new = !(*byte & bit);
    *byte |= bit;
    return is_new;
}

static void add_exposed(struct loading *load, struct place place, uint16_t target, const char *transport,
                        struct targets *targets, struct spec_service *service)
{
    if (!take_target(targets, target))
        return;
    service->ports[service->ports_len++] = (struct spec_port){
        .target = target,
        .host_ip = pool_strdup(load->pool, ""),
        .protocol = protocol_of(transport, "", target),
        .place = place,
    };
}

/* "80", "81/udp", "82-84": how many it names, with the first in `ret`; 0 when it is none of these. */
static size_t read_exposed(struct loading *load, const struct node *item, int64_t *ret_first,
                           const char **ret_transport)
{
    const char *text = node_text(load->pool, item);
    size_t len = strcspn(text, "/"), first_len = strcspn(text, "-/");
    int64_t last;

    *ret_transport = text[len] ? text + len + 1 : "tcp";
    const char *last_text = first_len < len ? text + first_len + 1 : text;
    if (value_int(pool_strndup(load->pool, text, first_len), ret_first) < 0 ||
        value_int(pool_strndup(load->pool, last_text, len - (size_t)(last_text - text)), &last) < 0 || *ret_first < 1 ||
        last > 65535 || last < *ret_first)
        return 0;
    return (size_t)(last - *ret_first) + 1;
}

static void build_ports(struct loading *load, const struct node *node, struct spec_service *service)
{
    const struct node *ports = node_get(node, "ports"), *expose = node_get(node, "expose");
    const char *transport;
    int64_t first;
    size_t room = (ports ? ports->len : 0) + 1;
    struct targets targets = { 0 };

    for (size_t i = 0; expose && i < expose->len; i++) {
        const struct node *item = node_at(expose, i);
        size_t n = read_exposed(load, item, &first, &transport);
        if (n == 0)
            problem_error(load->problems, item->place, "`%s` is no port to expose; write 80, 80/udp or 80-90",
                          node_text(load->pool, item));
        room += n;
    }
    service->ports = POOL_ARRAY(load->pool, struct spec_port, room);
    service->published = POOL_ARRAY(load->pool, struct spec_port, room);
    for (size_t i = 0; ports && i < ports->len; i++)
        if (node_at(ports, i)->kind == NODE_MAP) /* not with --no-interpolate, where a port may be a variable */
            add_published(load, node_at(ports, i), service);
    for (size_t i = 0; i < service->published_len; i++)
        if (service->published[i].protocol == SPEC_PROTOCOL_UDP || take_target(&targets, service->published[i].target))
            service->ports[service->ports_len++] = service->published[i];
    for (size_t i = 0; expose && i < expose->len; i++) {
        size_t n = read_exposed(load, node_at(expose, i), &first, &transport);
        for (size_t j = 0; j < n; j++)
            add_exposed(load, node_at(expose, i)->place, (uint16_t)(first + (int64_t)j), transport, &targets, service);
    }
    if (service->process_port)
        add_exposed(load, node->place, service->process_port, "tcp", &targets, service);
    /* One that stands for those which were told to be wrong. */
    if (service->ports_len == 0 && read_ports_in_doubt(node))
        add_exposed(load, node->place, 1, "tcp", &targets, service);
}

/* --- Limits --- */

static const struct {
    const char *name;
    int resource;
} resources[] = {
    { "as", RLIMIT_AS },           { "core", RLIMIT_CORE },         { "cpu", RLIMIT_CPU },
    { "data", RLIMIT_DATA },       { "fsize", RLIMIT_FSIZE },       { "locks", RLIMIT_LOCKS },
    { "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
    { "nofile", RLIMIT_NOFILE },   { "nproc", RLIMIT_NPROC },       { "rss", RLIMIT_RSS },
    { "rtprio", RLIMIT_RTPRIO },   { "rttime", RLIMIT_RTTIME },     { "sigpending", RLIMIT_SIGPENDING },
    { "stack", RLIMIT_STACK },
};

static void add_ulimit(struct loading *load, const struct entry *entry, struct spec_service *service)
{
    const struct node *value = entry->value;
    const char *near = NULL;
    int64_t single = value->kind == NODE_INT ? value->u.integer : 0;
    int64_t soft = read_int(value, "soft", single), hard = read_int(value, "hard", single);

    if (value->faulty)
        return;
    if (soft < -1 || hard < -1 || (hard != -1 && (soft == -1 || soft > hard)))
        problem_error(load->problems, entry->place, "the limit `%s`: soft must not be above hard, -1 is unlimited",
                      entry->key);
    for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
        near = nearest_name(entry->key, near, resources[i].name);
        if (strcmp(resources[i].name, entry->key) != 0)
            continue;
        service->ulimits[service->ulimits_len++] = (struct spec_ulimit){ .resource = resources[i].resource,
                                                                         .soft = soft,
                                                                         .hard = hard,
                                                                         .name = pool_strdup(load->pool, entry->key),
                                                                         .place = entry->place };
        return;
    }
    problem_error(load->problems, entry->place, "there is no limit `%s`%s%s%s", entry->key,
                  near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static void build_ulimits(struct loading *load, const struct node *ulimits, struct spec_service *service)
{
    size_t n = ulimits ? ulimits->len : 0;

    service->ulimits = POOL_ARRAY(load->pool, struct spec_ulimit, n);
    for (size_t i = 0; i < n; i++)
        add_ulimit(load, &ulimits->entries[i], service);
}

/* --- Restarts, stopping, dependencies --- */

static void build_restart(struct loading *load, const struct node *node, struct spec_restart_policy *ret)
{
    static const struct {
        const char *word;
        enum spec_restart condition;
    } words[] = {
        { "no", SPEC_RESTART_NO },
        { "always", SPEC_RESTART_ALWAYS },
        { "on-failure", SPEC_RESTART_ON_FAILURE },
        { "unless-stopped", SPEC_RESTART_UNLESS_STOPPED },
        { "none", SPEC_RESTART_NO },
        { "any", SPEC_RESTART_ALWAYS },
    };
    const struct node *policy = node_get(node_get(node, "deploy"), "restart_policy");
    const char *text = policy ? read_text(policy, "condition", "any") : read_text(node, "restart", "no");
    size_t len = strcspn(text, ":"), i;

    *ret = (struct spec_restart_policy){ .max_attempts = read_int(policy, "max_attempts", -1),
                                         .delay_ns = read_duration(policy, "delay", 0),
                                         .window_ns = read_duration(policy, "window", 0) };
    for (i = 0; i < ARRAY_LEN(words); i++)
        if (strlen(words[i].word) == len && strncmp(words[i].word, text, len) == 0)
            break;
    bool counted = text[len] == ':';
    if (i == ARRAY_LEN(words) || (counted && (words[i].condition != SPEC_RESTART_ON_FAILURE ||
                                              value_int(text + len + 1, &ret->max_attempts) < 0))) {
        problem_error(load->problems, policy ? place_of(policy, "condition") : place_of(node, "restart"),
                      "`%s` is no restart rule; it is one of: %s", text,
                      policy ? "none, on-failure, any" : "no, always, on-failure, on-failure:5, unless-stopped");
        return;
    }
    ret->condition = words[i].condition;
}

static int build_stop_signal(struct loading *load, const struct node *node)
{
    const char *text = read_text(node, "stop_signal", "SIGTERM");
    int signo = value_signal(text);

    if (signo > 0)
        return signo;
    problem_error(load->problems, place_of(node, "stop_signal"), "`%s` is no signal; write it like SIGTERM", text);
    return SIGTERM;
}

static void build_depends_on(struct loading *load, const struct node *map, struct spec_service *service)
{
    size_t n = map ? map->len : 0;

    service->depends_on = POOL_ARRAY(load->pool, struct spec_dependency, n);
    service->depends_on_len = n;
    for (size_t i = 0; i < n; i++) {
        const struct entry *entry = &map->entries[i];
        const char *condition = read_text(entry->value, "condition", "service_started");
        service->depends_on[i] = (struct spec_dependency){
            .service = pool_strdup(load->pool, entry->key),
            .condition = strcmp(condition, "service_healthy") == 0                  ? SPEC_HEALTHY
                         : strcmp(condition, "service_completed_successfully") == 0 ? SPEC_COMPLETED
                                                                                    : SPEC_STARTED,
            .restart = read_bool(entry->value, "restart", false),
            .required = read_bool(entry->value, "required", true),
            .place = entry->place,
        };
    }
}

/* --- What is run --- */

char **read_argv(struct pool *pool, const struct node *command)
{
    const char *line = node_str(command);

    if (!line)
        return read_strings(pool, command);
    char **argv = POOL_ARRAY(pool, char *, 4);
    argv[0] = pool_strdup(pool, "/bin/sh");
    argv[1] = pool_strdup(pool, "-c");
    argv[2] = pool_strdup(pool, line);
    return argv;
}

static void build_hooks(struct loading *load, const struct node *list, struct spec_hooks *ret)
{
    if (!node_is(list, NODE_LIST) || list->len == 0)
        return;
    ret->list = POOL_ARRAY(load->pool, struct spec_hook, list->len);
    for (size_t i = 0; i < list->len; i++) {
        const struct node *hook = node_at(list, i);
        char **command = read_strings(load->pool, node_get(hook, "command"));
        if (!command || !command[0]) {
            if (!hook->faulty)
                problem_error(load->problems, list->entries[i].place, "the hook has no `command`; write what to run");
            continue;
        }
        ret->list[ret->len++] = (struct spec_hook){
            .command = command,
            .environment = read_environment(load->pool, node_get(hook, "environment")),
            .user = pool_strdup(load->pool, read_text(hook, "user", "")),
            .working_dir = pool_strdup(load->pool, read_text(hook, "working_dir", "")),
            .privileged = read_bool(hook, "privileged", false),
            .place = list->entries[i].place,
        };
    }
}

static void build_command(struct loading *load, const struct node *node, struct spec_service *service)
{
    const struct node *process = node_get(node_get(node, "x-daruma"), "process"), *own = node_get(process, "command");

    service->entrypoint = read_strings(load->pool, node_get(node, "entrypoint"));
    service->command = read_strings(load->pool, node_get(node, "command"));
    service->command_place = own                         ? own->place
                             : node_get(node, "command") ? place_of(node, "command")
                                                         : place_of(node, "entrypoint");
    service->process_command = read_argv(load->pool, own);
    if (own && !service->process_command[0])
        problem_error(load->problems, own->place, "x-daruma.process.command is empty; write what to run");
    service->process_socket = read_bool(process, "socket", false);
    service->process_port = (uint16_t)read_int(process, "port", 0);
}

static int32_t build_replicas(struct loading *load, const struct node *node)
{
    const struct node *deploy = node_get(node, "deploy");
    int64_t replicas = read_int(node, "scale", read_int(deploy, "replicas", 1));

    if (replicas <= 10000)
        return replicas < 0 ? 0 : (int32_t)replicas; /* normalise_check() tells those below */
    problem_error(load->problems, node_get(node, "scale") ? place_of(node, "scale") : place_of(deploy, "replicas"),
                  "%lld instances are too many; at most 10000", (long long)replicas);
    return 1;
}

void spec_build_service(struct loading *load, const struct entry *entry, const char *directory,
                        struct spec_service *ret)
{
    struct pool *pool = load->pool;
    const struct node *node = entry->value, *daruma = node_get(node, "x-daruma");
    const char *working_dir = read_text(node, "working_dir", ""), *proxy = read_text(daruma, "proxy_protocol", "");

    *load->at = entry->place;
    *ret = (struct spec_service){
        .name = pool_strdup(pool, entry->key),
        .built_as = pool_strdup(pool, entry->key),
        .place = entry->place,
        .image = pool_strdup(pool, read_text(node, "image", "")),
        .has_build = node_is(node_get(node, "build"), NODE_MAP),
        .working_dir = pool_strdup(pool, *working_dir ? load_path(load, directory, working_dir) : ""),
        .working_dir_place = place_of(node, "working_dir"),
        .user = pool_strdup(pool, read_text(node, "user", "")),
        .user_place = place_of(node, "user"),
        .hostname = pool_strdup(pool, read_text(node, "hostname", "")),
        .container_name = pool_strdup(pool, read_text(node, "container_name", "")),
        .environment = read_environment(pool, node_get(node, "environment")),
        .stop_signal = build_stop_signal(load, node),
        .stop_grace_period_ns = read_duration(node, "stop_grace_period", 10 * NS_PER_S),
        .replicas = build_replicas(load, node),
        .proxy_protocol = strcmp(proxy, "v1") == 0   ? 1
                          : strcmp(proxy, "v2") == 0 ? 2
                                                     : 0,
        .drain_timeout_ns = read_duration(daruma, "drain_timeout", 10 * NS_PER_S),
        .drain_upgraded_ns =
            read_duration(daruma, "drain_upgraded", read_duration(daruma, "drain_timeout", 10 * NS_PER_S)),
        .restart_unhealthy = read_bool(daruma, "restart_unhealthy", true),
        .max_inflight = (uint32_t)read_int(daruma, "max_inflight", 0),
        .slow_start_ns = read_duration(daruma, "slow_start", 0),
    };
    build_command(load, node, ret);
    build_ports(load, node, ret);
    build_ulimits(load, node_get(node, "ulimits"), ret);
    build_restart(load, node, &ret->restart);
    build_depends_on(load, node_get(node, "depends_on"), ret);
    spec_build_healthcheck(load, node, ret);
    ret->healthcheck.proxy_protocol = ret->healthcheck.host ? 0 : ret->proxy_protocol;
    build_hooks(load, node_get(node, "post_start"), &ret->post_start);
    build_hooks(load, node_get(node, "pre_stop"), &ret->pre_stop);
    spec_build_deploy(load, node, ret);
}
