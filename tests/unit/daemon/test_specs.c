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

/* A file of that name in the base directory; its path. */
static void write_file(const char *name, const char *text, char path[96])
{
    (void)snprintf(path, 96, "%s/%s", base, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct spec *load(const char *text)
{
    char path[96];
    const char *const files[] = { path, NULL };
    struct compose_request request = { .working_dir = base, .project_name = "shop", .files = files };
    struct problems problems = { 0 };
    struct spec *spec = NULL;

    write_file("compose.yaml", text, path);
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

/* What it refers to is not in what was written down. */
static void a_service_that_may_be_missing_is_not_missed(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    struct spec *before = load("services:\n"
                               "  web: {image: i, depends_on: {db: {condition: service_started, required: false}}}\n"
                               "  app: {build: {context: ., additional_contexts: {db: \"service:db\"}}}\n"
                               "  db: {image: i, profiles: [other]}\n"),
                *after = NULL;

    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(rundir_create(&dir, &err), 0);
    assert_int_equal(specs_save(&dir, before, 4, &err), 0);
    if (specs_load(&dir, 4, &after, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(after->services_len, 2);
    assert_int_equal(spec_service_change(&before->services[1], &after->services[1]), SPEC_SAME);
    spec_free(before);
    spec_free(after);
}

/* What is in files, and what is written but says nothing, is in the model in another form; the versions are the same. */
static void what_runs_is_the_same_version_for_the_next_supervisor(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    char path[96];

    write_file("a.env", "A=1\n", path);
    write_file("l.env", "l=1\n", path);
    struct spec *before =
                    load("services:\n"
                         "  app: {build: {context: ., dockerfile: \"\"}}\n"
                         "  web: {image: i, env_file: a.env, label_file: l.env, links: [app], labels: {$k: $$v}}\n"),
                *after = NULL;

    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(rundir_create(&dir, &err), 0);
    assert_int_equal(specs_save(&dir, before, 5, &err), 0);
    assert_int_equal(specs_load(&dir, 5, &after, &err), 0);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(after->services[i].config_hash, before->services[i].config_hash);
    assert_string_equal(after->services[1].environment[0], "A=1");
    spec_free(before);
    spec_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_read_again_without_writing_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(what_runs_is_the_same_version_for_the_next_supervisor, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_that_may_be_missing_is_not_missed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
