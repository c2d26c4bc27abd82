/* SPDX-License-Identifier: MIT
 *
 * A growing byte buffer. Always NUL-terminated once something was added, so `data` may be read as a string.
 * Not for the path of a request: the gateway has its own fixed blocks.
 */
#ifndef DARUMA_BASE_BUF_H
#define DARUMA_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while empty and never grown */
    size_t len;
    size_t cap;
    bool failed; /* an allocation failed; later appends do nothing. Check it once, at the end */
};

/* Releases the memory; the buffer may be used again. Accepts NULL and zeroed buffers. */
void buf_free(struct buf *buf);
#define CLEANUP_BUF __attribute__((cleanup(buf_free)))

/* Makes room for `more` bytes behind `len` (and the NUL). 0 or -ENOMEM. */
int buf_reserve(struct buf *buf, size_t more);

/* Append. Errors are remembered in `failed`. */
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Drops the first `len` bytes (at most all). */
void buf_consume(struct buf *buf, size_t len);

/* The text, owned by the caller (free()); the buffer is empty afterwards. NULL when out of memory. "" when empty. */
char *buf_take(struct buf *buf);

#endif
