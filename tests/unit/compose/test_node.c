/* SPDX-License-Identifier: MIT
 *
 * Maps stay maps when they grow, shrink and are copied; floats are printed as Go prints them.
 */
#include "compose/node.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static jmp_buf failure; /* reached only where a story says so */

static struct node *numbered(struct pool *pool, int from, int to)
{
    struct node *map = node_new(pool, NODE_MAP, (struct place){ 0 });
    for (int i = from; i < to; i++)
        node_set(pool, map, pool_printf(pool, "key%d", i), (struct place){ 0 }, node_int(pool, (struct place){ 0 }, i));
    return map;
}

static void has_exactly(const struct node *map, int from, int to)
{
    assert_int_equal(map->len, to - from);
    for (int i = from - 3; i < to + 3; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%d", i);
        const struct node *value = node_get(map, key);
        assert_int_equal(value != NULL, i >= from && i < to);
        assert_true(!value || value->u.integer == i);
    }
}

static void a_map_of_any_size_finds_its_keys(void **unused)
{
    (void)unused;
    struct pool pool = { .limit = 1 << 24, .failure = &failure };

    for (int n = 0; n < 300; n += 7)
        has_exactly(numbered(&pool, 0, n), 0, n);
    struct node *map = numbered(&pool, 0, 200), *copy = node_copy(&pool, map);
    node_remove(map, "key0");
    has_exactly(map, 1, 200);
    has_exactly(copy, 0, 200);
    node_set(&pool, map, "key200", (struct place){ 0 }, node_int(&pool, (struct place){ 0 }, 200));
    has_exactly(map, 1, 201);
    node_set(&pool, map, "key7", (struct place){ 0 }, node_int(&pool, (struct place){ 0 }, 7));
    node_sort(map);
    has_exactly(map, 1, 201);
    assert_false(node_equal(map, copy));
    assert_true(node_equal(copy, numbered(&pool, 0, 200)));
    pool_free(&pool);
}

static void numbers_are_printed_shortest(void **unused)
{
    (void)unused;
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        { 1, "1" },         { 0.1, "0.1" },    { 1.5, "1.5" },
        { 1000, "1000" },   { 1e21, "1e+21" }, { 1e-5, "1e-05" },
        { -2.25, "-2.25" }, { 0, "0" },        { 123456789.125, "123456789.125" },
    };
    struct pool pool = { .limit = 1 << 20, .failure = &failure };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(node_format_float(&pool, rows[i].number), rows[i].text);
    pool_free(&pool);
}

static void a_pool_that_is_full_jumps_to_who_waits_for_it(void **unused)
{
    (void)unused;
    static struct pool pool;
    volatile int pieces = 0;

    pool = (struct pool){ .limit = 1 << 20, .failure = &failure };
    if (setjmp(failure) == 0)
        for (;;) {
            memset(pool_alloc(&pool, 1000), 1, 1000);
            pieces = pieces + 1;
        }
    assert_in_range(pieces, 900, 1048);
    pool_free(&pool);
    assert_int_equal(pool.total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_of_any_size_finds_its_keys),
        cmocka_unit_test(numbers_are_printed_shortest),
        cmocka_unit_test(a_pool_that_is_full_jumps_to_who_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
