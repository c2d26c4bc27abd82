/* SPDX-License-Identifier: MIT
 *
 * Real pairs that go on as another program: this test itself, started anew, which is well or not as the shared memory says.
 */
#include "base/clock.h"
#include "base/guard.h"
#include "base/handover.h"
#include "base/table.h"

#include "../wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the other program does. */
enum behaviour { LIVES, ENDS_AT_ONCE, STANDS_STILL, ROLE_CANNOT_LIVE };

struct shared {
    struct guard_area area;
    _Atomic uint64_t asked;
    _Atomic uint32_t behaviour; /* enum behaviour */
    _Atomic uint32_t reached;   /* bool: the other program runs */
    _Atomic int32_t answered;   /* by guard_upgrade(), when it came back */
    _Atomic uint32_t relieved;  /* bool: the present role's predecessor did not die */
    _Atomic uint32_t programs;  /* how many this one took over from: 0 is the first one */
};

static struct shared *shared;
static int ask_fd = -1, theirs = -1; /* our end of the role's socket, and its own */
static unsigned generation;          /* of this program */

/* Answers each byte with the number of bytes so far. 'u', 'f': goes on as this program anew, as /bin/false. */
static int counting_role(struct guard *guard, void *data)
{
    (void)data;
    if (generation == 1 && shared->behaviour == ROLE_CANNOT_LIVE)
        return 1;
    shared->relieved = guard->relieved;
    shared->programs = generation;
    for (;;) {
        struct pollfd fds[] = { { .fd = theirs, .events = POLLIN }, { .fd = guard_fd(guard), .events = POLLIN } };
        char byte;
        (void)poll(fds, 2, 10);
        if (guard_beat(guard, clock_now()) || fds[1].revents)
            (void)guard_tend(guard);
        if (!fds[0].revents || recv(theirs, &byte, 1, MSG_DONTWAIT) != 1)
            continue;
        if (byte == 'u' || byte == 'f')
            shared->answered =
                guard_upgrade(guard, open(byte == 'u' ? "/proc/self/exe" : "/bin/false", O_RDONLY | O_CLOEXEC));
        uint64_t asked = atomic_fetch_add(&shared->asked, 1) + 1;
        (void)send(theirs, &asked, sizeof(asked), MSG_NOSIGNAL);
    }
}

static char **argv_of(void *data)
{
    (void)data;
    const struct handover_item items[] = {
        { .name = "socket", .number = theirs },
        { .name = "generation", .number = generation + 1 },
    };
    return handover_argv("pair", items, 2, NULL);
}

static int run_pair(bool takes_over)
{
    static struct guard guard;
    const struct guard_setup setup = {
        .area = &shared->area,
        .role = counting_role,
        .guard_name = "test-guard",
        .role_name = "test-role",
        .owner_fd = theirs,
        .bell_fd = -1,
        .hang_ns = 2 * NS_PER_S,
        .argv = argv_of,
        .takes_over = takes_over,
    };
    return guard_run(&guard, &setup);
}

/* The other program. */
static int resume(int argc, char **argv)
{
    struct err err = { 0 };

    handover_take(argc, argv);
    theirs = (int)handover_number("socket", -1);
    generation = (unsigned)handover_number("generation", 0);
    shared = handover_memory("test", sizeof(*shared), &err);
    if (!shared || table_keep_over_exec(false) < 0)
        return 1;
    shared->reached = 1;
    if (shared->behaviour == ENDS_AT_ONCE)
        return 1;
    while (shared->behaviour == STANDS_STILL)
        (void)pause();
    return run_pair(true);
}

static void begin(enum behaviour behaviour)
{
    struct err err = { 0 };
    int ends[2];

    shared = handover_memory("test", sizeof(*shared), &err);
    assert_non_null(shared);
    guard_area_init(&shared->area);
    shared->behaviour = behaviour;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ask_fd = ends[0];
    theirs = ends[1];
    pid_t first = fork();
    assert_true(first >= 0);
    if (first == 0) {
        (void)close(ask_fd);
        _exit(run_pair(false));
    }
    (void)close(theirs);
}

static void finish(void)
{
    (void)close(ask_fd);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    handover_memory_free(shared);
}

static void tell(char byte)
{
    assert_int_equal(send(ask_fd, &byte, 1, MSG_NOSIGNAL), 1);
}

static uint64_t ask(char byte)
{
    uint64_t answer = 0;
    struct pollfd fd = { .fd = ask_fd, .events = POLLIN };
    tell(byte);
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(recv(ask_fd, &answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    return answer;
}

static pid_t pid_of(enum guard_side side)
{
    return shared->area.member[side].pid;
}

static void another_program_goes_on_with_the_sockets_and_the_pid_of_the_guard(void **unused)
{
    (void)unused;
    begin(LIVES);
    assert_int_equal(ask('a'), 1);
    pid_t guard = pid_of(GUARD_SIDE_GUARD), role = pid_of(GUARD_SIDE_ROLE);
    for (uint64_t i = 1; i <= 5; i++) {
        tell('u');
        assert_int_equal(ask('a'), i + 1); /* it was in the kernel meanwhile */
        assert_int_equal(shared->programs, i);
        assert_true(shared->relieved);
        assert_int_equal(pid_of(GUARD_SIDE_GUARD), guard);
        assert_true(pid_of(GUARD_SIDE_ROLE) != role);
    }
    assert_int_equal(shared->area.upgrades.done, 5);
    assert_int_equal(shared->area.member[GUARD_SIDE_ROLE].deaths, 0);
    assert_int_equal(shared->area.member[GUARD_SIDE_GUARD].deaths, 0);
    finish();
}

static void what_comes_after_is_guarded_as_before(void **unused)
{
    (void)unused;
    begin(LIVES);
    tell('u');
    assert_int_equal(ask('a'), 1);
    for (int side = 0; side < GUARD_SIDES; side++) {
        pid_t victim = pid_of((enum guard_side)side);
        assert_int_equal(kill(victim, SIGKILL), 0);
        WAIT_FOR(pid_of((enum guard_side)side) != victim && pid_of((enum guard_side)side) > 0);
    }
    assert_int_equal(ask('a'), 2);
    assert_false(shared->relieved);
    assert_int_equal(shared->programs, 1);
    finish();
}

static void goes_on_as_before(enum behaviour behaviour, char how)
{
    begin(behaviour);
    assert_int_equal(ask('a'), 1);
    pid_t guard = pid_of(GUARD_SIDE_GUARD), role = pid_of(GUARD_SIDE_ROLE);
    assert_int_equal(ask(how), 2);
    assert_int_equal(shared->answered, -ECHILD);
    assert_int_equal(shared->programs, 0);
    assert_int_equal(pid_of(GUARD_SIDE_ROLE), role);
    assert_true(pid_of(GUARD_SIDE_GUARD) != guard);
    assert_int_equal(shared->area.upgrades.refused, 1);
    assert_int_equal(shared->area.upgrades.done, 0);
    shared->behaviour = LIVES;
    tell('u'); /* it can be tried again */
    assert_int_equal(ask('a'), 3);
    assert_int_equal(shared->programs, 1);
    finish();
}

static void a_program_that_ends_at_once_changes_nothing(void **unused)
{
    (void)unused;
    goes_on_as_before(ENDS_AT_ONCE, 'u');
}

static void a_program_that_is_none_of_ours_changes_nothing(void **unused)
{
    (void)unused;
    goes_on_as_before(LIVES, 'f');
}

static void a_program_that_stands_still_is_killed_and_changes_nothing(void **unused)
{
    (void)unused;
    goes_on_as_before(STANDS_STILL, 'u');
}

static void when_its_roles_cannot_live_the_program_before_goes_on(void **unused)
{
    (void)unused;
    begin(ROLE_CANNOT_LIVE);
    assert_int_equal(ask('a'), 1);
    tell('u');
    assert_int_equal(ask('a'), 2);
    assert_int_equal(shared->area.upgrades.done, 1);
    assert_int_equal(shared->area.upgrades.undone, 1);
    finish();
}

/* The new program's guard is stopped on its way by us, so that there is time to kill whom we like. */
static void killed_on_the_way(enum guard_side side)
{
    begin(STANDS_STILL);
    assert_int_equal(ask('a'), 1);
    tell('u');
    WAIT_FOR(shared->reached);
    shared->behaviour = LIVES;
    assert_int_equal(kill(pid_of(side), SIGKILL), 0);
    if (side == GUARD_SIDE_ROLE)
        assert_int_equal(kill(pid_of(GUARD_SIDE_GUARD), SIGUSR1), 0); /* out of its pause() */
    assert_true(ask('a') >= 2);
    assert_int_equal(shared->programs, side == GUARD_SIDE_ROLE ? 1 : 0);
    finish();
}

static void the_role_may_be_killed_on_the_way(void **unused)
{
    (void)unused;
    killed_on_the_way(GUARD_SIDE_ROLE);
}

static void the_guard_may_be_killed_on_the_way(void **unused)
{
    (void)unused;
    killed_on_the_way(GUARD_SIDE_GUARD);
}

static void memory_of_another_size_is_not_taken(void **unused)
{
    (void)unused;
    struct err err = { 0 };
    char word[64];
    char *words[] = { word };
    int fds[HANDOVER_PARTS];

    void *memory = handover_memory("part", 4096, &err);
    assert_non_null(memory);
    assert_int_equal(handover_fds(fds), 1);
    (void)strcpy(memory, "kept");
    (void)snprintf(word, sizeof(word), "memory:other=%d", dup(fds[0]));
    handover_take(1, words);
    assert_null(handover_memory("other", 8192, &err));
    assert_int_equal(err.code, -EPROTO);
    char *same = handover_memory("other", 4096, &err);
    assert_string_equal(same, "kept");
    assert_int_equal(handover_number("other", 7), 7);
    handover_memory_free(memory);
    handover_memory_free(same);
    assert_int_equal(handover_fds(fds), 0);
    handover_take(0, NULL);
}

static void on_wake(int signo)
{
    (void)signo;
}

int main(int argc, char **argv)
{
    (void)signal(SIGUSR1, on_wake);
    if (argc > 2 && strcmp(argv[1], HANDOVER_OPTION) == 0)
        return resume(argc, argv);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_of_another_size_is_not_taken),
        cmocka_unit_test(another_program_goes_on_with_the_sockets_and_the_pid_of_the_guard),
        cmocka_unit_test(what_comes_after_is_guarded_as_before),
        cmocka_unit_test(a_program_that_ends_at_once_changes_nothing),
        cmocka_unit_test(a_program_that_is_none_of_ours_changes_nothing),
        cmocka_unit_test(a_program_that_stands_still_is_killed_and_changes_nothing),
        cmocka_unit_test(when_its_roles_cannot_live_the_program_before_goes_on),
        cmocka_unit_test(the_role_may_be_killed_on_the_way),
        cmocka_unit_test(the_guard_may_be_killed_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
