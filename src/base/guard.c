/* SPDX-License-Identifier: MIT */
#include "base/guard_parts.h"

#include "base/clock.h"
#include "base/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_NS  NS_PER_S
#define PAUSE_NS (NS_PER_S / GUARD_PER_S)

/* Looks between a heart's last beat and the verdict; one more may pass before the first of them. */
enum { LOOKS = 5, MISSES = LOOKS - 1 };

void guard_area_init(struct guard_area *area)
{
    *area = (struct guard_area){
        .magic = GUARD_MAGIC,
        .layout = GUARD_LAYOUT,
        .program = -1,
        .before = -1,
        .next = -1,
        .predecessor = -1,
    };
    for (int side = 0; side < GUARD_SIDES; side++)
        area->member[side].pidfd = -1;
}

struct guard_area *guard_areas_new(unsigned count, struct err *err)
{
    return handover_memory("guards", count * sizeof(struct guard_area), err);
}

void guard_areas_free(struct guard_area *areas)
{
    handover_memory_free(areas);
}

size_t guard_area_fds(const struct guard_area *area, int fds[GUARD_FDS])
{
    size_t n = 0;

    for (int side = 0; side < GUARD_SIDES; side++)
        fds[n++] = area->member[side].pidfd;
    fds[n++] = area->program;
    fds[n++] = area->before;
    fds[n++] = area->next;
    fds[n++] = area->predecessor;
    return n;
}

static enum guard_side other_side(const struct guard *guard)
{
    return guard->side == GUARD_SIDE_GUARD ? GUARD_SIDE_ROLE : GUARD_SIDE_GUARD;
}

struct guard_member *guard_other(const struct guard *guard)
{
    return &guard->setup.area->member[other_side(guard)];
}

int guard_fd(const struct guard *guard)
{
    return guard_other(guard)->pidfd;
}

static int64_t look_interval(const struct guard *guard)
{
    return (guard->setup.hang_ns > 0 ? guard->setup.hang_ns : HANG_NS) / LOOKS;
}

int guard_signal_other(const struct guard *guard, int signo)
{
    return (int)syscall(SYS_pidfd_send_signal, guard_other(guard)->pidfd, signo, NULL, 0);
}

bool guard_other_is_dead(const struct guard *guard)
{
    struct pollfd fd = { .fd = guard_fd(guard), .events = POLLIN };
    return guard_fd(guard) < 0 || poll(&fd, 1, 0) > 0;
}

/* ---- making a member ---- */

/* Where glibc keeps the id of this thread: it told the kernel at start. 0 when the kernel does not say. */
static uint64_t thread_id_address(void)
{
    uint64_t address = 0;
    return prctl(PR_GET_TID_ADDRESS, &address) == 0 ? address : 0;
}

/* clone(2), where clone3(2) is hidden: containers' filters answer ENOSYS. It has one place for pidfd and process id, so
   the latter is written down by both sides afterwards. */
static long clone_as_before(const struct clone_args *args)
{
    unsigned long flags = (unsigned long)args->flags & ~(unsigned long)CLONE_PARENT_SETTID;
    flags |= (unsigned long)args->exit_signal;
#ifdef __x86_64__
    return syscall(SYS_clone, flags, 0, args->pidfd, args->child_tid, 0);
#else
    return syscall(SYS_clone, flags, 0, args->pidfd, 0, args->child_tid);
#endif
}

/* The other one, with a copy of our memory, at the beginning of guard_run(). 0 or a negative errno. */
static int make_other(struct guard *guard)
{
    struct guard_member *other = guard_other(guard);
    uint64_t tid_at = thread_id_address();
    struct clone_args args = {
        .flags =
            CLONE_FILES | CLONE_PIDFD | CLONE_PARENT_SETTID | (tid_at ? CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID : 0),
        .pidfd = (uint64_t)(uintptr_t)&other->pidfd,
        .parent_tid = (uint64_t)(uintptr_t)&other->pid,
        .child_tid = tid_at,
        .exit_signal = SIGCHLD,
    };

    if (other->pidfd >= 0)
        (void)close(other->pidfd);
    other->pidfd = -1;
    other->pid = 0;
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0 && errno == ENOSYS)
        pid = clone_as_before(&args);
    if (pid >= 0)
        other->pid = pid > 0 ? (int32_t)pid : (int32_t)getpid();
    if (pid == 0) {
        guard->side = other_side(guard);
        longjmp(guard->begin, 1);
    }
    if (pid > 0)
        return 0;
    int r = -errno;
    other->pidfd = -1;
    return r;
}

/* How it ended, if it was our child; else only its parent can know. */
static void ask_how_it_ended(struct guard_member *other, bool death, int64_t now)
{
    siginfo_t info = { 0 };
    bool known = waitid(P_PIDFD, (id_t)other->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;

    other->last_code = known ? info.si_code : 0;
    other->last_status = known ? info.si_status : 0;
    other->died_ns = now;
    if (death)
        atomic_fetch_add(&other->deaths, 1);
}

/* The dead one, if it is ours to be reaped; 0: it was not, and its number may be somebody else's by now. */
static pid_t zombie(const struct guard_member *other)
{
    return other->last_code != 0 ? other->pid : 0;
}

/* Its successor does not wait for that: when others have looked in /proc at all that it had open, it takes the kernel
   milliseconds. By its number, because a successor may have that of its pidfd already. */
static void reap(pid_t zombie)
{
    siginfo_t info;
    (void)waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOHANG);
}

/* ---- restoring ---- */

static void pause_for(struct guard *guard, int64_t now)
{
    guard->state = GUARD_PAUSING;
    guard->due_ns = now + PAUSE_NS;
}

/* True when the other one is there again. When it cannot be made (no memory, too many processes) it is tried again. */
static bool restore(struct guard *guard, int64_t now)
{
    struct guard_area *area = guard->setup.area;
    struct guard_member *other = guard_other(guard);
    pid_t dead = zombie(other);

    if (guard_is_unfit(guard))
        guard_become(guard, area->before);
    guard->missed = 0;
    guard->relieved = guard->struck = false;
    guard_budget_take(&other->budget, now);
    atomic_store(&area->claim, 0); /* the dead claim nothing, and whom we claimed is dead */
    if (guard->side == GUARD_SIDE_GUARD)
        guard_forget_upgrade(guard);
    bool made = make_other(guard) == 0;
    if (made) {
        other->restored_ns = clock_now();
        if (guard->setup.bell_fd >= 0)
            (void)!write(guard->setup.bell_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    } else {
        pause_for(guard, now);
    }
    reap(dead);
    return made;
}

/* ---- looking ---- */

/* Has its heart stood still for too many looks in a row? */
static bool look_hung(struct guard *guard, int64_t now)
{
    uint64_t beats = atomic_load_explicit(&guard_other(guard)->beats, memory_order_relaxed);

    if (now >= guard->look_ns) {
        guard->look_ns = now + look_interval(guard);
        guard->missed = beats == guard->beats ? guard->missed + 1 : 0;
        guard->beats = beats;
    }
    return guard->missed >= MISSES;
}

/* Claims the right to kill. A member that hangs while it holds the claim itself loses it after another such time. */
static bool claim(struct guard *guard)
{
    uint32_t ours = (uint32_t)guard->side + 1, holder = 0;

    if (atomic_compare_exchange_strong(&guard->setup.area->claim, &holder, ours) || holder == ours)
        return true;
    return guard->missed >= 2 * MISSES && atomic_compare_exchange_strong(&guard->setup.area->claim, &holder, ours);
}

bool guard_tend(struct guard *guard)
{
    struct guard_area *area = guard->setup.area;
    struct guard_member *other = guard_other(guard);
    int64_t now = clock_now();
    struct guard_sight sight = { .dead = guard_other_is_dead(guard) }; /* before `over` is looked at */

    sight.over = atomic_load(&area->over);
    sight.hung = look_hung(guard, now) && !sight.dead;
    sight.claimed = sight.hung && claim(guard);
    sight.budget = guard_budget_has(&other->budget, now);
    sight.due = now >= guard->due_ns;
    struct guard_step step = guard_fsm(guard->state, guard_event_of(guard->state, &sight));
    if (sight.dead && guard->state == GUARD_WATCHING)
        ask_how_it_ended(other, !sight.over, now);
    guard->state = step.next;
    switch (step.action) {
    case GUARD_DO_RESTORE:
        return restore(guard, now);
    case GUARD_DO_PAUSE:
        pause_for(guard, now);
        break;
    case GUARD_DO_KILL:
        atomic_fetch_add(&other->hung, 1);
        (void)guard_signal_other(guard, SIGKILL);
        guard->struck = true;
        guard->missed = 0;
        break;
    case GUARD_DO_LEAVE:
        reap(zombie(other));
        if (guard->side == GUARD_SIDE_ROLE && !guard->ended)
            _exit(area->status); /* it had no time left to kill us */
        break;
    case GUARD_DO_NOTHING:
        break;
    }
    return false;
}

void guard_over(struct guard *guard, int status)
{
    if (!guard)
        return;
    guard->ended = true;
    guard->setup.area->status = status;
    atomic_store(&guard->setup.area->over, 1);
}

int guard_asked(const struct guard *guard)
{
    return guard ? (int)atomic_load(&guard->setup.area->asked) : 0;
}

void guard_heard(struct guard *guard)
{
    if (guard)
        atomic_store(&guard->setup.area->asked, 0);
}

/* ---- the two lives ---- */

static volatile sig_atomic_t asked; /* the signal to be passed on; 0: none */

/* Nothing that is asked beside the end, or after it, matters. */
static void on_signal(int signo)
{
    if (asked != SIGTERM)
        asked = signo;
}

/* A role that is dead, or about to be, does not hear it: its successor finds it here. */
static void pass_on(const struct guard *guard, int signo)
{
    if (atomic_load(&guard->setup.area->asked) != SIGTERM)
        atomic_store(&guard->setup.area->asked, (uint32_t)signo);
    (void)guard_signal_other(guard, signo);
}

static void on_wake(int signo)
{
}

/* Signals that the guard passes on arrive only while it waits. */
static void take_signals(sigset_t *waiting)
{
    const struct sigaction action = { .sa_handler = on_signal }, wake = { .sa_handler = on_wake };
    sigset_t blocked;

    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)sigaction(SIGURG, &wake, NULL);
    (void)sigemptyset(waiting);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGHUP);
    (void)sigaddset(&blocked, SIGURG);
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* Until something happens, or it is time to look. The owner's hang-up is the end. */
static void wait_for_news(struct guard *guard, const sigset_t *waiting)
{
    bool pausing = guard->state == GUARD_PAUSING;
    struct pollfd fds[] = {
        { .fd = pausing ? -1 : guard_fd(guard), .events = POLLIN },
        { .fd = guard->setup.owner_fd },
    };
    int64_t until = pausing && guard->due_ns < guard->look_ns ? guard->due_ns : guard->look_ns;
    int64_t span = until - clock_now();
    struct timespec timeout = { .tv_sec = span > 0 ? span / NS_PER_S : 0, .tv_nsec = span > 0 ? span % NS_PER_S : 0 };

    if (ppoll(fds, 2, &timeout, waiting) > 0 && (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL))) {
        guard_over(guard, EXIT_SUCCESS);
        (void)guard_signal_other(guard, SIGKILL);
    }
    if (asked)
        pass_on(guard, asked);
    asked = 0;
}

/* Children of a dead role, where the owner has made this process their reaper (PR_SET_CHILD_SUBREAPER). At each look and
   not before, so that whoever watches them can see how they ended. */
static void reap_orphans(const struct guard *guard)
{
    for (;;) {
        siginfo_t info = { 0 };
        bool found = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
        if (!found || info.si_pid == guard_other(guard)->pid)
            return;
        (void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}

/* The very first: there is no role yet. 0, or a negative errno when there cannot be a pair: then nobody waits for it. */
static int begin_pair(struct guard *guard)
{
    struct guard_area *area = guard->setup.area;
    struct guard_member *self = &area->member[GUARD_SIDE_GUARD];

    self->pid = getpid();
    self->pidfd = (int32_t)syscall(SYS_pidfd_open, getpid(), 0);
    if (self->pidfd < 0)
        return -errno;
    if (guard->setup.argv) /* without it there is nothing to go back to */
        area->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return make_other(guard);
}

static int run_guard(struct guard *guard)
{
    struct guard_area *area = guard->setup.area;
    bool first = area->member[GUARD_SIDE_GUARD].pidfd < 0;
    sigset_t waiting;

    (void)prctl(PR_SET_NAME, guard->setup.guard_name);
    take_signals(&waiting);
    int r = first ? begin_pair(guard) : guard_fd(guard) < 0 ? make_other(guard) : 0;
    if (r < 0 && first) {
        errno = -r;
        return EXIT_FAILURE;
    }
    if (r < 0)
        pause_for(guard, clock_now());
    while (guard->state != GUARD_LEAVING) {
        (void)guard_beat(guard, 0);
        if (guard_is_asked_to_become_another(guard))
            guard_become(guard, area->next);
        (void)guard_tend(guard);
        reap_orphans(guard);
        guard_settle(guard);
        if (guard->state != GUARD_LEAVING)
            wait_for_news(guard, &waiting);
    }
    return guard->setup.area->status;
}

static int run_role(struct guard *guard)
{
    sigset_t none;

    (void)prctl(PR_SET_NAME, guard->setup.role_name);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (guard_is_taking_over(guard) && !guard_succeed(guard))
        _exit(EXIT_SUCCESS);
    return guard->setup.role(guard, guard->setup.data);
}

int guard_run(struct guard *guard, const struct guard_setup *setup)
{
    *guard = (struct guard){ .setup = *setup, .side = GUARD_SIDE_GUARD };
    if (setup->takes_over)
        guard_take_over(guard);
    (void)setjmp(guard->begin);
    /* Every member begins here: what its maker knew of the other one is not its own. */
    guard->state = GUARD_WATCHING;
    guard->missed = 0;
    guard->look_ns = clock_now() + look_interval(guard);
    guard->due_ns = 0;
    return guard->side == GUARD_SIDE_GUARD ? run_guard(guard) : run_role(guard);
}
