/* SPDX-License-Identifier: MIT */
#include "supervise/order.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define NEEDS(...)                                                                                                     \
    .depends_on = (const struct spec_dependency[]){ __VA_ARGS__ },                                                     \
    .depends_on_len = LEN(((const struct spec_dependency[]){ __VA_ARGS__ }))
#define REQUIRED(name, what)                                                                                           \
    {                                                                                                                  \
        .service = name, .condition = SPEC_##what, .required = true                                                    \
    }
#define OPTIONAL(name, what)                                                                                           \
    {                                                                                                                  \
        .service = name, .condition = SPEC_##what, .required = false                                                   \
    }

/* One service that depends on another: every condition with every status of the other. */
static void every_condition_with_every_status(void **unused)
{
    static const enum order_answer required[3][6] = {
        [SPEC_STARTED] = { [ORDER_ABSENT] = ORDER_NEVER,
                           [ORDER_PENDING] = ORDER_WAIT,
                           [ORDER_STARTED] = ORDER_GO,
                           [ORDER_READY] = ORDER_GO,
                           [ORDER_COMPLETED] = ORDER_GO,
                           [ORDER_FAILED] = ORDER_NEVER },
        [SPEC_HEALTHY] = { [ORDER_ABSENT] = ORDER_NEVER,
                           [ORDER_PENDING] = ORDER_WAIT,
                           [ORDER_STARTED] = ORDER_WAIT,
                           [ORDER_READY] = ORDER_GO,
                           [ORDER_COMPLETED] = ORDER_NEVER,
                           [ORDER_FAILED] = ORDER_NEVER },
        [SPEC_COMPLETED] = { [ORDER_ABSENT] = ORDER_NEVER,
                             [ORDER_PENDING] = ORDER_WAIT,
                             [ORDER_STARTED] = ORDER_WAIT,
                             [ORDER_READY] = ORDER_WAIT,
                             [ORDER_COMPLETED] = ORDER_GO,
                             [ORDER_FAILED] = ORDER_NEVER },
    };
    for (int condition = 0; condition < 3; condition++)
        for (int status = 0; status < 6; status++)
            for (int optional = 0; optional < 2; optional++) {
                struct spec_dependency on = { .service = "db",
                                              .condition = (enum spec_condition)condition,
                                              .required = !optional };
                struct order_node nodes[] = {
                    { .name = "app", .depends_on = &on, .depends_on_len = 1 },
                    { .name = "db", .status = (enum order_status)status },
                };
                const char *waits_for = NULL;
                enum order_answer answer = order_may_start(nodes, 2, 0, &waits_for);
                enum order_answer expected = required[condition][status];
                if (optional && expected == ORDER_NEVER)
                    expected = ORDER_GO;
                assert_int_equal(answer, expected);
                if (answer == ORDER_GO)
                    assert_null(waits_for);
                else
                    assert_string_equal(waits_for, "db");
            }
}

static void what_had_started_and_then_failed_still_counts_as_started(void **unused)
{
    struct order_node nodes[] = {
        { .name = "app", NEEDS(REQUIRED("db", STARTED)) },
        { .name = "db", .status = ORDER_FAILED, .started_once = true },
    };
    const char *waits_for = NULL;
    assert_int_equal(order_may_start(nodes, 2, 0, &waits_for), ORDER_GO);
}

static void a_dependency_that_is_not_there_is_never_met_unless_it_is_optional(void **unused)
{
    struct order_node nodes[] = {
        { .name = "app", NEEDS(REQUIRED("nobody", STARTED)) },
        { .name = "web", NEEDS(OPTIONAL("nobody", STARTED)) },
    };
    const char *waits_for = NULL;
    assert_int_equal(order_may_start(nodes, 2, 0, &waits_for), ORDER_NEVER);
    assert_string_equal(waits_for, "nobody");
    assert_int_equal(order_may_start(nodes, 2, 1, &waits_for), ORDER_GO);
}

static void the_worst_answer_counts(void **unused)
{
    struct order_node nodes[] = {
        { .name = "a", .status = ORDER_READY },
        { .name = "b", .status = ORDER_PENDING },
        { .name = "c", .status = ORDER_FAILED },
        { .name = "x", NEEDS(REQUIRED("c", HEALTHY), REQUIRED("b", STARTED), REQUIRED("a", STARTED)) },
    };
    const char *waits_for = NULL;
    assert_int_equal(order_may_start(nodes, 4, 3, &waits_for), ORDER_NEVER);
    assert_string_equal(waits_for, "c");
}

static void what_is_independent_starts_in_parallel(void **unused)
{
    struct order_node nodes[] = {
        { .name = "a", NEEDS(REQUIRED("db", STARTED)) },
        { .name = "b", NEEDS(REQUIRED("db", STARTED)) },
        { .name = "db", .status = ORDER_STARTED },
    };
    const char *waits_for = NULL;
    assert_int_equal(order_may_start(nodes, 3, 0, &waits_for), ORDER_GO);
    assert_int_equal(order_may_start(nodes, 3, 1, &waits_for), ORDER_GO);
}

static void stopping_goes_from_the_leaves_to_the_root(void **unused)
{
    struct order_node nodes[] = {
        { .name = "app", .running = true, NEEDS(REQUIRED("cache", STARTED), REQUIRED("db", HEALTHY)) },
        { .name = "cache", .running = true, NEEDS(REQUIRED("db", STARTED)) },
        { .name = "db", .running = true },
    };
    bool needed[3];
    order_needed(nodes, 3, needed);
    assert_true(!needed[0] && needed[1] && needed[2]);
    nodes[0].running = false;
    order_needed(nodes, 3, needed);
    assert_true(!needed[1] && needed[2]);
    nodes[1].running = false;
    order_needed(nodes, 3, needed);
    assert_false(needed[2]);
}

static void what_is_chosen_takes_its_dependencies_along(void **unused)
{
    struct order_node nodes[] = {
        { .name = "a", NEEDS(REQUIRED("b", STARTED)) },
        { .name = "b", NEEDS(REQUIRED("c", STARTED), OPTIONAL("gone", STARTED)) },
        { .name = "c" },
        { .name = "d", NEEDS(REQUIRED("c", STARTED)) },
    };
    bool selected[4] = { true };
    order_select(nodes, 4, selected);
    assert_true(selected[0] && selected[1] && selected[2]);
    assert_false(selected[3]);
}

static void cycles_are_found_whatever_hangs_on_them(void **unused)
{
    struct order_node nodes[] = {
        { .name = "a", NEEDS(REQUIRED("b", STARTED)) },
        { .name = "b", NEEDS(REQUIRED("c", STARTED), REQUIRED("d", STARTED)) },
        { .name = "c", NEEDS(REQUIRED("b", STARTED)) },
        { .name = "d" },
    };
    size_t node = 99;
    assert_int_equal(order_check(nodes, 4, &node), -ELOOP);
    assert_true(node <= 2);
    nodes[2].depends_on_len = 0;
    assert_int_equal(order_check(nodes, 4, &node), 0);

    struct order_node self[] = { { .name = "a", NEEDS(REQUIRED("a", STARTED)) } };
    assert_int_equal(order_check(self, 1, &node), -ELOOP);
    assert_int_equal(node, 0);
    assert_int_equal(order_check(NULL, 0, &node), 0);
}

static void names_are_found(void **unused)
{
    struct order_node nodes[] = { { .name = "a" }, { .name = "bb" }, { .name = "c" }, { .name = "dd" } };
    for (size_t i = 0; i < LEN(nodes); i++)
        assert_int_equal(order_find(nodes, LEN(nodes), nodes[i].name), i);
    assert_int_equal(order_find(nodes, LEN(nodes), "b"), -1);
    assert_int_equal(order_find(nodes, LEN(nodes), "e"), -1);
    assert_int_equal(order_find(NULL, 0, "a"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_condition_with_every_status),
        cmocka_unit_test(what_had_started_and_then_failed_still_counts_as_started),
        cmocka_unit_test(a_dependency_that_is_not_there_is_never_met_unless_it_is_optional),
        cmocka_unit_test(the_worst_answer_counts),
        cmocka_unit_test(what_is_independent_starts_in_parallel),
        cmocka_unit_test(stopping_goes_from_the_leaves_to_the_root),
        cmocka_unit_test(what_is_chosen_takes_its_dependencies_along),
        cmocka_unit_test(cycles_are_found_whatever_hangs_on_them),
        cmocka_unit_test(names_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
