/* SPDX-License-Identifier: MIT */
#include "compose/nginx_service.h"

#include "compose/nginx_gateway.h"
#include "compose/normalise.h"
#include "compose/value.h"

#include "base/cleanup.h"
#include "base/names.h"

#include <string.h>

/* "nginx", "docker.io/library/nginx:1.27-alpine", "nginxinc/nginx-unprivileged@sha256:…". */
static bool is_nginx_image(const char *image)
{
    static const char *const names[] = { "nginx", "nginx-unprivileged" };
    const char *slash = image ? strrchr(image, '/') : NULL, *name = slash ? slash + 1 : image;
    size_t len = name ? strcspn(name, ":@") : 0;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (name && strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
            return true;
    return false;
}

static const char usual[] = "/etc/nginx/nginx.conf";

/* The configuration that it reads, as it sees it, when it runs what the image runs; NULL: it runs something else. */
static const char *configuration_of(const struct node *service)
{
    const struct node *command = node_get(service, "command"), *entrypoint = node_get(service, "entrypoint");
    const char *path = usual;

    if (node_is(entrypoint, NODE_LIST) && entrypoint->len > 0)
        return NULL;
    for (size_t i = 0; node_is(command, NODE_LIST) && i < command->len; i++) {
        const char *word = node_str(node_at(command, i));
        bool has_value = word && (strcmp(word, "-g") == 0 || strcmp(word, "-c") == 0) && i + 1 < command->len;
        if (i == 0 ? !word || (strcmp(word, "nginx") != 0 && strcmp(word, "nginx-debug") != 0) : !has_value)
            return NULL;
        if (i > 0 && word[1] == 'c')
            path = node_str(node_at(command, i + 1));
        i += i > 0;
    }
    return path && *path == '/' ? path : NULL;
}

/* --- what is mounted -------------------------------------------------------------------------------------------- */

static void add_mount(struct loading *load, struct nginx_mount *mounts, size_t *len, const char *source,
                      const char *target)
{
    if (source && target)
        mounts[(*len)++] = (struct nginx_mount){ source, load_clean(load->pool, target) };
}

/* Folders of this machine, and configs that are files of it. */
static struct nginx_mount *read_mounts(struct loading *load, const struct node *project, const struct node *service,
                                       size_t *ret_len)
{
    const struct node *volumes = node_get(service, "volumes"), *configs = node_get(service, "configs");
    size_t room = (volumes ? volumes->len : 0) + (configs ? configs->len : 0);
    struct nginx_mount *mounts = POOL_ARRAY(load->pool, struct nginx_mount, room + 1);

    *ret_len = 0;
    for (size_t i = 0; node_is(volumes, NODE_LIST) && i < volumes->len; i++) {
        const struct node *volume = node_at(volumes, i);
        const char *type = node_str(node_get(volume, "type"));
        if (type && strcmp(type, "bind") == 0)
            add_mount(load, mounts, ret_len, node_str(node_get(volume, "source")),
                      node_str(node_get(volume, "target")));
    }
    for (size_t i = 0; node_is(configs, NODE_LIST) && i < configs->len; i++) {
        const char *source = node_str(node_get(node_at(configs, i), "source"));
        const struct node *config = source ? node_get(node_get(project, "configs"), source) : NULL;
        add_mount(load, mounts, ret_len, node_str(node_get(config, "file")),
                  node_str(node_get(node_at(configs, i), "target")));
    }
    return mounts;
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (!path[len] || path[len] == '/');
}

/* Is the configuration among it, or what the usual one includes? Templates are filled in by the image when it starts. */
static bool has_configuration(const struct nginx_mount *mounts, size_t len, const char *path)
{
    bool found = false;
    for (size_t i = 0; i < len; i++) {
        if (is_below(mounts[i].target, "/etc/nginx/templates"))
            return false;
        found = found || is_below(path, mounts[i].target) ||
                (path == usual && is_below(mounts[i].target, "/etc/nginx/conf.d"));
    }
    return found;
}

/* --- where it is reached ---------------------------------------------------------------------------------------- */

/* NULL with `*ret_len` 0: nowhere. */
static struct nginx_port *read_ports(struct loading *load, const struct node *service, size_t *ret_len)
{
    const struct node *list = node_get(service, "ports");
    struct nginx_port *ports = POOL_ARRAY(load->pool, struct nginx_port, list ? list->len : 0);

    *ret_len = 0;
    for (size_t i = 0; node_is(list, NODE_LIST) && i < list->len; i++) {
        const struct node *port = node_at(list, i), *target = node_get(port, "target");
        const char *published = node_str(node_get(port, "published")), *host = node_str(node_get(port, "host_ip"));
        int64_t number;
        if (!node_is(target, NODE_INT) || !published || value_int(published, &number) < 0)
            continue;
        bool v6 = host && strchr(host, ':');
        ports[(*ret_len)++] = (struct nginx_port){
            .address = pool_printf(load->pool, "%s%s%s:%s", v6 ? "[" : "", host ? host : "", v6 ? "]" : "", published),
            .target = (uint16_t)target->u.integer,
            .place = port->place,
        };
    }
    return ports;
}

static bool uses_host_network(const struct node *service)
{
    const char *mode = node_str(node_get(service, "network_mode"));
    return mode && strcmp(mode, "host") == 0;
}

/* --- taking it out ---------------------------------------------------------------------------------------------- */

struct need {
    const char *name;
    bool found;
};

static void note_need(void *data, const char *name, struct place place, bool restart)
{
    struct need *need = data;
    need->found = need->found || strcmp(need->name, name) == 0;
}

/* Does another service live in its namespaces, mount what it mounts, or call it by its name? */
static bool is_needed(struct pool *pool, const struct node *services, const char *name)
{
    struct need need = { .name = name };

    for (size_t i = 0; i < services->len; i++)
        normalise_ties(pool, services->entries[i].value, note_need, &need);
    return need.found;
}

static void forget_dependencies(struct node *services, const char *name)
{
    for (size_t i = 0; i < services->len; i++) {
        struct node *depends_on = node_get(services->entries[i].value, "depends_on");
        if (node_is(depends_on, NODE_MAP))
            node_remove(depends_on, name);
    }
}

static void add_gateway(struct loading *load, struct node *project, const struct node *gateway)
{
    struct node *mine = node_get(project, "x-gateway");

    if (!mine)
        node_set(load->pool, project, "x-gateway", gateway->place,
                 mine = node_new(load->pool, NODE_MAP, gateway->place));
    for (size_t i = 0; i < gateway->len; i++) {
        const struct entry *entry = &gateway->entries[i];
        struct node *there = node_get(mine, entry->key);
        for (size_t l = 0; node_is(there, NODE_LIST) && l < entry->value->len; l++)
            node_append(load->pool, there, node_at(entry->value, l));
        if (!there)
            node_set(load->pool, mine, entry->key, entry->place, entry->value);
    }
}

/* Its x-gateway, or NULL. */
static struct node *understand(struct loading *load, const struct node *project, const struct entry *service)
{
    struct nginx_surroundings around = { 0 };
    const char *path = configuration_of(service->value);
    const struct problems before = *load->problems;

    around.mounts = read_mounts(load, project, service->value, &around.mounts_len);
    if (!path || !has_configuration(around.mounts, around.mounts_len, path))
        return NULL;
    struct nginx_port *ports = read_ports(load, service->value, &around.ports_len);
    around.ports = uses_host_network(service->value) ? NULL : ports;
    if (around.ports && around.ports_len == 0)
        return NULL; /* nobody outside can reach it: it is there for other services */
    struct node *gateway = nginx_gateway_load(load, service->place, path, &around);
    if (gateway) {
        problem_warning(load->problems, service->place,
                        "`%s` is not started: the gateway does what its configuration says (--keep-nginx leaves it in)",
                        service->key);
        return gateway;
    }
    problems_soften(load->problems, &before);
    problem_warning(
        load->problems, service->place,
        "`%s` stays in front: not all of its configuration is understood (see there; with --keep-nginx nothing of it "
        "is read)",
        service->key);
    return NULL;
}

void nginx_service_replace(struct loading *load, struct node *project, const char *const *chosen)
{
    struct node *services = node_get(project, "services");

    for (size_t i = services ? services->len : 0; i-- > 0;) {
        const struct entry *service = &services->entries[i];
        if (!is_nginx_image(node_str(node_get(service->value, "image"))) || node_get(service->value, "build") ||
            (chosen && names_have(chosen, service->key)) || is_needed(load->pool, services, service->key))
            continue;
        const struct node *gateway = understand(load, project, service);
        if (!gateway)
            continue;
        const char *name = service->key;
        add_gateway(load, project, gateway);
        node_remove(services, name);
        forget_dependencies(services, name);
    }
}
