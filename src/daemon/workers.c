/* SPDX-License-Identifier: MIT */
#include "daemon/workers_parts.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/handover.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A pair that ended after less than this is forked again with a delay, which doubles up to the cap. */
#define STEADY_NS    (2 * NS_PER_S)
#define DELAY_MIN_NS (50 * NS_PER_MS)
#define DELAY_MAX_NS (5 * NS_PER_S)

/* How often it is looked whether a worker dies again and again without getting to tell anybody. */
#define CHECK_NS NS_PER_S

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

static int send_on(int channel, enum gateway_message_kind kind, uint32_t index, uint32_t generation, int fd)
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
    return sendmsg(channel, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int send_message(const struct worker *worker, enum gateway_message_kind kind, uint32_t index,
                        uint32_t generation, int fd)
{
    return send_on(worker->kept->channel, kind, index, generation, fd);
}

int workers_drain_channel(int channel)
{
    return send_on(channel, GATEWAY_DRAIN, 0, 0, -1);
}

/* Makes one slot be as the board says. */
static int tell_slot(struct worker *worker, uint32_t i)
{
    const struct board_listener *listener = &worker->all->setup.board->listeners[i];
    bool active = listener->state == BOARD_LISTENER_ACTIVE;
    uint32_t wanted = active ? listener->generation + 1 : 0;

    if (worker->kept->told[i] == wanted)
        return 0;
    if (worker->kept->told[i]) {
        int r = send_message(worker, GATEWAY_CLOSE, i, worker->kept->told[i] - 1, -1);
        if (r < 0)
            return r;
        worker->kept->told[i] = 0;
    }
    int fd = active ? listeners_fd(worker->all->setup.listeners, i) : -1;
    if (fd < 0)
        return 0;
    int r = send_message(worker, GATEWAY_LISTEN, i, listener->generation, fd);
    if (r == 0)
        worker->kept->told[i] = wanted;
    return r;
}

/* Tells what the worker does not know yet. A full channel is gone on with when there is room; a broken one means that
   the pair has ended, which its hang-up will say. */
static void tell(struct worker *worker)
{
    int r = 0;

    if (worker->kept->channel < 0)
        return;
    for (uint32_t i = 0; r == 0 && i < worker->all->setup.board->used_listeners; i++)
        r = tell_slot(worker, i);
    if (r == 0 && worker->all->draining && !worker->kept->told_drain) {
        r = send_message(worker, GATEWAY_DRAIN, 0, 0, -1);
        worker->kept->told_drain = r == 0;
    }
    (void)loop_io_change(worker->all->setup.loop, &worker->channel_io, r == -EAGAIN ? EPOLLOUT : 0);
}

static void on_pair_ended(struct worker *worker);

static void on_channel(struct loop_io *io, uint32_t events)
{
    struct worker *worker = io->data;

    if (events & (EPOLLHUP | EPOLLERR))
        on_pair_ended(worker);
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
        ring(workers->worker[i].kept->bell);
        tell(&workers->worker[i]);
    }
}

/* ---- reaping ---- */

/* Reaps those of the pair that have become our children. */
static void reap(const struct worker *worker, int options)
{
    siginfo_t info;
    do
        info.si_pid = 0;
    while (worker->kept->group > 0 &&
           (waitid(P_PGID, (id_t)worker->kept->group, &info, WEXITED | options) == 0 || errno == EINTR) &&
           (info.si_pid != 0 || !(options & WNOHANG)));
}

static void on_check(struct loop_timer *timer)
{
    struct workers *workers = timer->data;
    for (unsigned i = 0; i < workers->setup.count; i++) {
        worker_tell_news(&workers->worker[i], true);
        reap(&workers->worker[i], WNOHANG);
    }
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

int64_t workers_hang_ns(void)
{
    const char *asked = getenv("DARUMA_HANG_MS");
    long ms = asked ? strtol(asked, NULL, 10) : 0;
    return ms > 0 ? ms * NS_PER_MS : 0;
}

static void __attribute__((noreturn)) run_worker(const struct worker *worker, int channel)
{
    const struct workers_setup *setup = &worker->all->setup;
    int bell = worker->kept->bell, drained_bell = worker->all->kept->drained_bell;
    int keep[HANDOVER_PARTS + 3];

    (void)setpgid(0, 0);
    worker->kept->group = getpid(); /* should the supervisor die before it can write that */
    handover_memory_free(worker->all->kept);
    size_t n = handover_fds(keep);
    keep[n++] = bell;
    keep[n++] = drained_bell;
    keep[n++] = channel;
    if (close_others(keep, n) < 0)
        _exit(EXIT_FAILURE);
    const struct gateway_worker_setup worker_setup = {
        .number = worker->number,
        .board = setup->board,
        .gauges = setup->gauges,
        .shared = setup->shared,
        .access = setup->access,
        .bell_fd = bell,
        .supervisor_bell_fd = drained_bell,
        .channel_fd = channel,
        .connections = setup->connections,
        .guard = worker->area,
        .name = worker->name[GUARD_SIDE_ROLE],
        .guard_name = worker->name[GUARD_SIDE_GUARD],
        .hang_ns = workers_hang_ns(),
    };
    _exit(gateway_worker_run(&worker_setup));
}

/* What a pair that has ended had in flight is not in flight any more. */
static void forget_gauges(struct worker *worker)
{
    struct worker_gauges *gauges = &worker->all->setup.gauges->worker[worker->number];

    atomic_store_explicit(&gauges->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&gauges->holding, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < worker->all->setup.board->used_endpoints; i++)
        atomic_store_explicit(&gauges->endpoints[i].inflight, 0, memory_order_relaxed);
}

static int watch_worker(struct worker *worker, struct err *err)
{
    int r = loop_io_add(worker->all->setup.loop, &worker->channel_io, worker->kept->channel, 0);
    if (r < 0)
        return err_errno(err, r, "cannot watch a gateway worker");
    tell(worker);
    return 0;
}

static int fork_worker(struct worker *worker, struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_errno(err, -errno, "cannot open a channel for a gateway worker");
    guard_area_init(worker->area);
    memset(worker->kept->deaths, 0, sizeof(worker->kept->deaths));
    memset(worker->kept->told, 0, sizeof(worker->kept->told));
    worker->kept->hung = worker->kept->upgraded = worker->kept->undone = 0;
    worker->kept->told_drain = false;
    worker->kept->forked_ns = clock_now();
    /* Before the fork: a supervisor that dies just now leaves a channel that either leads to the pair or hangs up. */
    worker->kept->channel = pair[0];
    pid_t pid = fork();
    if (pid == 0)
        run_worker(worker, pair[1]);
    int r = pid < 0 ? -errno : 0;
    (void)close(pair[1]);
    if (r < 0)
        return err_fork(err, r, "a gateway worker");
    (void)setpgid(pid, pid); /* as the child does: whoever comes first */
    worker->kept->group = pid;
    return watch_worker(worker, err);
}

/* As long as the channel has not hung up, somebody of the pair lives, and the group's number means it. */
static void kill_pair(const struct worker *worker)
{
    struct pollfd channel = { .fd = worker->kept->channel };
    if (worker->kept->group > 0 && worker->kept->channel >= 0 && poll(&channel, 1, 0) == 0)
        (void)kill(-worker->kept->group, SIGKILL);
}

/* Forgets a pair that has ended, or ends it first. */
static void bury(struct worker *worker)
{
    struct loop *loop = worker->all->setup.loop;

    kill_pair(worker);
    loop_io_remove(loop, &worker->channel_io);
    loop_timer_cancel(loop, &worker->again);
    if (worker->kept->channel >= 0)
        (void)close(worker->kept->channel);
    worker->kept->channel = -1;
    reap(worker, 0);
    worker->kept->group = 0;
}

static void fork_later(struct worker *worker)
{
    worker->kept->delay_ns = worker->kept->delay_ns ? worker->kept->delay_ns * 2 : DELAY_MIN_NS;
    if (worker->kept->delay_ns > DELAY_MAX_NS)
        worker->kept->delay_ns = DELAY_MAX_NS;
    loop_timer_set(worker->all->setup.loop, &worker->again, clock_now() + worker->kept->delay_ns);
}

static void fork_again(struct worker *worker)
{
    struct err err = { 0 };

    if (fork_worker(worker, &err) < 0) {
        char text[sizeof(err.message) + 2];
        bury(worker);
        (void)snprintf(text, sizeof(text), ": %s", err.message);
        worker_emit(worker, text);
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
        if (workers->worker[i].kept->group > 0)
            return true;
    return false;
}

static void on_pair_ended(struct worker *worker)
{
    struct workers *workers = worker->all;

    bury(worker);
    forget_gauges(worker);
    if (workers->draining) {
        if (!any_left(workers))
            workers->setup.gone(workers->setup.data);
        return;
    }
    if (clock_now() - worker->kept->forked_ns >= STEADY_NS) {
        worker->kept->delay_ns = 0;
        worker_emit(worker, " and its guard have both ended; others take their place");
        fork_again(worker);
    } else {
        worker_emit(worker, " and its guard have both ended; others will take their place in a moment");
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

    if (read(io->fd, &count, sizeof(count)) != sizeof(count))
        return;
    for (unsigned i = 0; i < workers->setup.count; i++) {
        worker_tell_news(&workers->worker[i], false);
        reap(&workers->worker[i], WNOHANG);
    }
    workers->setup.drained(workers->setup.data);
}

static void on_limit(struct loop_timer *timer)
{
    struct workers *workers = timer->data;
    for (unsigned i = 0; i < workers->setup.count; i++)
        kill_pair(&workers->worker[i]);
}

/* ---- another program ---- */

int workers_upgrade(struct workers *workers, unsigned number, int program)
{
    struct worker *worker = &workers->worker[number];
    const struct guard_upgrades *upgrades = &worker->area->upgrades;

    if (worker->kept->channel < 0)
        return -ENOTCONN;
    worker->kept->asked.done = atomic_load(&upgrades->done);
    worker->kept->asked.refused = atomic_load(&upgrades->refused);
    worker->kept->asked.undone = atomic_load(&upgrades->undone);
    worker->kept->asked.deaths = atomic_load(&worker->area->member[GUARD_SIDE_ROLE].deaths);
    worker->kept->asked.adoptions = atomic_load(&workers->setup.gauges->worker[number].adoption.adoptions);
    worker->kept->asked.forked_ns = worker->kept->forked_ns;
    return send_message(worker, GATEWAY_UPGRADE, 0, 0, program);
}

unsigned workers_channels(const struct workers *workers, int32_t channels[GAUGES_WORKERS])
{
    unsigned n = 0;

    for (unsigned i = 0; i < workers->setup.count; i++)
        if (workers->kept->worker[i].channel >= 0)
            channels[n++] = workers->kept->worker[i].channel;
    return n;
}

enum workers_upgraded workers_upgraded(const struct workers *workers, unsigned number)
{
    const struct worker *worker = &workers->worker[number];
    const struct guard_upgrades *upgrades = &worker->area->upgrades;
    const struct worker_kept *kept = worker->kept;

    if (kept->group == 0 || kept->asked.forked_ns != kept->forked_ns)
        return WORKERS_UPGRADE_ENDED;
    if (atomic_load(&upgrades->undone) != kept->asked.undone || atomic_load(&upgrades->refused) != kept->asked.refused)
        return WORKERS_UPGRADE_REFUSED;
    if (atomic_load(&upgrades->done) != kept->asked.done) {
        uint32_t adoptions = atomic_load(&workers->setup.gauges->worker[number].adoption.adoptions);
        return adoptions != kept->asked.adoptions ? WORKERS_UPGRADE_DONE : WORKERS_UPGRADE_PENDING;
    }
    bool died = atomic_load(&worker->area->member[GUARD_SIDE_ROLE].deaths) != kept->asked.deaths;
    return died ? WORKERS_UPGRADE_LOST : WORKERS_UPGRADE_PENDING;
}

int workers_memory_new(struct workers_memory *ret, struct err *err)
{
    struct workers_memory memory = { .kept = handover_memory("workers", sizeof(struct workers_kept), err) };

    if (memory.kept)
        memory.areas = guard_areas_new(GAUGES_WORKERS, err);
    if (!memory.areas) {
        handover_memory_free(memory.kept);
        return -ENOMEM;
    }
    *ret = memory;
    return 0;
}

void workers_memory_free(struct workers_memory *memory)
{
    handover_memory_free(memory->kept);
    guard_areas_free(memory->areas);
}

size_t workers_fds(const struct workers_memory *memory, int fds[WORKERS_FDS])
{
    const struct workers_kept *kept = memory->kept;
    size_t n = 0;

    if (!kept->used)
        return 0;
    fds[n++] = kept->drained_bell;
    for (unsigned i = 0; i < GAUGES_WORKERS; i++) {
        fds[n++] = kept->worker[i].bell;
        fds[n++] = kept->worker[i].channel;
    }
    return n;
}

/* The first supervisor opens the bells; its successors find them. */
static int open_bells(struct workers *workers)
{
    struct workers_kept *kept = workers->kept;

    if (kept->used)
        return 0;
    memset(kept, 0, sizeof(*kept));
    for (unsigned i = 0; i < GAUGES_WORKERS; i++)
        kept->worker[i].bell = kept->worker[i].channel = -1;
    kept->drained_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = kept->drained_bell < 0 ? -errno : 0;
    for (unsigned i = 0; r == 0 && i < workers->setup.count; i++) {
        kept->worker[i].bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = kept->worker[i].bell < 0 ? -errno : 0;
    }
    kept->used = r == 0;
    return r;
}

static void prepare(struct worker *worker, struct workers *workers, unsigned number)
{
    *worker = (struct worker){
        .all = workers,
        .number = number,
        .kept = &workers->kept->worker[number],
        .area = &workers->setup.memory->areas[number],
        .channel_io = { .fn = on_channel, .data = worker },
        .again = { .fn = on_again, .data = worker },
    };
    (void)snprintf(worker->name[GUARD_SIDE_ROLE], sizeof(worker->name[0]), "daruma-gw%u", number);
    (void)snprintf(worker->name[GUARD_SIDE_GUARD], sizeof(worker->name[0]), "daruma-guard%u", number);
}

struct workers *workers_new(const struct workers_setup *setup, struct err *err)
{
    struct workers *workers = calloc(1, sizeof(*workers));

    if (!workers) {
        (void)err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    workers->setup = *setup;
    workers->kept = setup->memory->kept;
    workers->drained_io = (struct loop_io){ .fn = on_drained, .data = workers };
    workers->limit = (struct loop_timer){ .fn = on_limit, .data = workers };
    workers->check = (struct loop_timer){ .fn = on_check, .data = workers };
    for (unsigned i = 0; i < setup->count; i++)
        prepare(&workers->worker[i], workers, i);
    bool found = workers->kept->used;
    int r = open_bells(workers);
    if (r == 0)
        r = loop_io_add(setup->loop, &workers->drained_io, workers->kept->drained_bell, EPOLLIN);
    if (r == 0)
        loop_timer_set(setup->loop, &workers->check, clock_now() + CHECK_NS);
    else
        (void)err_errno(err, r, "cannot prepare the gateway's workers");
    for (unsigned i = 0; r == 0 && i < setup->count; i++)
        r = workers->kept->worker[i].channel >= 0 ? watch_worker(&workers->worker[i], err)
                                                  : fork_worker(&workers->worker[i], err);
    if (r == 0)
        return workers;
    if (found)
        free(workers); /* the pairs go on: a successor of ours may be able to watch them */
    else
        workers_free(workers);
    return NULL;
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
    if (!workers)
        return;
    for (unsigned i = 0; i < workers->setup.count; i++) {
        bury(&workers->worker[i]);
        if (workers->kept->worker[i].bell >= 0)
            (void)close(workers->kept->worker[i].bell);
    }
    loop_io_remove(workers->setup.loop, &workers->drained_io);
    loop_timer_cancel(workers->setup.loop, &workers->limit);
    loop_timer_cancel(workers->setup.loop, &workers->check);
    if (workers->kept->drained_bell >= 0)
        (void)close(workers->kept->drained_bell);
    workers->kept->used = false;
    free(workers);
}
