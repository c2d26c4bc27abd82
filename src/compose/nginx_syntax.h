/* SPDX-License-Identifier: MIT
 *
 * The syntax of nginx's configuration: words, quotes, escapes, comments and blocks → a tree of directives that know their
 * places. What a directive means is told in nginx_gateway.h. Inside of compose/ only.
 *
 *     name word "quoted; word" 'another' ${variable};      # a comment
 *     name word { name word; }
 *
 * As nginx reads it: a word ends at a space, `;` or `{`; quotes and comments count only where a word begins; `\"`, `\'`, `\\`,
 * `\t`, `\r` and `\n` stand for one character, any other backslash for itself.
 */
#ifndef DARUMA_COMPOSE_NGINX_SYNTAX_H
#define DARUMA_COMPOSE_NGINX_SYNTAX_H

#include "compose/pool.h"
#include "compose/problem.h"

#include <stdbool.h>
#include <stddef.h>

struct nginx_word {
    const char *text;
    struct place place;
};

struct nginx_directive {
    struct nginx_word *words; /* [0] is its name */
    size_t len;
    struct place place;
    bool has_block;
    struct nginx_directive *first; /* of its block */
    struct nginx_directive *next;
};

/* Who reads the files that `include` names. */
struct nginx_reader {
    struct pool *pool;
    struct problems *problems;
    /* The paths that a pattern means, in order; told at `place` when one that is no pattern is not there. Returns how many. */
    size_t (*find)(void *data, struct place place, const char *pattern, const char *const **ret_paths);
    /* The whole file; NULL: told at `place`. */
    const char *(*read)(void *data, struct place place, const char *path, size_t *ret_len);
    /* How it came in, for messages: "included at nginx.conf:3:5". */
    const char *(*note)(void *data, struct place place);
    void *data;
    int depth; /* of includes, the present one */
    int files; /* that came in by them */
};

/*
 * The directives of a file, with those of the files that it includes in their place. What is malformed is told; then
 * NULL is returned, as it is for an empty file. Keeps `file` and `text`, which ends with a NUL that does not count.
 */
struct nginx_directive *nginx_parse(struct nginx_reader *reader, const char *file, const char *note, const char *text,
                                    size_t len);

#endif
