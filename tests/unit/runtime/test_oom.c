/* SPDX-License-Identifier: MIT */
#include "runtime/oom.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/daruma-oom.XXXXXX";
static struct oom oom;

static void write_counter(int kills)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "low 0\noom 7\noom_kill %d\noom_group_kill 99\n", kills) > 0);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    write_counter(3);
    return oom_open_file(&oom, path);
}

static int end(void **state)
{
    oom_close(&oom);
    return 0;
}

static void what_was_before_us_is_not_ours(void **state)
{
    assert_false(oom_take(&oom, 1));
}

static void each_kill_has_one_victim(void **state)
{
    write_counter(5);
    assert_true(oom_take(&oom, 10 * NS_PER_S));
    assert_true(oom_take(&oom, 11 * NS_PER_S));
    assert_false(oom_take(&oom, 11 * NS_PER_S));
}

static void a_victim_may_take_a_while_to_end(void **state)
{
    write_counter(4);
    oom_look(&oom, 10 * NS_PER_S);
    oom_look(&oom, 10 * NS_PER_S + OOM_NEAR_NS / 2);
    assert_true(oom_take(&oom, 10 * NS_PER_S + OOM_NEAR_NS));
}

static void a_kill_of_somebody_else_is_forgotten(void **state)
{
    write_counter(4);
    oom_look(&oom, 10 * NS_PER_S);
    assert_false(oom_take(&oom, 11 * NS_PER_S + OOM_NEAR_NS));
}

static void a_file_without_the_counter_is_none(void **state)
{
    struct oom other = { .fd = -1 };
    assert_int_equal(oom_open_file(&other, "/dev/null"), -ENODATA);
    assert_int_equal(oom_open_file(&other, "/nonexistent"), -ENOENT);
    assert_false(oom_take(&other, 1));
}

static void this_machine_has_a_counter(void **state)
{
    struct oom mine;
    oom_open(&mine);
    assert_true(mine.fd >= 0);
    assert_false(oom_take(&mine, clock_now()));
    oom_close(&mine);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    (void)close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_before_us_is_not_ours, begin, end),
        cmocka_unit_test_setup_teardown(each_kill_has_one_victim, begin, end),
        cmocka_unit_test_setup_teardown(a_victim_may_take_a_while_to_end, begin, end),
        cmocka_unit_test_setup_teardown(a_kill_of_somebody_else_is_forgotten, begin, end),
        cmocka_unit_test(a_file_without_the_counter_is_none),
        cmocka_unit_test(this_machine_has_a_counter),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
