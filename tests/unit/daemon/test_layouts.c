/* SPDX-License-Identifier: MIT
 *
 * What another program can take over, by what the two say of themselves.
 */
#include "daemon/layouts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char which[64];

/* Compares with what is said with one value changed; NULL: removed. */
static enum layouts_verdict changed(const char *group, const char *name, json_t *value)
{
    json_t *ours = layouts_json(), *theirs = layouts_json(), *part = group ? json_object_get(theirs, group) : theirs;
    if (value)
        (void)json_object_set_new(part, name, value);
    else
        (void)json_object_del(part, name);
    enum layouts_verdict verdict = layouts_compare(ours, theirs, which, sizeof(which));
    json_decref(ours);
    json_decref(theirs);
    return verdict;
}

static void the_same_and_another_version_of_the_same(void **unused)
{
    (void)unused;
    assert_int_equal(changed(NULL, "version", json_string("9.9")), LAYOUTS_SAME);
    assert_string_equal(which, "");
    assert_int_equal(changed(NULL, "more", json_true()), LAYOUTS_SAME);
}

static void another_layout_or_size_of_the_gateways_memory(void **unused)
{
    (void)unused;
    assert_int_equal(changed("gateway", "board", json_pack("[i, i]", 99, 1)), LAYOUTS_OTHER_GATEWAY);
    assert_string_equal(which, "board");
    assert_int_equal(changed("gateway", "arena", NULL), LAYOUTS_OTHER_GATEWAY);
    assert_string_equal(which, "arena");
    assert_int_equal(changed("gateway", "more", json_pack("[i, i]", 1, 1)), LAYOUTS_OTHER_GATEWAY);
    assert_string_equal(which, "more");
}

static void another_layout_of_what_instances_are_taken_over_by_is_worse(void **unused)
{
    (void)unused;
    assert_int_equal(changed("core", "state", json_pack("[i, i]", 99, 1)), LAYOUTS_OTHER_CORE);
    assert_string_equal(which, "state");
    assert_int_equal(changed("core", "more", json_pack("[i, i]", 1, 1)), LAYOUTS_OTHER_CORE);
}

static void what_says_nothing_of_the_kind(void **unused)
{
    (void)unused;
    json_t *ours = layouts_json(), *list = json_array();
    assert_int_equal(layouts_compare(ours, NULL, which, sizeof(which)), LAYOUTS_UNKNOWN);
    assert_int_equal(layouts_compare(ours, list, which, sizeof(which)), LAYOUTS_UNKNOWN);
    assert_int_equal(changed(NULL, "version", json_integer(1)), LAYOUTS_UNKNOWN);
    assert_int_equal(changed(NULL, "gateway", NULL), LAYOUTS_UNKNOWN);
    assert_int_equal(changed(NULL, "core", json_array()), LAYOUTS_UNKNOWN);
    json_decref(ours);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_and_another_version_of_the_same),
        cmocka_unit_test(another_layout_or_size_of_the_gateways_memory),
        cmocka_unit_test(another_layout_of_what_instances_are_taken_over_by_is_worse),
        cmocka_unit_test(what_says_nothing_of_the_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
