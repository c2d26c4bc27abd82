/* SPDX-License-Identifier: MIT
 *
 * Owning locals: a variable that carries one of these attributes releases what it holds when it leaves its scope.
 * Handing ownership over is visible: `return TAKE_PTR(name);`.
 */
#ifndef DARUMA_BASE_CLEANUP_H
#define DARUMA_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_fn(void *pointer)
{
    int saved = errno;
    free(*(void **)pointer);
    errno = saved;
}

static inline void cleanup_close_fn(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    errno = saved;
}

static inline void cleanup_file_fn(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

#define CLEANUP_FREE  __attribute__((cleanup(cleanup_free_fn)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_fn)))
#define CLEANUP_FILE  __attribute__((cleanup(cleanup_file_fn)))

/* The value of the owning local, which afterwards owns nothing. */
#define TAKE_PTR(name)                                                                                                 \
    __extension__({                                                                                                    \
        __typeof__(name) taken_ = (name);                                                                              \
        (name) = NULL;                                                                                                 \
        taken_;                                                                                                        \
    })
#define TAKE_FD(name)                                                                                                  \
    __extension__({                                                                                                    \
        int taken_ = (name);                                                                                           \
        (name) = -1;                                                                                                   \
        taken_;                                                                                                        \
    })

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
