/* SPDX-License-Identifier: MIT
 *
 * What a start needs of the spec, taken when it is asked for.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container.h"

#include <errno.h>
#include <string.h>

static const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

void docker_need_free(struct docker_need *need)
{
    free(need->name);
    free(need->platform);
    json_decref(need->body);
}

void docker_plan_free(struct runtime_handle *handle)
{
    for (size_t i = 0; i < handle->needs_len; i++)
        docker_need_free(&handle->needs[i]);
    for (size_t i = 0; i < handle->networks_len; i++) {
        free(handle->networks[i].name);
        json_decref(handle->networks[i].body);
    }
    free(handle->needs);
    free(handle->networks);
    free(handle->name);
    free(handle->look);
    free(handle->create);
    free(handle->create_beside);
    json_decref(handle->body);
    json_decref(handle->files);
}

/* The user's labels of a network or a volume, and ours. */
static json_t *labels_of(const struct spec *spec, const json_t *definition, const char *kind, const char *key)
{
    json_t *labels = container_labels(spec, kind, key);
    json_t *own = json_object_get(definition, "labels");
    if (labels && own)
        (void)json_object_update_missing(labels, own);
    return labels;
}

static void copy_field(json_t *body, const char *name, const json_t *definition, const char *key)
{
    json_t *value = json_object_get(definition, key);
    if (value)
        (void)json_object_set(body, name, value);
}

static json_t *ipam_body(const json_t *ipam)
{
    static const char *const names[][2] = { { "subnet", "Subnet" },
                                            { "gateway", "Gateway" },
                                            { "ip_range", "IPRange" },
                                            { "aux_addresses", "AuxiliaryAddresses" } };
    json_t *body = json_object(), *pools = json_array(), *pool;
    size_t i;

    (void)json_object_set_new(body, "Driver",
                              json_string(*text_at(ipam, "driver") ? text_at(ipam, "driver") : "default"));
    copy_field(body, "Options", ipam, "options");
    json_array_foreach(json_object_get(ipam, "config"), i, pool)
    {
        json_t *copy = json_object();
        for (size_t n = 0; n < ARRAY_LEN(names); n++)
            copy_field(copy, names[n][1], pool, names[n][0]);
        (void)json_array_append_new(pools, copy);
    }
    (void)json_object_set_new(body, "Config", pools);
    return body;
}

static json_t *network_body(const struct spec *spec, const char *key, const char *name)
{
    const json_t *definition = container_definition(spec, "networks", key);
    const char *driver = text_at(definition, "driver");
    json_t *body =
        json_pack("{s:s, s:b, s:s}", "Name", name, "CheckDuplicate", 1, "Driver", *driver ? driver : "bridge");

    (void)json_object_set_new(body, "Labels", labels_of(spec, definition, "network", key));
    copy_field(body, "Options", definition, "driver_opts");
    copy_field(body, "Internal", definition, "internal");
    copy_field(body, "Attachable", definition, "attachable");
    copy_field(body, "EnableIPv6", definition, "enable_ipv6");
    if (json_object_get(definition, "ipam"))
        (void)json_object_set_new(body, "IPAM", ipam_body(json_object_get(definition, "ipam")));
    return body;
}

static json_t *volume_body(const struct spec *spec, const char *key, const char *name)
{
    const json_t *definition = container_definition(spec, "volumes", key);
    json_t *body = json_pack("{s:s}", "Name", name);

    (void)json_object_set_new(body, "Labels", labels_of(spec, definition, "volume", key));
    copy_field(body, "Driver", definition, "driver");
    copy_field(body, "DriverOpts", definition, "driver_opts");
    return body;
}

static int add_need(struct runtime_handle *handle, struct docker_need need)
{
    struct docker_need *needs = reallocarray(handle->needs, handle->needs_len + 1, sizeof(*needs));

    if (needs)
        handle->needs = needs;
    if (!needs || !need.name) {
        docker_need_free(&need);
        return -ENOMEM;
    }
    needs[handle->needs_len++] = need;
    return 0;
}

static bool is_external(const struct spec *spec, const char *section, const char *key)
{
    const json_t *external = json_object_get(container_definition(spec, section, key), "external");
    return json_is_true(external) || json_is_object(external);
}

static int plan_image(struct runtime_handle *handle, const struct spec *spec, const struct spec_service *service)
{
    const char *policy = text_at(service->model, "pull_policy"), *platform = text_at(service->model, "platform");
    json_t *build = json_object_get(service->model, "build");
    bool built = service->has_build && strcmp(policy, "always") != 0;
    const char *id = service->stamp.image;

    if (*id)
        return add_need(handle, (struct docker_need){ .kind = DOCKER_IMAGE, .name = strdup(id), .by_id = true });
    return add_need(handle,
                    (struct docker_need){
                        .kind = DOCKER_IMAGE,
                        .name = container_image(spec, service),
                        .body = built || !service->image[0] ? json_incref(build) : NULL,
                        .refresh = service->build || strcmp(policy, "always") == 0 || strcmp(policy, "build") == 0,
                        .never = strcmp(policy, "never") == 0,
                        .platform = *platform ? strdup(platform) : NULL,
                    });
}

static int plan_volumes(struct runtime_handle *handle, const struct spec *spec, const struct spec_service *service)
{
    json_t *mount;
    size_t i;
    int r = 0;

    json_array_foreach(json_object_get(service->model, "volumes"), i, mount)
    {
        const char *key = text_at(mount, "source");
        if (r < 0 || strcmp(text_at(mount, "type"), "volume") != 0 || !*key)
            continue;
        char *name = container_real_name(spec, "volumes", key);
        bool ours = name && !is_external(spec, "volumes", key);
        r = add_need(handle, (struct docker_need){ .kind = DOCKER_VOLUME,
                                                   .name = name,
                                                   .body = ours ? volume_body(spec, key, name) : NULL });
    }
    return r;
}

static int plan_networks(struct runtime_handle *handle, const struct spec *spec, const struct spec_service *service,
                         int number)
{
    json_t *networks = json_object_get(service->model, "networks"), *use;
    bool first = true;
    const char *key;
    int r = 0;

    if (*text_at(service->model, "network_mode") || json_object_size(networks) == 0)
        return 0;
    handle->networks = calloc(json_object_size(networks), sizeof(*handle->networks));
    if (!handle->networks)
        return -ENOMEM;
    json_object_foreach(networks, key, use)
    {
        char *name = container_real_name(spec, "networks", key);
        bool ours = name && !is_external(spec, "networks", key);
        if (r == 0 && !first) {
            struct docker_network *network = &handle->networks[handle->networks_len++];
            network->name = name ? strdup(name) : NULL;
            network->body = container_endpoint(spec, service, number, key);
            r = network->name && network->body ? 0 : -ENOMEM;
        }
        first = false;
        int added = add_need(handle, (struct docker_need){ .kind = DOCKER_NETWORK,
                                                           .name = name,
                                                           .body = ours ? network_body(spec, key, name) : NULL });
        r = r < 0 ? r : added;
    }
    return r;
}

/* POST /containers/create: with the name, and of that platform. */
static char *create_path(const char *name, const char *more, const char *platform)
{
    CLEANUP_FREE char *whole = NULL, *base = NULL, *option = engine_path("&platform=%s", platform);
    char *path = NULL;

    if (!name || asprintf(&whole, "%s%s", name, more) < 0)
        whole = NULL;
    base = whole ? engine_path("/containers/create?name=%s", whole) : NULL;
    if (!base || !option || asprintf(&path, "%s%s", base, *platform ? option : "") < 0)
        return NULL;
    return path;
}

static int plan_paths(struct runtime_handle *handle, const struct spec *spec, const struct spec_service *service,
                      int number)
{
    const char *platform = text_at(service->model, "platform");
    CLEANUP_FREE char *filters = NULL;
    json_t *labels = json_array();

    const struct {
        const char *label, *value;
    } rows[] = { { "project", spec->name }, { "service", service->name }, { "oneoff", "False" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        (void)json_array_append_new(labels, json_sprintf(CONTAINER_LABEL "%s=%s", rows[i].label, rows[i].value));
    (void)json_array_append_new(labels, json_sprintf(CONTAINER_LABEL "container-number=%d", number));
    json_t *object = json_pack("{s:o}", "label", labels);
    filters = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    handle->look = filters ? engine_path("/containers/json?all=1&filters=%s", filters) : NULL;
    handle->create = create_path(handle->name, "", platform);
    handle->create_beside = create_path(handle->name, "-next", platform);
    return handle->look && handle->create && handle->create_beside ? 0 : -ENOMEM;
}

static int plan_ports(struct runtime_handle *handle, const struct spec_service *service, struct err *err)
{
    for (size_t i = 0; i < service->ports_len; i++) {
        if (service->ports[i].protocol == SPEC_PROTOCOL_UDP)
            continue;
        if (handle->targets_len == RUNTIME_PORTS)
            return err_set(err, -E2BIG, "an instance has at most %d ports", RUNTIME_PORTS);
        handle->targets[handle->targets_len++] = service->ports[i].target;
    }
    return 0;
}

int docker_plan(struct runtime_handle *handle, const struct runtime_start *start, struct err *err)
{
    const struct spec *spec = start->spec;
    const struct spec_service *service = start->service;

    (void)snprintf(handle->instance, sizeof(handle->instance), "%s", start->instance);
    (void)snprintf(handle->hash, sizeof(handle->hash), "%s", service->config_hash);
    (void)snprintf(handle->image, sizeof(handle->image), "%s", service->stamp.image);
    handle->prepare = start->prepare;
    handle->grace_s = (int)(service->stop_grace_period_ns / NS_PER_S);
    handle->host_network = strcmp(text_at(service->model, "network_mode"), "host") == 0;
    handle->name = container_name(spec, service, start->number);
    handle->body = container_body(spec, service, start->number);
    handle->files = container_files(spec, service);
    int r = plan_ports(handle, service, err);
    if (r < 0)
        return r;
    r = handle->name && handle->body && handle->files ? plan_paths(handle, spec, service, start->number) : -ENOMEM;
    if (r == 0)
        r = plan_image(handle, spec, service);
    if (r == 0)
        r = plan_networks(handle, spec, service, start->number);
    if (r == 0)
        r = plan_volumes(handle, spec, service);
    return r < 0 ? err_errno(err, r, "cannot start %s", start->instance) : 0;
}
