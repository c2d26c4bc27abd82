/* SPDX-License-Identifier: MIT
 *
 * What a successor finds in its descriptor table. Each test has a process, and so a table, of its own.
 */
#include "base/inherit.h"
#include "base/table.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Exits with the line of the first thing that is not so. */
#define NEED(condition) ((condition) ? (void)0 : _exit(__LINE__ & 0xff))

static void in_a_process(void (*story)(const char *folder))
{
    char folder[] = "/tmp/daruma-test-XXXXXX", path[128];
    int status;

    assert_non_null(mkdtemp(folder));
    pid_t pid = fork();
    if (pid == 0) {
        story(folder);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)snprintf(path, sizeof(path), "%s/pipe", folder);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
    if (status != 0)
        fail_msg("line %d (modulo 256)", WEXITSTATUS(status));
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void pipes_are_known_by_their_file_in(const char *folder)
{
    char path[128];
    struct stat st;
    int keep[] = { -1 };

    (void)snprintf(path, sizeof(path), "%s/pipe", folder);
    NEED(mkfifo(path, 0600) == 0);
    int pipe = open(path, O_RDWR | O_NONBLOCK), other = open("/dev/null", O_RDONLY), kept = open("/dev/null", O_RDONLY);
    NEED(pipe >= 0 && other >= 0 && kept >= 0 && write(pipe, "left", 4) == 4);
    keep[0] = kept;
    NEED(inherit_begin(keep, 1, "/nowhere") == 0);
    NEED(is_open(pipe) && is_open(kept) && !is_open(other));
    NEED(stat("/dev/null", &st) == 0 && inherit_pipe(&st) == -1);
    NEED(stat(path, &st) == 0 && inherit_pipe(&st) == pipe && inherit_pipe(&st) == -1);
    inherit_end();
    char text[8];
    NEED(read(pipe, text, sizeof(text)) == 4);
}

static void pipes_are_known_by_their_file(void **unused)
{
    in_a_process(pipes_are_known_by_their_file_in);
}

static void a_full_table_can_be_taken_over_in(const char *folder)
{
    const struct rlimit files = { .rlim_cur = 64, .rlim_max = 64 };
    int keep[] = { 40, 41 }, fd = -1, n = 0;

    NEED(setrlimit(RLIMIT_NOFILE, &files) == 0);
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    NEED(n > 50);
    NEED(inherit_begin(keep, 2, "/nowhere") == 0);
    NEED(is_open(40) && is_open(41) && !is_open(39) && !is_open(63));
}

static void a_full_table_can_be_taken_over(void **unused)
{
    in_a_process(a_full_table_can_be_taken_over_in);
}

static void what_somebody_left_open_is_closed_whatever_its_number_in(const char *folder)
{
    struct rlimit files;

    NEED(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    NEED(setrlimit(RLIMIT_NOFILE, &files) == 0);
    int high = files.rlim_cur > 4000 ? 4000 : 60, ours = open("/dev/null", O_RDONLY | O_CLOEXEC);
    NEED(fcntl(ours, F_DUPFD, high) == high);
    NEED(fcntl(ours, F_DUPFD, 5) >= 5);
    NEED(table_close_strangers() == 0);
    NEED(is_open(STDERR_FILENO) && is_open(ours) && !is_open(5) && !is_open(high));
}

static void what_somebody_left_open_is_closed_whatever_its_number(void **unused)
{
    in_a_process(what_somebody_left_open_is_closed_whatever_its_number_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipes_are_known_by_their_file),
        cmocka_unit_test(a_full_table_can_be_taken_over),
        cmocka_unit_test(what_somebody_left_open_is_closed_whatever_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
