/* SPDX-License-Identifier: MIT
 *
 * What a YAML file says, as a tree whose every node knows its place. All steps of the loader (interpolation, merging,
 * canonical forms, normalising) work on this tree, so that whatever is wrong can be told with file, line and column.
 */
#ifndef DARUMA_COMPOSE_NODE_H
#define DARUMA_COMPOSE_NODE_H

#include "compose/pool.h"
#include "compose/problem.h"

#include <stdbool.h>
#include <stdint.h>

enum node_kind {
    NODE_NULL = 1 << 0,
    NODE_BOOL = 1 << 1,
    NODE_INT = 1 << 2,
    NODE_FLOAT = 1 << 3,
    NODE_STRING = 1 << 4,
    NODE_LIST = 1 << 5,
    NODE_MAP = 1 << 6,
};
#define NODE_SCALAR (NODE_NULL | NODE_BOOL | NODE_INT | NODE_FLOAT | NODE_STRING)

/* `!reset` and `!override` of the Compose specification, for files that override others. */
enum node_tag { NODE_PLAIN, NODE_RESET, NODE_OVERRIDE };

struct node {
    enum node_kind kind;
    enum node_tag tag;
    bool faulty; /* something that stood right here was told to be wrong and left out: what is missing is no news */
    struct place place;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *string;
    } u;
    const char *literal;   /* FLOAT: an integer beyond int64_t, as it was written; else NULL */
    struct entry *entries; /* of a list or map */
    size_t len, cap;
    uint32_t *index; /* of a larger map: hash → position + 1, open addressing; NULL: none, entries are searched */
    uint32_t index_mask;
};

struct entry {
    const char *key;    /* NULL in a list */
    uint32_t hash;      /* of the key */
    struct place place; /* of the key; of the value in a list */
    struct node *value; /* never NULL */
};

struct node *node_new(struct pool *pool, enum node_kind kind, struct place place);
struct node *node_string(struct pool *pool, struct place place, const char *text); /* keeps `text` */
struct node *node_int(struct pool *pool, struct place place, int64_t value);
struct node *node_bool(struct pool *pool, struct place place, bool value);
/* A deep copy. */
struct node *node_copy(struct pool *pool, const struct node *node);

/* Of a map; NULL when `map` is NULL, no map, or has no such key. */
struct entry *node_entry(const struct node *map, const char *key);
struct node *node_get(const struct node *map, const char *key);
/* Of a list of at least that length. */
struct node *node_at(const struct node *list, size_t index);

/* Puts the value behind the key, replacing what was there; keeps `key`. */
struct entry *node_set(struct pool *pool, struct node *map, const char *key, struct place place, struct node *value);
void node_append(struct pool *pool, struct node *list, struct node *value);
void node_remove(struct node *map, const char *key);
void node_remove_at(struct node *node, size_t index);
/* Sorts a map by its keys (bytewise). */
void node_sort(struct node *map);

bool node_is(const struct node *node, unsigned kinds); /* false for NULL */
/* The string of a STRING node, else NULL. */
const char *node_str(const struct node *node);
/* A scalar as text, as it reaches a program's environment: 010 is "8", 1.0 is "1", true is "true", null is "". */
const char *node_text(struct pool *pool, const struct node *scalar);
/* Do two trees say the same? Maps without regard to order. */
bool node_equal(const struct node *a, const struct node *b);
/* "a mapping", "a string" … for messages. */
const char *node_kind_name(enum node_kind kind);

/* "%v" of Go for a double: the shortest text that reads back as the same number. */
const char *node_format_float(struct pool *pool, double number);

#endif
