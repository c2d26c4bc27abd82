/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* What the kernel has room for now: proc(5). */
static unsigned size(void)
{
    char line[128];
    unsigned slots = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status))
        (void)sscanf(line, "FDSize: %u", &slots);
    (void)fclose(status);
    return slots;
}

static void room_is_made_beyond_the_soft_limit_and_within_the_hard_one(void **unused)
{
    (void)unused;
    struct rlimit limit, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    limit.rlim_max = limit.rlim_max < 5000 ? limit.rlim_max : 5000;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int before = dup(0);
    assert_int_equal(close(before), 0);

    table_make_room(2000);
    assert_true(size() >= (limit.rlim_max < 2000 ? limit.rlim_max : 2000));
    table_make_room(1000000);
    assert_true(size() >= limit.rlim_max);

    int fd = dup(0);
    assert_int_equal(fd, before);
    assert_int_equal(close(fd), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, 64);
    assert_int_equal(after.rlim_max, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_made_beyond_the_soft_limit_and_within_the_hard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
