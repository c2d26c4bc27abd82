/* SPDX-License-Identifier: MIT
 *
 * Every attribute of the Compose specification, once: what it is called, what it may hold, how a value is written and
 * merged, and which runtime honours it. The loader's steps consult this table and no scattered strings; a unit test
 * holds it against the specification's JSON schema where that is at hand.
 */
#ifndef DARUMA_COMPOSE_SCHEMA_H
#define DARUMA_COMPOSE_SCHEMA_H

#include "compose/node.h"
#include "compose/spec.h"

struct loading; /* load.h */

/* What a scalar means: how a string is cast to it, and how it is printed. */
enum format {
    FORMAT_ANY,      /* as it is */
    FORMAT_STRING,   /* numbers and booleans become text */
    FORMAT_BOOL,     /* "true", "yes" … */
    FORMAT_INT,      /* an integer */
    FORMAT_FLOAT,    /* a number */
    FORMAT_BYTES,    /* "64m"; printed as a string of the number of bytes */
    FORMAT_DURATION, /* "1m30s" */
    FORMAT_MODE,     /* file permissions, octal; printed as "0440" */
    FORMAT_PATH,     /* a path, relative to the project's directory; made absolute */
};

/* What a later file does to the value of an earlier one. */
enum merge {
    MERGE_DEFAULT, /* mappings key by key, lists one behind the other, scalars replaced */
    MERGE_REPLACE, /* the later one counts */
    MERGE_DRIVER,  /* MAP: the later one counts when it names another `driver`, else key by key */
    MERGE_ITEMS,   /* LIST: items with the same identity are merged themselves, not replaced */
};

/* Which keys a mapping takes besides those with a name of their own. */
enum key_rule {
    KEYS_ANY,
    KEYS_NAME,  /* [a-zA-Z0-9._-]+ */
    KEYS_LOWER, /* [a-z]+ */
};

struct schema {
    unsigned kinds;                 /* enum node_kind, or'ed: what may stand here */
    enum format format;             /* of a scalar */
    const struct attribute *fields; /* MAP: the known keys, ended by one without a name; NULL: none */
    const struct schema *others;    /* MAP: what stands behind any other key; NULL: there are no others */
    enum key_rule keys;             /* MAP: how those other keys look */
    bool extensible;                /* MAP: also takes x-… */
    const struct schema *items;     /* LIST: what each item is; NULL: anything */
    bool unique;                    /* LIST: no item twice; with `identity` a double is taken as one */
    const char *const *words;       /* STRING: one of these, ended by NULL; NULL: any */
    const char *const *required;    /* MAP: keys that may not be missing, ended by NULL */
    int64_t min, max;               /* INT; both 0: any */
    bool keep_zero;                 /* printed also when it is 0, false or empty */
    bool omit_true;                 /* printed only when it is false, for it usually is not */
    enum merge merge;
    /* Short form → long form, before merging; NULL: as it is. Returns the node to put in place. */
    struct node *(*canonical)(struct loading *load, struct node *node);
    /* The value as it is printed, where that is another form; NULL: as it is. */
    json_t *(*print)(const struct node *node);
    /* LIST: what makes two items the same, so that the later one replaces the earlier; NULL: nothing does. */
    const char *(*identity)(struct pool *pool, const struct node *item);
};

/* Who does what an attribute says. Who does not is told as a warning, unless one of the last two forbids it. */
enum honour {
    HONOUR_PROCESS = 1 << 0,
    HONOUR_DOCKER = 1 << 1,
    HONOUR_QUIET = 1 << 2, /* who does not honour it loses nothing by that, or what refers to it is told */
    HONOUR_TRUE = 1 << 3,  /* `true` is what happens anyway */
};

struct attribute {
    const char *name;
    const struct schema *schema;
    unsigned honour;     /* enum honour; below what is not honoured nothing is */
    const char *meaning; /* for the table in docs/compose.md */
};

extern const struct schema schema_root;    /* a whole file */
extern const struct schema schema_service; /* one entry of `services` */

const struct attribute *schema_field(const struct schema *schema, const char *key);
/* What stands behind `key` of such a mapping; NULL: the key is unknown. `x-…` gives schema_anything. */
const struct schema *schema_child(const struct schema *schema, const char *key);
extern const struct schema schema_anything;

/*
 * Tells everything in the tree that the table does not allow: unknown keys (with the nearest known one), wrong types,
 * wrong words, doubles. What has a wrong type is emptied, or marked as taken away, so that the following steps find only
 * what the table allows and can tell what else is wrong; what lost something by that is marked as faulty. `path` is the tree's own name in messages ("services.web"), ""
 * for a whole file.
 */
void schema_validate(struct pool *pool, struct problems *problems, const struct schema *schema, struct node *node,
                     const char *path);

/* Tells required keys that are missing, and marks what lacks them as faulty; asked after all files were merged. */
void schema_require(struct pool *pool, struct problems *problems, const struct schema *schema, struct node *node,
                    const char *path);

/* The nearest key of a map (may be NULL); NULL also when nobody will read it. */
const char *schema_nearest_key(const struct problems *problems, const struct node *map, const char *word);

/* All attributes, what they mean and who honours them, as a table in Markdown; appended to `out`. */
void schema_print_table(struct buf *out);

#endif
