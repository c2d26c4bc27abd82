/* SPDX-License-Identifier: MIT */
#include "daemon/workers.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A worker that ended after less than this is forked again with a delay, which doubles up to the cap. */
#define STEADY_NS    (2 * NS_PER_S)
#define DELAY_MIN_NS (50 * NS_PER_MS)
#define DELAY_MAX_NS (5 * NS_PER_S)

/* A worker whose heart has not beaten for so many checks in a row hangs. Counted in checks, not in time, so that a
   machine that slept finds nobody guilty. */
#define CHECK_NS NS_PER_S
enum { CHECKS_MISSED = 5 };

struct worker {
    struct workers *all;
    unsigned number;
    pid_t pid;   /* 0: none */
    int pidfd;   /* -1: none */
    int channel; /* our end; -1: none */
    int bell;    /* eventfd that lives as long as we do: successors inherit it */
    struct loop_io exit_io, channel_io;
    struct loop_timer again;
    int64_t forked_ns, delay_ns;
    uint32_t told[BOARD_LISTENERS]; /* generation + 1 of what it listens on; 0: nothing */
    bool told_drain;
    int64_t beat_ns; /* its last heartbeat that a check saw */
    int missed;      /* checks in a row that saw no other */
};

struct workers {
    struct workers_setup setup;
    int drained_bell;
    struct loop_io drained_io;
    struct loop_timer limit; /* of the drain */
    struct loop_timer check; /* do they live? */
    bool draining;
    struct worker worker[GAUGES_WORKERS];
};

unsigned workers_wanted(void)
{
    const char *asked = getenv("DARUMA_WORKERS");
    cpu_set_t cpus;
    long n = 1;

    if (asked && *asked)
        n = strtol(asked, NULL, 10);
    else if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        n = CPU_COUNT(&cpus);
    return n < 1 ? 1 : n > GAUGES_WORKERS ? GAUGES_WORKERS : (unsigned)n;
}

/* ---- talking ---- */

static int send_message(const struct worker *worker, enum gateway_message_kind kind, uint32_t index,
                        uint32_t generation, int fd)
{
    struct gateway_message message = { .kind = kind, .index = index, .generation = generation };
    struct iovec iov = { .iov_base = &message, .iov_len = sizeof(message) };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
    }
    if (sendmsg(worker->channel, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return -errno;
    return 0;
}

/* Makes one slot be as the board says. */
static int tell_slot(struct worker *worker, uint32_t i)
{
    const struct board_listener *listener = &worker->all->setup.board->listeners[i];
    bool active = listener->state == BOARD_LISTENER_ACTIVE;
    uint32_t wanted = active ? listener->generation + 1 : 0;

    if (worker->told[i] == wanted)
        return 0;
    if (worker->told[i]) {
        int r = send_message(worker, GATEWAY_CLOSE, i, worker->told[i] - 1, -1);
        if (r < 0)
            return r;
        worker->told[i] = 0;
    }
    int fd = active ? listeners_fd(worker->all->setup.listeners, i) : -1;
    if (fd < 0)
        return 0;
    int r = send_message(worker, GATEWAY_LISTEN, i, listener->generation, fd);
    if (r == 0)
        worker->told[i] = wanted;
    return r;
}

/* Tells what the worker does not know yet. A full channel is gone on with when there is room; a broken one means that
   the worker has ended, which its pidfd will say. */
static void tell(struct worker *worker)
{
    int r = 0;

    if (worker->channel < 0)
        return;
    for (uint32_t i = 0; r == 0 && i < worker->all->setup.board->used_listeners; i++)
        r = tell_slot(worker, i);
    if (r == 0 && worker->all->draining && !worker->told_drain) {
        r = send_message(worker, GATEWAY_DRAIN, 0, 0, -1);
        worker->told_drain = r == 0;
    }
    (void)loop_io_change(worker->all->setup.loop, &worker->channel_io, r == -EAGAIN ? EPOLLOUT : 0);
}

static void on_channel(struct loop_io *io, uint32_t events)
{
    struct worker *worker = io->data;

    if (events & (EPOLLHUP | EPOLLERR))
        loop_io_remove(worker->all->setup.loop, io);
    else
        tell(worker);
}

static void ring(int bell)
{
    /* A counter that is full rings all the same. */
    (void)!write(bell, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void workers_sync(struct workers *workers)
{
    for (unsigned i = 0; i < workers->setup.count; i++) {
        ring(workers->worker[i].bell);
        tell(&workers->worker[i]);
    }
}

static void emit(struct worker *worker, const char *what, const siginfo_t *info);

/* A hung worker is a dead worker: another one takes its place. */
static void check_one(struct worker *worker)
{
    const struct worker_gauges *gauges = &worker->all->setup.gauges->worker[worker->number];
    int64_t beat = atomic_load_explicit(&gauges->heartbeat_ns, memory_order_relaxed);

    worker->missed = worker->pid > 0 && beat == worker->beat_ns ? worker->missed + 1 : 0;
    worker->beat_ns = beat;
    if (worker->missed != CHECKS_MISSED)
        return;
    emit(worker, "it hangs and is killed", NULL);
    (void)kill(worker->pid, SIGKILL);
}

static void on_check(struct loop_timer *timer)
{
    struct workers *workers = timer->data;
    for (unsigned i = 0; i < workers->setup.count; i++)
        check_one(&workers->worker[i]);
    loop_timer_set(workers->setup.loop, timer, clock_now() + CHECK_NS);
}

/* ---- forking ---- */

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes everything but standard streams and `keep`. What faces the network holds none of our descriptors. */
static int close_others(int *keep, size_t n)
{
    unsigned from = 3;

    qsort(keep, n, sizeof(*keep), compare_fds);
    for (size_t i = 0; i < n; i++) {
        unsigned fd = (unsigned)keep[i];
        if (fd > from && syscall(SYS_close_range, from, fd - 1, 0) < 0)
            return -errno;
        from = fd + 1;
    }
    return syscall(SYS_close_range, from, ~0U, 0) < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) run_worker(const struct worker *worker, int channel)
{
    const struct workers_setup *setup = &worker->all->setup;
    int keep[] = { worker->bell, worker->all->drained_bell, channel };
    char name[16];
    sigset_t none;

    (void)snprintf(name, sizeof(name), "daruma-gw%u", worker->number);
    (void)prctl(PR_SET_NAME, name);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (close_others(keep, ARRAY_LEN(keep)) < 0)
        _exit(EXIT_FAILURE);
    const struct gateway_worker_setup worker_setup = {
        .number = worker->number,
        .board = setup->board,
        .gauges = setup->gauges,
        .shared = setup->shared,
        .access = setup->access,
        .bell_fd = worker->bell,
        .supervisor_bell_fd = worker->all->drained_bell,
        .channel_fd = channel,
        .connections = setup->connections,
    };
    _exit(gateway_worker_run(&worker_setup));
}

static void on_exit_of(struct loop_io *io, uint32_t events);

/* What a dead worker had in flight is not in flight any more. */
static void forget_gauges(struct worker *worker)
{
    struct worker_gauges *gauges = &worker->all->setup.gauges->worker[worker->number];

    atomic_store_explicit(&gauges->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&gauges->holding, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < worker->all->setup.board->used_endpoints; i++)
        atomic_store_explicit(&gauges->endpoints[i].inflight, 0, memory_order_relaxed);
}

static int fork_worker(struct worker *worker, struct err *err)
{
    struct loop *loop = worker->all->setup.loop;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_errno(err, -errno, "cannot open a channel for a gateway worker");
    pid_t pid = fork();
    if (pid == 0)
        run_worker(worker, pair[1]);
    int r = pid < 0 ? -errno : 0;
    (void)close(pair[1]);
    if (r < 0) {
        (void)close(pair[0]);
        return err_fork(err, r, "a gateway worker");
    }
    worker->pid = pid;
    worker->channel = pair[0];
    worker->forked_ns = clock_now();
    worker->told_drain = false;
    worker->missed = 0;
    memset(worker->told, 0, sizeof(worker->told));
    worker->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    r = worker->pidfd < 0 ? -errno : loop_io_add(loop, &worker->exit_io, worker->pidfd, EPOLLIN);
    if (r == 0)
        r = loop_io_add(loop, &worker->channel_io, worker->channel, 0);
    if (r < 0)
        return err_errno(err, r, "cannot watch a gateway worker");
    tell(worker);
    return 0;
}

/* Forgets a worker that has ended, or ends it first. How it ended goes to `info`. */
static void bury(struct worker *worker, bool kill_first, siginfo_t *info)
{
    struct loop *loop = worker->all->setup.loop;

    loop_io_remove(loop, &worker->exit_io);
    loop_io_remove(loop, &worker->channel_io);
    loop_timer_cancel(loop, &worker->again);
    if (worker->channel >= 0)
        (void)close(worker->channel);
    worker->channel = -1;
    if (worker->pid > 0) {
        if (kill_first)
            (void)kill(worker->pid, SIGKILL);
        while (waitid(P_PID, (id_t)worker->pid, info, WEXITED) < 0 && errno == EINTR)
            ;
    }
    worker->pid = 0;
    if (worker->pidfd >= 0)
        (void)close(worker->pidfd);
    worker->pidfd = -1;
}

static void emit(struct worker *worker, const char *what, const siginfo_t *info)
{
    struct event event = { .kind = EVENT_GATEWAY, .pid = worker->pid };

    if (info && info->si_code == CLD_EXITED)
        (void)snprintf(event.text, sizeof(event.text), "gateway worker %u exited with status %d; %s", worker->number,
                       info->si_status, what);
    else if (info)
        (void)snprintf(event.text, sizeof(event.text), "gateway worker %u ended by SIG%s; %s", worker->number,
                       sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?", what);
    else
        (void)snprintf(event.text, sizeof(event.text), "gateway worker %u: %.200s", worker->number, what);
    event_emit(worker->all->setup.events, &event);
}

static void fork_later(struct worker *worker)
{
    worker->delay_ns = worker->delay_ns ? worker->delay_ns * 2 : DELAY_MIN_NS;
    if (worker->delay_ns > DELAY_MAX_NS)
        worker->delay_ns = DELAY_MAX_NS;
    loop_timer_set(worker->all->setup.loop, &worker->again, clock_now() + worker->delay_ns);
}

static void fork_again(struct worker *worker)
{
    struct err err = { 0 };

    if (fork_worker(worker, &err) < 0) {
        siginfo_t info = { 0 };
        bury(worker, true, &info);
        emit(worker, err.message, NULL);
        fork_later(worker);
    }
}

static void on_again(struct loop_timer *timer)
{
    fork_again(timer->data);
}

static bool any_left(const struct workers *workers)
{
    for (unsigned i = 0; i < workers->setup.count; i++)
        if (workers->worker[i].pid > 0)
            return true;
    return false;
}

static void on_exit_of(struct loop_io *io, uint32_t events)
{
    struct worker *worker = io->data;
    struct workers *workers = worker->all;
    siginfo_t info = { 0 };

    bury(worker, false, &info);
    forget_gauges(worker);
    if (workers->draining) {
        if (!any_left(workers))
            workers->setup.gone(workers->setup.data);
        return;
    }
    if (clock_now() - worker->forked_ns >= STEADY_NS) {
        worker->delay_ns = 0;
        emit(worker, "another one takes its place", &info);
        fork_again(worker);
    } else {
        emit(worker, "another one will take its place in a moment", &info);
        fork_later(worker);
    }
    /* What waited for its requests to end need not wait longer. */
    workers->setup.drained(workers->setup.data);
}

/* ---- the whole ---- */

static void on_drained(struct loop_io *io, uint32_t events)
{
    struct workers *workers = io->data;
    uint64_t count;

    if (read(io->fd, &count, sizeof(count)) == sizeof(count))
        workers->setup.drained(workers->setup.data);
}

static void on_limit(struct loop_timer *timer)
{
    struct workers *workers = timer->data;
    for (unsigned i = 0; i < workers->setup.count; i++)
        if (workers->worker[i].pid > 0)
            (void)kill(workers->worker[i].pid, SIGKILL);
}

struct workers *workers_new(const struct workers_setup *setup, struct err *err)
{
    struct workers *workers = calloc(1, sizeof(*workers));

    if (!workers) {
        (void)err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    workers->setup = *setup;
    workers->drained_io = (struct loop_io){ .fn = on_drained, .data = workers };
    workers->limit = (struct loop_timer){ .fn = on_limit, .data = workers };
    workers->check = (struct loop_timer){ .fn = on_check, .data = workers };
    workers->drained_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = workers->drained_bell < 0 ? -errno : 0;
    for (unsigned i = 0; i < setup->count; i++) {
        struct worker *worker = &workers->worker[i];
        *worker = (struct worker){
            .all = workers,
            .number = i,
            .pidfd = -1,
            .channel = -1,
            .bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
            .exit_io = { .fn = on_exit_of, .data = worker },
            .channel_io = { .fn = on_channel, .data = worker },
            .again = { .fn = on_again, .data = worker },
        };
        if (r == 0 && worker->bell < 0)
            r = -errno;
    }
    if (r == 0)
        r = loop_io_add(setup->loop, &workers->drained_io, workers->drained_bell, EPOLLIN);
    if (r == 0)
        loop_timer_set(setup->loop, &workers->check, clock_now() + CHECK_NS);
    else
        (void)err_errno(err, r, "cannot prepare the gateway's workers");
    for (unsigned i = 0; r == 0 && i < setup->count; i++)
        r = fork_worker(&workers->worker[i], err);
    if (r < 0) {
        workers_free(workers);
        return NULL;
    }
    return workers;
}

void workers_drain(struct workers *workers, int64_t limit_ns)
{
    workers->draining = true;
    for (unsigned i = 0; i < workers->setup.count; i++)
        loop_timer_cancel(workers->setup.loop, &workers->worker[i].again);
    if (!any_left(workers)) {
        workers->setup.gone(workers->setup.data);
        return;
    }
    workers_sync(workers);
    loop_timer_set(workers->setup.loop, &workers->limit, clock_now() + limit_ns);
}

void workers_free(struct workers *workers)
{
    siginfo_t info;

    if (!workers)
        return;
    for (unsigned i = 0; i < workers->setup.count; i++) {
        bury(&workers->worker[i], true, &info);
        if (workers->worker[i].bell >= 0)
            (void)close(workers->worker[i].bell);
    }
    loop_io_remove(workers->setup.loop, &workers->drained_io);
    loop_timer_cancel(workers->setup.loop, &workers->limit);
    loop_timer_cancel(workers->setup.loop, &workers->check);
    if (workers->drained_bell >= 0)
        (void)close(workers->drained_bell);
    free(workers);
}
