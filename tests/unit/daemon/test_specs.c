/* SPDX-License-Identifier: MIT
 *
 * What was applied is written down and read again by the next supervisor.
 */
#include "daemon/specs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "run_dir.h"

static struct spec *load(const char *text)
{
    char path[96];
    const char *const files[] = { path, NULL };
    struct compose_request request = { .working_dir = base, .project_name = "shop", .files = files };
    struct problems problems = { 0 };
    struct spec *spec = NULL;

    (void)snprintf(path, sizeof(path), "%s/compose.yaml", base);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(compose_load(&request, &spec, &problems), 0);
    problems_free(&problems);
    return spec;
}

/* A supervisor that dies while the disk is full is followed by one that has no room for anything. */
static void it_is_read_again_without_writing_anything(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    struct spec *before = load("services:\n  web:\n    image: i\n    environment: {PRICE: $$5}\n"), *after = NULL;
    const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct stat st;

    before->services[0].replicas = 7;
    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(rundir_create(&dir, &err), 0);
    assert_int_equal(specs_save(&dir, before, 3, &err), 0);
    assert_int_equal(utimensat(AT_FDCWD, dir.path, long_ago, 0), 0);
    assert_int_equal(specs_load(&dir, 3, &after, &err), 0);
    assert_int_equal(after->services_len, 1);
    assert_string_equal(after->services[0].environment[0], "PRICE=$5");
    assert_int_equal(after->services[0].replicas, 7);
    assert_string_equal(after->files[0], before->files[0]);
    assert_int_equal(stat(dir.path, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    spec_free(before);
    spec_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_read_again_without_writing_anything, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
