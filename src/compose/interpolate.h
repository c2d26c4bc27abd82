/* SPDX-License-Identifier: MIT
 *
 * $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?message}, ${VAR?message}, ${VAR:+other}, ${VAR+other}, nested
 * in each other; $$ is a dollar sign. A dollar sign before anything else stays as it is.
 */
#ifndef DARUMA_COMPOSE_INTERPOLATE_H
#define DARUMA_COMPOSE_INTERPOLATE_H

#include "compose/node.h"

/* A name's value, or NULL when it is not set. */
typedef const char *(*interpolate_lookup)(void *data, const char *name);

struct text;

struct interpolation {
    struct pool *pool;
    struct problems *problems;
    interpolate_lookup lookup;
    void *data;
    /* Where a name's value came from, as text; NULL: that is of no interest. */
    const char *(*origin)(void *data, const char *name);
    struct node *missed; /* a map that remembers which names were already warned about; NULL: no warnings */
    struct text *uses;   /* collects where the values of the present text came from; interpolate_tree()'s own */
};

/* The text with its variables replaced; NULL when it is malformed or a required variable is missing (told). */
const char *interpolate_text(struct interpolation *with, struct place place, const char *text);

/* Replaces in every string below `node`; a malformed one is told and taken out of it. Keys stay. */
void interpolate_tree(struct interpolation *with, struct node *node);

/* The same for one entry of a map, if it is there. */
void interpolate_entry(struct interpolation *with, struct node *map, const char *key);

/* Adds what the tree's strings mention to the map `into`: NAME → {required: true, default: …, alternate: …}, each where
   it is said. Values do not matter, nor what is malformed. */
void interpolate_mentions(struct pool *pool, const struct node *node, struct node *into);

#endif
