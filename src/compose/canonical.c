/* SPDX-License-Identifier: MIT
 *
 * Casts and the simple short forms. Ports, mounts and devices, which are small languages, are in canonical_short.c.
 */
#include "compose/canonical.h"

#include "compose/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Casts --- */

static struct node *cannot_read(struct loading *load, struct node *node, const char *what, const char *example)
{
    problem_error(load->problems, node->place, "`%s` is no %s; write it like %s", node_text(load->pool, node), what,
                  example);
    return node;
}

static struct node *cast_bool(struct loading *load, struct node *node)
{
    bool value, old = false;

    if (node->kind != NODE_STRING)
        return node;
    if (value_bool(node->u.string, &value, &old) < 0)
        return cannot_read(load, node, "truth value", "true or false");
    if (old)
        problem_warning(load->problems, node->place, "`%s` is no boolean in YAML 1.2; write %s", node->u.string,
                        value ? "true" : "false");
    return node_bool(load->pool, node->place, value);
}

static struct node *cast_int(struct loading *load, struct node *node)
{
    int64_t value;

    if (node->kind == NODE_FLOAT && node->u.number == floor(node->u.number) && fabs(node->u.number) < 9e15)
        return node_int(load->pool, node->place, (int64_t)node->u.number);
    if (node->kind == NODE_INT)
        return node;
    if (node->kind == NODE_STRING && value_int(node->u.string, &value) == 0)
        return node_int(load->pool, node->place, value);
    return cannot_read(load, node, "whole number", "3");
}

static struct node *cast_float(struct loading *load, struct node *node)
{
    const char *text = node_str(node);
    char *end = NULL;
    double value = text ? strtod(text, &end) : node->kind == NODE_FLOAT ? node->u.number : 0;

    if ((text && (end == text || *end)) || !isfinite(value))
        return cannot_read(load, node, "number", "0.5");
    if (!text)
        return node;
    struct node *number = node_new(load->pool, NODE_FLOAT, node->place);
    number->u.number = value;
    return number;
}

static struct node *cast_bytes(struct loading *load, struct node *node)
{
    int64_t value;

    if (node->kind == NODE_INT)
        return node;
    if (node->kind == NODE_FLOAT)
        return cannot_read(load, node, "size", "512m; a fraction needs a unit");
    if (value_bytes(node->u.string, &value) < 0)
        return cannot_read(load, node, "size", "512m or 1.5gb");
    return node_int(load->pool, node->place, value);
}

static struct node *cast_duration(struct loading *load, struct node *node)
{
    int64_t ns;

    if (node->kind != NODE_STRING)
        return node;
    if (value_duration(node->u.string, &ns) < 0)
        return cannot_read(load, node, "duration", "1m30s or 500ms");
    if (ns < 0)
        problem_warning(load->problems, node->place, "`%s` is negative, and counts as if it were not there",
                        node->u.string);
    return node_string(load->pool, node->place, value_format_duration(load->pool, ns));
}

/* A number is taken as it is (YAML has read 0440 as octal), a string is octal. */
static struct node *cast_mode(struct loading *load, struct node *node)
{
    if (node->kind == NODE_STRING) {
        char *end;
        unsigned long value = strtoul(node->u.string, &end, 8);
        if (end == node->u.string || *end || *node->u.string == '-' || value > 07777)
            return cannot_read(load, node, "file mode", "\"0440\"");
        return node_int(load->pool, node->place, (int64_t)value);
    }
    return cast_int(load, node);
}

static struct node *cast_text(struct loading *load, struct node *node)
{
    return node->kind == NODE_NULL ? node : node_string(load->pool, node->place, node_text(load->pool, node));
}

static struct node *cast(struct loading *load, enum format format, struct node *node)
{
    if (node->kind == NODE_NULL)
        return node;
    /* With --no-interpolate a variable stands for anything. */
    if (load->no_interpolate && node->kind == NODE_STRING && strchr(node->u.string, '$'))
        return node;
    switch (format) {
    case FORMAT_BOOL:
        return cast_bool(load, node);
    case FORMAT_INT:
        return cast_int(load, node);
    case FORMAT_FLOAT:
        return cast_float(load, node);
    case FORMAT_BYTES:
        return cast_bytes(load, node);
    case FORMAT_DURATION:
        return cast_duration(load, node);
    case FORMAT_MODE:
        return cast_mode(load, node);
    case FORMAT_STRING:
        return cast_text(load, node);
    case FORMAT_PATH:
        if (node->kind == NODE_STRING)
            return node_string(load->pool, node->place, load_model_path(load, node->u.string));
        return node;
    case FORMAT_ANY:
        break;
    }
    return node;
}

struct node *canonical_tree(struct loading *load, const struct schema *schema, struct node *node)
{
    enum node_tag tag = node->tag;
    bool faulty = node->faulty;
    size_t errors = load->problems->errors;

    if (tag == NODE_RESET || schema == &schema_anything)
        return node;
    if (schema->canonical)
        node = schema->canonical(load, node);
    node->faulty = faulty || load->problems->errors > errors;
    if (node->kind & NODE_SCALAR)
        node = cast(load, schema->format, node);
    for (size_t i = 0; i < node->len; i++) {
        struct entry *entry = &node->entries[i];
        const struct schema *child = node->kind == NODE_MAP ? schema_child(schema, entry->key) : schema->items;
        if (child)
            entry->value = canonical_tree(load, child, entry->value);
    }
    node->tag = tag;
    return node;
}

/* --- Lists that stand for mappings --- */

/* "A=1" and "B" become keys; what stands behind a key without `=` is null. */
static struct node *from_pairs(struct loading *load, struct node *list)
{
    struct node *map = node_new(load->pool, NODE_MAP, list->place);

    for (size_t i = 0; i < list->len; i++) {
        const struct node *item = node_at(list, i);
        const char *text = node_str(item), *equals = text ? strchr(text, '=') : NULL;
        if (!text)
            continue;
        struct node *value =
            equals ? node_string(load->pool, item->place, equals + 1) : node_new(load->pool, NODE_NULL, item->place);
        const char *key = equals ? pool_strndup(load->pool, text, (size_t)(equals - text)) : text;
        if (equals && equals > text && strchr(" \t", equals[-1]))
            problem_error(load->problems, item->place, "the name `%s` ends with a blank; write it right before the `=`",
                          key);
        node_set(load->pool, map, key, item->place, value)->value->tag = item->tag;
    }
    return map;
}

struct node *canonical_mapping(struct loading *load, struct node *node)
{
    return node->kind == NODE_LIST ? from_pairs(load, node) : node;
}

struct node *canonical_labels(struct loading *load, struct node *node)
{
    struct node *map = canonical_mapping(load, node);

    for (size_t i = 0; i < map->len; i++) {
        struct node *value = map->entries[i].value;
        if (value->kind == NODE_NULL && value->tag != NODE_RESET)
            map->entries[i].value = node_string(load->pool, value->place, "");
    }
    return map;
}

struct node *canonical_names(struct loading *load, struct node *node)
{
    if (node->kind != NODE_LIST)
        return node;
    struct node *map = node_new(load->pool, NODE_MAP, node->place);
    for (size_t i = 0; i < node->len; i++) {
        struct node *item = node_at(node, i);
        if (node_str(item))
            node_set(load->pool, map, node_str(item), item->place, node_new(load->pool, NODE_NULL, item->place));
    }
    return map;
}

struct node *canonical_depends_on(struct loading *load, struct node *node)
{
    struct node *map = canonical_names(load, node);

    for (size_t i = 0; i < map->len; i++) {
        struct entry *entry = &map->entries[i];
        struct place place = entry->value->place;
        if (entry->value->tag == NODE_RESET)
            continue;
        if (entry->value->kind == NODE_NULL) {
            entry->value = node_new(load->pool, NODE_MAP, place);
            node_set(load->pool, entry->value, "condition", place, node_string(load->pool, place, "service_started"));
        }
        if (!node_get(entry->value, "required"))
            node_set(load->pool, entry->value, "required", place, node_bool(load->pool, place, true));
    }
    return map;
}

/* "1.1.1.1,[::1]" are two addresses. */
static void add_addresses(struct loading *load, struct node *addresses, const struct node *value)
{
    const char *text = node_str(value);

    while (text && *text) {
        size_t len = strcspn(text, ",");
        bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
        const char *address = pool_strndup(load->pool, text + bracketed, len - 2 * (size_t)bracketed);
        node_append(load->pool, addresses, node_string(load->pool, value->place, address));
        text += len + (text[len] == ',');
    }
}

/* Divides "name=address" or "name:address". */
static const char *split_host(struct loading *load, struct node **value)
{
    const char *text = node_str(*value);
    size_t len = text ? strcspn(text, "=") : 0;

    if (text && !text[len])
        len = strcspn(text, ":");
    if (len == 0 || !text[len]) {
        problem_error(load->problems, (*value)->place, "an extra host is written as `name=address`");
        return NULL;
    }
    *value = node_string(load->pool, (*value)->place, text + len + 1);
    return pool_strndup(load->pool, text, len);
}

struct node *canonical_extra_hosts(struct loading *load, struct node *node)
{
    struct node *map = node_new(load->pool, NODE_MAP, node->place);

    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        struct node *value = entry->value;
        if (value->tag == NODE_RESET)
            continue;
        const char *key = node->kind == NODE_LIST ? split_host(load, &value) : entry->key;
        if (!key)
            continue;
        struct node *addresses = node_get(map, key);
        if (!addresses) {
            addresses = node_new(load->pool, NODE_LIST, value->place);
            node_set(load->pool, map, key, entry->place, addresses);
        }
        for (size_t j = 0; value->kind == NODE_LIST && j < value->len; j++)
            add_addresses(load, addresses, node_at(value, j));
        add_addresses(load, addresses, value);
    }
    return map;
}

/* --- Single values that stand for lists or mappings --- */

struct node *canonical_strings(struct loading *load, struct node *node)
{
    if (!(node->kind & (NODE_SCALAR & ~NODE_NULL)))
        return node;
    struct node *list = node_new(load->pool, NODE_LIST, node->place);
    if (node->kind != NODE_STRING || *node->u.string)
        node_append(load->pool, list, node);
    return list;
}

struct node *canonical_command(struct loading *load, struct node *node)
{
    if (node->kind != NODE_STRING)
        return node;
    struct node *words = node_new(load->pool, NODE_LIST, node->place);
    int result = value_split(load->pool, node->place, node->u.string, words);
    if (result > 0)
        problem_warning(
            load->problems, node->place,
            "only what stands before the `;`, `&`, `|`, `<` or `>` is run: no shell reads it; write [\"sh\", "
            "\"-c\", \"…\"]");
    if (result < 0)
        problem_error(
            load->problems, node->place,
            "`%s` cannot be split into words: a quote is not closed, or it needs a shell; write it as a list, "
            "or as [\"sh\", \"-c\", \"…\"]",
            node->u.string);
    return words;
}

struct node *canonical_test(struct loading *load, struct node *node)
{
    if (node->kind != NODE_STRING)
        return node;
    struct node *test = node_new(load->pool, NODE_LIST, node->place);
    node_append(load->pool, test, node_string(load->pool, node->place, "CMD-SHELL"));
    node_append(load->pool, test, node);
    return test;
}

/* `value` alone is the mapping {key: value}. */
static struct node *under_key(struct loading *load, struct node *node, const char *key)
{
    if (node->kind != NODE_STRING)
        return node;
    struct node *map = node_new(load->pool, NODE_MAP, node->place);
    node_set(load->pool, map, key, node->place, node);
    return map;
}

/* A URL, a git address, another service or an image: nothing that lies in a directory. */
static bool is_remote(const char *text)
{
    return strstr(text, "://") || strncmp(text, "git@", 4) == 0 || strncmp(text, "github.com/", 11) == 0 ||
           strncmp(text, "service:", 8) == 0 || strncmp(text, "target:", 7) == 0;
}

static struct node *local_path(struct loading *load, struct node *node)
{
    if (!node_str(node) || is_remote(node_str(node)))
        return node;
    return node_string(load->pool, node->place, load_model_path(load, node_str(node)));
}

struct node *canonical_build(struct loading *load, struct node *node)
{
    struct node *build = under_key(load, node, "context");
    struct entry *context = node_entry(build, "context");

    if (context && context->value->tag != NODE_RESET)
        context->value = local_path(load, context->value);
    return build;
}

struct node *canonical_contexts(struct loading *load, struct node *node)
{
    struct node *map = canonical_mapping(load, node);

    for (size_t i = 0; i < map->len; i++)
        map->entries[i].value = local_path(load, map->entries[i].value);
    return map;
}

struct node *canonical_extends(struct loading *load, struct node *node)
{
    return under_key(load, node, "service");
}

struct node *canonical_include(struct loading *load, struct node *node)
{
    return under_key(load, node, "path");
}

struct node *canonical_reference(struct loading *load, struct node *node)
{
    return under_key(load, node, "source");
}

struct node *canonical_secret(struct loading *load, struct node *node)
{
    struct node *reference = under_key(load, node, "source");
    const char *source = node_str(node_get(reference, "source"));

    if (source && !node_get(reference, "target"))
        node_set(load->pool, reference, "target", reference->place,
                 node_string(load->pool, reference->place, pool_printf(load->pool, "/run/secrets/%s", source)));
    return reference;
}

struct node *canonical_env_files(struct loading *load, struct node *node)
{
    struct node *list = canonical_strings(load, node);

    for (size_t i = 0; i < list->len; i++)
        list->entries[i].value = under_key(load, node_at(list, i), "path");
    return list;
}

struct node *canonical_device_count(struct loading *load, struct node *node)
{
    if (node_str(node) && strcmp(node_str(node), "all") == 0)
        return node_int(load->pool, node->place, -1);
    return cast_int(load, node);
}

struct node *canonical_device_request(struct loading *load, struct node *node)
{
    if (!node_get(node, "count") && !node_get(node, "device_ids"))
        node_set(load->pool, node, "count", node->place, node_int(load->pool, node->place, -1));
    return node;
}

struct node *canonical_gpus(struct loading *load, struct node *node)
{
    if (node->kind != NODE_STRING)
        return node;
    struct node *list = node_new(load->pool, NODE_LIST, node->place);
    struct node *request = node_new(load->pool, NODE_MAP, node->place);
    node_set(load->pool, request, "count", node->place, node_int(load->pool, node->place, -1));
    node_append(load->pool, list, request);
    return list;
}

/* `external: {name: x}` is the old way to write `external: true` and `name: x`. */
struct node *canonical_external(struct loading *load, struct node *node)
{
    struct entry *entry = node_entry(node, "external");
    struct node *external = entry ? entry->value : NULL;

    if (!node_is(external, NODE_MAP))
        return node;
    struct node *name = node_get(external, "name"), *other = node_get(node, "name");
    problem_warning(load->problems, entry->place, "`external.name` is deprecated; write `external: true` and `name:`");
    entry->value = node_bool(load->pool, external->place, true);
    if (node_str(name) && node_str(other) && strcmp(node_str(name), node_str(other)) != 0)
        problem_error(load->problems, name->place, "`external.name` and `name` contradict each other; keep `name`");
    if (name && !other)
        node_set(load->pool, node, "name", name->place, name);
    return node;
}

struct node *canonical_network(struct loading *load, struct node *node)
{
    return node->kind == NODE_NULL ? node_new(load->pool, NODE_MAP, node->place) : canonical_external(load, node);
}

/* A local volume that is a directory of the host: that directory's path. */
struct node *canonical_volume_definition(struct loading *load, struct node *node)
{
    struct node *options = node_get(node, "driver_opts");
    struct entry *device = node_entry(options, "device");
    const char *driver = node_str(node_get(node, "driver")), *o = node_str(node_get(options, "o"));

    if (device && o && strcmp(o, "bind") == 0 && (!driver || strcmp(driver, "local") == 0))
        device->value = local_path(load, device->value);
    return canonical_network(load, node);
}
