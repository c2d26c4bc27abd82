/* SPDX-License-Identifier: MIT */
#include "runtime/proc.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void *stay(void *unused)
{
    for (;;)
        (void)pause();
    return unused;
}

/* A child that only ends when it is killed. With `second`, its first thread ends, and another one goes on. */
static pid_t begin(bool second)
{
    pthread_t thread;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (second && pthread_create(&thread, NULL, stay, NULL) != 0)
        _exit(1);
    if (second)
        pthread_exit(NULL);
    (void)stay(NULL);
    _exit(1);
}

static char state_of(pid_t pid)
{
    struct proc_stat stat = { 0 };
    assert_int_equal(proc_stat(pid, &stat), 0);
    return stat.state;
}

static void await_zombie(pid_t pid)
{
    for (int tries = 0; state_of(pid) != 'Z' && tries < 5000; tries++)
        clock_sleep(NS_PER_MS);
    assert_int_equal(state_of(pid), 'Z');
}

static void who_lives_is_not_dying_and_who_is_killed_is(void **unused)
{
    pid_t pid = begin(false);
    assert_false(proc_is_dying(getpid()));
    assert_false(proc_is_dying(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    await_zombie(pid);
    assert_true(proc_is_dying(pid));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(proc_is_dying(pid));
}

static void a_first_thread_that_ended_is_no_dead_process(void **unused)
{
    pid_t pid = begin(true);
    await_zombie(pid);
    assert_false(proc_is_dying(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(proc_is_dying(pid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_lives_is_not_dying_and_who_is_killed_is),
        cmocka_unit_test(a_first_thread_that_ended_is_no_dead_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
