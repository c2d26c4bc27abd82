/* SPDX-License-Identifier: MIT
 *
 * When a folder that an image is built from counts as changed.
 */
#include "runtime/context.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/context-XXXXXX";

static uint64_t digest(void)
{
    const struct context_source source = { .folder = folder, .dockerfile = "Dockerfile" };
    uint64_t ret = 0;
    struct err err = { 0 };

    assert_int_equal(context_digest(&source, &ret, &err), 0);
    return ret;
}

static void put(const char *name, const char *text)
{
    CLEANUP_CLOSE int dir = open(folder, O_RDONLY | O_CLOEXEC);
    CLEANUP_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void touch(const char *name, time_t when)
{
    CLEANUP_CLOSE int dir = open(folder, O_RDONLY | O_CLOEXEC);
    const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
    assert_int_equal(utimensat(dir, name, times, 0), 0);
}

static void what_is_packed_counts_and_nothing_else(void **unused)
{
    (void)unused;
    assert_non_null(mkdtemp(folder));
    put("Dockerfile", "FROM scratch");
    put(".dockerignore", "ignored");
    touch("Dockerfile", 1000);
    uint64_t before = digest();

    assert_true(before != 0 && digest() == before);
    put("ignored", "x");
    assert_true(digest() == before);
    put("more", "");
    assert_true(digest() != before);
    touch("more", 1000);
    uint64_t more = digest();
    put("more", "y");
    touch("more", 1000);
    assert_true(digest() != more); /* its size */
    put("more", "");
    touch("more", 1001);
    assert_true(digest() != more); /* its time */
    touch("more", 1000);
    assert_true(digest() == more);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_true(digest() == more);
}

/* The supervisor reads it, and must not wait for whoever writes there one day. */
static void a_list_that_is_a_pipe_is_not_waited_for(void **unused)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/.dockerignore", folder);
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)alarm(10);
    (void)digest();
    (void)alarm(0);
}

static int remove_folder(void **unused)
{
    static const char *const names[] = { "Dockerfile", ".dockerignore", "ignored", "more" };
    CLEANUP_CLOSE int dir = open(folder, O_RDONLY | O_CLOEXEC);

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlinkat(dir, names[i], 0);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_counts_and_nothing_else),
        cmocka_unit_test_teardown(a_list_that_is_a_pipe_is_not_waited_for, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
