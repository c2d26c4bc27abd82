/* SPDX-License-Identifier: MIT
 *
 * The loop of a worker: one thread, one epoll set, edge-triggered. Turns: wait, take the time, hand each event to its
 * slot, then what is due and what was left over.
 */
#include "gateway/worker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/table.h"
#include "gateway/adopt.h"
#include "gateway/attempt.h"
#include "gateway/conn.h"
#include "gateway/hedge.h"
#include "gateway/hold.h"
#include "gateway/limit.h"
#include "gateway/listen.h"
#include "gateway/mark.h"
#include "gateway/resume.h"
#include "gateway/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    TABLE = 65536,      /* descriptors: some for each client of a busy worker */
    OTHERS_MS = 2,      /* the longest sleep while what is waited for may come from another worker: a turn, or room */
    PROVE_MS = 1,       /* the longest sleep before some more of what was adopted are proven (adopt.h) */
    HEARTBEAT_MS = 150, /* the longest sleep: who watches the heart sees it beat (base/guard.h) */
};

/* --- input and output ------------------------------------------------------------------------------------------- */

uint64_t gw_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

uint64_t gw_tag(enum gw_kind kind, uint32_t generation, uint32_t index)
{
    return (uint64_t)kind << 56 | (uint64_t)generation << 32 | index;
}

int gw_watch(struct gw_worker *worker, int fd, uint32_t events, enum gw_kind kind, uint32_t generation, uint32_t index)
{
    struct epoll_event event = { .events = events | EPOLLET, .data.u64 = gw_tag(kind, generation, index) };
    int r = epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (r < 0 && errno == EEXIST) /* by a worker before us */
        r = epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    return r < 0 ? -errno : 0;
}

void gw_watch_out(struct gw_worker *worker, int fd, uint8_t *io, enum gw_kind kind, uint32_t generation, uint32_t index)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.u64 = gw_tag(kind, generation, index),
    };
    if (*io & GW_WANT_OUT)
        return;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0)
        *io |= GW_ERROR; /* without the event it would hang for ever */
    *io |= GW_WANT_OUT;
}

void gw_io_event(uint8_t *io, uint32_t events)
{
    if (events & EPOLLIN)
        *io |= GW_READABLE;
    if (events & EPOLLOUT)
        *io |= GW_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        *io |= GW_READABLE | GW_HUP;
}

size_t gw_replayed(struct gw_worker *worker, const struct gw_socket *socket, bool given)
{
    for (int i = 0; i < 2; i++) {
        struct gw_replay *replay = &worker->replay[i];
        uint64_t *moved = given ? &replay->given : &replay->taken, n = *moved;
        if (replay->socket == socket && n > 0) {
            *moved = 0;
            return n;
        }
    }
    return 0;
}

/* The message in shared memory, for a Unix socket: who dies in the call leaves its result there. */
static struct mmsghdr *unix_call(struct gw_worker *worker, const struct gw_socket *socket, bool given,
                                 const struct iovec *pieces, int count)
{
    struct arena *arena = worker->slots.arena;
    struct mmsghdr *call = &arena->call;
    arena->call_cookie = socket->cookie;
    arena->call_given = given;
    call->msg_hdr = (struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count };
    return call;
}

static ssize_t receive(struct gw_worker *worker, const struct gw_socket *socket, char *buf, size_t len)
{
    if (!socket->is_unix)
        return recv(socket->fd, buf, len, 0);
    struct mmsghdr *call = unix_call(worker, socket, false, &(struct iovec){ buf, len }, 1);
    int n = recvmmsg(socket->fd, call, 1, 0, NULL);
    return n < 0 ? n : (ssize_t)call->msg_len;
}

static ssize_t transmit(struct gw_worker *worker, const struct gw_socket *socket, const struct iovec *pieces, int count,
                        int flags)
{
    if (socket->is_unix) {
        struct mmsghdr *call = unix_call(worker, socket, true, pieces, count);
        int n = sendmmsg(socket->fd, call, 1, flags);
        return n < 0 ? n : (ssize_t)call->msg_len;
    }
    const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count };
    return count == 1 ? send(socket->fd, pieces[0].iov_base, pieces[0].iov_len, flags)
                      : sendmsg(socket->fd, &message, flags);
}

ssize_t gw_read_nothing(uint8_t *io, ssize_t n)
{
    if (n < 0 && errno == EINTR)
        return 0;
    *io &= (uint8_t)~GW_READABLE;
    if (n < 0 && errno == EAGAIN)
        return 0;
    *io |= n < 0 ? GW_EOF | GW_ERROR : GW_EOF;
    return -1;
}

ssize_t gw_recv(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, char *buf, size_t len)
{
    gw_mark(worker, conn);
    size_t before = gw_replayed(worker, socket, false);
    ssize_t n = before > 0 ? (ssize_t)before : receive(worker, socket, buf, len);
    if (n <= 0)
        return gw_read_nothing(&socket->io, n);
    if ((size_t)n > len) {
        socket->io |= GW_EOF | GW_ERROR; /* they are not where they should be */
        return -1;
    }
    socket->taken += (uint64_t)n;
    if ((size_t)n == len)
        socket->io |= GW_BULK;
    else if (before == 0) /* else nobody has told us what else there is */
        socket->io &= (uint8_t) ~(socket->io & GW_HUP ? GW_BULK : GW_BULK | GW_READABLE);
    return n;
}

ssize_t gw_wrote_nothing(uint8_t *io)
{
    if (errno == EINTR)
        return 0;
    *io &= (uint8_t)~GW_WRITABLE;
    return errno == EAGAIN ? 0 : -1;
}

ssize_t gw_send(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, const struct iovec *pieces,
                int count, int flags)
{
    gw_mark(worker, conn);
    ssize_t n = (ssize_t)gw_replayed(worker, socket, true);
    if (n == 0)
        n = transmit(worker, socket, pieces, count, MSG_NOSIGNAL | flags);
    if (n < 0)
        return gw_wrote_nothing(&socket->io);
    socket->given += (uint64_t)n;
    return n;
}

/* --- lists ------------------------------------------------------------------------------------------------------ */

void gw_list_add(struct gw_worker *worker, struct gw_list *list, struct conn *conn)
{
    uint32_t index = gw_conn_index(worker, conn);
    conn->prev = list->last;
    conn->next = GW_NONE;
    if (list->last != GW_NONE)
        worker->slots.conns[list->last].next = index;
    else
        list->first = index;
    list->last = index;
    list->count++;
}

void gw_list_remove(struct gw_worker *worker, struct gw_list *list, struct conn *conn)
{
    if (conn->prev != GW_NONE)
        worker->slots.conns[conn->prev].next = conn->next;
    else
        list->first = conn->next;
    if (conn->next != GW_NONE)
        worker->slots.conns[conn->next].prev = conn->prev;
    else
        list->last = conn->prev;
    conn->prev = GW_NONE;
    conn->next = GW_NONE;
    list->count--;
}

void gw_worker_again(struct gw_worker *worker, struct conn *conn)
{
    uint32_t index = gw_conn_index(worker, conn);
    if (conn->flags & CONN_READY)
        return;
    conn->flags |= CONN_READY;
    conn->ready_next = GW_NONE;
    if (worker->ready_last != GW_NONE)
        worker->slots.conns[worker->ready_last].ready_next = index;
    else
        worker->ready_first = index;
    worker->ready_last = index;
}

/* --- the board -------------------------------------------------------------------------------------------------- */

/* An endpoint that leaves the rotation keeps no idle connections; one that drains and is idle is reported. */
static void leave_rotation(struct gw_worker *worker, uint32_t index)
{
    const struct board_endpoint *endpoint = &worker->view->endpoints[index];
    const struct endpoint_local *local = &worker->balance.local[index];
    bool replaced = local->generation != endpoint->generation;

    if (replaced || endpoint->state != BOARD_ENDPOINT_UP)
        gw_upstream_close_idle(worker, index);
    if (endpoint->state == BOARD_ENDPOINT_DRAINING && (replaced || local->state != BOARD_ENDPOINT_DRAINING) &&
        (replaced || atomic_load(&worker->gauges->endpoints[index].inflight) == 0))
        (void)!write(worker->setup->supervisor_bell_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

static void refresh_board(struct gw_worker *worker)
{
    if (!board_refresh(worker->setup->board, worker->view))
        return;
    for (uint32_t i = 0; i < worker->view->used_endpoints; i++)
        leave_rotation(worker, i);
    gw_balance_rebuild(&worker->balance);
    gw_routes_update(&worker->routes, worker->view);
    gw_hold_wake(worker);
}

/* --- the channel ------------------------------------------------------------------------------------------------ */

static void begin_drain(struct gw_worker *worker)
{
    worker->draining = true;
    worker->slots.arena->draining = true;
    gw_listen_close_all(worker);
    for (uint32_t i = 0; i < worker->slots.arena->fresh_conn; i++) {
        struct conn *conn = &worker->slots.conns[i];
        if ((conn->state == CONN_IDLE || conn->state == CONN_PROXY) && gw_adopt_holds(worker, conn))
            gw_conn_close(worker, conn);
    }
}

static void take_message(struct gw_worker *worker, const struct gateway_message *message, int fd)
{
    CLEANUP_CLOSE int owned = fd;
    if (message->index >= BOARD_LISTENERS)
        return;
    switch ((enum gateway_message_kind)message->kind) {
    case GATEWAY_LISTEN:
        if (owned < 0 || worker->draining)
            return;
        refresh_board(worker); /* the listener's protocol and routes stand there */
        (void)fcntl(owned, F_SETFL, fcntl(owned, F_GETFL) | O_NONBLOCK);
        gw_listen_add(worker, message->index, message->generation, TAKE_FD(owned));
        break;
    case GATEWAY_CLOSE:
        gw_listen_close(worker, message->index);
        break;
    case GATEWAY_DRAIN:
        begin_drain(worker);
        break;
    case GATEWAY_UPGRADE:
        if (worker->program >= 0)
            (void)close(worker->program);
        worker->program = TAKE_FD(owned);
        break;
    }
}

/* A message is looked at, carried out, and only then taken off the channel: a death in between repeats it. */
static void read_channel(struct gw_worker *worker)
{
    for (;;) {
        struct gateway_message message;
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec piece = { &message, sizeof(message) };
        struct msghdr envelope = {
            .msg_iov = &piece,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(worker->setup->channel_fd, &envelope, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            worker->over = true;
            return;
        }
        int fd = -1;
        struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        if ((size_t)n == sizeof(message))
            take_message(worker, &message, fd);
        else if (fd >= 0)
            (void)close(fd);
        (void)!recv(worker->setup->channel_fd, &message, sizeof(message), MSG_DONTWAIT); /* without its descriptor */
    }
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static void conn_event(struct gw_worker *worker, uint32_t index, uint32_t generation, uint32_t events)
{
    struct conn *conn = &worker->slots.conns[index];
    if (conn->generation != generation || conn->state == CONN_FREE || !gw_adopt_holds(worker, conn))
        return;
    gw_mark(worker, conn);
    bool was_there = !(conn->io & GW_HUP);
    gw_io_event(&conn->io, events);
    bool ends = was_there && (conn->io & GW_HUP);
    if ((events & EPOLLERR) || (ends && gw_hold_given_up(worker, conn)))
        conn->io |= GW_ERROR;
    gw_conn_drive(worker, conn);
}

static void upstream_event(struct gw_worker *worker, uint32_t index, uint32_t generation, uint32_t events)
{
    struct upstream *upstream = &worker->slots.upstreams[index];
    if (upstream->generation != generation || upstream->state == UPSTREAM_FREE)
        return;
    if (upstream->state == UPSTREAM_IDLE) {
        gw_io_event(&upstream->io, events);
        /* What came may have been the end of the answer, and have been read in this turn already. */
        if ((upstream->io & GW_HUP) || !gw_upstream_quiet(upstream))
            gw_upstream_closed(worker, upstream);
        return;
    }
    struct conn *conn = &worker->slots.conns[upstream->conn];
    uint32_t conn_generation = conn->generation;
    gw_mark(worker, conn);
    gw_io_event(&upstream->io, events);
    if (conn->rival == index)
        gw_hedge_rival_event(worker, conn);
    else if (upstream->state == UPSTREAM_CONNECTING)
        gw_attempt_arrived(worker, conn);
    if (conn->generation == conn_generation)
        gw_conn_drive(worker, conn);
}

static void tend_guard(struct gw_worker *worker)
{
    if (guard_tend(worker->guard))
        (void)gw_watch(worker, guard_fd(worker->guard), EPOLLIN, GW_KIND_GUARD, 0, 0);
}

void gw_worker_event(struct gw_worker *worker, struct epoll_event *event)
{
    uint32_t generation = event->data.u64 >> 32 & 0xffffff, index = (uint32_t)event->data.u64;
    switch ((enum gw_kind)(event->data.u64 >> 56)) {
    case GW_KIND_CONN:
        conn_event(worker, index, generation, event->events);
        break;
    case GW_KIND_UPSTREAM:
        upstream_event(worker, index, generation, event->events);
        break;
    case GW_KIND_LISTENER:
        gw_listen_accept(worker, index);
        break;
    case GW_KIND_CHANNEL:
        read_channel(worker);
        break;
    case GW_KIND_BELL: {
        uint64_t rung;
        (void)!read(worker->setup->bell_fd, &rung, sizeof(rung));
        refresh_board(worker); /* again: the bell may have rung since the beginning of this turn */
        break;
    }
    case GW_KIND_GUARD:
        tend_guard(worker);
        break;
    case GW_KIND_ALARM: /* what is due is found without it; edge-triggered, it need not be read */
        break;
    }
    gw_mark_none(worker);
    event->events = 0; /* last: who comes after us carries it out once more rather than never */
}

static void expire(struct gw_worker *worker)
{
    uint32_t id, conns = worker->slots.arena->conns;
    while (gw_timers_pop(&worker->timers, worker->now, &id)) {
        if (id < conns) {
            if (!gw_adopt_holds(worker, &worker->slots.conns[id]))
                continue;
            gw_mark(worker, &worker->slots.conns[id]);
            gw_conn_expire(worker, &worker->slots.conns[id]);
            gw_mark_none(worker);
        } else if (id == gw_timer_accept(worker))
            gw_listen_resume(worker);
        else
            gw_upstream_close(worker, &worker->slots.upstreams[id - conns]);
    }
}

/* Those that could have gone on in the last turn. Who is put on the list meanwhile has to wait for the next one. */
static void drive_ready(struct gw_worker *worker)
{
    uint32_t next = worker->ready_first;
    worker->ready_first = worker->ready_last = GW_NONE;
    while (next != GW_NONE) {
        struct conn *conn = &worker->slots.conns[next];
        next = conn->ready_next;
        conn->flags &= ~(uint32_t)CONN_READY;
        if (conn->state == CONN_FREE)
            continue;
        gw_mark(worker, conn);
        gw_conn_drive(worker, conn);
        gw_mark_none(worker);
    }
}

/* Nothing is in hand. Returns only when we are to go on. */
static void upgrade(struct gw_worker *worker)
{
    (void)guard_upgrade(worker->guard, TAKE_FD(worker->program));
    (void)gw_watch(worker, guard_fd(worker->guard), EPOLLIN, GW_KIND_GUARD, 0, 0);
    (void)!write(worker->setup->supervisor_bell_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/*
 * Sets the alarm to when the worker has to be awake at the latest. It stays set from one sleep to the next: a timeout of
 * epoll_wait(2) would be started and stopped by the kernel at each, which costs a busy worker a tenth of its time.
 */
static void set_alarm(struct gw_worker *worker)
{
    bool others = worker->turns_held || (worker->queued > 0 && worker->setup->gauges->workers > 1);
    int64_t longest_ms = worker->proven != GW_NONE ? PROVE_MS : others ? OTHERS_MS : HEARTBEAT_MS;
    int64_t latest = worker->now + longest_ms * NS_PER_MS;

    if (worker->alarm_ns > worker->now && worker->alarm_ns < latest)
        latest = worker->alarm_ns;
    int64_t due = gw_timers_next(&worker->timers, latest);
    if (due == worker->alarm_ns)
        return;
    const struct itimerspec at = { .it_value = { .tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S } };
    (void)timerfd_settime(worker->slots.arena->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
    worker->alarm_ns = due;
}

static void turn(struct gw_worker *worker)
{
    struct epoll_event *events = worker->slots.arena->events;
    bool again = worker->ready_first != GW_NONE;
    if (!again)
        set_alarm(worker);
    int n = epoll_wait(worker->epoll_fd, events, GW_EVENTS, again ? 0 : -1);
    worker->now = clock_now();
    atomic_store_explicit(&worker->gauges->heartbeat_ns, worker->now, memory_order_relaxed);
    if (guard_beat(worker->guard, worker->now))
        tend_guard(worker);
    /* Before anything else, whether its bell is among the events or not: what follows goes by the latest news. */
    refresh_board(worker);
    worker->accepted = worker->accepting;
    worker->accepting = false;
    for (int i = 0; i < n && !worker->over; i++)
        gw_worker_event(worker, &events[i]);
    expire(worker);
    drive_ready(worker);
    if (worker->proven != GW_NONE)
        gw_adopt_go_on(worker);
    if (worker->turns_held)
        gw_hold_wake(worker);
    if (worker->queued > 0)
        gw_hold_serve(worker);
    if (worker->draining && worker->slots.arena->used_conns == 0)
        worker->over = true;
    if (worker->program >= 0 && worker->guard && !worker->over)
        upgrade(worker);
}

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
        result = gw_watch(worker, guard_fd(worker->guard), EPOLLIN, GW_KIND_GUARD, 0, 0);
    if (result < 0)
        return result;
    gw_source_forget(&worker->shared->sources, setup->number); /* those that are there are counted anew */
    refresh_board(worker);
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
        turn(worker);
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
