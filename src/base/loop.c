/* SPDX-License-Identifier: MIT */
#include "base/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256

struct loop {
    int epoll_fd;
    bool stopped;
    bool firing; /* inside fire_timers() */
    int64_t now;
    struct loop_timer *timers; /* a pairing heap by due, whose links are in the timers: arming one cannot fail */
    struct epoll_event batch[BATCH];
    int batch_at, batch_len; /* events fetched and not yet delivered: [batch_at, batch_len) */
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    loop->now = clock_now();
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    (void)close(loop->epoll_fd);
    free(loop);
}

int loop_io_add(struct loop *loop, struct loop_io *io, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = io };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    io->fd = fd;
    io->events = events;
    io->added = true;
    return 0;
}

int loop_io_change(struct loop *loop, struct loop_io *io, uint32_t events)
{
    if (io->events == events)
        return 0;
    struct epoll_event event = { .events = events, .data.ptr = io };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event) < 0)
        return -errno;
    io->events = events;
    return 0;
}

void loop_io_remove(struct loop *loop, struct loop_io *io)
{
    if (!io->added)
        return;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    io->added = false;
    for (int i = loop->batch_at; i < loop->batch_len; i++)
        if (loop->batch[i].data.ptr == io)
            loop->batch[i].data.ptr = NULL;
}

/* Joins two heaps; either may be NULL. */
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    struct loop_timer *top = b->due < a->due ? b : a, *below = top == a ? b : a;
    below->before = top;
    below->next = top->child;
    if (top->child)
        top->child->before = below;
    top->child = below;
    return top;
}

/* Makes one heap of a list of siblings: first by twos, then all together, which keeps it flat. */
static struct loop_timer *meld_siblings(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL, *heap = NULL;

    for (struct loop_timer *a = first, *b, *rest; a; a = rest) {
        b = a->next;
        rest = b ? b->next : NULL;
        a->next = a->before = NULL;
        if (b)
            b->next = b->before = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    for (struct loop_timer *rest; pairs; pairs = rest) {
        rest = pairs->next;
        pairs->next = NULL;
        heap = meld(heap, pairs);
    }
    return heap;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due)
{
    loop_timer_cancel(loop, timer);
    /* What a timer's callback arms for "now" waits for the next turn, so that descriptors get theirs in between. */
    timer->due = loop->firing && due <= loop->now ? loop->now + 1 : due;
    timer->armed = true;
    loop->timers = meld(loop->timers, timer);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->armed)
        return;
    struct loop_timer *below = meld_siblings(timer->child);
    if (timer == loop->timers) {
        loop->timers = below;
    } else {
        struct loop_timer **link = timer->before->child == timer ? &timer->before->child : &timer->before->next;
        *link = timer->next;
        if (timer->next)
            timer->next->before = timer->before;
        loop->timers = meld(loop->timers, below);
    }
    timer->child = timer->next = timer->before = NULL;
    timer->armed = false;
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

/* Fires what was due when this turn began. */
static void fire_timers(struct loop *loop)
{
    loop->firing = true;
    while (!loop->stopped && loop->timers && loop->timers->due <= loop->now) {
        struct loop_timer *timer = loop->timers;
        loop_timer_cancel(loop, timer);
        timer->fn(timer);
    }
    loop->firing = false;
}

/* How long to wait in ns, -1: until something happens. */
static int64_t wait_ns(const struct loop *loop, int64_t max_wait_ns)
{
    int64_t wait = max_wait_ns;
    if (loop->timers) {
        int64_t until = loop->timers->due - clock_now();
        if (until < 0)
            until = 0;
        if (wait < 0 || until < wait)
            wait = until;
    }
    return wait;
}

/* Kernels before 5.11 have no epoll_pwait2(2): there a wait is rounded up to whole milliseconds. */
static int wait_events(struct loop *loop, int64_t wait)
{
    static bool no_pwait2;

    if (!no_pwait2) {
        struct timespec timeout = { .tv_sec = wait / NS_PER_S, .tv_nsec = wait % NS_PER_S };
        int n = epoll_pwait2(loop->epoll_fd, loop->batch, BATCH, wait < 0 ? NULL : &timeout, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        no_pwait2 = true;
    }
    int64_t ms = wait < 0 ? -1 : (wait + NS_PER_MS - 1) / NS_PER_MS;
    return epoll_wait(loop->epoll_fd, loop->batch, BATCH, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

int loop_turn(struct loop *loop, int64_t max_wait_ns)
{
    int n = wait_events(loop, wait_ns(loop, max_wait_ns));
    if (n < 0 && errno != EINTR)
        return -errno;
    loop->now = clock_now();
    loop->batch_at = 0;
    loop->batch_len = n > 0 ? n : 0;
    while (loop->batch_at < loop->batch_len) {
        struct epoll_event event = loop->batch[loop->batch_at++];
        struct loop_io *io = event.data.ptr;
        if (io)
            io->fn(io, event.events);
    }
    fire_timers(loop);
    return 0;
}

int loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        int r = loop_turn(loop, -1);
        if (r < 0)
            return r;
    }
    return 0;
}
