/* SPDX-License-Identifier: MIT
 *
 * The structs of this folder and who owns them: supervisor → services (sorted by name) → instances (by number). Each
 * level calls down by name; upwards it only says "look again" (supervisor_settle_soon).
 */
#ifndef DARUMA_SUPERVISE_SUPERVISOR_H
#define DARUMA_SUPERVISE_SUPERVISOR_H

#include "base/rng.h"
#include "supervise/backoff.h"
#include "supervise/health.h"
#include "supervise/instance_fsm.h"
#include "supervise/order.h"
#include "supervise/record.h"
#include "supervise/supervise.h"

/* How many processes are started in one turn of the loop; more wait for the next, so that the loop stays responsive
   when a thousand are to be started. */
enum { SUPERVISOR_STARTS_A_TURN = 16 };

struct instance;

/* A spec is used by whoever was started with it, also after the next one came. */
struct spec_ref {
    struct spec *spec; /* NULL: an earlier supervisor's, and not loaded yet (version_load) */
    uint32_t id;       /* under which the house keeps it; 0: it does not */
    unsigned refs;
};

/* Commands that are being run in an instance (hooks.c). */
enum hooks_point { HOOKS_NONE, HOOKS_POST_START, HOOKS_PRE_STOP };
struct hooks {
    enum hooks_point point; /* which ones; NONE: none are run now */
    size_t at;
    struct runtime_execution *execution;
    void (*done)(struct instance *instance, bool ok);
};

struct instance {
    struct service *service;
    int number;
    char name[EVENT_NAME]; /* "app-1" */
    enum instance_state state;
    bool wanted; /* shall be up once it has ended */
    bool stale;  /* a restart was asked for */
    enum cause stale_cause;
    bool due;                /* WAITING: its delay is over; DONE, FAILED: to be started again all the same */
    enum cause ending;       /* why we are ending it; NONE: we are not */
    int chaos_signal;        /* chaos sent it this; 0: none */
    int64_t paused_until_ns; /* chaos stopped it, and the lease of that ends then; 0: it did not */
    struct loop_timer lease;

    /* its configuration: with which it runs, and comes back */
    uint32_t version;
    struct spec_ref *ref;
    const struct spec_service *spec;
    bool served;   /* was ready at some time */
    bool at_fault; /* failed in the deploy that goes on */

    /* the present process */
    struct runtime_handle *handle; /* NULL: none */
    pid_t pid;                     /* 0 until it runs */
    const struct runtime_port *ports;
    size_t ports_len;
    int endpoints[RUNTIME_PORTS]; /* the board's slots, one for each port */
    size_t endpoints_len;
    struct health health;
    struct hooks hooks;
    const struct spec_healthcheck *image_check; /* where the file has none; the runtime's, NULL: none */
    int64_t started_ns, ready_ns;               /* 0: not yet */

    /* its past */
    uint32_t starts;
    int64_t exited_ns; /* of the last one; 0: never */
    enum cause last_cause;
    int last_status;
    bool last_by_signal;
    struct backoff backoff;
    char line[2][EVENT_TEXT]; /* the unfinished line of each output stream */
    char last_line[EVENT_TEXT];
    char last_words[EVENT_TEXT]; /* the one before its last end; "": it wrote nothing */

    struct loop_timer timer; /* the state's: drain, grace period or restart delay */
    int64_t deadline_ns;     /* DRAINING, STOPPING: when it ends at the latest. WAITING: when it starts again */

    int slot;                      /* of its record; -1: none */
    struct instance_record record; /* as it is there; where its process is to be found is only here */
    bool restored; /* its process was taken over, and the runtime has not said yet whether it is there */
};

enum service_state { SERVICE_DOWN, SERVICE_STARTING, SERVICE_READY, SERVICE_DEGRADED, SERVICE_FAILED };

struct service {
    struct supervisor *supervisor;
    size_t index; /* in the supervisor's lists */
    char *name;
    struct version version;                  /* as it is wanted now */
    uint32_t last_version;                   /* the highest number given */
    struct version history[SERVICE_HISTORY]; /* those before, newest first */
    struct version pending;                  /* wanted when the deploy that goes on is over; number 0: none */
    struct deploy deploy;
    bool wanted; /* shall be up */
    bool gone;   /* no longer in the file: freed when its last instance is */
    int replicas;
    struct instance **instances; /* by number */
    size_t len, cap;
    bool was_ready; /* since it was wanted: one ready replica is now enough for those who depend on it */
    bool came_back; /* one of its instances was started again: dependents with `restart` follow when all is ready */
    bool told;      /* the board knows whether it is `vacant` (board.h) */
    bool vacant;
    enum service_state state;
    int slot;                      /* of its record; -1: none */
    struct service_record kept;    /* as it is there */
    int tally_slots[TALLY_PIECES]; /* of its deploy's; -1: none */
    /* Restored, but not in the file: what is to be known for its end. NULL: it is there. */
    struct spec_service *departed;
};

struct supervisor {
    struct supervisor_peers peers;
    struct spec_ref *ref;
    struct service **services; /* sorted by name */
    struct order_node *nodes;  /* of the same index */
    size_t len;
    bool *needed; /* scratch for stopping, same length */
    struct rng rng;
    struct records records;
    bool down, told_down, told_full;
    struct loop_timer settle;
    int64_t turn_ns; /* the turn that `turn_starts` belongs to */
    int turn_starts;
};

/* supervisor.c */
void supervisor_settle_soon(struct supervisor *supervisor);   /* in this turn of the loop, or the next */
bool supervisor_may_start_one(struct supervisor *supervisor); /* counts it */
struct spec_ref *spec_ref_take(struct spec_ref *ref);
void spec_ref_drop(struct spec_ref **ref);
/* A route leads to both. */
bool supervisor_share_route(const struct supervisor *supervisor, const char *a, const char *b);
struct service *supervisor_find(const struct supervisor *supervisor, const char *name);
/* Makes `spec` the project's, with services for all that it names; none of them is wanted yet. -ENOMEM: nothing changed. */
int supervisor_take_spec(struct supervisor *supervisor, struct spec *spec, uint32_t id);
/* Adds a service that the spec does not name. NULL when out of memory. */
struct service *supervisor_add_departed(struct supervisor *supervisor, const char *name);
/* A record could not be kept: told once. */
void supervisor_not_kept(struct supervisor *supervisor, int error);

/* service.c */
struct service *service_new(struct supervisor *supervisor, const char *name);
void service_free(struct service *service);
/* Its configuration, from now on; what runs with another one is replaced by a deploy, now or after the one that goes on. */
void service_configure(struct service *service, struct spec_ref *ref, struct spec_service *spec);
/* The same configuration as a new version. */
void service_renew(struct service *service);
/* Back to a version of its history. -ENOENT: it has no such version. */
int service_go_back(struct service *service, uint32_t number);
/* Forgets the newest version of its history: the present one is no other. */
void service_forget_last(struct service *service);
/* The version changed: whatever does not run takes it. */
void service_use_version(struct service *service);
/* A deploy is over: the next one, if there is one. */
void service_take_pending(struct service *service);
/* One more, of the present version, with the lowest free number. NULL: no memory. */
struct instance *service_add_instance(struct service *service);
/* The one with that number, made when it is not there. NULL: no memory. */
struct instance *service_take_instance(struct service *service, int number);
/* Makes the list of instances as long as wanted, and stops those beyond. */
int service_resize(struct service *service, int replicas);
/* Up: starts what may start, goes on with a replacement. Called whenever something changed. */
void service_settle(struct service *service);
/* An instance changed: brings its node of the graph up to date. */
void service_update(struct service *service);
/* Drained, then ended; NONE of it comes back. */
void service_stop(struct service *service, enum cause cause);
/* All that runs is to be restarted, one after the other. */
void service_replace(struct service *service, enum cause cause);
/* Tries again what was given up; completed jobs only when `also_done`. */
void service_revive(struct service *service, bool also_done);
/* Will it never start as things are, for something that it depends on? */
bool service_is_blocked(const struct service *service);
/* Tells the gateway whether there is any use in waiting for it. */
void service_share(struct service *service);
/* Frees instances that are neither wanted nor there. */
void service_prune(struct service *service);
size_t service_ready_count(const struct service *service);

/* endpoint.c: the instance's place on the board; each call rings the workers, but for adopt: what is on the board
   already with these ports is its own again. */
void endpoint_adopt(struct instance *instance, const struct record_port *ports, size_t ports_len);
int endpoint_publish(struct instance *instance);      /* -ENOSPC: not all of its ports found a place */
void endpoint_share(const struct instance *instance); /* as the deploy wants it; the caller rings */
void endpoint_set(struct instance *instance, enum board_endpoint_state state, enum cause cause);
uint32_t endpoint_inflight(const struct instance *instance);
uint32_t endpoint_upgraded(
    const struct instance *instance);                /* of those: connections that went over to another protocol */
bool endpoint_hung(const struct instance *instance); /* as the gateway finds */
/* Does a worker wait to know whether its process lives? endpoint_lives() is the answer that it does. */
bool endpoint_doubted(const struct instance *instance);
void endpoint_lives(const struct instance *instance);

/* instance.c */
/* Of that version, named after what that version calls the service. */
struct instance *instance_new(struct service *service, const struct version *version, int number);
void instance_free(struct instance *instance);
/* Starts it if it wants to and may. */
void instance_try_start(struct instance *instance);
/* The dependency that keeps it from starting; NULL: none, or it does not want to. Valid until the next apply. */
const char *instance_waits_for(const struct instance *instance);
/* Ends it; `wanted`: only to be started again. */
void instance_stop(struct instance *instance, enum cause cause, bool wanted);
/* Ends it at once: no draining, SIGKILL. It must have been stopped before. */
void instance_kill(struct instance *instance);
/* Is it of the version that its service is to have? */
static inline bool instance_is_new(const struct instance *instance)
{
    return instance->version == instance->service->version.number;
}
/* Is it there and ready? */
bool instance_serves(const struct instance *instance);
/* WAITING: arms the delay until its deadline; it is due when there is none. */
void instance_wait(struct instance *instance);
/* Uses another configuration for what it does from now on, the process stays. */
void instance_take_version(struct instance *instance, const struct version *version);
/* The bell rang: are the requests on it done? */
void instance_check_drained(struct instance *instance);

/* instance_pause.c */
/* Is it there and ready, and not stopped by chaos? */
bool instance_is_well(const struct instance *instance);
/* Stops its processes for so long (SIGSTOP): the end of that is in its record before, so that it comes whoever lives. */
int instance_pause(struct instance *instance, int64_t ns);
/* Its process was taken over: the lease goes on. */
void instance_pause_resume(struct instance *instance);
/* It goes on now (SIGCONT), if it was paused. */
void instance_pause_end(struct instance *instance);
/* Its process is gone, and the pause with it. */
void instance_pause_forget(struct instance *instance);

/* instance_health.c */
/* The same bell: are requests on it overdue? Then it is asked whether it lives. */
void instance_check_hung(struct instance *instance);

/* instance_process.c */
/* The same bell: does a worker want to know whether its process lives? It is looked at, and the board says so. */
void instance_check_alive(struct instance *instance);
/* Its process cannot be taken over, so it counts as gone. */
void instance_lost(struct instance *instance, const struct err *err);

/* keep.c */
/* Writes the service's record, if it changed, with its deploy's. */
void service_keep(struct service *service);
/* All pieces of its deploy's tally are kept; none are from now on. */
bool service_has_tally(const struct service *service);
void service_drop_tally(struct service *service);
/* Writes its record; a change that is not written is undone by our death. */
void instance_keep(struct instance *instance);
/* Where its process is to be found, for its record. */
void instance_trace(struct instance *instance, pid_t pid, uint64_t birth, const struct runtime_port *ports,
                    size_t ports_len);

/* restore.c */
/* The version's spec is there, or can be loaded now. */
bool version_load(const struct service *service, struct version *version);
/* Makes it be as the record says, and takes its process over. True when there is one to take over. */
bool instance_restore(struct instance *instance, const struct instance_record *record);

#endif
