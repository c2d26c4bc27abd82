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

json_t *model_from_node(const struct schema *schema, const struct node *node)
{
    json_t *json = node->kind == NODE_MAP ? json_object() : node->kind == NODE_LIST ? json_array() : NULL;

    if (!json)
        return node->kind & NODE_SCALAR ? scalar(schema->format, node) : NULL;
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        const struct schema *child = node->kind == NODE_MAP ? schema_child(schema, entry->key) : schema->items;
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
