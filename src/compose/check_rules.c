/* SPDX-License-Identifier: MIT
 *
 * Rules of the specification that no type expresses: what excludes what, and what needs what.
 */
#include "compose/normalise.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

static bool is_true(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    return node_is(node, NODE_BOOL) && node->u.boolean;
}

/* --- Volumes, secrets, configs --- */

static void check_external(struct loading *load, const struct entry *volume)
{
    if (!is_true(volume->value, "external"))
        return;
    for (size_t i = 0; i < volume->value->len; i++) {
        const struct entry *entry = &volume->value->entries[i];
        if (strcmp(entry->key, "external") != 0 && strcmp(entry->key, "name") != 0 && strncmp(entry->key, "x-", 2) != 0)
            problem_error(load->problems, entry->place,
                          "the volume `%s` is external, so `%s` has no meaning; remove it", volume->key, entry->key);
    }
}

/* Exactly one of the keys says where the content comes from. */
static void check_content(struct loading *load, const struct entry *resource, const char *what, const char *const *keys,
                          const char *known)
{
    const struct entry *first = NULL;

    if (resource->value->kind != NODE_MAP || resource->value->faulty || is_true(resource->value, "external") ||
        node_get(resource->value, "driver"))
        return;
    for (; *keys; keys++) {
        const struct entry *entry = node_entry(resource->value, *keys);
        if (entry && first)
            problem_error(load->problems, entry->place, "the %s `%s` has both `%s` and `%s`; remove one", what,
                          resource->key, first->key, entry->key);
        first = entry ? entry : first;
    }
    if (!first)
        problem_error(load->problems, resource->place, "the %s `%s` needs one of: %s", what, resource->key, known);
}

static void check_resources(struct loading *load, const struct node *project)
{
    static const char *const secret_keys[] = { "file", "environment", NULL };
    static const char *const config_keys[] = { "file", "environment", "content", NULL };
    const struct node *volumes = node_get(project, "volumes"), *secrets = node_get(project, "secrets"),
                      *configs = node_get(project, "configs");

    for (size_t i = 0; volumes && i < volumes->len; i++)
        check_external(load, &volumes->entries[i]);
    for (size_t i = 0; secrets && i < secrets->len; i++)
        check_content(load, &secrets->entries[i], "secret", secret_keys, "file, environment");
    for (size_t i = 0; configs && i < configs->len; i++)
        check_content(load, &configs->entries[i], "config", config_keys, "file, environment, content");
}

/* --- Services --- */

static bool says_what_to_run(const struct node *service)
{
    static const char *const keys[] = { "build", "provider", "command", "entrypoint", NULL };
    const char *image = node_str(node_get(service, "image"));

    for (const char *const *key = keys; *key; key++)
        if (node_get(service, *key))
            return true;
    return (image && *image) || node_get(node_get(node_get(service, "x-daruma"), "process"), "command");
}

static void check_device_requests(struct loading *load, const struct node *requests)
{
    for (size_t i = 0; node_is(requests, NODE_LIST) && i < requests->len; i++) {
        const struct entry *count = node_entry(node_at(requests, i), "count");
        if (count && node_get(node_at(requests, i), "device_ids"))
            problem_error(load->problems, count->place, "`count` and `device_ids` exclude each other; remove one");
    }
}

static void check_mounts(struct loading *load, const struct entry *service)
{
    const struct node *mounts = node_get(service->value, "volumes"), *tmpfs = node_get(service->value, "tmpfs");

    for (size_t i = 0; node_is(mounts, NODE_LIST) && i < mounts->len; i++) {
        const struct node *mount = node_at(mounts, i);
        const char *target = node_str(node_get(mount, "target"));
        for (size_t j = 0; target && node_is(tmpfs, NODE_LIST) && j < tmpfs->len; j++) {
            const char *text = node_str(node_at(tmpfs, j));
            size_t len = strcspn(text, ":");
            if (strlen(target) == len && strncmp(text, target, len) == 0)
                problem_error(load->problems, mount->place, "service `%s` mounts %s twice, also under `tmpfs`",
                              service->key, target);
        }
    }
}

static void check_sources(struct loading *load, const struct node *service)
{
    const struct node *mounts = node_get(service, "volumes");

    for (size_t i = 0; node_is(mounts, NODE_LIST) && i < mounts->len; i++) {
        const char *type = node_str(node_get(node_at(mounts, i), "type"));
        if (type && strcmp(type, "bind") == 0 && !node_get(node_at(mounts, i), "source") && !node_at(mounts, i)->faulty)
            problem_error(load->problems, node_at(mounts, i)->place, "a bind mount needs `source`");
    }
}

static void check_watch(struct loading *load, const struct node *service)
{
    const struct node *rules = node_get(node_get(service, "develop"), "watch");

    for (size_t i = 0; node_is(rules, NODE_LIST) && i < rules->len; i++) {
        const struct node *rule = node_at(rules, i);
        const char *action = node_str(node_get(rule, "action"));
        if (action && strncmp(action, "sync", 4) == 0 && !node_get(rule, "target") && !rule->faulty)
            problem_error(load->problems, rule->place, "the action `%s` needs `target`", action);
    }
}

static void check_ports(struct loading *load, const struct node *service)
{
    const struct node *ports = node_get(service, "ports");
    unsigned char address[sizeof(struct in6_addr)];

    for (size_t i = 0; node_is(ports, NODE_LIST) && i < ports->len; i++) {
        const struct node *host = node_get(node_at(ports, i), "host_ip");
        const char *text = node_str(host);
        if (text && *text && inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1)
            problem_error(load->problems, host->place, "`%s` is no IP address", text);
    }
}

static void check_platform(struct loading *load, const struct node *service)
{
    const struct node *platform = node_get(service, "platform");
    const struct node *platforms = node_get(node_get(service, "build"), "platforms");
    bool found = !node_str(platform) || !node_is(platforms, NODE_LIST) || platforms->len == 0;

    for (size_t i = 0; !found && i < platforms->len; i++)
        found = node_equal(node_at(platforms, i), platform);
    if (!found)
        problem_error(load->problems, platform->place, "`build.platforms` does not have the platform `%s`",
                      node_str(platform));
}

/* The schema's pattern is not anchored: two such characters anywhere will do. */
static void check_container_name(struct loading *load, const struct node *service)
{
    const struct node *name = node_get(service, "container_name");
    const char *text = node_str(name);
    bool ok = !text;

    for (const char *p = text; p && *p && !ok; p++)
        ok = isalnum((unsigned char)*p) && p[1] && (isalnum((unsigned char)p[1]) || strchr("_.-", p[1]));
    if (!ok)
        problem_error(
            load->problems, name->place,
            "`%s` is no container name; it has at least two letters, digits or _ . - and begins with a letter or digit",
            text);
}

static void check_pull_policy(struct loading *load, const struct node *service)
{
    static const char *const words[] = { "always",  "never", "build",  "if_not_present", "missing",
                                         "refresh", "daily", "weekly", "every_",         NULL };
    const struct node *policy = node_get(service, "pull_policy");

    if (!node_str(policy))
        return;
    for (const char *const *word = words; *word; word++)
        if (strstr(node_str(policy), *word))
            return;
    problem_error(
        load->problems, policy->place,
        "`%s` is no pull policy; it is one of: always, never, missing, build, refresh, daily, weekly, every_12h",
        node_str(policy));
}

void normalise_check_rules(struct loading *load, const struct node *project)
{
    const struct node *services = node_get(project, "services");

    for (size_t i = 0; node_is(services, NODE_MAP) && i < services->len; i++) {
        const struct node *service = services->entries[i].value;
        const struct node *resources = node_get(node_get(service, "deploy"), "resources");
        check_device_requests(load, node_get(node_get(resources, "reservations"), "devices"));
        check_device_requests(load, node_get(service, "gpus"));
        check_sources(load, service);
        check_ports(load, service);
        check_container_name(load, service);
        check_pull_policy(load, service);
    }
    check_resources(load, project);
}

void normalise_check_services(struct loading *load, const struct node *project)
{
    const struct node *services = node_get(project, "services");

    for (size_t i = 0; node_is(services, NODE_MAP) && i < services->len; i++) {
        const struct entry *entry = &services->entries[i];
        if (!says_what_to_run(entry->value) && !entry->value->faulty)
            problem_error(load->problems, entry->place,
                          "service `%s` does not say what to run; add `image`, `build` or `command`", entry->key);
        check_mounts(load, entry);
        check_watch(load, entry->value);
        check_platform(load, entry->value);
    }
}
