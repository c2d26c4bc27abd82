/* SPDX-License-Identifier: MIT
 *
 * The loader's memory: thousands of small pieces that live and die together with the spec. Nothing is freed singly.
 *
 * Allocation never returns NULL. When there is no memory, or more than `limit` was asked for (a hostile file), it
 * jumps back to `failure`, which compose_load() sets and which frees the pool. So whoever allocates here holds no
 * other resource meanwhile: no open file, no malloc()ed block.
 */
#ifndef DARUMA_COMPOSE_POOL_H
#define DARUMA_COMPOSE_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

struct pool_chunk;

struct pool {
    struct pool_chunk *chunks;
    size_t total, limit; /* bytes taken from the system; how many it may become */
    jmp_buf *failure;    /* where to go when there is no memory */
};

/* Zeroed memory, aligned for anything. */
void *pool_alloc(struct pool *pool, size_t size);
#define POOL_NEW(pool, type)          ((type *)pool_alloc((pool), sizeof(type)))
#define POOL_ARRAY(pool, type, count) ((type *)pool_array((pool), (count), sizeof(type)))
void *pool_array(struct pool *pool, size_t count, size_t size);

char *pool_strdup(struct pool *pool, const char *text);
char *pool_strndup(struct pool *pool, const char *text, size_t len);
char *pool_printf(struct pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));

void pool_free(struct pool *pool);

/* A string that grows inside the pool. */
struct text {
    struct pool *pool;
    char *data; /* NUL-terminated once something was added; NULL before */
    size_t len, cap;
};
void text_add(struct text *text, const char *data, size_t len);
void text_puts(struct text *text, const char *data);
void text_putc(struct text *text, char c);
/* What was put together, "" when nothing was. */
const char *text_str(const struct text *text);

#endif
