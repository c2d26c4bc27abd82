/* SPDX-License-Identifier: MIT */
#include "compose/normalise.h"

#include "compose/envfile.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct node *section(const struct node *project, const char *key)
{
    struct node *map = node_get(project, key);
    return node_is(map, NODE_MAP) ? map : NULL;
}

static void set_text(struct loading *load, struct node *map, const char *key, struct place place, const char *text)
{
    node_set(load->pool, map, key, place, node_string(load->pool, place, text));
}

static struct node *make_map(struct loading *load, struct node *map, const char *key, struct place place)
{
    struct node *child = node_get(map, key);
    if (!node_is(child, NODE_MAP)) {
        child = node_new(load->pool, NODE_MAP, place);
        node_set(load->pool, map, key, place, child);
    }
    return child;
}

/* --- What is implied --- */

void normalise_ties(struct pool *pool, const struct node *service, normalise_tie_fn *each, void *data)
{
    static const char *const namespaces[] = { "network_mode", "ipc", "pid", "uts", "cgroup" };
    const struct node *links = node_get(service, "links"), *volumes = node_get(service, "volumes_from");

    for (size_t i = 0; node_is(links, NODE_LIST) && i < links->len; i++) {
        const char *link = node_str(node_at(links, i));
        each(data, pool_strndup(pool, link, strcspn(link, ":")), node_at(links, i)->place, true);
    }
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        const struct node *value = node_get(service, namespaces[i]);
        if (node_str(value) && strncmp(node_str(value), "service:", 8) == 0)
            each(data, node_str(value) + 8, value->place, true);
    }
    for (size_t i = 0; node_is(volumes, NODE_LIST) && i < volumes->len; i++) {
        const char *from = node_str(node_at(volumes, i));
        if (strncmp(from, "container:", 10) != 0)
            each(data, pool_strndup(pool, from, strcspn(from, ":")), node_at(volumes, i)->place, false);
    }
}

struct implying {
    struct loading *load;
    struct node *service;
};

/* A dependency that another attribute implies; one that is written down stays as it is. */
static void imply(void *data, const char *on, struct place place, bool restart)
{
    const struct implying *implying = data;
    struct loading *load = implying->load;
    struct node *depends_on = make_map(load, implying->service, "depends_on", place);

    if (node_get(depends_on, on))
        return;
    struct node *dependency = make_map(load, depends_on, on, place);
    set_text(load, dependency, "condition", place, "service_started");
    node_set(load->pool, dependency, "restart", place, node_bool(load->pool, place, restart));
    node_set(load->pool, dependency, "required", place, node_bool(load->pool, place, true));
}

/* Null values take the environment's; those that it does not have stay null, or go when `drop`. */
static void resolve_nulls(struct loading *load, struct node *map, bool drop)
{
    for (size_t i = map ? map->len : 0; i-- > 0;) {
        struct entry *entry = &map->entries[i];
        const char *value = entry->value->kind == NODE_NULL ? load_lookup(load, entry->key) : NULL;
        if (value)
            entry->value = node_string(load->pool, entry->value->place, value);
        else if (drop && entry->value->kind == NODE_NULL)
            node_remove_at(map, i);
    }
}

static void normalise_build(struct loading *load, struct node *build)
{
    if (!node_get(build, "dockerfile") && !node_get(build, "dockerfile_inline"))
        set_text(load, build, "dockerfile", build->place, "Dockerfile");
    resolve_nulls(load, section(build, "args"), true);
}

static void clean_targets(struct loading *load, struct node *mounts)
{
    for (size_t i = 0; node_is(mounts, NODE_LIST) && i < mounts->len; i++) {
        struct node *target = node_get(node_at(mounts, i), "target");
        if (node_str(target) && *target->u.string == '/')
            target->u.string = load_clean(load->pool, target->u.string);
    }
}

/* What runs before the start runs in the service's own image. */
static void inherit_image(struct loading *load, struct node *service)
{
    const struct node *image = node_get(service, "image");
    struct node *hooks = node_get(service, "pre_start");

    for (size_t i = 0; image && node_is(hooks, NODE_LIST) && i < hooks->len; i++)
        if (!node_get(node_at(hooks, i), "image"))
            set_text(load, node_at(hooks, i), "image", node_at(hooks, i)->place, node_str(image));
}

static void normalise_service(struct loading *load, struct node *service, bool *uses_default)
{
    struct node *networks = section(service, "networks");
    struct node *build = section(service, "build");

    if (!node_get(service, "network_mode") && !node_get(service, "provider") && (!networks || networks->len == 0)) {
        networks = make_map(load, service, "networks", service->place);
        node_set(load->pool, networks, "default", service->place, node_new(load->pool, NODE_NULL, service->place));
    }
    *uses_default = *uses_default || node_entry(networks, "default");
    clean_targets(load, node_get(service, "volumes"));
    inherit_image(load, service);
    if (build)
        normalise_build(load, build);
    normalise_ties(load->pool, service, imply, &(struct implying){ load, service });
}

void normalise_defaults(struct loading *load, struct node *project)
{
    struct node *services = section(project, "services");

    for (size_t i = 0; services && i < services->len; i++) {
        struct node *build = section(services->entries[i].value, "build");
        if (build && !node_get(build, "context"))
            set_text(load, build, "context", build->place, load_model_path(load, "."));
    }
}

/* Networks, volumes, secrets and configs are called PROJECT_KEY, unless they have a name or are external. */
static void name_resources(struct loading *load, struct node *project, const char *name, const char *key)
{
    struct node *resources = section(project, key);

    for (size_t i = 0; resources && i < resources->len; i++) {
        struct entry *entry = &resources->entries[i];
        if (entry->value->kind == NODE_NULL)
            entry->value = node_new(load->pool, NODE_MAP, entry->place);
        const struct node *external = node_get(entry->value, "external");
        if (entry->value->kind != NODE_MAP || node_get(entry->value, "name"))
            continue;
        bool is_external = node_is(external, NODE_BOOL) && external->u.boolean;
        set_text(load, entry->value, "name", entry->place,
                 is_external ? entry->key : pool_printf(load->pool, "%s_%s", name, entry->key));
    }
}

void normalise_project(struct loading *load, struct node *project, const char *name)
{
    struct node *services = section(project, "services");
    bool uses_default = false;

    for (size_t i = 0; services && i < services->len; i++)
        normalise_service(load, services->entries[i].value, &uses_default);
    if (uses_default) {
        struct node *networks = make_map(load, project, "networks", project->place);
        if (!node_entry(networks, "default"))
            node_set(load->pool, networks, "default", project->place, node_new(load->pool, NODE_NULL, project->place));
    }
    name_resources(load, project, name, "networks");
    name_resources(load, project, name, "volumes");
    name_resources(load, project, name, "secrets");
    name_resources(load, project, name, "configs");
}

void normalise_nulls(struct loading *load, struct node *project)
{
    struct node *services = section(project, "services");

    for (size_t i = 0; services && i < services->len; i++)
        resolve_nulls(load, section(services->entries[i].value, "environment"), false);
}

/* --- env_file and label_file --- */

struct scope {
    struct loading *load;
    const struct node *values; /* what the service says itself */
};

static const char *look_up(void *data, const char *name)
{
    const struct scope *scope = data;
    const char *value = load_lookup(scope->load, name);
    return value ? value : node_str(node_get(scope->values, name));
}

static void read_values(struct loading *load, const struct node *file, const struct node *own, bool raw,
                        struct node *into)
{
    struct scope scope = { load, own };
    struct interpolation with = { .pool = load->pool, .problems = load->problems, .lookup = look_up, .data = &scope };

    load_env_file(load, &with, file->place, load_real_path(load, node_str(file)), raw, into);
}

static bool is_missing(struct loading *load, const struct node *file)
{
    struct stat st;
    return stat(load_real_path(load, node_str(file)), &st) < 0 && errno == ENOENT;
}

/* What the service itself says wins over its files. */
static void lay_over(struct loading *load, struct node *service, const char *key, struct node *values)
{
    const struct node *own = section(service, key);

    for (size_t i = 0; own && i < own->len; i++)
        node_set(load->pool, values, own->entries[i].key, own->entries[i].place, own->entries[i].value);
    if (values->len > 0)
        node_set(load->pool, service, key, own ? own->place : values->place, values);
}

static void read_env_files(struct loading *load, struct node *service)
{
    const struct node *files = node_get(service, "env_file");
    struct node *values = node_new(load->pool, NODE_MAP, service->place);

    if (!node_is(files, NODE_LIST))
        return;
    for (size_t i = 0; i < files->len; i++) {
        const struct node *file = node_at(files, i), *path = node_get(file, "path");
        const struct node *required = node_get(file, "required");
        bool optional = node_is(required, NODE_BOOL) && !required->u.boolean;
        const struct node *format = node_get(file, "format");
        bool raw = node_str(format) && strcmp(node_str(format), "raw") == 0;
        if (node_str(format) && *node_str(format) && !raw)
            problem_error(load->problems, format->place, "the format of an env_file is `raw` or left out, not `%s`",
                          node_str(format));
        if (!node_str(path))
            continue;
        if (!is_missing(load, path))
            read_values(load, path, section(service, "environment"), raw, values);
        else if (!optional)
            problem_error(load->problems, path->place,
                          "there is no file %s; make it, or say that it may be missing: {path: …, required: false}",
                          load_real_path(load, node_str(path)));
    }
    lay_over(load, service, "environment", values);
}

static void read_label_files(struct loading *load, struct node *service)
{
    const struct node *files = node_get(service, "label_file");
    struct node *values = node_new(load->pool, NODE_MAP, service->place);

    if (!node_is(files, NODE_LIST))
        return;
    for (size_t i = 0; i < files->len; i++)
        read_values(load, node_at(files, i), NULL, false, values);
    lay_over(load, service, "labels", values);
}

void normalise_environment(struct loading *load, struct node *project)
{
    struct node *services = section(project, "services");

    for (size_t i = 0; services && i < services->len; i++) {
        struct node *service = services->entries[i].value;
        read_env_files(load, service);
        read_label_files(load, service);
    }
}
