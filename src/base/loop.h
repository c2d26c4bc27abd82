/* SPDX-License-Identifier: MIT
 *
 * An epoll loop with timers, for the supervisor, the monitor and the command line. Single-threaded. The watched
 * things (struct loop_io, struct loop_timer) belong to the caller and live inside the caller's own structs; they are
 * zero-initialised and may be added, changed and removed inside any callback, also of another one.
 *
 * The gateway's workers do not use it: their state has no pointers (gateway/worker.h).
 */
#ifndef DARUMA_BASE_LOOP_H
#define DARUMA_BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

struct loop_io {
    void (*fn)(struct loop_io *io, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP …; level-triggered */
    void *data;                                      /* the caller's */
    int fd;                                          /* not owned: the caller closes it after loop_io_remove() */
    uint32_t events;
    bool added;
};

struct loop_timer {
    void (*fn)(struct loop_timer *timer);
    void *data;  /* the caller's */
    int64_t due; /* monotonic ns */
    bool armed;

    /* private */
    struct loop_timer *child, *next, *before; /* first child; siblings; `before` the first of them: the parent */
};

/* NULL with errno when out of memory or descriptors. */
struct loop *loop_new(void);
/* Accepts NULL. What is still watched is forgotten, not closed. */
void loop_free(struct loop *loop);

/* Watches `fd` for `events`; fn and data were set by the caller. 0 or a negative errno. */
int loop_io_add(struct loop *loop, struct loop_io *io, int fd, uint32_t events);
/* Other events for the same descriptor; does nothing when they are the same. 0 or a negative errno. */
int loop_io_change(struct loop *loop, struct loop_io *io, uint32_t events);
/* Stops watching; no callback follows, not even for events already fetched. Before close(). Idempotent. */
void loop_io_remove(struct loop *loop, struct loop_io *io);

/* Arms or re-arms for `due` (monotonic ns; the past fires in the next turn). One-shot. Cannot fail. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due);
/* Idempotent. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);
static inline bool loop_timer_armed(const struct loop_timer *timer)
{
    return timer->armed;
}

/* The time of this turn: read once after each wait, cheap to ask for. Monotonic ns. */
int64_t loop_now(const struct loop *loop);

/* Runs until loop_stop(). 0, or a negative errno when waiting itself fails. */
int loop_run(struct loop *loop);
/* One turn: waits at most `max_wait_ns` (0: not at all, -1: until something happens). As loop_run(). */
int loop_turn(struct loop *loop, int64_t max_wait_ns);
void loop_stop(struct loop *loop);

#endif
