/* SPDX-License-Identifier: MIT
 *
 * What the process runtime refuses before anything starts: all of it in one go, each with its place.
 */
#include "base/buf.h"
#include "base/loop.h"
#include "runtime/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[128];
static struct loop *loop;
static struct runtime *runtime;

static int setup(void **unused)
{
    static const struct runtime_events events = { 0 };
    struct err err;
    strcpy(folder, "/tmp/daruma-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/compose.yaml", folder);
    loop = loop_new();
    runtime = runtime_process_new(loop, &events, folder, &err);
    return runtime ? 0 : -1;
}

static int teardown(void **unused)
{
    runtime->destroy(runtime);
    loop_free(loop);
    (void)unlink(path);
    return rmdir(folder);
}

/* Checks the file and gives what was said, as people see it. */
static void check(const char *yaml, struct buf *out, size_t *ret_errors)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(yaml, file);
    (void)fclose(file);
    const char *const files[] = { path, NULL };
    struct compose_request request = { .working_dir = folder, .project_name = "test", .files = files };
    struct problems problems = { 0 };
    struct spec *spec = NULL;
    if (compose_load(&request, &spec, &problems) == 0)
        runtime->check(runtime, spec, &problems);
    problems_format(&problems, false, out);
    *ret_errors = problems.errors;
    problems_free(&problems);
    spec_free(spec);
}

static void expect(const char *yaml, const char *place, const char *what)
{
    struct buf out = { 0 };
    size_t errors = 0;
    char where[200];
    check(yaml, &out, &errors);
    (void)snprintf(where, sizeof(where), "compose.yaml:%s: ", place);
    if (errors != 1 || !strstr(out.data, where) || !strstr(out.data, what))
        fail_msg("expected %s… %s, got %zu errors: %s", where, what, errors, out.data ? out.data : "nothing");
    buf_free(&out);
}

static void each_mistake_has_its_place_and_a_way_out(void **unused)
{
    expect("services:\n  app:\n    command: ['no-such-program']\n", "3:14", "\"no-such-program\" not found");
    expect("services:\n  app:\n    command: ['./here']\n", "3:14", "working_dir");
    expect("services:\n  app:\n    command: ['/etc/passwd']\n", "3:14", "not executable");
    expect("services:\n  app:\n    command: ['true']\n    user: nobody-of-that-name\n", "4:11", "nobody-of-that-name");
    expect("services:\n  app:\n    command: ['true']\n    working_dir: /nowhere\n", "4:18", "/nowhere");
    expect("services:\n  app:\n    command: ['true']\n    working_dir: /etc/passwd\n", "4:18", "not a directory");
    expect("services:\n  app:\n    image: nginx\n", "2:3", "x-daruma");
    expect("services:\n  a:\n    command: ['true']\n    ports: ['18083:80']\n"
           "  b:\n    command: ['true']\n    ports: ['18083:80']\n",
           "7:13", "18083");
}

static void all_mistakes_come_in_one_go(void **unused)
{
    struct buf out = { 0 };
    size_t errors = 0;
    check("services:\n  a:\n    command: ['no-such-program']\n    user: nobody-of-that-name\n"
          "  b:\n    command: ['true']\n    working_dir: /nowhere\n",
          &out, &errors);
    assert_int_equal(errors, 3);
    buf_free(&out);
}

static void what_is_right_passes_without_a_word(void **unused)
{
    struct buf out = { 0 };
    size_t errors = 1;
    check("services:\n  a:\n    command: ['sh', '-c', 'true']\n    ports: ['18083:80', '18084:80']\n"
          "  b:\n    image: whatever\n    x-daruma: {process: {command: 'sleep 1'}}\n    working_dir: /\n",
          &out, &errors);
    if (out.len)
        fail_msg("%s", out.data);
    assert_int_equal(errors, 0);
    buf_free(&out);
}

static void the_path_of_the_file_counts(void **unused)
{
    char yaml[512], tool[128];
    (void)snprintf(tool, sizeof(tool), "%s/tool-of-this-test", folder);
    FILE *file = fopen(tool, "w");
    assert_non_null(file);
    (void)fputs("#!/bin/sh\n", file);
    (void)fclose(file);
    assert_int_equal(chmod(tool, 0755), 0);
    struct buf out = { 0 };
    size_t errors = 1;
    (void)snprintf(yaml, sizeof(yaml),
                   "services:\n  a: {command: ['tool-of-this-test'], environment: {PATH: '%s:/usr/bin'}}\n"
                   "  b: {command: ['./tool-of-this-test']}\n",
                   folder);
    check(yaml, &out, &errors);
    if (errors)
        fail_msg("%s", out.data);
    buf_free(&out);
    assert_int_equal(unlink(tool), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(each_mistake_has_its_place_and_a_way_out),
        STORY(all_mistakes_come_in_one_go),
        STORY(what_is_right_passes_without_a_word),
        STORY(the_path_of_the_file_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
