/* SPDX-License-Identifier: MIT
 *
 * The monitor's cookie jar: every line of the input is a Set-Cookie value. Whatever comes, the jar stays a string within
 * its size, without separators at its ends.
 */
#include "watch/jar.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct watch_jar *jar)
{
    size_t len = strnlen(jar->line, sizeof(jar->line));

    if (len == sizeof(jar->line))
        abort();
    if (len > 0 && (jar->line[0] == ';' || jar->line[len - 1] == ';' || jar->line[len - 1] == ' '))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct watch_jar jar = { 0 };
    const char *at = (const char *)data, *end = at + size;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t len = line_end ? (size_t)(line_end - at) : (size_t)(end - at);
        /* A block of its own size, so that a byte read too many is seen. A field value has no NUL: http1 refuses it. */
        char *value = malloc(len + 1);
        if (!value || memchr(at, '\0', len)) {
            free(value);
            return 0;
        }
        memcpy(value, at, len);
        char *exact = realloc(value, len ? len : 1);
        watch_jar_set(&jar, exact, len);
        check(&jar);
        free(exact);
        at += len + 1;
    }
    return 0;
}
