/* SPDX-License-Identifier: MIT */
#include "compose/spec_build.h"

#include "compose/model.h"
#include "compose/schema.h"
#include "compose/utf8.h"
#include "compose/value.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

const char *read_text(const struct node *map, const char *key, const char *otherwise)
{
    const char *text = node_str(node_get(map, key));
    return text ? text : otherwise;
}

int64_t read_int(const struct node *map, const char *key, int64_t otherwise)
{
    const struct node *node = node_get(map, key);
    return node_is(node, NODE_INT) ? node->u.integer : otherwise;
}

bool read_bool(const struct node *map, const char *key, bool otherwise)
{
    const struct node *node = node_get(map, key);
    return node_is(node, NODE_BOOL) ? node->u.boolean : otherwise;
}

int64_t read_duration(const struct node *map, const char *key, int64_t otherwise)
{
    const char *text = node_str(node_get(map, key));
    int64_t ns = otherwise;

    return text && value_duration(text, &ns) == 0 && ns >= 0 ? ns : otherwise;
}

char **read_strings(struct pool *pool, const struct node *list)
{
    if (!node_is(list, NODE_LIST))
        return NULL;
    char **strings = POOL_ARRAY(pool, char *, list->len + 1);
    for (size_t i = 0; i < list->len; i++)
        strings[i] = pool_strdup(pool, node_text(pool, node_at(list, i)));
    return strings;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **read_environment(struct pool *pool, const struct node *map)
{
    size_t n = 0;
    char **list = POOL_ARRAY(pool, char *, (map ? map->len : 0) + 1);

    for (size_t i = 0; map && i < map->len; i++)
        if (map->entries[i].value->kind != NODE_NULL)
            list[n++] = pool_printf(pool, "%s=%s", map->entries[i].key, node_text(pool, map->entries[i].value));
    qsort(list, n, sizeof(*list), compare_texts);
    return list;
}

static void collect_profiles(struct pool *pool, const struct node *services, struct node *all)
{
    for (size_t i = 0; node_is(services, NODE_MAP) && i < services->len; i++) {
        const struct node *profiles = node_get(services->entries[i].value, "profiles");
        for (size_t j = 0; node_is(profiles, NODE_LIST) && j < profiles->len; j++)
            node_set(pool, all, node_str(node_at(profiles, j)), profiles->place, node_at(profiles, j));
    }
}

/* One that is misspelt would leave services away without a word. */
static void check_profiles(struct loading *load, const struct node *active, const struct node *all)
{
    for (size_t i = 0; !load->incomplete && i < active->len; i++) {
        const char *name = node_str(node_at(active, i)), *near = schema_nearest_key(load->problems, all, name);
        if (strcmp(name, "*") != 0 && !node_entry(all, name))
            problem_warning(load->problems, (struct place){ 0 }, "no service has the profile `%s`%s%s%s", name,
                            near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
}

/* Also those of services that are switched off. */
static char **all_profiles(struct loading *load, const struct node *services, const struct spec_origin *origin)
{
    struct pool *pool = load->pool;
    struct node *all = node_new(pool, NODE_MAP, (struct place){ 0 });

    collect_profiles(pool, services, all);
    collect_profiles(pool, origin->disabled, all);
    check_profiles(load, origin->profiles, all);
    node_sort(all);
    char **names = POOL_ARRAY(pool, char *, all->len + 1);
    for (size_t i = 0; i < all->len; i++)
        names[i] = pool_strdup(pool, all->entries[i].key);
    return names;
}

struct place place_of(const struct node *map, const char *key)
{
    const struct node *value = node_get(map, key);
    return value ? value->place : map ? map->place : (struct place){ 0 };
}

bool read_ports_in_doubt(const struct node *service)
{
    static const char *const keys[] = { "ports", "expose", "x-daruma" };
    bool doubt = service->faulty;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct node *node = node_get(service, keys[i]);
        doubt = doubt || (node && node->faulty);
    }
    return doubt;
}

static bool is_sound(const struct node *node)
{
    bool sound = !node->faulty;

    for (size_t i = 0; sound && i < node->len; i++)
        sound = is_sound(node->entries[i].value);
    return sound;
}

/* Of what the gateway is asked for, only that of which nothing was told already: each listener by itself. */
static struct node *sound_gateway(struct node *gateway)
{
    struct node *listeners = node_get(gateway, "listeners");

    for (size_t i = listeners ? listeners->len : 0; i-- > 0;)
        if (!is_sound(node_at(listeners, i)))
            node_remove_at(listeners, i);
    for (size_t i = gateway ? gateway->len : 0; i-- > 0;)
        if (!is_sound(gateway->entries[i].value))
            node_remove_at(gateway, i);
    return gateway;
}

/* The model and, in each service, its part of it. */
static bool attach_model(struct spec *spec, const struct node *project)
{
    spec->model = model_from_project(project, false);
    if (!spec->model)
        return false;
    const json_t *services = json_object_get(spec->model, "services");
    for (size_t i = 0; i < spec->services_len; i++) {
        struct spec_service *service = &spec->services[i];
        service->model = json_object_get(services, service->name);
        if (!spec_hash(service->model, service->config_hash) || !spec_complete_jobs(spec, service))
            return false;
    }
    return true;
}

/* Why there can be no model: JSON is UTF-8, which files are, and variables of the environment need not be. */
static bool tell_no_text(struct loading *load, const struct node *node)
{
    bool told = node_str(node) && !utf8_is_valid(node_str(node));

    if (told)
        problem_error(load->problems, node->place, "the value is not UTF-8");
    for (size_t i = 0; i < node->len; i++)
        told = tell_no_text(load, node->entries[i].value) || told;
    return told;
}

struct spec *spec_build(struct loading *load, struct node *project, const struct spec_origin *origin)
{
    struct pool *pool = load->pool;
    struct spec *spec = POOL_NEW(pool, struct spec);
    struct node *services = node_get(project, "services");
    const struct node *daruma = node_get(project, "x-daruma");
    const struct node *gateway = sound_gateway(node_get(project, "x-gateway"));
    const char *runtime = read_text(daruma, "runtime", "");

    spec->tree = project;
    spec->name = pool_strdup(pool, read_text(project, "name", ""));
    spec->working_dir = pool_strdup(pool, origin->directory);
    spec->files = read_strings(pool, origin->files);
    spec->profiles = read_strings(pool, origin->profiles);
    spec->all_profiles = all_profiles(load, services, origin);
    spec->environment = read_environment(pool, load->environment);
    spec->runtime = strcmp(runtime, "process") == 0  ? SPEC_RUNTIME_PROCESS
                    : strcmp(runtime, "docker") == 0 ? SPEC_RUNTIME_DOCKER
                                                     : SPEC_RUNTIME_UNSET;
    spec->served_by = read_bool(gateway, "served_by", true);
    spec->via = read_bool(gateway, "via", true);
    spec_build_access_log(load, node_get(gateway, "access_log"), spec);
    spec->trusted = spec_build_networks(load, node_get(gateway, "trusted_proxies"), BOARD_TRUSTED, &spec->trusted_len);
    if (node_is(services, NODE_MAP)) {
        node_sort(services);
        spec->services = POOL_ARRAY(pool, struct spec_service, services->len);
        spec->services_len = services->len;
        for (size_t i = 0; i < services->len; i++)
            spec_build_service(load, &services->entries[i], origin->directory, &spec->services[i]);
    }
    if (!load->incomplete)
        spec_build_listeners(load, gateway, spec);
    if (load->problems->errors == 0 && !attach_model(spec, project) && !tell_no_text(load, project))
        problem_error(load->problems, (struct place){ 0 }, "not enough memory to load the project");
    return spec;
}
