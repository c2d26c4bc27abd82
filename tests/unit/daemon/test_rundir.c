/* SPDX-License-Identifier: MIT
 *
 * The run directory: names, ownership, the lock, finding a project by where it was started.
 */
#include "daemon/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "run_dir.h"

static void names_are_those_that_compose_allows(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    assert_int_equal(rundir_name(&dir, "my-shop_2", &err), 0);
    assert_string_equal(dir.project, "my-shop_2");
    static const char *const wrong[] = { "",
                                         ".",
                                         "..",
                                         "a/b",
                                         "../x",
                                         "Shop",
                                         "-x",
                                         "_x",
                                         "a b",
                                         "a.b",
                                         "a-name-that-is-much-longer-than-a-name-of-a-project-ever-should-be" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(rundir_name(&dir, wrong[i], &err), -EINVAL);

    char endless[5000] = { 0 };
    memset(endless, 'a', sizeof(endless) - 1);
    assert_int_equal(rundir_name(&dir, endless, &err), -EINVAL);
    assert_non_null(strstr(err.message, "at most 63 characters"));
}

static void a_folder_whose_name_leaves_no_room_for_a_socket_is_refused(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    char deep[200];
    memset(deep, 'd', sizeof(deep) - 1);
    deep[0] = '/';
    deep[sizeof(deep) - 1] = '\0';
    assert_int_equal(setenv("DARUMA_RUN_DIR", "run", 1), 0);
    assert_int_equal(rundir_name(&dir, "shop", &err), -EINVAL);
    assert_non_null(strstr(err.message, "DARUMA_RUN_DIR"));
    assert_int_equal(setenv("DARUMA_RUN_DIR", deep, 1), 0);
    assert_int_equal(rundir_name(&dir, "shop", &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.message, "DARUMA_RUN_DIR"));
}

/* XDG Base Directory Specification: "All paths must be absolute. If […] a relative path, it should […] ignore it." */
static void a_relative_runtime_folder_is_ignored(void **state)
{
    char path[PATH_MAX];

    if (geteuid() == 0 && seteuid(65534) < 0)
        skip();
    assert_int_equal(unsetenv("DARUMA_RUN_DIR"), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "here", 1), 0);
    int r = rundir_base(path, NULL);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(r, 0);
    assert_memory_equal(path, "/tmp/daruma-", strlen("/tmp/daruma-"));
}

static void what_is_created_is_private(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    struct stat st;
    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(rundir_create(&dir, &err), 0);
    assert_int_equal(rundir_create(&dir, &err), 0); /* again */
    assert_int_equal(stat(dir.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(dir.path, 0777), 0);
    assert_int_equal(rundir_create(&dir, &err), 0);
    assert_int_equal(stat(dir.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/file", base);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/file/run", base);
    assert_int_equal(setenv("DARUMA_RUN_DIR", path, 1), 0);
    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(rundir_create(&dir, &err), -ENOTDIR);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "DARUMA_RUN_DIR"));
}

static void a_strangers_folder_and_a_link_are_refused(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(symlink("/tmp", dir.path), 0);
    assert_int_equal(rundir_create(&dir, &err), -ENOTDIR);
    assert_int_equal(unlink(dir.path), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(mkdir(dir.path, 0700), 0);
    assert_int_equal(chown(dir.path, 12345, 12345), 0);
    assert_int_equal(rundir_create(&dir, &err), -EPERM);
    assert_non_null(strstr(err.message, "12345"));
    assert_int_equal(rundir_check(&dir, &err), 0); /* root may */
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    int r = rundir_check(&dir, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(r, -EPERM);
}

static void the_lock_is_held_as_long_as_a_copy_of_its_descriptor_is_open(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    int pipe_fds[2];
    assert_int_equal(rundir_name(&dir, "shop", &err), 0);
    assert_int_equal(rundir_lock(&dir, 0), -ENOENT);
    assert_false(rundir_busy(&dir));
    assert_int_equal(rundir_create(&dir, &err), 0);
    int lock = rundir_lock(&dir, 0);
    assert_true(lock >= 0);
    assert_true(rundir_busy(&dir));
    assert_int_equal(rundir_lock(&dir, 10), -EWOULDBLOCK);
    /* A child inherits it, as the supervisor does from `up`. */
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        (void)close(pipe_fds[1]);
        (void)!read(pipe_fds[0], &byte, 1);
        _exit(0);
    }
    assert_true(pid > 0);
    (void)close(lock);
    assert_true(rundir_busy(&dir));
    (void)close(pipe_fds[1]);
    (void)close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(rundir_busy(&dir));
    lock = rundir_lock(&dir, 0);
    assert_true(lock >= 0);
    (void)close(lock);
}

static int start_from(struct rundir *dir, const char *name, const char *origin)
{
    struct err err = { 0 };
    assert_int_equal(rundir_name(dir, name, &err), 0);
    assert_int_equal(rundir_create(dir, &err), 0);
    assert_int_equal(rundir_set_origin(dir, origin, &err), 0);
    int lock = rundir_lock(dir, 0);
    assert_true(lock >= 0);
    return lock;
}

static void a_running_project_is_found_by_where_it_was_started(void **state)
{
    struct rundir dir, found;
    int outer = start_from(&dir, "outer", "/srv/outer");
    int inner = start_from(&dir, "inner", "/srv/outer/inner");
    assert_int_equal(rundir_find("/srv/outer", &found), 0);
    assert_string_equal(found.project, "outer");
    assert_int_equal(rundir_find("/srv/outer/inner/deeper", &found), 0);
    assert_string_equal(found.project, "inner");
    assert_int_equal(rundir_find("/srv/outer/other", &found), 0);
    assert_string_equal(found.project, "outer");
    assert_int_equal(rundir_find("/srv/outermost", &found), -ENOENT);
    assert_int_equal(rundir_find("/srv", &found), -ENOENT);
    (void)close(inner); /* has ended: what it left is no project that runs */
    assert_int_equal(rundir_find("/srv/outer/inner", &found), 0);
    assert_string_equal(found.project, "outer");
    (void)close(outer);
    assert_int_equal(rundir_find("/srv/outer", &found), -ENOENT);
}

/* `down` without a readable file must not end the one or the other by chance. */
static void two_projects_from_one_place_are_not_guessed_at(void **state)
{
    struct rundir dir, found;
    int first = start_from(&dir, "first", "/srv/twins");
    int second = start_from(&dir, "second", "/srv/twins");
    assert_int_equal(rundir_find("/srv/twins", &found), -ENOTUNIQ);
    (void)close(first);
    assert_int_equal(rundir_find("/srv/twins", &found), 0);
    assert_string_equal(found.project, "second");
    (void)close(second);
}

static void logs_go_with_the_next_start_unless_the_end_was_a_crash(void **state)
{
    struct rundir dir;
    struct err err = { 0 };
    char path[PATH_MAX];
    int lock = start_from(&dir, "shop", "/srv/shop");
    int fd = open(rundir_file(&dir, "logs/app-1.log", path), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(lock); /* a crash: its origin is still there */
    rundir_clear_logs(&dir);
    assert_int_equal(access(path, F_OK), 0);
    rundir_forget_origin(&dir);
    rundir_clear_logs(&dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rundir_create(&dir, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_those_that_compose_allows),
        TEST(a_folder_whose_name_leaves_no_room_for_a_socket_is_refused),
        TEST(a_relative_runtime_folder_is_ignored),
        TEST(what_is_created_is_private),
        TEST(a_folder_that_cannot_be_made_is_named),
        TEST(a_strangers_folder_and_a_link_are_refused),
        TEST(the_lock_is_held_as_long_as_a_copy_of_its_descriptor_is_open),
        TEST(a_running_project_is_found_by_where_it_was_started),
        TEST(two_projects_from_one_place_are_not_guessed_at),
        TEST(logs_go_with_the_next_start_unless_the_end_was_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
