/* SPDX-License-Identifier: MIT */
#include "runtime/container.h"
#include "runtime/container_parts.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where in the body a value belongs. */
enum where { TOP, HOST };

/* How it is written there. */
enum form {
    AS_IS,
    NUMBER,    /* also from a string: "20971520" */
    NANO,      /* processors, as the Engine counts them */
    HOSTS,     /* "name=address" → "name:address" */
    NAMESPACE, /* "service:NAME" → "container:…" */
};

struct rule {
    const char *key, *name;
    enum where where;
    enum form form;
};

static const struct rule rules[] = {
    { "command", "Cmd", TOP, AS_IS },
    { "domainname", "Domainname", TOP, AS_IS },
    { "entrypoint", "Entrypoint", TOP, AS_IS },
    { "hostname", "Hostname", TOP, AS_IS },
    { "mac_address", "MacAddress", TOP, AS_IS },
    { "stdin_open", "OpenStdin", TOP, AS_IS },
    { "stop_signal", "StopSignal", TOP, AS_IS },
    { "tty", "Tty", TOP, AS_IS },
    { "user", "User", TOP, AS_IS },
    { "working_dir", "WorkingDir", TOP, AS_IS },

    { "annotations", "Annotations", HOST, AS_IS },
    { "cap_add", "CapAdd", HOST, AS_IS },
    { "cap_drop", "CapDrop", HOST, AS_IS },
    { "cgroup", "CgroupnsMode", HOST, AS_IS },
    { "cgroup_parent", "CgroupParent", HOST, AS_IS },
    { "cpu_period", "CpuPeriod", HOST, NUMBER },
    { "cpu_quota", "CpuQuota", HOST, NUMBER },
    { "cpu_rt_period", "CpuRealtimePeriod", HOST, NUMBER },
    { "cpu_rt_runtime", "CpuRealtimeRuntime", HOST, NUMBER },
    { "cpu_shares", "CpuShares", HOST, NUMBER },
    { "cpus", "NanoCpus", HOST, NANO },
    { "cpuset", "CpusetCpus", HOST, AS_IS },
    { "device_cgroup_rules", "DeviceCgroupRules", HOST, AS_IS },
    { "dns", "Dns", HOST, AS_IS },
    { "dns_opt", "DnsOptions", HOST, AS_IS },
    { "dns_search", "DnsSearch", HOST, AS_IS },
    { "extra_hosts", "ExtraHosts", HOST, HOSTS },
    { "group_add", "GroupAdd", HOST, AS_IS },
    { "init", "Init", HOST, AS_IS },
    { "ipc", "IpcMode", HOST, NAMESPACE },
    { "isolation", "Isolation", HOST, AS_IS },
    { "mem_limit", "Memory", HOST, NUMBER },
    { "mem_reservation", "MemoryReservation", HOST, NUMBER },
    { "mem_swappiness", "MemorySwappiness", HOST, NUMBER },
    { "memswap_limit", "MemorySwap", HOST, NUMBER },
    { "network_mode", "NetworkMode", HOST, NAMESPACE },
    { "oom_kill_disable", "OomKillDisable", HOST, AS_IS },
    { "oom_score_adj", "OomScoreAdj", HOST, NUMBER },
    { "pid", "PidMode", HOST, NAMESPACE },
    { "pids_limit", "PidsLimit", HOST, NUMBER },
    { "privileged", "Privileged", HOST, AS_IS },
    { "read_only", "ReadonlyRootfs", HOST, AS_IS },
    { "runtime", "Runtime", HOST, AS_IS },
    { "security_opt", "SecurityOpt", HOST, AS_IS },
    { "shm_size", "ShmSize", HOST, NUMBER },
    { "storage_opt", "StorageOpt", HOST, AS_IS },
    { "sysctls", "Sysctls", HOST, AS_IS },
    { "userns_mode", "UsernsMode", HOST, AS_IS },
    { "uts", "UTSMode", HOST, AS_IS },
};

json_t *container_format(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    json_t *json = json_string(text);
    free(text);
    return json;
}

/* ---- names ---- */

char *container_name(const struct spec *spec, const struct spec_service *service, int number)
{
    char *name;
    if (service->container_name[0])
        return strdup(service->container_name);
    return asprintf(&name, "%s-%s-%d", spec->name, service->name, number) < 0 ? NULL : name;
}

char *container_image(const struct spec *spec, const struct spec_service *service)
{
    char *name;
    if (service->image[0])
        return strdup(service->image);
    return asprintf(&name, "%s-%s", spec->name, service->built_as) < 0 ? NULL : name;
}

const json_t *container_definition(const struct spec *spec, const char *section, const char *key)
{
    return json_object_get(json_object_get(spec->model, section), key);
}

char *container_real_name(const struct spec *spec, const char *section, const char *key)
{
    const char *given = text_of(container_definition(spec, section, key), "name");
    char *name;
    if (*given)
        return strdup(given);
    return asprintf(&name, "%s_%s", spec->name, key) < 0 ? NULL : name;
}

json_t *container_labels(const struct spec *spec, const char *kind, const char *key)
{
    json_t *labels =
        json_pack("{s:s, s:s}", CONTAINER_LABEL "project", spec->name, CONTAINER_LABEL "version", DARUMA_VERSION);
    char label[64];

    (void)snprintf(label, sizeof(label), CONTAINER_LABEL "%s", kind);
    if (labels)
        (void)json_object_set_new(labels, label, json_string(key));
    return labels;
}

static json_t *labels_of(const struct spec *spec, const struct spec_service *service, int number)
{
    json_t *labels = container_labels(spec, "service", service->name);
    CLEANUP_FREE char *joined = NULL;
    size_t len = 1;

    for (char **file = spec->files; file && *file; file++)
        len += strlen(*file) + 1;
    joined = calloc(1, len);
    for (char **file = spec->files; joined && file && *file; file++) {
        (void)strcat(joined, file == spec->files ? "" : ",");
        (void)strcat(joined, *file);
    }
    if (!labels || !joined)
        return labels;
    (void)json_object_set_new(labels, CONTAINER_LABEL "container-number", container_format("%d", number));
    (void)json_object_set_new(labels, CONTAINER_LABEL "oneoff", json_string("False"));
    (void)json_object_set_new(labels, CONTAINER_LABEL "config-hash", json_string(service->config_hash));
    (void)json_object_set_new(labels, CONTAINER_LABEL "project.working_dir", json_string(spec->working_dir));
    (void)json_object_set_new(labels, CONTAINER_LABEL "project.config_files", json_string(joined));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json_object_get(service->model, "labels"), key,
                        value) if (strncmp(key, CONTAINER_LABEL, strlen(CONTAINER_LABEL)) != 0)(void)
        json_object_set(labels, key, value);
    return labels;
}

/* ---- the table ---- */

/* "service:db" → "container:PROJECT-db-1", the first instance, as in Compose. */
static json_t *namespace_json(const struct spec *spec, const char *text)
{
    const struct spec_service *other = strncmp(text, "service:", 8) == 0 ? spec_find_service(spec, text + 8) : NULL;
    CLEANUP_FREE char *name = other ? container_name(spec, other, 1) : NULL;
    return name ? container_format("container:%s", name) : json_string(text);
}

static json_t *hosts_json(const json_t *list)
{
    json_t *ret = json_array(), *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item)
    {
        const char *text = json_string_value(item);
        size_t len = text ? strcspn(text, "=") : 0;
        if (text && text[len])
            (void)json_array_append_new(ret, container_format("%.*s:%s", (int)len, text, text + len + 1));
        else
            (void)json_array_append(ret, item);
    }
    return ret;
}

/* What is larger than an integer stays so large that the Engine refuses it. */
static json_t *integer_json(double value)
{
    return json_integer(value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : (json_int_t)value);
}

static json_t *form_json(const struct spec *spec, const struct rule *rule, json_t *value)
{
    switch (rule->form) {
    case NUMBER:
        return integer_json(number_of(value));
    case NANO:
        return integer_json(number_of(value) * 1e9 + 0.5);
    case HOSTS:
        return hosts_json(value);
    case NAMESPACE:
        return namespace_json(spec, json_string_value(value) ? json_string_value(value) : "");
    case AS_IS:
        break;
    }
    return json_incref(value);
}

static void apply_rules(const struct spec *spec, const struct spec_service *service, json_t *body, json_t *host)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        json_t *value = json_object_get(service->model, rules[i].key);
        if (value && !json_is_null(value))
            (void)json_object_set_new(rules[i].where == TOP ? body : host, rules[i].name,
                                      form_json(spec, &rules[i], value));
    }
}

/* ---- what has a form of its own ---- */

static json_t *environment_json(const struct spec_service *service)
{
    json_t *list = json_array();
    for (char **entry = service->environment; entry && *entry; entry++)
        if (strchr(*entry, '='))
            (void)json_array_append_new(list, json_string(*entry));
    return list;
}

static json_t *exposed_json(const struct spec_service *service)
{
    json_t *ports = json_object();
    char name[16];

    for (size_t i = 0; i < service->ports_len; i++) {
        const struct spec_port *port = &service->ports[i];
        (void)snprintf(name, sizeof(name), "%u/%s", port->target, port->protocol == SPEC_PROTOCOL_UDP ? "udp" : "tcp");
        (void)json_object_set_new(ports, name, json_object());
    }
    return ports;
}

static json_t *ulimits_json(const struct spec_service *service)
{
    json_t *list = json_array();
    for (size_t i = 0; i < service->ulimits_len; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "Name", service->ulimits[i].name, "Soft",
                                                    (json_int_t)service->ulimits[i].soft, "Hard",
                                                    (json_int_t)service->ulimits[i].hard));
    return list;
}

static json_t *devices_json(const json_t *list)
{
    json_t *ret = json_array(), *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item)
    {
        const char *permissions = text_of(item, "permissions");
        const char *target = text_of(item, "target");
        (void)json_array_append_new(ret, json_pack("{s:s, s:s, s:s}", "PathOnHost", text_of(item, "source"),
                                                   "PathInContainer", *target ? target : text_of(item, "source"),
                                                   "CgroupPermissions", *permissions ? permissions : "rwm"));
    }
    return ret;
}

/* "1mb" has become a number by then, or the text of one. */
static json_t *device_rates_json(const json_t *list, const char *key, const char *name)
{
    json_t *ret = json_array(), *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item)
    {
        (void)json_array_append_new(ret, json_pack("{s:s, s:I}", "Path", text_of(item, "path"), name,
                                                   (json_int_t)number_of(json_object_get(item, key))));
    }
    return ret;
}

static void add_blkio(const struct spec_service *service, json_t *host)
{
    const json_t *config = json_object_get(service->model, "blkio_config");
    const struct {
        const char *list, *key, *name, *value;
    } rows[] = { { "device_read_bps", "rate", "BlkioDeviceReadBps", "Rate" },
                 { "device_read_iops", "rate", "BlkioDeviceReadIOps", "Rate" },
                 { "device_write_bps", "rate", "BlkioDeviceWriteBps", "Rate" },
                 { "device_write_iops", "rate", "BlkioDeviceWriteIOps", "Rate" },
                 { "weight_device", "weight", "BlkioWeightDevice", "Weight" } };

    if (json_object_get(config, "weight"))
        (void)json_object_set_new(host, "BlkioWeight",
                                  json_integer((json_int_t)number_of(json_object_get(config, "weight"))));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const json_t *list = json_object_get(config, rows[i].list);
        if (list)
            (void)json_object_set_new(host, rows[i].name, device_rates_json(list, rows[i].key, rows[i].value));
    }
}

/* deploy.resources: what the service's own attributes do not say already. */
static void add_resources(const struct spec_service *service, json_t *host)
{
    const json_t *resources = json_object_get(json_object_get(service->model, "deploy"), "resources");
    const json_t *limits = json_object_get(resources, "limits"), *kept = json_object_get(resources, "reservations");
    const struct {
        const json_t *from;
        const char *key, *name;
        double factor;
    } rows[] = { { limits, "cpus", "NanoCpus", 1e9 },
                 { limits, "memory", "Memory", 1 },
                 { limits, "pids", "PidsLimit", 1 },
                 { kept, "memory", "MemoryReservation", 1 } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const json_t *value = json_object_get(rows[i].from, rows[i].key);
        if (value && !json_object_get(host, rows[i].name))
            (void)json_object_set_new(host, rows[i].name, integer_json(number_of(value) * rows[i].factor + 0.5));
    }
}

/* ---- networks ---- */

/* Names that this container alone knows others by: "db:database" → "PROJECT-db-1:database". */
static json_t *links_json(const struct spec *spec, const struct spec_service *service)
{
    json_t *ret = json_array(), *item;
    size_t i;

    json_array_foreach(json_object_get(service->model, "links"), i, item)
    {
        const char *text = json_is_string(item) ? json_string_value(item) : "";
        size_t len = strcspn(text, ":");
        CLEANUP_FREE char *key = strndup(text, len);
        const struct spec_service *other = key ? spec_find_service(spec, key) : NULL;
        CLEANUP_FREE char *name = other ? container_name(spec, other, 1) : NULL;
        if (name && text[len])
            (void)json_array_append_new(ret, container_format("%s%s", name, text + len));
    }
    json_array_foreach(json_object_get(service->model, "external_links"), i, item)
    {
        const char *text = json_is_string(item) ? json_string_value(item) : "";
        (void)json_array_append_new(ret, strchr(text, ':') ? json_string(text) : container_format("%s:%s", text, text));
    }
    return ret;
}

static json_t *endpoint_json(const struct spec *spec, const struct spec_service *service, int number,
                             const char *network)
{
    const json_t *use = json_object_get(json_object_get(service->model, "networks"), network);
    const char *ipv4 = text_of(use, "ipv4_address"), *ipv6 = text_of(use, "ipv6_address");
    json_t *aliases = json_array(), *alias, *endpoint;
    CLEANUP_FREE char *name = container_name(spec, service, number);
    size_t i;

    (void)json_array_append_new(aliases, json_string(service->name));
    if (name)
        (void)json_array_append_new(aliases, json_string(name));
    json_array_foreach(json_object_get(use, "aliases"), i, alias)(void) json_array_append(aliases, alias);
    endpoint = json_pack("{s:o}", "Aliases", aliases);
    if (json_object_get(service->model, "links") || json_object_get(service->model, "external_links"))
        (void)json_object_set_new(endpoint, "Links", links_json(spec, service));
    if (*ipv4 || *ipv6) {
        json_t *ipam = json_object();
        if (*ipv4)
            (void)json_object_set_new(ipam, "IPv4Address", json_string(ipv4));
        if (*ipv6)
            (void)json_object_set_new(ipam, "IPv6Address", json_string(ipv6));
        (void)json_object_set_new(endpoint, "IPAMConfig", ipam);
    }
    if (*text_of(use, "mac_address"))
        (void)json_object_set(endpoint, "MacAddress", json_object_get(use, "mac_address"));
    if (json_object_get(use, "driver_opts"))
        (void)json_object_set(endpoint, "DriverOpts", json_object_get(use, "driver_opts"));
    return endpoint;
}

json_t *container_endpoint(const struct spec *spec, const struct spec_service *service, int number, const char *network)
{
    return json_pack("{s:o}", "EndpointConfig", endpoint_json(spec, service, number, network));
}

static void add_network(const struct spec *spec, const struct spec_service *service, int number, json_t *body,
                        json_t *host)
{
    void *first = json_object_iter(json_object_get(service->model, "networks"));
    const char *mode = text_of(host, "NetworkMode");

    if (!*mode && first) {
        const char *key = json_object_iter_key(first);
        CLEANUP_FREE char *name = container_real_name(spec, "networks", key);
        json_t *endpoint = endpoint_json(spec, service, number, key);
        (void)json_object_set_new(host, "NetworkMode", json_string(name));
        (void)json_object_set_new(body, "NetworkingConfig",
                                  json_pack("{s:{s:o}}", "EndpointsConfig", name ? name : key, endpoint));
    }
    /* Who shares another one's network has neither a name nor ports of its own. */
    if (strncmp(mode, "container:", 10) == 0) {
        (void)json_object_del(body, "Hostname");
        (void)json_object_del(body, "ExposedPorts");
    }
}

/* What daruma asks itself, the Engine need not ask once more; nor what the file does not want asked, be it `disable` or the test
   NONE. Where the file has no test, the image may have one, and the file its times. */
static json_t *healthcheck_json(const struct spec_service *service)
{
    const struct spec_healthcheck *check = &service->healthcheck;
    const json_t *own = json_object_get(service->model, "healthcheck");
    json_t *ret = json_object();

    if (check->test != SPEC_TEST_NONE || is_true(own, "disable") || json_array_size(json_object_get(own, "test")) > 0) {
        (void)json_object_set_new(ret, "Test", json_pack("[s]", "NONE"));
        return ret;
    }
    if (json_object_get(own, "interval"))
        (void)json_object_set_new(ret, "Interval", json_integer(check->interval_ns));
    if (json_object_get(own, "timeout"))
        (void)json_object_set_new(ret, "Timeout", json_integer(check->timeout_ns));
    if (json_object_get(own, "start_period"))
        (void)json_object_set_new(ret, "StartPeriod", json_integer(check->start_period_ns));
    if (json_object_get(own, "retries"))
        (void)json_object_set_new(ret, "Retries", json_integer(check->retries));
    return ret;
}

static json_t *restart_json(const struct spec_restart_policy *policy)
{
    static const char *const names[] = { [SPEC_RESTART_NO] = "no",
                                         [SPEC_RESTART_ALWAYS] = "always",
                                         [SPEC_RESTART_ON_FAILURE] = "on-failure",
                                         [SPEC_RESTART_UNLESS_STOPPED] = "unless-stopped" };
    json_t *ret = json_pack("{s:s}", "Name", names[policy->condition]);

    if (policy->condition == SPEC_RESTART_ON_FAILURE && policy->max_attempts > 0)
        (void)json_object_set_new(ret, "MaximumRetryCount", json_integer(policy->max_attempts));
    return ret;
}

json_t *container_body(const struct spec *spec, const struct spec_service *service, int number)
{
    json_t *body = json_object(), *host = json_object();
    const json_t *model = service->model, *logging = json_object_get(model, "logging");
    CLEANUP_FREE char *image = container_image(spec, service);

    if (!body || !host || !image) {
        json_decref(body);
        json_decref(host);
        return NULL;
    }
    apply_rules(spec, service, body, host);
    (void)json_object_set_new(body, "Image", json_string(image));
    (void)json_object_set_new(body, "Env", environment_json(service));
    (void)json_object_set_new(body, "Labels", labels_of(spec, service, number));
    (void)json_object_set_new(body, "ExposedPorts", exposed_json(service));
    (void)json_object_set_new(body, "Healthcheck", healthcheck_json(service));
    if (json_object_get(model, "stop_grace_period"))
        (void)json_object_set_new(body, "StopTimeout", json_integer(service->stop_grace_period_ns / NS_PER_S));
    (void)json_object_set_new(host, "RestartPolicy", restart_json(&service->restart));
    (void)json_object_set_new(host, "Ulimits", ulimits_json(service));
    container_add_mounts(spec, service, host);
    add_resources(service, host);
    add_blkio(service, host);
    if (json_object_get(model, "devices"))
        (void)json_object_set_new(host, "Devices", devices_json(json_object_get(model, "devices")));
    if (logging) {
        json_t *options = json_object_get(logging, "options");
        (void)json_object_set_new(host, "LogConfig",
                                  json_pack("{s:s, s:o}", "Type", text_of(logging, "driver"), "Config",
                                            options ? json_incref(options) : json_object()));
    }
    add_network(spec, service, number, body, host);
    (void)json_object_set_new(body, "HostConfig", host);
    return body;
}
