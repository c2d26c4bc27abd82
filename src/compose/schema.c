/* SPDX-License-Identifier: MIT */
#include "compose/schema.h"

#include "base/cleanup.h"
#include "base/nearest.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

const struct attribute *schema_field(const struct schema *schema, const char *key)
{
    for (const struct attribute *field = schema->fields; field && field->name; field++)
        if (field->name[0] == key[0] && strcmp(field->name + 1, key + 1) == 0)
            return field;
    return NULL;
}

static bool key_fits(enum key_rule rule, const char *key)
{
    for (const char *p = key; *p; p++)
        if ((rule == KEYS_NAME && !isalnum((unsigned char)*p) && !strchr("._-", *p)) ||
            (rule == KEYS_LOWER && !islower((unsigned char)*p)))
            return false;
    return *key != '\0' || rule == KEYS_ANY;
}

const struct schema *schema_child(const struct schema *schema, const char *key)
{
    const struct attribute *field = schema_field(schema, key);

    if (field)
        return field->schema;
    if (schema->extensible && strncmp(key, "x-", 2) == 0)
        return &schema_anything;
    return schema->others && key_fits(schema->keys, key) ? schema->others : NULL;
}

/* --- The nearest name --- */

static const char *nearest_field(const struct schema *schema, const char *word)
{
    const char *best = NULL;
    for (const struct attribute *field = schema->fields; field && field->name; field++)
        best = nearest_name(word, best, field->name);
    return best;
}

const char *schema_nearest_key(const struct problems *problems, const struct node *map, const char *word)
{
    const char *best = NULL;

    for (size_t i = 0; !problems_full(problems) && node_is(map, NODE_MAP) && i < map->len; i++)
        best = nearest_name(word, best, map->entries[i].key);
    return best;
}

/* --- Validation --- */

struct check {
    struct pool *pool;
    struct problems *problems;
};

/* Where the check is in the tree; text only when there is something to tell. */
struct path {
    const struct path *outer; /* NULL: this is the tree's own name, in `key` */
    const char *key;          /* NULL: the item `index` of a list */
    size_t index;
    const struct schema *list; /* of an item: what the list is */
};

static const char *path_text(struct check *check, const struct path *path)
{
    if (!path->outer)
        return path->key;
    const char *outer = path_text(check, path->outer);
    if (!path->key)
        return pool_printf(check->pool, "%s[%zu]", outer, path->index);
    return *outer ? pool_printf(check->pool, "%s.%s", outer, path->key) : path->key;
}

/* "a string, a list or null" */
static const char *kinds_text(struct check *check, unsigned kinds)
{
    static const enum node_kind order[] = {
        NODE_STRING, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_LIST, NODE_MAP, NODE_NULL
    };
    struct text text = { .pool = check->pool };

    if (kinds & NODE_FLOAT) /* "a number" says both */
        kinds &= ~(unsigned)NODE_INT;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (!(kinds & order[i]))
            continue;
        kinds &= ~(unsigned)order[i];
        if (text.len > 0)
            text_puts(&text, kinds ? ", " : " or ");
        text_puts(&text, node_kind_name(order[i]));
    }
    return text_str(&text);
}

/* A scalar that can be shown inside of a hint. */
static const char *short_text(struct check *check, const struct node *node)
{
    const char *text = node->kind & (NODE_SCALAR & ~NODE_NULL) ? node_text(check->pool, node) : "";
    size_t len = strcspn(text, "\n\"\\");

    return len > 0 && len < 40 && !text[len] ? text : NULL;
}

/* How to mend a value of the wrong type; "" when the types say it. */
static const char *mend(struct check *check, const struct schema *schema, const struct node *node,
                        const struct path *path)
{
    const char *text = short_text(check, node);

    if (text && text[0] == '-' && schema->kinds & NODE_LIST)
        return "; an item of a list is written with a blank behind its dash";
    if (text && node->kind == NODE_STRING && schema == &schema_service && !schema_field(schema, path->key))
        return pool_printf(check->pool, "; write {image: \"%s\"}", text);
    if (text && node->kind == NODE_STRING && schema->required && !schema->required[1] && !(schema->kinds & NODE_LIST))
        return pool_printf(check->pool, "; write {%s: %s}", schema->required[0], text);
    if (node->kind == NODE_NULL && schema->kinds & NODE_MAP)
        return "; nothing stands below it: is what follows indented far enough?";
    if (schema == &schema_service && path->key && schema_field(schema, path->key))
        return pool_printf(check->pool, "; `%s` belongs to a service: indent it below one", path->key);
    if (text && schema->format == FORMAT_DURATION)
        return pool_printf(check->pool, "; write it with its unit, like %ss", text);
    if (schema->format == FORMAT_BOOL)
        return "; write true or false";
    if (schema->format == FORMAT_INT)
        return "; write a whole number";
    if (text && schema->kinds & NODE_STRING)
        return pool_printf(check->pool, "; write \"%s\"", text);
    if (text && schema->kinds & NODE_LIST)
        return pool_printf(check->pool, node->kind == NODE_STRING ? "; write [\"%s\"]" : "; write [%s]", text);
    if (node->kind == NODE_LIST && schema->kinds == NODE_MAP && schema->others)
        return "; write names with a colon behind them in place of dashes";
    /* `- A: 1` in a list of `A=1`. */
    const char *value = node->kind == NODE_MAP && node->len == 1 ? short_text(check, node->entries[0].value) : NULL;
    if (value && path->list && path->list->kinds & NODE_MAP)
        return pool_printf(check->pool, "; write `%s=%s`, or leave all dashes away", node->entries[0].key, value);
    return "";
}

static void check_word(struct check *check, const struct schema *schema, const struct node *node,
                       const struct path *path)
{
    struct text known = { .pool = check->pool };

    for (const char *const *word = schema->words; *word; word++) {
        if (strcmp(*word, node->u.string) == 0)
            return;
        text_puts(&known, known.len > 0 ? ", " : "");
        text_puts(&known, *word);
    }
    problem_error(check->problems, node->place, "%s cannot be `%s`; it is one of: %s", path_text(check, path),
                  node->u.string, text_str(&known));
}

static bool check_node(struct check *check, const struct schema *schema, struct node *node, const struct path *path);

/* Below which of its keys, up to `depth` of them, an attribute of that name stands: "deploy.resources"; NULL: none. */
static const char *owner_of(struct check *check, const struct schema *schema, const char *name, int depth)
{
    const char *inner = NULL;

    for (const struct attribute *field = schema->fields; field && field->name; field++)
        if (schema_field(field->schema, name))
            return field->name;
    for (const struct attribute *field = schema->fields; depth > 1 && !inner && field && field->name; field++) {
        inner = owner_of(check, field->schema, name, depth - 1);
        inner = inner ? pool_printf(check->pool, "%s.%s", field->name, inner) : NULL;
    }
    return inner;
}

/* How to mend it; "" when nothing is known. */
static const char *mend_unknown(struct check *check, const struct schema *schema, const struct entry *entry)
{
    const char *near = nearest_field(schema, entry->key), *owner;

    if (near)
        return pool_printf(check->pool, "; did you mean `%s`?", near);
    if (schema == &schema_root && schema_field(&schema_service, entry->key))
        return "; it belongs to a service: indent it below one";
    if (schema == &schema_root && entry->value->kind == NODE_MAP)
        return "; a service stands below `services:`";
    owner = owner_of(check, schema, entry->key, 3);
    return owner ? pool_printf(check->pool, "; it stands below `%s`", owner) : "";
}

static void tell_unknown(struct check *check, const struct schema *schema, const struct entry *entry,
                         const struct path *path)
{
    const char *where = path_text(check, path);

    if (schema->others)
        problem_error(check->problems, entry->place, "`%s` is no name that may stand in %s; use %s", entry->key, where,
                      schema->keys == KEYS_LOWER ? "lower-case letters" : "letters, digits, . _ -");
    else
        problem_error(check->problems, entry->place, "unknown attribute `%s`%s%s%s", entry->key, *where ? " in " : "",
                      where, problems_full(check->problems) ? "" : mend_unknown(check, schema, entry));
}

/* What nobody knows is taken out. */
static void check_map(struct check *check, const struct schema *schema, struct node *map, const struct path *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < map->len; i++) {
        struct entry entry = map->entries[i];
        const struct schema *child = schema_child(schema, entry.key);
        if (!child)
            tell_unknown(check, schema, &entry, path);
        if (!child || !check_node(check, child, entry.value, &(struct path){ path, entry.key, 0, NULL }))
            map->faulty = true;
        if (child)
            map->entries[kept++] = entry;
    }
    if (kept < map->len)
        map->index = NULL;
    map->len = kept;
}

static void check_list(struct check *check, const struct schema *schema, struct node *list, const struct path *path)
{
    for (size_t i = 0; i < list->len; i++) {
        struct node *item = node_at(list, i);
        if (schema->items && !check_node(check, schema->items, item, &(struct path){ path, NULL, i, schema }))
            list->faulty = true;
        for (size_t j = 0; schema->unique && !schema->identity && list->len <= 1000 && j < i; j++)
            if (node_equal(node_at(list, j), item)) {
                problem_error(check->problems, item->place, "%s has this entry twice, first in line %d; remove one",
                              path_text(check, path), node_at(list, j)->place.line);
                break;
            }
    }
}

/* Nothing that later steps could trip over. */
static void make_harmless(const struct schema *schema, struct node *node)
{
    struct place place = node->place;
    bool is_map = schema->kinds & NODE_MAP;

    *node = (struct node){ .kind = is_map ? NODE_MAP : NODE_LIST, .faulty = true, .place = place };
    if (!(schema->kinds & (NODE_MAP | NODE_LIST)))
        *node = (struct node){ .kind = NODE_NULL, .tag = NODE_RESET, .place = place };
}

/* False: it is not there any more. */
static bool check_node(struct check *check, const struct schema *schema, struct node *node, const struct path *path)
{
    if (node->tag == NODE_RESET || schema == &schema_anything)
        return true;
    if (!(node->kind & schema->kinds)) {
        const char *where = path_text(check, path);
        problem_error(check->problems, node->place, "%s must be %s, not %s%s", *where ? where : "a compose file",
                      kinds_text(check, schema->kinds), node_kind_name(node->kind), mend(check, schema, node, path));
        make_harmless(schema, node);
        return node->tag != NODE_RESET;
    }
    if (node->kind == NODE_STRING && schema->words)
        check_word(check, schema, node, path);
    if (node->kind == NODE_INT && schema->min != schema->max &&
        (node->u.integer < schema->min || node->u.integer > schema->max))
        problem_error(check->problems, node->place,
                      "%s cannot be %" PRId64 "; it lies between %" PRId64 " and %" PRId64, path_text(check, path),
                      node->u.integer, schema->min, schema->max);
    if (node->kind == NODE_MAP)
        check_map(check, schema, node, path);
    if (node->kind == NODE_LIST)
        check_list(check, schema, node, path);
    return true;
}

void schema_validate(struct pool *pool, struct problems *problems, const struct schema *schema, struct node *node,
                     const char *path)
{
    struct check check = { pool, problems };
    (void)check_node(&check, schema, node, &(struct path){ .key = path });
}

static void require(struct check *check, const struct schema *schema, struct node *node, const struct path *path)
{
    bool complete = true;

    if (schema == &schema_anything || !(node->kind & (NODE_MAP | NODE_LIST)))
        return;
    for (const char *const *key = schema->required; node->kind == NODE_MAP && key && *key; key++) {
        if (node_get(node, *key))
            continue;
        complete = false;
        if (!node->faulty)
            problem_error(check->problems, node->place, "%s needs `%s`", path_text(check, path), *key);
    }
    node->faulty = node->faulty || !complete;
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        const struct schema *child = node->kind == NODE_MAP ? schema_child(schema, entry->key) : schema->items;
        if (child)
            require(check, child, entry->value, &(struct path){ path, entry->key, i, NULL });
    }
}

void schema_require(struct pool *pool, struct problems *problems, const struct schema *schema, struct node *node,
                    const char *path)
{
    struct check check = { pool, problems };
    require(&check, schema, node, &(struct path){ .key = path });
}
