/* SPDX-License-Identifier: MIT
 *
 * What a runtime will not do, read off the table of attributes.
 */
#include "base/board.h"
#include "compose/schema.h"
#include "compose/spec.h"

#include <string.h>

struct report {
    unsigned honour; /* what the runtime is in the table */
    const char *runtime;
    struct problems *problems;
};

/* Where in the file, as docs/compose.md writes it: "services.web.ports[].mode". */
struct trail {
    const struct trail *outer; /* NULL: the file itself */
    const char *key;           /* NULL: the items of a list */
};

static void trail_puts(const struct trail *trail, struct buf *out)
{
    if (!trail->outer)
        return;
    trail_puts(trail->outer, out);
    if (trail->key)
        buf_printf(out, "%s%s", trail->outer->outer ? "." : "", trail->key);
    else
        buf_puts(out, "[]");
}

/* What would be so without being said: the network that every service joins, the mode of every service. */
static bool is_usual(const struct entry *entry)
{
    const char *text = node_str(entry->value);

    if (strcmp(entry->key, "mode") == 0 && text)
        return strcmp(text, "replicated") == 0;
    return strcmp(entry->key, "networks") == 0 && entry->value->len == 1 &&
           strcmp(entry->value->entries[0].key, "default") == 0 && entry->value->entries[0].value->kind == NODE_NULL;
}

/* It asks for nothing but what happens anyway. */
static bool asks_for_nothing(const struct attribute *field, const struct node *value)
{
    if (value->kind == NODE_BOOL)
        return value->u.boolean == !!(field->honour & HONOUR_TRUE);
    return ((value->kind == NODE_LIST || value->kind == NODE_MAP) && value->len == 0) || value->kind == NODE_NULL;
}

static void report_tree(const struct report *report, const struct schema *schema, const struct node *node,
                        const struct trail *outer);

static void report_entry(const struct report *report, const struct schema *schema, const struct entry *entry,
                         const struct trail *outer)
{
    const struct trail trail = { outer, entry->key };
    const struct attribute *field = entry->key ? schema_field(schema, entry->key) : NULL;
    const struct schema *child = !entry->key ? schema->items : field ? field->schema : schema->others;
    struct buf path CLEANUP_BUF = { 0 };

    if (!field || field->honour & report->honour) {
        if (child)
            report_tree(report, child, entry->value, &trail);
        return;
    }
    if (field->honour & HONOUR_QUIET || asks_for_nothing(field, entry->value) || is_usual(entry))
        return;
    trail_puts(&trail, &path);
    problem_warning(report->problems, entry->place, "the %s runtime does not honour `%s`; it has no effect",
                    report->runtime, path.data ? path.data : entry->key);
}

static void report_tree(const struct report *report, const struct schema *schema, const struct node *node,
                        const struct trail *outer)
{
    for (size_t i = 0; (node->kind == NODE_MAP || node->kind == NODE_LIST) && i < node->len; i++)
        report_entry(report, schema, &node->entries[i], outer);
}

/* `links: [db:database]`: as processes a dependency on `db`, which nobody calls `database`. */
static void report_link_names(const struct node *service, struct problems *problems)
{
    const struct node *links = node_get(service, "links");

    for (size_t i = 0; node_is(links, NODE_LIST) && i < links->len; i++) {
        const char *text = node_str(node_at(links, i));
        size_t len = strcspn(text, ":");
        const char *name = text[len] ? text + len + 1 : text;
        if (text[len] && (strlen(name) != len || strncmp(text, name, len) != 0))
            problem_warning(problems, node_at(links, i)->place,
                            "nothing makes `%s` a name of service `%.*s`; the link has no other effect than a "
                            "dependency on it",
                            name, (int)len, text);
    }
}

/* A build would fail far from its reason, or take an image that happens to be called so. */
static void report_contexts(const struct spec_service *service, struct problems *problems)
{
    const json_t *contexts = json_object_get(json_object_get(service->model, "build"), "additional_contexts");

    if (json_object_size(contexts) > 0)
        problem_warning(
            problems, service->place,
            "the build of service `%s` has `additional_contexts`, which only BuildKit knows, not the Engine's "
            "API; build the image before, with `docker compose build` or `docker buildx build`",
            service->name);
}

/* A port of this host leads to one port of one service. */
static void report_taken_ports(const struct spec *spec, struct problems *problems)
{
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        for (size_t j = 0; j < service->published_len; j++) {
            const struct spec_port *port = &service->published[j];
            const struct spec_listener *listener = spec_find_listener(spec, port->host_ip, port->published);
            if (!listener || !listener->published_by || port->protocol == SPEC_PROTOCOL_UDP)
                continue;
            if (strcmp(listener->published_by, service->name) != 0)
                problem_error(problems, port->place, "port %u is published by service `%s` already, in line %d",
                              port->published, listener->published_by, listener->place.line);
            else if (listener->target != port->target)
                problem_error(problems, port->place, "port %u leads to port %u of service `%s` already, in line %d",
                              port->published, listener->target, service->name, listener->place.line);
        }
    }
}

void compose_unsupported(const struct spec *spec, enum spec_runtime runtime, struct problems *problems)
{
    bool process = runtime == SPEC_RUNTIME_PROCESS;
    const struct report report = { process ? HONOUR_PROCESS : HONOUR_DOCKER, process ? "process" : "docker", problems };

    const struct node *services = node_get(spec->tree, "services");

    report_tree(&report, &schema_root, spec->tree, &(struct trail){ 0 });
    report_taken_ports(spec, problems);
    if (spec->listeners_len > BOARD_LISTENERS)
        problem_error(problems, spec->listeners[BOARD_LISTENERS].place, "the gateway listens at %d addresses at most",
                      BOARD_LISTENERS);
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        if (process)
            report_link_names(node_get(services, service->name), problems);
        const json_t *provider = json_object_get(json_object_get(service->model, "provider"), "type");
        if (provider && !(process && spec_service_is_process(service))) {
            problem_error(
                problems, service->place,
                "service `%s` is to be run by the provider `%s`, a plugin of Compose's; daruma has none: give "
                "the service an image or a command, or put it into a profile of its own",
                service->name, json_string_value(provider));
            continue;
        }
        if (!process)
            report_contexts(service, problems);
        if (process && !spec_service_is_process(service))
            problem_error(problems, service->place,
                          "service `%s` does not say what to run as a process; add `x-daruma: {process: {command: …}}`",
                          service->name);
        if (!process && !*service->image && !service->has_build)
            problem_error(problems, service->place, "service `%s` has neither `image` nor `build`", service->name);
    }
}
