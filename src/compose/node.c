/* SPDX-License-Identifier: MIT */
#include "compose/node.h"

#include "base/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node *node_new(struct pool *pool, enum node_kind kind, struct place place)
{
    struct node *node = POOL_NEW(pool, struct node);
    node->kind = kind;
    node->place = place;
    return node;
}

struct node *node_string(struct pool *pool, struct place place, const char *text)
{
    struct node *node = node_new(pool, NODE_STRING, place);
    node->u.string = text;
    return node;
}

struct node *node_int(struct pool *pool, struct place place, int64_t value)
{
    struct node *node = node_new(pool, NODE_INT, place);
    node->u.integer = value;
    return node;
}

struct node *node_bool(struct pool *pool, struct place place, bool value)
{
    struct node *node = node_new(pool, NODE_BOOL, place);
    node->u.boolean = value;
    return node;
}

/* A map of more keys than this has an index, so that a large file does not cost the square of its size. */
enum { INDEX_FROM = 16 };

static void index_entry(struct node *map, size_t position)
{
    uint32_t slot = map->entries[position].hash & map->index_mask;

    while (map->index[slot])
        slot = (slot + 1) & map->index_mask;
    map->index[slot] = (uint32_t)position + 1;
}

static void build_index(struct pool *pool, struct node *map)
{
    uint32_t slots = 4 * INDEX_FROM;

    while (slots < 4 * map->len)
        slots *= 2;
    map->index = POOL_ARRAY(pool, uint32_t, slots);
    map->index_mask = slots - 1;
    for (size_t i = 0; i < map->len; i++)
        index_entry(map, i);
}

struct node *node_copy(struct pool *pool, const struct node *node)
{
    struct node *copy = POOL_NEW(pool, struct node);
    *copy = *node;
    copy->cap = node->len;
    copy->entries = NULL;
    copy->index = NULL;
    if (node->len > 0) {
        copy->entries = POOL_ARRAY(pool, struct entry, node->len);
        for (size_t i = 0; i < node->len; i++) {
            copy->entries[i] = node->entries[i];
            copy->entries[i].value = node_copy(pool, node->entries[i].value);
        }
    }
    if (node->index)
        build_index(pool, copy);
    return copy;
}

/* Spares the string comparison for nearly every key that is not meant. */
static uint32_t hash_of(const char *key)
{
    return (uint32_t)hash_text(key);
}

struct entry *node_entry(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    uint32_t hash = hash_of(key);
    if (map->index) {
        for (uint32_t slot = hash & map->index_mask; map->index[slot]; slot = (slot + 1) & map->index_mask) {
            struct entry *entry = &map->entries[map->index[slot] - 1];
            if (entry->hash == hash && strcmp(entry->key, key) == 0)
                return entry;
        }
        return NULL;
    }
    for (size_t i = 0; i < map->len; i++)
        if (map->entries[i].hash == hash && strcmp(map->entries[i].key, key) == 0)
            return &map->entries[i];
    return NULL;
}

struct node *node_get(const struct node *map, const char *key)
{
    const struct entry *entry = node_entry(map, key);
    return entry ? entry->value : NULL;
}

struct node *node_at(const struct node *list, size_t index)
{
    return list->entries[index].value;
}

static struct entry *add_entry(struct pool *pool, struct node *node)
{
    if (node->len == node->cap) {
        size_t cap = node->cap ? node->cap * 2 : 4;
        struct entry *entries = POOL_ARRAY(pool, struct entry, cap);
        if (node->len > 0)
            memcpy(entries, node->entries, node->len * sizeof(*entries));
        node->entries = entries;
        node->cap = cap;
    }
    return &node->entries[node->len++];
}

struct entry *node_set(struct pool *pool, struct node *map, const char *key, struct place place, struct node *value)
{
    struct entry *entry = node_entry(map, key);
    bool is_new = !entry;

    if (is_new)
        entry = add_entry(pool, map);
    *entry = (struct entry){ .key = key, .hash = hash_of(key), .place = place, .value = value };
    if (is_new && map->index && map->len <= map->index_mask / 2)
        index_entry(map, map->len - 1);
    else if (is_new && map->len > INDEX_FROM)
        build_index(pool, map);
    return entry;
}

void node_append(struct pool *pool, struct node *list, struct node *value)
{
    *add_entry(pool, list) = (struct entry){ .place = value->place, .value = value };
}

void node_remove_at(struct node *node, size_t index)
{
    node->len--;
    node->index = NULL;
    memmove(&node->entries[index], &node->entries[index + 1], (node->len - index) * sizeof(node->entries[0]));
}

void node_remove(struct node *map, const char *key)
{
    const struct entry *entry = node_entry(map, key);
    if (entry)
        node_remove_at(map, (size_t)(entry - map->entries));
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

void node_sort(struct node *map)
{
    if (map->len > 1)
        qsort(map->entries, map->len, sizeof(map->entries[0]), compare_keys);
    if (!map->index)
        return;
    memset(map->index, 0, ((size_t)map->index_mask + 1) * sizeof(map->index[0]));
    for (size_t i = 0; i < map->len; i++)
        index_entry(map, i);
}

bool node_is(const struct node *node, unsigned kinds)
{
    return node && (node->kind & kinds);
}

const char *node_str(const struct node *node)
{
    return node_is(node, NODE_STRING) ? node->u.string : NULL;
}

const char *node_format_float(struct pool *pool, double number)
{
    char text[40];

    if (isnan(number))
        return "NaN";
    if (isinf(number))
        return number > 0 ? "+Inf" : "-Inf";
    for (int precision = 1; precision <= 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision - 1, number);
        if (strtod(text, NULL) == number)
            break;
    }
    /* Go's %v writes an exponent only below 1e-4 and from 1e21 on. */
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 21)
        return pool_strdup(pool, text);
    long digits = (strchr(text, 'e') - text) - (text[0] == '-') - (strchr(text, '.') != NULL);
    long decimals = digits - 1 - exponent;
    return pool_printf(pool, "%.*f", (int)(decimals > 0 ? decimals : 0), number);
}

const char *node_text(struct pool *pool, const struct node *scalar)
{
    switch (scalar->kind) {
    case NODE_BOOL:
        return scalar->u.boolean ? "true" : "false";
    case NODE_INT:
        return pool_printf(pool, "%" PRId64, scalar->u.integer);
    case NODE_FLOAT:
        return scalar->literal ? scalar->literal : node_format_float(pool, scalar->u.number);
    case NODE_STRING:
        return scalar->u.string;
    default:
        return "";
    }
}

bool node_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind || a->len != b->len)
        return false;
    switch (a->kind) {
    case NODE_NULL:
        return true;
    case NODE_BOOL:
        return a->u.boolean == b->u.boolean;
    case NODE_INT:
        return a->u.integer == b->u.integer;
    case NODE_FLOAT:
        return a->u.number == b->u.number;
    case NODE_STRING:
        return strcmp(a->u.string, b->u.string) == 0;
    case NODE_LIST:
        for (size_t i = 0; i < a->len; i++)
            if (!node_equal(node_at(a, i), node_at(b, i)))
                return false;
        return true;
    case NODE_MAP:
        for (size_t i = 0; i < a->len; i++) {
            const struct node *other = node_get(b, a->entries[i].key);
            if (!other || !node_equal(a->entries[i].value, other))
                return false;
        }
        return true;
    }
    return false;
}

const char *node_kind_name(enum node_kind kind)
{
    switch (kind) {
    case NODE_NULL:
        return "null";
    case NODE_BOOL:
        return "a boolean";
    case NODE_INT:
        return "an integer";
    case NODE_FLOAT:
        return "a number";
    case NODE_STRING:
        return "a string";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a mapping";
    }
    return "?";
}
