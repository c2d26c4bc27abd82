/* SPDX-License-Identifier: MIT
 *
 * One service on its way from a version to another one: carries out what deploy_plan.h says, counts what fails, turns
 * round when it must, and ends with a receipt. Owned by its service.
 *
 * "New" is whatever has the service's version, "old" all else, also on the way back: then the service has the version
 * again that it had before.
 */
#ifndef DARUMA_SUPERVISE_DEPLOY_H
#define DARUMA_SUPERVISE_DEPLOY_H

#include "base/event.h"
#include "base/loop.h"
#include "compose/spec.h"
#include "supervise/deploy_plan.h"
#include "supervise/deploy_probe.h"
#include "supervise/deploy_verdict.h"
#include "supervise/traffic.h"

#include <assert.h>

struct instance;
struct service;
struct spec_ref;

/* A configuration that a service has or had. */
struct version {
    uint32_t number; /* 1 is the first since the supervisor knows the service; 0: none */
    struct spec_ref *ref;
    /* Of `ref`; only its stamp is still written to. NULL: not loaded yet (version_load), or none. */
    struct spec_service *spec;
    struct spec_stamp stamp; /* until it is loaded: its stamp, and whether its image is to be built */
    bool build;
};
/* Gives its reference back; it is none then. */
void version_drop(struct version *version);

enum deploy_phase {
    DEPLOY_NONE,    /* there has not been any */
    DEPLOY_ROLLING, /* forward */
    DEPLOY_GOING_BACK,
    DEPLOY_PAUSED,   /* failed, and asked to leave it at that */
    DEPLOY_DEPLOYED, /* ended */
    DEPLOY_ROLLED_BACK,
    DEPLOY_FAILED, /* ended before anything was touched */
};

/* Why it cannot start, for people: a dependency's name is to be filled in. */
#define DEPLOY_BLOCKED "\"%s\", which it depends on, has failed or is not there"

/* What was done, and when it was done with: a deploy's time goes by between them. What comes beyond is not told. */
enum { DEPLOY_STEPS = 32, DEPLOY_STEP = 24 };
struct deploy_mark {
    char what[DEPLOY_STEP]; /* "prepared", "2 started", "10 %" … */
    int64_t at_ns;          /* since it began */
};

/* What is left of a deploy that ended: plain data. Handed out at its end and, when that is known, once more with what came
   after it. */
struct deploy_receipt {
    char service[EVENT_NAME];
    uint32_t from, to;         /* versions, as it was asked for */
    enum deploy_phase outcome; /* PAUSED, DEPLOYED, ROLLED_BACK, FAILED */
    enum spec_strategy strategy;
    bool stop_first;
    int64_t began_wall_ns, took_ns;
    int started, failed;    /* new instances */
    struct traffic traffic; /* meanwhile */
    uint64_t gap_us, p99_us;
    uint64_t p99_before_us; /* since the deploy before, or the gateway began; 0: nobody was answered */
    uint64_t p99_after_us;  /* in the first seconds after it; 0: nobody was answered, or not known */
    struct deploy_mark steps[DEPLOY_STEPS];
    size_t steps_len;
    struct deploy_sample answers[2]; /* what the old and the new version answered meanwhile */
    struct deploy_sample probes[2];  /* … to the deploy's own questions */
    char reason[EVENT_TEXT];         /* why it failed; "": it did not */
    char last_words[EVENT_TEXT];     /* of the instance that failed; "": none */
    char failed_instance[EVENT_NAME];
};

/* What a deploy has counted and noted for its verdict and its receipt. Plain numbers and texts: it outlives the supervisor
   (record.h) as the gauges do that it refers to. [0] is the old version, [1] the new one. */
struct deploy_tally {
    struct traffic before;      /* what had been counted when it began */
    struct traffic_waits waits; /* … of how long they waited */
    uint64_t p99_before_us;     /* as in the receipt */
    /* What they had answered: through endpoints that are gone; when the deploy began; when the comparison that goes on
       began. */
    struct deploy_sample gone[2], before_all[2], base[2];
    struct deploy_sample seen[2]; /* since the deploy began, as last looked at */
    /* What they answered to the deploy's own questions: since the comparison began; since the deploy did. */
    struct deploy_sample probes[2], probes_all[2];
    uint64_t doubted; /* bool: the new version looked slower, when it had answered so much */
    struct deploy_sample doubt;
    uint64_t steps_len;
    struct deploy_mark steps[DEPLOY_STEPS];
};
static_assert(sizeof(struct deploy_tally) == 32 + 128 * 8 + 13 * (16 + GAUGES_LATENCY * 8) + 24 + DEPLOY_STEPS * 32,
              "layout");

struct deploy {
    struct service *service;
    enum deploy_phase phase;
    struct version from;      /* what it goes back to */
    uint32_t to;              /* the version that was asked for */
    int started, failed;      /* new instances; those that failed */
    int killed[2];            /* so often an old [0] or a new one was killed from outside */
    struct instance *job;     /* pre_deploy or post_deploy, as it runs; NULL: none */
    bool prepared;            /* what new instances need is there */
    bool pre_done, post_done; /* or there is no such job */
    bool tolerant;            /* failure_action: continue, and something failed */
    int settled;              /* new instances that stood firm when last looked at */
    int64_t began_ns, ended_ns, batch_ns, step_ns;
    size_t step;         /* CANARY, BLUE_GREEN: which share the new version has; SIZE_MAX: none yet */
    uint32_t share;      /* the same in 1/1000 */
    uint32_t weights[2]; /* of the old and the new version's endpoints */
    int64_t began_wall_ns;
    struct deploy_tally tally;
    struct deploy_probing probing;
    struct deploy_receipt receipt; /* of the last one, as long as `after` runs */
    struct loop_timer after;
    struct traffic_waits ended; /* as `waits`, when the last one had ended */

    char reason[EVENT_TEXT], last_words[EVENT_TEXT], failed_instance[EVENT_NAME];
    struct loop_timer timer;
};

/* What one of its endpoints is to get at present: whether any requests, and with which weight (board.h). */
bool deploy_is_in_rotation(const struct instance *instance, uint32_t *ret_weight);
/* Its answers are being compared with the other version's. */
bool deploy_judges(const struct instance *instance);
/* Begins, when something of another version runs; `from` is taken over. Else the version is simply let go. */
void deploy_begin(struct service *service, struct version *from);
/* For a supervisor that takes over, when the deploy is as its record says and the instances are there: goes on in the same
   direction, from where they are. */
void deploy_resume(struct service *service);
/* deploy_receipt.c: remembers a step for the receipt. */
void deploy_mark(struct service *service, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Hands out the receipt of a deploy that has just ended. */
void deploy_hand_out(struct service *service);
/* What comes after the last one is not waited for any longer. */
void deploy_close_receipt(struct service *service);
/* Goes on as far as it can. Part of settling. */
void deploy_settle(struct service *service);
/* Says that another version waits for the end of the one that goes on. */
void deploy_tell_pending(const struct service *service);
/* Turns round: back to the version before. `reason` is for people. -EALREADY: it does that already; -ENOENT: none goes
   on. */
int deploy_turn_round(struct service *service, const char *reason);
/* One of the service's instances is about to lose its endpoints. */
void deploy_endpoints_go(const struct instance *instance);
/* One of the service's instances died. */
void deploy_instance_died(struct instance *instance);
/* It goes on, in either direction. */
bool deploy_is_active(const struct service *service);
/* deploy_job.c: what the new version needs is there, or cannot be prepared beforehand. What turns out to be what runs already
   is that version. */
bool deploy_prepare(struct service *service);
/* Runs a job of the present version once. True when it has ended well (`done` remembers that), or there is
   none. */
bool deploy_job_done(struct service *service, struct spec_service *spec, bool *done);
bool deploy_job_failed(const struct service *service);
/* deploy_look.c: how the two versions stand. Remembers when a batch has settled. */
struct deploy_view deploy_look(struct service *service);
/* Finds those of the new version that will not become ready, or had their time for it; the deploy's reason says why. */
void deploy_judge(struct service *service);
/* deploy_compare.c: what the old [0] and the new version [1] have answered since they run. */
void deploy_sum_answers(const struct service *service, struct deploy_sample ret[2]);
/* From here on it is counted what comes of the deploy. */
void deploy_begin_counts(struct service *service);
/* For a supervisor that takes over: the counting goes on, if the one before left it and the gateway is still the same. */
void deploy_resume_counts(struct service *service);
/* A comparison begins here. Blue-green compares with what the old version did before the switch. */
void deploy_begin_comparison(struct service *service);
/* True when the new version is found worse; the deploy's reason says how. */
bool deploy_compare(struct service *service);
/* Nothing of the new version starts before pre_deploy has ended well, and its instances start for the first time one after
   the other. */
bool deploy_holds_back(const struct instance *instance);
/* One of its jobs has a process. */
bool deploy_job_runs(const struct service *service);
/* Stops looking after it; for the end of the service or of the project. */
void deploy_end(struct service *service);
/* Frees a job that has ended and is not wanted any more. Part of settling. */
void deploy_prune(struct service *service);
void deploy_free(struct service *service);

/* "rolling", "rolled back" … Never NULL. */
const char *deploy_phase_name(enum deploy_phase phase);

#endif
