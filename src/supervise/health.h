/* SPDX-License-Identifier: MIT
 *
 * Is a running instance ready, and does it stay well? One struct for each process: its counters never outlive it.
 *
 *   health check given    probed after 1 ms (a command: 10 ms), twice as much … 100 ms, or every `start_interval`, until it
 *                         passes; then every `interval`
 *   a port, no check      ready when the port accepts: tried after 1 ms, 2 ms … 100 ms, then no more
 *   neither               ready at once; so is one whose listening socket was opened for it
 *
 * When the gateway finds that requests on it are overdue, it is asked at once, beside the probes above: by its health check,
 * or where there is none by `GET /`. Any answer will do, a wrong one as well; none within 5 s, and it hangs.
 *
 * What fails while it starts: the fast probes are an extra that the file did not ask for, so they condemn nobody earlier
 * than the file's own would: start_period + retries * interval after the start.
 */
#ifndef DARUMA_SUPERVISE_HEALTH_H
#define DARUMA_SUPERVISE_HEALTH_H

#include "supervise/probe.h"

enum health_state {
    HEALTH_NONE, /* it has no health check */
    HEALTH_STARTING,
    HEALTH_HEALTHY,
    HEALTH_UNHEALTHY,
};

/* The pure part. */
struct health_count {
    enum health_state state;
    uint32_t failed; /* in a row */
    uint32_t probes; /* since the process started */
};

/* What one result makes of it; `age_ns` since the process started. Returns the new state. */
enum health_state health_judge(struct health_count *count, const struct spec_healthcheck *check, bool passed,
                               int64_t age_ns);

/* How long to wait until the next probe. */
int64_t health_pause(const struct health_count *count, const struct spec_healthcheck *check);

struct health;

/* What the instance is told. `ready` may come from inside health_begin(). */
struct health_events {
    void (*ready)(struct health *health);
    void (*sick)(struct health *health); /* it is unhealthy: at each probe that finds it so */
    void (*changed)(struct health *health, enum health_state from, enum health_state to, const char *text);
    /* It runs for 10 s, is not ready, and nobody listens on its first port. */
    void (*silent)(struct health *health, const struct board_address *address);
    /* It was asked whether it lives, and has not answered. */
    void (*mute)(struct health *health);
    /* Its counters are others than before. */
    void (*counted)(struct health *health);
};

struct health {
    const struct health_events *events;
    void *data; /* the owner's */
    const struct spec_healthcheck *check;
    struct health_count count;

    /* private */
    struct loop *loop;
    struct probe probe;
    struct probe question;
    struct loop_timer timer, silence;
    struct runtime_handle *handle;
    const struct runtime_port *ports;
    size_t ports_len;
    int64_t started_ns, pause_ns;
    bool ready;
};

/* Begins for a process that has just started. `ports` live as long as the process. The struct was zeroed or stopped,
   with `events`, `data` and `check` set. */
void health_begin(struct health *health, struct loop *loop, struct runtime *runtime, struct runtime_handle *handle,
                  const struct runtime_port *ports, size_t ports_len);

/* Goes on for a process that an earlier supervisor began with: what is known of it is its readiness, its counters, and
   since when it runs. */
struct health_past {
    bool ready;
    struct health_count count;
    int64_t started_ns;
};
void health_resume(struct health *health, struct loop *loop, struct runtime *runtime, struct runtime_handle *handle,
                   const struct runtime_port *ports, size_t ports_len, const struct health_past *past);

/* Another health check for the process that runs. `check` replaces the one before, which may go afterwards. */
void health_configure(struct health *health, const struct spec_healthcheck *check);

/* Requests on it are overdue: does it answer at all? Changes nothing when it does, or is being asked already. */
void health_ask(struct health *health);

/* No more probes, no more calls. Idempotent. */
void health_end(struct health *health);

/* "", "starting", "healthy", "unhealthy". */
const char *health_state_name(enum health_state state);

#endif
