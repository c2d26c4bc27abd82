/* SPDX-License-Identifier: MIT */
#include "compose/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
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
static bool is_left_out(const struct schema *parent, const struct entry *entry)
{
    const struct attribute *field = entry->key ? schema_field(parent, entry->key) : NULL;

    if (!field)
        return false;
    if (field->schema->omit_true && entry->value->kind == NODE_BOOL && entry->value->u.boolean)
        return true;
    return !field->schema->keep_zero && is_zero(field->schema, entry->value);
}

json_t *model_from_node(const struct schema *schema, const struct node *node)
{
    json_t *json = node->kind == NODE_MAP ? json_object() : node->kind == NODE_LIST ? json_array() : NULL;

    if (!json)
        return node->kind & NODE_SCALAR ? scalar(schema->format, node) : NULL;
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        const struct schema *child = node->kind == NODE_MAP ? schema_child(schema, entry->key) : schema->items;
        if (is_left_out(schema, entry))
            continue;
        json_t *value = model_from_node(child ? child : &schema_anything, entry->value);
        int failed =
            node->kind == NODE_MAP ? json_object_set_new(json, entry->key, value) : json_array_append_new(json, value);
        if (failed) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* Sets what is not there to null, or to an empty object. */
static bool add_always(json_t *object, const char *key, bool null)
{
    if (json_object_get(object, key))
        return true;
    return json_object_set_new(object, key, null ? json_null() : json_object()) == 0;
}

/* The reference prints some attributes whether or not they are there. */
static bool add_usual(json_t *model)
{
    json_t *services = json_object_get(model, "services"), *networks = json_object_get(model, "networks"), *value;
    const char *key;
    bool ok = services || json_object_set_new(model, "services", json_object()) == 0;

    json_object_foreach(services, key, value)
    {
        json_t *deploy = json_object_get(value, "deploy");
        ok = ok && add_always(value, "command", true) && add_always(value, "entrypoint", true);
        if (deploy)
            ok = ok && add_always(deploy, "resources", false) && add_always(deploy, "placement", false);
    }
    json_object_foreach(networks, key, value) if (json_is_object(value)) ok = ok && add_always(value, "ipam", false);
    return ok;
}

json_t *model_from_project(const struct node *project)
{
    json_t *model = model_from_node(&schema_root, project);

    if (model && !add_usual(model)) {
        json_decref(model);
        return NULL;
    }
    return model;
}
