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
    const struct spec_service *service;
    struct problems *problems;
};

/* The network that every service joins without asking. */
static bool is_usual(const struct entry *entry)
{
    return strcmp(entry->key, "networks") == 0 && entry->value->len == 1 &&
           strcmp(entry->value->entries[0].key, "default") == 0 && entry->value->entries[0].value->kind == NODE_NULL;
}

/* An image and how it is built do not matter when something else says what to run; what says nothing is told below. */
static bool is_replaced(const struct entry *entry)
{
    return strcmp(entry->key, "image") == 0 || strcmp(entry->key, "build") == 0;
}

static bool is_switched_off(const struct node *value)
{
    return (value->kind == NODE_BOOL && !value->u.boolean) ||
           ((value->kind == NODE_LIST || value->kind == NODE_MAP) && value->len == 0) || value->kind == NODE_NULL;
}

static void report_tree(const struct report *report, const struct schema *schema, const struct node *node,
                        const char *path)
{
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        if (node->kind == NODE_LIST) {
            if (schema->items)
                report_tree(report, schema->items, entry->value, path);
            continue;
        }
        const struct attribute *field = schema_field(schema, entry->key);
        if (!field)
            continue;
        bool top = *path == '\0';
        if (field->honour & report->honour)
            report_tree(report, field->schema, entry->value, top ? entry->key : path);
        else if (!(field->honour & HONOUR_QUIET) && !is_switched_off(entry->value) &&
                 !(top && (is_usual(entry) || is_replaced(entry))))
            problem_warning(report->problems, entry->place,
                            "service `%s`: the %s runtime does not honour `%s%s%s`; it has no effect",
                            report->service->name, report->runtime, path, top ? "" : "…", entry->key);
    }
}

/* Two services cannot both have a port of this host. */
static void report_taken_ports(const struct spec *spec, struct problems *problems)
{
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        for (size_t j = 0; j < service->ports_len; j++) {
            const struct spec_port *port = &service->ports[j];
            const struct spec_listener *listener = spec_find_listener(spec, port->host_ip, port->published);
            if (port->is_published && listener && listener->published_by &&
                strcmp(listener->published_by, service->name) != 0)
                problem_error(problems, port->place, "port %u is published by service `%s` already, in line %d",
                              port->published, listener->published_by, listener->place.line);
        }
    }
}

void compose_unsupported(const struct spec *spec, enum spec_runtime runtime, struct problems *problems)
{
    bool process = runtime == SPEC_RUNTIME_PROCESS;
    const struct node *services = node_get(spec->tree, "services");

    report_taken_ports(spec, problems);
    if (spec->listeners_len > BOARD_LISTENERS)
        problem_error(problems, spec->listeners[BOARD_LISTENERS].place, "the gateway listens at %d addresses at most",
                      BOARD_LISTENERS);
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        struct report report = { process ? HONOUR_PROCESS : HONOUR_DOCKER, process ? "process" : "docker", service,
                                 problems };
        report_tree(&report, &schema_service, node_get(services, service->name), "");
        if (process && !spec_service_is_process(service))
            problem_error(problems, service->place,
                          "service `%s` does not say what to run as a process; add `x-daruma: {process: {command: …}}`",
                          service->name);
        if (!process && !*service->image && !service->has_build)
            problem_error(problems, service->place, "service `%s` has neither `image` nor `build`", service->name);
    }
}
