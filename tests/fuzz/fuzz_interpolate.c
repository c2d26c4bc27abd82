/* SPDX-License-Identifier: MIT
 *
 * Any text as a string with variables, as an env file, and as the small values of a compose file.
 */
#include "compose/envfile.h"
#include "compose/interpolate.h"
#include "compose/value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *look_up(void *data, const char *name)
{
    return strcmp(name, "A") == 0 ? "value" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void read_values(struct pool *pool, const char *text)
{
    int64_t number;
    bool truth, old;

    if (value_duration(text, &number) == 0) {
        int64_t again;
        if (value_duration(value_format_duration(pool, number), &again) < 0 || again != number)
            abort();
    }
    (void)value_bytes(text, &number);
    (void)value_int(text, &number);
    (void)value_bool(text, &truth, &old);
    (void)value_signal(text);
    (void)value_split(pool, (struct place){ 0 }, text, node_new(pool, NODE_LIST, (struct place){ 0 }));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems = { 0 };
    jmp_buf failure;
    struct pool pool = { .limit = 64 << 20, .failure = &failure };

    if (setjmp(failure) == 0) {
        struct place place = { "text", 1, 1 };
        struct interpolation with = { &pool, &problems, look_up, NULL, node_new(&pool, NODE_MAP, place) };
        const char *text = pool_strndup(&pool, (const char *)data, size);
        const char *result = interpolate_text(&with, place, text);
        if (!strchr(text, '$') && result != text)
            abort();
        (void)envfile_parse(&with, "text", text, false, node_new(&pool, NODE_MAP, place));
        (void)envfile_parse(&with, "text", text, true, node_new(&pool, NODE_MAP, place));
        read_values(&pool, text);
    }
    pool_free(&pool);
    problems_free(&problems);
    return 0;
}
