/* SPDX-License-Identifier: MIT
 *
 * The supervisor: keeps every service of a spec as it is wanted, and tells the board which endpoints may be used.
 * Runs in the supervisor process, single-threaded, on its loop. Owns services and instances; does not know who asks
 * (admin API, signals, chaos) nor who reads its events.
 */
#ifndef DARUMA_SUPERVISE_SUPERVISE_H
#define DARUMA_SUPERVISE_SUPERVISE_H

#include "base/arena.h"
#include "base/board.h"
#include "base/event.h"
#include "base/gauges.h"
#include "base/loop.h"
#include "compose/spec.h"
#include "runtime/runtime.h"
#include "supervise/deploy.h"

struct supervisor;

/* What the supervisor needs from the house; all outlive it. */
struct supervisor_peers {
    struct loop *loop;
    struct runtime *runtime;
    struct event_bus *events;
    struct board *board;
    const struct gauges *gauges;
    /* Of the shape in supervise/record.h: what outlives this supervisor. NULL: nothing does. */
    struct arena_file *arena;
    void *data;
    /* The board changed: ring the workers. */
    void (*ring)(void *data);
    /* The board's index of a name that supervisor_board_name() made, found again or added; negative: no room. */
    int (*board_service)(void *data, const char *name);
    /* Where its next output is to be read to, as runtime.h says; NULL: anywhere. */
    char *(*room)(void *data, const char *instance, int stream, size_t *ret_len);
    /* An instance wrote to its standard output (1) or error (2). */
    void (*output)(void *data, const char *service, const char *instance, int stream, const char *text, size_t len);
    /* The spec that the house keeps under that number (supervisor_apply), or NULL. NULL: it keeps none. */
    struct spec *(*load_spec)(void *data, uint32_t id);
    /* A deploy has ended. */
    void (*deployed)(void *data, const struct deploy_receipt *receipt);
    /* "<SERVICE>_HOST=…", "<SERVICE>_PORT=…" of all services that have a port: NULL-terminated, valid until next call. */
    const char *const *(*peer_environment)(void *data);
};

/*
 * The name under which the board knows what serves a port of a service: that of the service for its first port (also as
 * target 0), "service:target" for any other one. Routes to these names reach the instances' endpoints.
 */
const char *supervisor_board_name(const struct spec_service *service, uint16_t target, char ret[BOARD_NAME]);

/* The callbacks that the runtime is to be given (owner: struct instance of this folder). */
extern const struct runtime_events supervisor_runtime_events;

struct supervisor *supervisor_new(const struct supervisor_peers *peers);
/* Only after supervisor_is_down(), or to give up without waiting (the runtime's destroy kills what is left). */
void supervisor_free(struct supervisor *supervisor);

/*
 * Makes the project be as `spec` says: starts what is new, in the order of depends_on; stops what is gone; replaces
 * what changed, one instance after the other, drained first; leaves the rest alone. The spec becomes the supervisor's
 * and is freed by it; the one before is freed as soon as nothing refers to it. `only` (NULL-terminated, NULL: all)
 * restricts to these services and what they depend on. 0 or a negative errno with `err` (nothing changed then).
 *
 * `id`: the number under which the house keeps it (peers.load_spec) as long as supervisor_uses_spec() says so; 0: it does
 * not, and nobody who takes over can go back to what it says.
 */
int supervisor_apply(struct supervisor *supervisor, struct spec *spec, uint32_t id, const char *const *only,
                     struct err *err);
/* The spec that is there once more, for whoever restored from the middle of a supervisor_apply(). Errors as there. */
int supervisor_apply_again(struct supervisor *supervisor, const char *const *only, struct err *err);
const struct spec *supervisor_spec(const struct supervisor *supervisor);
/* Some service has that spec, had it, or runs by it. */
bool supervisor_uses_spec(const struct supervisor *supervisor, uint32_t id);

/*
 * For a supervisor that has just been made, instead of a first apply: makes the project be as the arena says that an
 * earlier supervisor left it, by the spec that was applied last. What runs is taken over, what died meanwhile is started
 * again, what the spec does not know is stopped; delays, counters, budgets, deploys and the versions before go on. Nothing
 * is started before the loop turns. The spec becomes the supervisor's, `id` as in supervisor_apply(). How many instances are
 * taken over, or a negative errno with `err`.
 */
int supervisor_restore(struct supervisor *supervisor, struct spec *spec, uint32_t id, struct err *err);

/* Stops everything in reverse order of depends_on, drained. A second call ends it at once with SIGKILL. When all is
   gone an EVENT_PROJECT follows, at which supervisor_is_down() is true. */
void supervisor_down(struct supervisor *supervisor);
bool supervisor_is_down(const struct supervisor *supervisor);

/* The bell of the gateway rang: an endpoint that is being drained may have nothing in flight any more, or requests on one
   are overdue and it is to be asked whether it lives. */
void supervisor_drained_bell(struct supervisor *supervisor);

/* Restarts the instances of a service (drained, one after the other), or all when NULL. -ENOENT: no such service. */
int supervisor_restart(struct supervisor *supervisor, const char *service, struct err *err);
/* Deploys of these services (NULL-terminated; NULL: all) that go on turn round: something else is wanted. */
void supervisor_turn_round(struct supervisor *supervisor, const char *const *services);
/* Gives a service a new version that says the same, so that all of it is deployed anew. Nothing when a deploy of it goes on
   or waits already. */
void supervisor_renew(struct supervisor *supervisor, const char *service);
/* Back to version `number` of a service's history (0: the one before), by a deploy; one that goes on turns round, one that
   paused goes back. -ENOENT: no such service or version; -EALREADY: it is going back; -EBUSY: a deploy goes
   on that came from another version, or (0) there is none before. */
int supervisor_rollback(struct supervisor *supervisor, const char *service, uint32_t number, struct err *err);
/* Wants `replicas` of it from now on. -ENOENT, -EINVAL (negative, or several with one container_name), -EBUSY (a deploy of it
   paused), -ESHUTDOWN (it goes down), with `err`. */
int supervisor_scale(struct supervisor *supervisor, const char *service, int replicas, struct err *err);
/* Sends a signal to a service's instances, or to one instance by its name. What dies of it died CAUSE_KILLED. */
int supervisor_kill(struct supervisor *supervisor, const char *name, int signo, struct err *err);

/*
 * Chaos: picks a running, ready instance at random (`pick`: any number) among `services` (NULL: all) and sends `signo`
 * (0: sends nothing, only names the victim, for faults that are done otherwise). Refuses with -EBUSY and `err` when
 * the victim would be the last ready one of its route and `allow_last` is not set. Name goes to `ret` (EVENT_NAME).
 */
int supervisor_chaos_kill(struct supervisor *supervisor, const char *const *services, uint64_t pick, int signo,
                          bool allow_last, char ret[EVENT_NAME], struct err *err);

/* Chaos: stops an instance (SIGSTOP), and lets it go on `ns` later (SIGCONT), whoever lives by then. -ENOENT, -ESRCH with
   `err`. */
int supervisor_pause(struct supervisor *supervisor, const char *instance, int64_t ns, struct err *err);

/* What `ps` shows of one instance. */
struct instance_info {
    char service[EVENT_NAME], instance[EVENT_NAME];
    const char *state;  /* instance_state_name(); "paused": chaos stopped it */
    const char *health; /* "", "starting", "healthy", "unhealthy" */
    pid_t pid;          /* 0: none */
    uint32_t restarts;
    int64_t since_ns;    /* monotonic: when its present process started; 0: none runs */
    int64_t retry_at_ns; /* monotonic: when it is started again; 0: not waiting */
    uint32_t inflight;
    struct board_address address; /* of its first port; len 0: none */
    enum cause last_cause;        /* of its last death; NONE: never died */
    int last_status;
    bool last_by_signal;
    char waits_for[EVENT_NAME]; /* the dependency that keeps it from starting; "" : none */
};
/* Calls `fn` for every instance, sorted by service and number. */
void supervisor_each(const struct supervisor *supervisor, void (*fn)(void *data, const struct instance_info *info),
                     void *data);

/* A deploy of the service goes on, or waits for its turn. */
bool supervisor_is_deploying(const struct supervisor *supervisor, const char *service);
/* The version to whose deploy's end the next one has to wait; 0: none goes on. */
uint32_t supervisor_deploys_to(const struct supervisor *supervisor, const char *service);
/* What `up` with that spec would do to one of its services. */
enum spec_change supervisor_would_change(const struct supervisor *supervisor, const struct spec_service *spec);

/* How the project as a whole is, for `up -d` and `ps`. */
enum supervisor_state {
    SUPERVISOR_STARTING, /* something wanted is not ready yet and may still become so, or a deploy goes on */
    SUPERVISOR_READY,    /* everything wanted is ready, or completed with status 0 where that was its job */
    SUPERVISOR_DEGRADED, /* something failed, or a dependency will never be met */
    SUPERVISOR_STOPPING,
    SUPERVISOR_DOWN,
};
enum supervisor_state supervisor_state(const struct supervisor *supervisor);

#endif
