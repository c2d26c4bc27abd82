/* SPDX-License-Identifier: MIT
 *
 * The supervisor as a guarded role (base/guard.h): its first life starts with what the command has prepared, every later
 * one with what the one before has left in shared memory, in the run directory and in the descriptor table.
 */
#include "daemon/daemon.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/handover.h"
#include "base/inherit.h"
#include "base/table.h"
#include "daemon/workers.h"
#include "gateway/access.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>

/* How often the heart beats by itself (daemon_busy_begin()). */
enum { BUSY_BEAT_US = 100000 };
enum { TABLE = 4096 }; /* descriptors: some for each instance */

/* In shared memory. */
struct role_shared {
    struct guard_area guard;
    _Atomic uint32_t lives; /* how many supervisors have begun */
    _Atomic uint32_t ready; /* bool: one of them has come so far that there is something to be taken over */
};

/* In each member's own memory, and the same in all of them: set before there are any. */
static struct {
    struct rundir dir;
    struct daemon_memory memory;
    struct role_shared *shared;
    struct daemon_setup *setup; /* of the first life */
    int ready_fd;
} role;

static struct guard guard;

/* ---- a heart that beats by itself ---- */

static struct guard *beating;
static int busy;

static void on_alarm(int signo)
{
    (void)guard_beat(beating, 0);
}

static void set_alarm(long us)
{
    const struct itimerval timer = { .it_value.tv_usec = us, .it_interval.tv_usec = us };
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

void daemon_busy_begin(struct guard *whose)
{
    const struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

    if (busy++ > 0)
        return;
    beating = whose;
    (void)sigaction(SIGALRM, &action, NULL);
    (void)guard_beat(whose, 0);
    set_alarm(BUSY_BEAT_US);
}

void daemon_busy_end(void)
{
    if (--busy == 0)
        set_alarm(0);
}

/* ---- its lives ---- */

static void say(int fd, const char *text)
{
    /* When nobody listens any more there is nobody to tell. */
    (void)!write(fd, text, strlen(text) + 1);
    (void)close(fd);
}

/* What the one before has left in the table: ours is what we find by its address or name, all else is closed. */
static int take_table(void)
{
    char path[PATH_MAX];
    int keep[WORKERS_FDS + GUARD_FDS + HANDOVER_PARTS + UPGRADE_FDS];
    size_t n = workers_fds(&role.memory.pairs, keep);

    n += guard_area_fds(&role.shared->guard, keep + n);
    n += handover_fds(keep + n);
    n += upgrade_fds(role.memory.upgrade, keep + n);
    return inherit_begin(keep, n, rundir_file(&role.dir, "lock", path));
}

static int run_again(struct guard *self)
{
    struct daemon_setup setup = { .dir = role.dir, .goes_on = true };
    struct problems problems = { 0 };
    struct err err = { 0 };

    daemon_busy_begin(self);
    (void)files_raise_limit(); /* as the one before did: what it had open are more than the guard may have */
    int r = take_table();
    if (r == 0)
        r = applied_load(&role.dir, &setup.before, &err);
    if (r == -EMFILE || r == -ENFILE || r == -ENOMEM) {
        (void)fprintf(stderr, "daruma: what the supervisor left cannot be read now: %s\n", strerror(-r));
        return EXIT_FAILURE; /* it is tried again */
    }
    if (r < 0) {
        (void)fprintf(stderr,
                      "daruma: what the supervisor left cannot be taken over: %s; instances go on without one until "
                      "the next `daruma up`\n",
                      err.message[0] ? err.message : strerror(-r));
        guard_over(self, EXIT_FAILURE);
        return EXIT_FAILURE;
    }
    setup.runtime = setup.before.runtime;
    setup.listeners.ports = setup.before.ports;
    listeners_open(&setup.listeners, setup.before.spec, &problems); /* they are open already */
    problems_free(&problems);
    daemon_busy_end();
    return daemon_run(&setup, &role.memory, self, -1);
}

static int run_role(struct guard *self, void *data)
{
    if (atomic_fetch_add(&role.shared->lives, 1) == 0)
        return daemon_run(role.setup, &role.memory, self, role.ready_fd);
    if (atomic_load(&role.shared->ready))
        return run_again(self);
    say(role.ready_fd, "the supervisor died while it started");
    guard_over(self, EXIT_FAILURE);
    return EXIT_FAILURE;
}

void daemon_is_ready(void)
{
    atomic_store(&role.shared->ready, 1);
}

/* ---- the pair ---- */

static int map_memory(struct err *err)
{
    struct daemon_memory *memory = &role.memory;

    role.shared = handover_memory("supervisor", sizeof(*role.shared), err);
    if (!role.shared)
        return -ENOMEM;
    if (role.shared->guard.magic != GUARD_MAGIC)
        guard_area_init(&role.shared->guard);
    memory->guard = &role.shared->guard;
    memory->board = board_new(err);
    memory->gauges = memory->board ? gauges_new(workers_wanted(), err) : NULL;
    memory->workers = memory->gauges ? memory->gauges->workers : 0;
    memory->gateway = memory->gauges ? gateway_shared_new(err) : NULL;
    memory->rings = memory->gateway ? access_rings_new(memory->workers, err) : NULL;
    memory->upgrade = memory->rings ? handover_memory("upgrade", sizeof(*memory->upgrade), err) : NULL;
    return memory->upgrade ? workers_memory_new(&memory->pairs, err) : -ENOMEM;
}

/* To a program that lays the gateway's memory out differently only our own is handed over. */
static char **argv_of(void *data)
{
    static const char *const own[] = { "supervisor", "upgrade", NULL };
    bool drains = role.memory.upgrade->drains;
    const struct handover_item items[] = { { .name = "project", .text = role.dir.project } };
    return handover_argv("supervisor", items, ARRAY_LEN(items), drains ? own : NULL);
}

/* Becomes the guard. */
static int run_pair(bool takes_over)
{
    /* Instances whose supervisor died become the guard's children: it reaps them, but not at once, so that the next
       supervisor can see how they ended. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    table_make_room(TABLE); /* while nobody shares it */
    const struct guard_setup pair = {
        .area = &role.shared->guard,
        .role = run_role,
        .guard_name = "daruma-guard",
        .role_name = "daruma",
        .owner_fd = -1,
        .bell_fd = -1,
        .hang_ns = workers_hang_ns(),
        .argv = argv_of,
        .takes_over = takes_over,
    };
    return guard_run(&guard, &pair);
}

int daemon_main(struct daemon_setup *setup, int ready_fd)
{
    struct err err = { 0 };

    role.dir = setup->dir;
    role.setup = setup;
    role.ready_fd = ready_fd;
    if (map_memory(&err) < 0) {
        say(ready_fd, err.message);
        return EXIT_FAILURE;
    }
    int status = run_pair(false);
    if (atomic_load(&role.shared->lives) == 0) {
        (void)err_fork(&err, -errno, "the supervisor");
        say(ready_fd, err.message);
    }
    return status;
}

int daemon_resume(void)
{
    const char *project = handover_text("project");
    struct err err = { 0 };

    role.ready_fd = -1;
    if (!project || rundir_name(&role.dir, project, &err) < 0 || map_memory(&err) < 0) {
        (void)fprintf(stderr, "daruma: this program cannot go on as the supervisor: %s\n", err.message);
        return EXIT_FAILURE;
    }
    return run_pair(true);
}
