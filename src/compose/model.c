/* SPDX-License-Identifier: MIT */
#include "compose/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *integer(enum format format, int64_t value)
{
    char text[32];

    if (format != FORMAT_BYTES && format != FORMAT_MODE)
        return json_integer(value);
    (void)snprintf(text, sizeof(text), format == FORMAT_BYTES ? "%" PRId64 : "%04" PRIo64, value);
    return json_string(text);
}

static json_t *number(double value)
{
    if (isnan(value))
        return json_string("NaN");
    if (isinf(value))
        return json_string(value > 0 ? "+Inf" : "-Inf");
    if (value == floor(value) && fabs(value) < 1e15)
        return json_integer((json_int_t)value);
    return json_real(value);
}

static json_t *scalar(enum format format, const struct node *node)
{
    switch (node->kind) {
    case NODE_BOOL:
        return json_boolean(node->u.boolean);
    case NODE_INT:
        return integer(format, node->u.integer);
    case NODE_FLOAT:
        return number(node->u.number);
    case NODE_STRING:
        return json_string(node->u.string);
    default:
        return json_null();
    }
}

static bool is_zero(const struct schema *schema, const struct node *node)
{
    switch (node->kind) {
    case NODE_NULL:
        return true;
    case NODE_BOOL:
        return !node->u.boolean;
    case NODE_INT:
        return node->u.integer == 0;
    case NODE_FLOAT:
        return node->u.number == 0;
    case NODE_STRING:
        return !*node->u.string;
    case NODE_LIST:
        return node->len == 0;
    case NODE_MAP:
        return node->len == 0 && !schema->fields;
    }
    return false;
}

/* What says no more than its absence is left out, as the reference does; only where the attribute is a known one. */
static bool is_left_out(const struct attribute *field, const struct node *value)
{
    if (field->schema->omit_true && value->kind == NODE_BOOL && value->u.boolean)
        return true;
    return !field->schema->keep_zero && is_zero(field->schema, value);
}

/* What one print keeps in mind. */
struct print {
    bool reference;
    int depth;
};

/* The reference prints the project's own x-… and none below. */
static bool is_hidden(const struct print *print, const struct schema *schema, const char *key)
{
    return print->reference && print->depth > 1 && schema->extensible && strncmp(key, "x-", 2) == 0;
}

static json_t *print_node(struct print *print, const struct schema *schema, const struct node *node);

static int print_entry(struct print *print, const struct schema *schema, const struct entry *entry, json_t *json)
{
    const struct attribute *field = entry->key ? schema_field(schema, entry->key) : NULL;
    const struct schema *child = !entry->key ? schema->items : field ? field->schema : schema_child(schema, entry->key);

    if (field ? is_left_out(field, entry->value) : entry->key && is_hidden(print, schema, entry->key))
        return 0;
    json_t *value = print_node(print, child ? child : &schema_anything, entry->value);
    /* Keys stand in files, which are UTF-8. */
    return entry->key ? json_object_set_new_nocheck(json, entry->key, value) : json_array_append_new(json, value);
}

static json_t *print_node(struct print *print, const struct schema *schema, const struct node *node)
{
    if (schema->print)
        return schema->print(node);
    json_t *json = node->kind == NODE_MAP ? json_object() : node->kind == NODE_LIST ? json_array() : NULL;
    if (!json)
        return node->kind & NODE_SCALAR ? scalar(schema->format, node) : NULL;
    print->depth++;
    for (size_t i = 0; i < node->len; i++) {
        if (print_entry(print, schema, &node->entries[i], json) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    print->depth--;
    return json;
}

/* --- What the reference writes in a form of its own --- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->key, (*(const struct entry *const *)b)->key);
}

/* "key=value", or "key" where there is none, in the order of keys. */
static json_t *print_pairs(const struct node *map)
{
    const struct entry **sorted = calloc(map->len + 1, sizeof(*sorted));
    json_t *list = sorted ? json_array() : NULL;
    bool ok = list != NULL;

    for (size_t i = 0; sorted && i < map->len; i++)
        sorted[i] = &map->entries[i];
    if (sorted)
        qsort(sorted, map->len, sizeof(*sorted), compare_keys);
    for (size_t i = 0; ok && i < map->len; i++) {
        const struct node *value = sorted[i]->value;
        size_t n = value->kind == NODE_LIST ? value->len : 1;
        for (size_t j = 0; ok && j < n; j++) {
            const char *text = node_str(value->kind == NODE_LIST ? node_at(value, j) : value);
            json_t *pair = text && *text ? json_sprintf("%s=%s", sorted[i]->key, text) : json_string(sorted[i]->key);
            ok = json_array_append_new(list, pair) == 0;
        }
    }
    free(sorted);
    if (!ok)
        json_decref(list);
    return ok ? list : NULL;
}

json_t *model_print_pairs(const struct node *node)
{
    return node->kind == NODE_MAP ? print_pairs(node) : json_null();
}

/* Sets what is not there to null, or to an empty object. */
static bool add_always(json_t *object, const char *key, bool null)
{
    if (json_object_get(object, key))
        return true;
    return json_object_set_new(object, key, null ? json_null() : json_object()) == 0;
}

/* The reference prints some attributes whether or not they are there. */
static bool add_usual_to_service(json_t *service)
{
    json_t *deploy = json_object_get(service, "deploy"), *rule;
    const json_t *watch = json_object_get(json_object_get(service, "develop"), "watch");
    bool ok = add_always(service, "command", true) && add_always(service, "entrypoint", true);
    size_t i;

    if (deploy)
        ok = ok && add_always(deploy, "resources", false) && add_always(deploy, "placement", false);
    json_array_foreach(json_object_get(service, "pre_start"), i, rule) ok = ok && add_always(rule, "command", true);
    json_array_foreach(watch, i, rule) ok =
        ok && add_always(rule, "exec", false) && add_always(json_object_get(rule, "exec"), "command", true);
    return ok;
}

static bool add_usual(json_t *model)
{
    json_t *services = json_object_get(model, "services"), *networks = json_object_get(model, "networks"), *value;
    const char *key;
    bool ok = services || json_object_set_new(model, "services", json_object()) == 0;

    json_object_foreach(services, key, value) ok = ok && add_usual_to_service(value);
    json_object_foreach(networks, key, value) if (json_is_object(value)) ok = ok && add_always(value, "ipam", false);
    return ok;
}

json_t *model_from_project(const struct node *project, bool reference)
{
    struct print print = { .reference = reference };
    json_t *model = print_node(&print, &schema_root, project);

    if (model && !add_usual(model)) {
        json_decref(model);
        return NULL;
    }
    (void)json_object_del(model, "version");
    if (reference)
        (void)json_object_del(model, "models");
    return model;
}
