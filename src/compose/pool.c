/* SPDX-License-Identifier: MIT */
#include "compose/pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 * 1024, ALIGN = alignof(max_align_t) };

struct pool_chunk {
    struct pool_chunk *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

static void *grow(struct pool *pool, size_t size)
{
    size_t room = size > CHUNK ? size : CHUNK;
    struct pool_chunk *chunk = NULL;

    if (room <= pool->limit && pool->total <= pool->limit - room)
        chunk = calloc(1, sizeof(*chunk) + room);
    if (!chunk)
        longjmp(*pool->failure, 1);
    pool->total += room;
    chunk->size = room;
    chunk->used = size;
    /* What is left of the present chunk is worth more than nothing behind one that is full from the start. */
    if (size > CHUNK && pool->chunks) {
        chunk->next = pool->chunks->next;
        pool->chunks->next = chunk;
    } else {
        chunk->next = pool->chunks;
        pool->chunks = chunk;
    }
    return chunk->data;
}

void *pool_alloc(struct pool *pool, size_t size)
{
    struct pool_chunk *chunk = pool->chunks;

    if (size > SIZE_MAX / 2)
        longjmp(*pool->failure, 1);
    size = (size + ALIGN - 1) & ~((size_t)ALIGN - 1);
    if (!chunk || chunk->size - chunk->used < size)
        return grow(pool, size);
    void *memory = chunk->data + chunk->used;
    chunk->used += size;
    return memory;
}

void *pool_array(struct pool *pool, size_t count, size_t size)
{
    if (count > SIZE_MAX / 2 / size)
        longjmp(*pool->failure, 1);
    return pool_alloc(pool, count * size);
}

char *pool_strndup(struct pool *pool, const char *text, size_t len)
{
    char *copy = pool_alloc(pool, len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *pool_strdup(struct pool *pool, const char *text)
{
    return pool_strndup(pool, text, strlen(text));
}

char *pool_printf(struct pool *pool, const char *format, ...)
{
    char usual[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(usual, sizeof(usual), format, args);
    va_end(args);
    if (len < 0)
        longjmp(*pool->failure, 1);
    if ((size_t)len < sizeof(usual))
        return pool_strndup(pool, usual, (size_t)len);

    char *text = pool_alloc(pool, (size_t)len + 1);
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

void pool_free(struct pool *pool)
{
    while (pool->chunks) {
        struct pool_chunk *chunk = pool->chunks;
        pool->chunks = chunk->next;
        free(chunk);
    }
    pool->total = 0;
}

void text_add(struct text *text, const char *data, size_t len)
{
    if (text->cap - text->len < len + 1) {
        size_t cap = (text->len + len + 1) * 2;
        char *bigger = pool_alloc(text->pool, cap);
        if (text->len > 0)
            memcpy(bigger, text->data, text->len);
        text->data = bigger;
        text->cap = cap;
    }
    if (len > 0)
        memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void text_puts(struct text *text, const char *data)
{
    text_add(text, data, strlen(data));
}

void text_putc(struct text *text, char c)
{
    text_add(text, &c, 1);
}

const char *text_str(const struct text *text)
{
    return text->data ? text->data : "";
}
