/* SPDX-License-Identifier: MIT
 *
 * From one program to another without an end of the pair (guard_upgrade() in guard.h), and back where the other one cannot
 * live.
 */
#include "base/guard_parts.h"

#include "base/clock.h"
#include "base/table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The longest sleep of a role that waits to be relieved: its heart goes on beating. */
enum { WAIT_MS = 20 };

/* How long a role of another program has to live before the program is believed, and how many may die younger. */
#define YOUNG_NS (2 * NS_PER_S)
enum { YOUNG_DEATHS = 2 };

static void close_fd(int32_t *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void guard_become(const struct guard *guard, int program)
{
    char **argv = guard->setup.argv(guard->setup.data);

    if (argv && syscall(SYS_unshare, CLONE_FILES) == 0 && table_keep_over_exec(true) == 0)
        (void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
    _exit(EXIT_FAILURE);
}

bool guard_is_taking_over(const struct guard *guard)
{
    return guard->setup.takes_over && atomic_load(&guard->setup.area->upgrades.done) == guard->done;
}

void guard_take_over(struct guard *guard)
{
    struct guard_area *area = guard->setup.area;
    struct guard_member *role = &area->member[GUARD_SIDE_ROLE];

    if (atomic_load(&area->upgrade) == GUARD_UPGRADE_NONE) {
        close_fd(&area->program);
        area->program = area->before;
        area->before = -1;
        atomic_fetch_add(&area->upgrades.undone, 1);
        close_fd(&role->pidfd);
        guard->setup.takes_over = false;
        guard->relieved = true;
        return;
    }
    guard->done = atomic_load(&area->upgrades.done);
    area->predecessor = role->pidfd;
    role->pidfd = -1;
}

bool guard_succeed(struct guard *guard)
{
    struct guard_area *area = guard->setup.area;
    struct guard_member *role = &area->member[GUARD_SIDE_ROLE];
    struct pollfd end = { .fd = area->predecessor, .events = POLLIN };
    uint32_t state = GUARD_UPGRADE_ASKED;

    if (!atomic_compare_exchange_strong(&area->upgrade, &state, GUARD_UPGRADE_RELIEVED) &&
        state != GUARD_UPGRADE_RELIEVED)
        return false;
    role->died_ns = clock_now();
    role->last_code = 0;
    (void)syscall(SYS_pidfd_send_signal, area->predecessor, SIGKILL, NULL, 0);
    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        ;
    if (area->program != area->next) {
        close_fd(&area->before);
        area->before = area->program;
    }
    area->program = area->next;
    area->next = -1;
    close_fd(&area->predecessor);
    role->restored_ns = clock_now();
    guard->relieved = true;
    atomic_fetch_add(&area->upgrades.done, 1);
    atomic_store(&area->upgrade, GUARD_UPGRADE_NONE);
    return true;
}

/* The guard has died or hung in it: whoever it has made by now does not go on, or it is we who do not. */
static void take_back(struct guard *guard)
{
    uint32_t state = GUARD_UPGRADE_ASKED;

    if (!atomic_compare_exchange_strong(&guard->setup.area->upgrade, &state, GUARD_UPGRADE_NONE))
        _exit(EXIT_SUCCESS);
    guard->waits = false;
    guard->setup.area->predecessor = -1;
}

int guard_upgrade(struct guard *guard, int program)
{
    struct guard_area *area = guard->setup.area;
    struct guard_member self = area->member[GUARD_SIDE_ROLE];
    sigset_t pending;

    int r = !guard->setup.argv ? -ENOTSUP : sigpending(&pending) == 0 && !sigisemptyset(&pending) ? -EINTR : -ECHILD;
    area->next = program;
    if (r == -ECHILD) {
        guard->waits = true;
        atomic_store(&area->upgrade, GUARD_UPGRADE_ASKED);
        (void)guard_signal_other(guard, SIGURG); /* which it may ignore: it looks up soon */
    }
    while (guard->waits) {
        struct pollfd end = { .fd = guard_fd(guard), .events = POLLIN };
        (void)poll(&end, 1, WAIT_MS);
        (void)guard_beat(guard, 0);
        if (guard_other_is_dead(guard)) {
            take_back(guard);
            area->member[GUARD_SIDE_ROLE].pidfd = self.pidfd; /* the other one's was of another table */
            area->member[GUARD_SIDE_ROLE].pid = self.pid;
        }
        (void)guard_tend(guard);
    }
    close_fd(&area->next);
    if (r != -EINTR)
        atomic_fetch_add(&area->upgrades.refused, 1);
    return r;
}

bool guard_is_unfit(struct guard *guard)
{
    const struct guard_member *role = guard_other(guard);
    bool killed = role->last_code == 0 || (role->last_code == CLD_KILLED && role->last_status == SIGKILL);

    if (guard->side != GUARD_SIDE_GUARD || guard->setup.area->before < 0 || (killed && !guard->struck))
        return false;
    return ++guard->failed >= YOUNG_DEATHS;
}

bool guard_is_asked_to_become_another(const struct guard *guard)
{
    return atomic_load(&guard->setup.area->upgrade) == GUARD_UPGRADE_ASKED && !guard_is_taking_over(guard) &&
           !guard_other_is_dead(guard);
}

void guard_forget_upgrade(struct guard *guard)
{
    uint32_t state = GUARD_UPGRADE_ASKED;

    if (!guard_is_taking_over(guard))
        (void)atomic_compare_exchange_strong(&guard->setup.area->upgrade, &state, GUARD_UPGRADE_NONE);
}

void guard_settle(struct guard *guard)
{
    struct guard_area *area = guard->setup.area;
    const struct guard_member *role = &area->member[GUARD_SIDE_ROLE];

    if (area->before >= 0 && guard->state == GUARD_WATCHING && clock_now() - role->restored_ns >= YOUNG_NS) {
        close_fd(&area->before);
        guard->failed = 0;
    }
}
