/* SPDX-License-Identifier: MIT */
#include "compose/merge.h"

#include <string.h>

static struct node *merge_maps(struct loading *load, const struct schema *schema, struct node *base, struct node *over);

/* Of items with the same identity only the last stays, in the place of the first; or they become one. */
static void drop_doubles(struct loading *load, const struct schema *schema, struct node *list)
{
    if (list->len < 2)
        return;
    struct node *seen = node_new(load->pool, NODE_MAP, list->place); /* identity → its index in `kept` */
    struct node *kept = node_new(load->pool, NODE_LIST, list->place);

    for (size_t i = 0; i < list->len; i++) {
        struct node *item = node_at(list, i);
        const char *identity = schema->identity(load->pool, item);
        const struct node *before = identity ? node_get(seen, identity) : NULL;
        if (before) {
            struct node **there = &kept->entries[before->u.integer].value;
            bool merge = schema->merge == MERGE_ITEMS && (*there)->kind == NODE_MAP && item->kind == NODE_MAP;
            *there = merge ? merge_maps(load, schema->items, *there, item) : item;
            continue;
        }
        if (identity)
            node_set(load->pool, seen, identity, item->place, node_int(load->pool, item->place, (int64_t)kept->len));
        node_append(load->pool, kept, item);
    }
    list->entries = kept->entries;
    list->len = kept->len;
    list->cap = kept->cap;
}

static struct node *merge_maps(struct loading *load, const struct schema *schema, struct node *base, struct node *over)
{
    base->faulty = base->faulty || over->faulty;
    for (size_t i = 0; i < over->len; i++) {
        const struct entry *entry = &over->entries[i];
        const struct schema *child = schema_child(schema, entry->key);
        struct entry *before = node_entry(base, entry->key);
        if (entry->value->tag == NODE_RESET)
            node_remove(base, entry->key);
        else if (before)
            before->value = merge_nodes(load, child ? child : &schema_anything, before->value, entry->value);
        else
            node_set(load->pool, base, entry->key, entry->place, entry->value);
    }
    return base;
}

static bool is_other_driver(const struct node *base, const struct node *over)
{
    const char *before = node_str(node_get(base, "driver")), *after = node_str(node_get(over, "driver"));
    return before && after && strcmp(before, after) != 0;
}

struct node *merge_nodes(struct loading *load, const struct schema *schema, struct node *base, struct node *over)
{
    if (over->tag == NODE_OVERRIDE || schema->merge == MERGE_REPLACE)
        return over;
    if (over->kind == NODE_NULL)
        return base;
    if (base->kind != over->kind)
        return over;
    if (schema->merge == MERGE_DRIVER && is_other_driver(base, over))
        return over;
    if (over->kind == NODE_MAP)
        return merge_maps(load, schema, base, over);
    if (over->kind != NODE_LIST)
        return over;
    base->faulty = base->faulty || over->faulty;
    for (size_t i = 0; i < over->len; i++)
        if (node_at(over, i)->tag != NODE_RESET)
            node_append(load->pool, base, node_at(over, i));
    if (schema->identity)
        drop_doubles(load, schema, base);
    return base;
}

void merge_finish(struct loading *load, const struct schema *schema, struct node *node)
{
    for (size_t i = node->len; i-- > 0;) {
        struct entry *entry = &node->entries[i];
        const struct schema *child = node->kind == NODE_MAP ? schema_child(schema, entry->key) : schema->items;
        if (entry->value->tag == NODE_RESET)
            node_remove_at(node, i);
        else
            merge_finish(load, child ? child : &schema_anything, entry->value);
    }
    if (node->kind == NODE_LIST && schema->identity)
        drop_doubles(load, schema, node);
}
