/* SPDX-License-Identifier: MIT
 *
 * For the targets that read one small text of a compose file: the text and what the loader's steps need.
 */
#ifndef DARUMA_FUZZ_TEXT_H
#define DARUMA_FUZZ_TEXT_H

#include "compose/interpolate.h"
#include "compose/load.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct fuzz {
    const char *text;
    struct pool *pool;
    struct problems *problems;
    struct loading *load;
    struct interpolation with;
};

static const struct place fuzz_place = { .file = "text", .line = 1, .column = 1 };

/* What the target does with the text; aborts when a property does not hold. */
static void fuzz_text(struct fuzz *fuzz);

static const char *fuzz_look_up(void *data, const char *name)
{
    return strcmp(name, "A") == 0 ? "value" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems = { 0 };
    jmp_buf failure;
    struct pool pool = { .limit = 64 << 20, .failure = &failure };

    if (setjmp(failure) == 0) {
        struct node *nothing = node_new(&pool, NODE_MAP, fuzz_place);
        struct place at;
        struct loading load = { .pool = &pool,
                                .problems = &problems,
                                .environment = nothing,
                                .missed = nothing,
                                .base_dir = "/base",
                                .at = &at };
        struct fuzz fuzz = { .text = pool_strndup(&pool, (const char *)data, size),
                             .pool = &pool,
                             .problems = &problems,
                             .load = &load,
                             .with = { .pool = &pool, .problems = &problems, .lookup = fuzz_look_up } };
        fuzz_text(&fuzz);
    }
    pool_free(&pool);
    problems_free(&problems);
    return 0;
}

/* The text is a scalar of a list of one. */
static inline struct node *fuzz_list(struct fuzz *fuzz)
{
    struct node *list = node_new(fuzz->pool, NODE_LIST, fuzz_place);
    node_append(fuzz->pool, list, node_string(fuzz->pool, fuzz_place, fuzz->text));
    return list;
}

static inline void fuzz_must(bool holds)
{
    if (!holds)
        abort();
}

#endif
