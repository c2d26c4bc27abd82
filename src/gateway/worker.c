/* SPDX-License-Identifier: MIT
 *
 * A worker's life: what it is made of, that it takes over what one before it left, and when it ends.
 */
#include "gateway/worker.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/table.h"
#include "gateway/adopt.h"
#include "gateway/channel.h"
#include "gateway/io.h"
#include "gateway/loop.h"
#include "gateway/resume.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>

enum { TABLE = 65536 }; /* descriptors: some for each client of a busy worker */

/* Memory of our own, which neither the guard nor a successor is to inherit. */
static void *map_private(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)madvise(memory, size, MADV_DONTFORK);
    return memory;
}

static int prepare(struct gw_worker *worker)
{
    const struct gateway_worker_setup *setup = worker->setup;
    struct arena *arena = worker->slots.arena;

    worker->gauges = &setup->gauges->worker[setup->number];
    worker->shared = setup->shared;
    worker->held = worker->verdicts = (struct gw_list){ .first = GW_NONE, .last = GW_NONE };
    worker->ready_first = worker->ready_last = worker->parsed = worker->proven = GW_NONE;
    worker->now = clock_now();
    for (uint32_t i = 0; i < BOARD_SERVICES; i++) {
        worker->queues[i] = worker->held;
        atomic_store_explicit(&worker->gauges->waiting_ns[i], 0, memory_order_relaxed);
    }
    worker->listeners = arena->listeners;
    worker->view = map_private(sizeof(struct board));
    if (!worker->view)
        return -ENOMEM;
    int result = gw_timers_init(&worker->timers, 2 * worker->slots.count + 1, worker->slots.due);
    if (result < 0)
        return result;
    gw_balance_init(&worker->balance, worker->view, setup->gauges, setup->number, worker->slots.local, rng_entropy());
    gw_routes_update(&worker->routes, worker->view);
    result = gw_adopt_epoll(worker);
    if (result == 0)
        result = gw_watch(worker, setup->bell_fd, EPOLLIN, GW_KIND_BELL, 0, 0);
    if (result == 0 && worker->guard)
        result = gw_loop_watch_guard(worker);
    if (result < 0)
        return result;
    gw_source_forget(&worker->shared->sources, setup->number); /* those that are there are counted anew */
    gw_channel_board(worker);
    return gw_adopt(worker);
}

/* What one worker after the other works on. */
struct place {
    const struct gateway_worker_setup *setup;
    struct slots slots;
};

static int serve(struct guard *guard, void *data)
{
    const struct place *place = data;

    /* The supervisor decides about the end; a Ctrl-C at the terminal reaches all of its foreground. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);

    struct gw_worker *worker = map_private(sizeof(*worker));
    if (!worker)
        return 1;
    worker->setup = place->setup;
    worker->slots = place->slots;
    worker->guard = guard;
    worker->program = -1;
    if (!gw_adopt_possible(worker)) {
        guard_over(guard, 1); /* the supervisor begins anew, with another arena */
        return 1;
    }
    if (prepare(worker) < 0)
        return 1;
    while (!worker->over)
        gw_loop_turn(worker);
    guard_over(guard, 0);
    return 0;
}

static char **argv_of(void *data)
{
    const struct place *place = data;
    return gw_resume_argv(place->setup, place->slots.count);
}

int gateway_worker_run(const struct gateway_worker_setup *setup)
{
    static struct guard guard;
    static struct place place;
    uint32_t conns = setup->connections > 0 ? setup->connections : gateway_worker_room();

    (void)files_raise_limit();
    if (setup->guard)
        table_make_room(TABLE); /* while nobody shares it */
    place.setup = setup;
    /* Only address space, but there may be a limit on that, too. */
    int result = gw_slots_new(&place.slots, conns, NULL);
    for (; result == -ENOMEM && conns > 1; conns /= 2)
        result = gw_slots_new(&place.slots, conns / 2, NULL);
    if (result < 0)
        return 1;
    if (!setup->guard)
        return serve(NULL, &place);
    const struct guard_setup pair = {
        .area = setup->guard,
        .role = serve,
        .data = &place,
        .guard_name = setup->guard_name,
        .role_name = setup->name,
        .owner_fd = setup->channel_fd,
        .bell_fd = setup->supervisor_bell_fd,
        .hang_ns = setup->hang_ns,
        .argv = argv_of,
        .takes_over = setup->takes_over,
    };
    return guard_run(&guard, &pair);
}
