/* SPDX-License-Identifier: MIT
 *
 * Real pairs: members are killed, stopped and ended, and a counter that is asked over a socket must know where it stood.
 */
#include "base/clock.h"
#include "base/guard.h"

#include "../wait.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct arena {
    struct guard_area area;
    _Atomic uint32_t begun; /* lives of the role */
    _Atomic uint64_t asked;
    int opened; /* a descriptor that the first role opened for all that follow */
};

struct pair {
    struct arena *arena;
    int ask;    /* our end of the role's socket; its hang-up ends the pair */
    int theirs; /* until the fork */
    pid_t first;
};

/* ---- roles ---- */

/* Answers each byte with the number of bytes so far, on a descriptor that its first life opened; 'q' is the end. */
static int counting_role(struct guard *guard, void *data)
{
    struct pair *pair = data;
    struct arena *arena = pair->arena;

    if (atomic_fetch_add(&arena->begun, 1) == 0)
        arena->opened = dup(pair->theirs);
    for (;;) {
        struct pollfd fds[] = { { .fd = arena->opened, .events = POLLIN },
                                { .fd = guard_fd(guard), .events = POLLIN } };
        char byte;
        (void)poll(fds, 2, 10);
        if (guard_beat(guard, clock_now()) || fds[1].revents)
            (void)guard_tend(guard);
        if (fds[0].revents && recv(arena->opened, &byte, 1, MSG_DONTWAIT) == 1) {
            uint64_t asked = atomic_fetch_add(&arena->asked, 1) + 1;
            if (byte == 'q')
                guard_over(guard, 7);
            (void)send(arena->opened, &asked, sizeof(asked), MSG_NOSIGNAL);
            if (byte == 'q')
                return 7;
        }
    }
}

static int role_that_cannot_live(struct guard *guard, void *data)
{
    struct pair *pair = data;
    (void)guard;
    atomic_fetch_add(&pair->arena->begun, 1);
    return 1;
}

/* ---- the pair ---- */

static struct guard guard;

static void begin(struct pair *pair, int (*role)(struct guard *, void *))
{
    int ends[2];
    pair->arena = mmap(NULL, sizeof(*pair->arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pair->arena, MAP_FAILED);
    guard_area_init(&pair->arena->area);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pair->ask = ends[0];
    pair->theirs = ends[1];
    pair->first = fork();
    assert_true(pair->first >= 0);
    if (pair->first == 0) {
        (void)close(ends[0]);
        const struct guard_setup setup = {
            .area = &pair->arena->area,
            .role = role,
            .data = pair,
            .guard_name = "test-guard",
            .role_name = "test-role",
            .owner_fd = pair->theirs,
            .bell_fd = -1,
            .hang_ns = NS_PER_S, /* on a busy machine a quarter of that is no hang */
        };
        _exit(guard_run(&guard, &setup));
    }
    (void)close(ends[1]);
}

static pid_t pid_of(const struct pair *pair, enum guard_side side)
{
    return pair->arena->area.member[side].pid;
}

static uint64_t ask(const struct pair *pair, char byte)
{
    uint64_t answer = 0;
    struct pollfd fd = { .fd = pair->ask, .events = POLLIN };
    assert_int_equal(send(pair->ask, &byte, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(recv(pair->ask, &answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    return answer;
}

/* Kills a member and waits until another one has its place. */
static void replace(const struct pair *pair, enum guard_side side, int signo)
{
    pid_t victim = pid_of(pair, side);
    assert_int_equal(kill(victim, signo), 0);
    WAIT_FOR(pid_of(pair, side) != victim && pid_of(pair, side) > 0);
}

/* Reaps until no child is left: what the pair has left behind would be ours, as we are the reaper. */
static int end_of(const struct pair *pair)
{
    int status, of_first = -1;
    for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
        if (pid == pair->first)
            of_first = status;
    return of_first;
}

static void finish(struct pair *pair)
{
    (void)close(pair->ask);
    (void)end_of(pair);
    (void)munmap(pair->arena, sizeof(*pair->arena));
}

static void a_dead_role_is_replaced_and_goes_on_with_its_sockets(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    for (uint64_t i = 2; i < 12; i++) {
        replace(&pair, GUARD_SIDE_ROLE, SIGKILL);
        assert_int_equal(ask(&pair, 'a'), i);
    }
    const struct guard_member *role = &pair.arena->area.member[GUARD_SIDE_ROLE];
    assert_int_equal(role->deaths, 10);
    assert_int_equal(role->last_code, CLD_KILLED);
    assert_int_equal(role->last_status, SIGKILL);
    finish(&pair);
}

static void a_dead_guard_is_replaced_by_the_role(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    for (uint64_t i = 2; i < 8; i++) {
        replace(&pair, GUARD_SIDE_GUARD, SIGKILL);
        replace(&pair, GUARD_SIDE_ROLE, SIGKILL); /* by the one that the role has made */
        assert_int_equal(ask(&pair, 'a'), i);
    }
    assert_int_equal(pair.arena->begun, 7);
    finish(&pair);
}

static void killed_in_any_order_there_are_always_two(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    srandom(1);
    for (uint64_t i = 1; i <= 60; i++) {
        assert_int_equal(ask(&pair, 'a'), i);
        replace(&pair, random() % 2 ? GUARD_SIDE_GUARD : GUARD_SIDE_ROLE, SIGKILL);
        for (int side = 0; side < GUARD_SIDES; side++) /* as if it had been long */
            pair.arena->area.member[side].budget.spent = 0;
    }
    finish(&pair);
}

static void who_hangs_is_killed_and_replaced(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    int64_t begun = clock_now();
    replace(&pair, GUARD_SIDE_ROLE, SIGSTOP);
    assert_true(clock_now() - begun < 10 * NS_PER_S);
    assert_int_equal(ask(&pair, 'a'), 2);
    replace(&pair, GUARD_SIDE_GUARD, SIGSTOP);
    assert_int_equal(ask(&pair, 'a'), 3);
    assert_int_equal(pair.arena->area.member[GUARD_SIDE_ROLE].hung, 1);
    assert_int_equal(pair.arena->area.member[GUARD_SIDE_GUARD].hung, 1);
    finish(&pair);
}

static void after_the_end_nobody_comes_back(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'q'), 1);
    int status = end_of(&pair);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_int_equal(pair.arena->begun, 1);
    assert_int_equal(pair.arena->area.member[GUARD_SIDE_ROLE].deaths, 0);
    finish(&pair);
}

static void the_end_of_the_owner_is_the_end_of_both(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    finish(&pair); /* returns when nobody is left */
}

static void a_guard_that_dies_while_it_ends_the_pair_leaves_no_role(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    atomic_store(&pair.arena->area.over, 1); /* said, but the role is not killed yet */
    assert_int_equal(kill(pid_of(&pair, GUARD_SIDE_GUARD), SIGKILL), 0);
    struct pollfd hang_up = { .fd = pair.ask };
    assert_int_equal(poll(&hang_up, 1, 10000), 1);
    finish(&pair);
}

static void a_signal_to_the_guard_is_one_to_the_role(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    pid_t role = pid_of(&pair, GUARD_SIDE_ROLE), first = pid_of(&pair, GUARD_SIDE_GUARD);
    assert_int_equal(kill(first, SIGTERM), 0); /* this role does not know it */
    WAIT_FOR(pid_of(&pair, GUARD_SIDE_ROLE) != role && pid_of(&pair, GUARD_SIDE_ROLE) > 0);
    assert_int_equal(pid_of(&pair, GUARD_SIDE_GUARD), first);
    assert_int_equal(pair.arena->area.member[GUARD_SIDE_ROLE].last_status, SIGTERM);
    finish(&pair);
}

static void what_a_dead_role_was_asked_its_successor_finds(void **unused)
{
    (void)unused;
    struct pair pair;
    begin(&pair, counting_role);
    assert_int_equal(ask(&pair, 'a'), 1);
    pid_t first = pid_of(&pair, GUARD_SIDE_GUARD), role = pid_of(&pair, GUARD_SIDE_ROLE);
    assert_int_equal(kill(first, SIGSTOP), 0); /* so that it sees all of it at once */
    assert_int_equal(kill(role, SIGKILL), 0);
    assert_int_equal(kill(first, SIGHUP), 0);
    assert_int_equal(kill(first, SIGTERM), 0);
    assert_int_equal(kill(first, SIGCONT), 0);
    WAIT_FOR(pid_of(&pair, GUARD_SIDE_ROLE) != role && pid_of(&pair, GUARD_SIDE_ROLE) > 0);
    const struct guard whoever = { .setup.area = &pair.arena->area };
    WAIT_FOR(guard_asked(&whoever) == SIGTERM);
    finish(&pair);
}

static void who_cannot_live_does_not_spin(void **unused)
{
    (void)unused;
    struct pair pair;
    int64_t begun = clock_now();
    begin(&pair, role_that_cannot_live);
    WAIT_FOR(pair.arena->begun >= GUARD_BURST + 3);
    assert_true(clock_now() - begun > 3 * NS_PER_S / GUARD_PER_S / 2);
    finish(&pair);
}

int main(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_role_is_replaced_and_goes_on_with_its_sockets),
        cmocka_unit_test(a_dead_guard_is_replaced_by_the_role),
        cmocka_unit_test(killed_in_any_order_there_are_always_two),
        cmocka_unit_test(who_hangs_is_killed_and_replaced),
        cmocka_unit_test(after_the_end_nobody_comes_back),
        cmocka_unit_test(the_end_of_the_owner_is_the_end_of_both),
        cmocka_unit_test(a_guard_that_dies_while_it_ends_the_pair_leaves_no_role),
        cmocka_unit_test(a_signal_to_the_guard_is_one_to_the_role),
        cmocka_unit_test(what_a_dead_role_was_asked_its_successor_finds),
        cmocka_unit_test(who_cannot_live_does_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
