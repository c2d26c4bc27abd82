/* SPDX-License-Identifier: MIT
 *
 * The inside of the docker runtime, for the files docker*.c.
 *
 * A start is a row of steps, each one call of the Engine's API; what a step needs was taken from the spec when the
 * start was asked for, since the spec may be replaced meanwhile:
 *
 *     LOOK ──▶ NEED … ──▶ CREATE ──▶ COPY ──▶ CONNECT … ──▶ START ──▶ INSPECT ──▶ RUN ◀─▶ CHECK ──▶ LAST
 *       │ the same container is there, stopped ────────────────▲          ▲
 *       └ … and running ─────────────────────────────────────────────────┘
 *
 * The next life of an instance begins with START. Another container may be there: one of an older configuration, or one that Compose made. Then CREATE makes ours under
 * another name beside it, and the Engine is asked for both. Where they do not differ ours is thrown away and theirs taken,
 * else ours replaces it:
 *
 *     CREATE ──▶ SEE_OURS ──▶ SEE_OLD ──▶ STOP_OLD ──▶ REMOVE_OLD ──▶ RENAME ──▶ COPY …
 *                                └ the same ──▶ RENAME ──▶ START, INSPECT
 *
 * An Engine that does not answer holds a step up, it is tried again. RUN has no call of its own: one stream of events
 * (docker_events.c) tells of all containers. An event is a hint; how the container is, CHECK asks, and so it does for
 * all of them after a gap in the stream.
 */
#ifndef DARUMA_RUNTIME_DOCKER_H
#define DARUMA_RUNTIME_DOCKER_H

#include "base/buf.h"
#include "runtime/context.h"
#include "runtime/engine.h"
#include "runtime/frames.h"
#include "runtime/runtime.h"

enum { DOCKER_NAME = 64, DOCKER_ID = 72, DOCKER_OUTPUT = 4 * 1024 };

#define DOCKER_TIMEOUT_NS (60 * INT64_C(1000000000)) /* of a call that is no stream */

/* What has to be there before a container can be created. */
enum docker_kind { DOCKER_NETWORK, DOCKER_VOLUME, DOCKER_IMAGE };

struct docker_need {
    enum docker_kind kind;
    char *name;
    json_t *body; /* how it is made: the API's body, or what an image is built from; NULL: it is external, or pulled */
    bool refresh; /* IMAGE: made anew although there is one, once in the runtime's life */
    bool never;   /* IMAGE: not pulled */
    bool by_id;   /* IMAGE: `name` is an ID */
    char *platform; /* IMAGE: NULL: the Engine's */
};

/* One such thing; instances that need it at the same time share the work. Kept, to know what to remove. */
struct docker_job {
    struct docker_job *next;
    struct docker *docker;
    struct docker_need need;
    bool running, refreshed;
    bool made;          /* … for those that wait now */
    char id[DOCKER_ID]; /* IMAGE: as it was found */
    json_t *tags;       /* IMAGE: the names that it has */
    struct engine_call *call;
    struct buf lines;       /* of the progress */
    struct err err;         /* the last error that the progress told */
    struct context context; /* of a build */
};

enum docker_step {
    DOCKER_LOOK,
    DOCKER_NEED,
    DOCKER_CREATE,
    DOCKER_SEE_OURS,
    DOCKER_SEE_OLD,
    DOCKER_STOP_OLD,
    DOCKER_REMOVE_OLD,
    DOCKER_RENAME,
    DOCKER_COPY,
    DOCKER_CONNECT,
    DOCKER_START,
    DOCKER_INSPECT,
    DOCKER_RUN,
    DOCKER_CHECK, /* does it run? */
    DOCKER_LAST,  /* it has ended; its last words */
};

struct engine_wait;

struct docker_network {
    char *name;
    json_t *body; /* of the connect call */
};

struct runtime_handle {
    struct runtime_handle *next, **link;
    struct docker *docker;
    void *owner;
    enum docker_step step;

    /* from the spec */
    char instance[DOCKER_NAME];
    char *name, *look;               /* the container's name; the path that finds it */
    char *create, *create_beside;    /* the paths that create it, under its name or another one */
    char hash[72], image[DOCKER_ID]; /* the image's ID, "": whatever it is */
    bool prepare;                    /* ends when its needs are met */
    json_t *body;
    json_t *files; /* what is put into it: path → content */
    int grace_s;
    struct docker_need *needs;
    size_t needs_len;
    struct docker_network *networks; /* beyond the first, which is in `body` */
    size_t networks_len;
    uint16_t targets[RUNTIME_PORTS];
    size_t targets_len;
    bool host_network;

    /* the present start */
    size_t at; /* which need or network is next */
    struct docker_job *job;
    struct engine_call *call, *logs, *kill, *policy;
    int archive;             /* COPY: of `files`; 0: none */
    struct loop_timer timer; /* the next try; RUN: an end that is not told; LAST: output that does not end */
    int64_t pause_ns;
    int looks;
    char id[DOCKER_ID];
    char old_id[DOCKER_ID], new_id[DOCKER_ID]; /* SEE_OURS to REMOVE_OLD: theirs and ours; else "" */
    json_t *ours;                              /* as SEE_OURS has seen it */
    bool adopting;                             /* it is looked for, not made */
    bool taken_over, told, ended;
    bool fresh;            /* its container was made for this start */
    bool heard;            /* an event came since the Engine was asked how it is */
    pid_t engine_pid, pid; /* its main process as the Engine numbers it; on this machine, or 0 */
    struct loop_io life;   /* a pidfd of that, while it is watched */
    int cancelled;         /* the signal that came before it ran; 0: none */
    int pending;           /* a signal that the Engine has not got yet */
    int told_code;         /* how it ended, as the last event of such said; -1: there was none */
    struct frames frames;
    double logs_since; /* 0: from its beginning on */
    struct runtime_port ports[RUNTIME_PORTS];
    size_t ports_len;
    struct spec_healthcheck check; /* the image's; test NONE: none */
    struct runtime_exit how;
};

struct runtime_execution {
    struct runtime_execution *next, **link;
    struct docker *docker;
    void *owner;
    void (*done)(void *owner, int result, const char *output, size_t len);
    char container[DOCKER_ID];
    json_t *body; /* what is run */
    int64_t timeout_ns;
    struct engine_call *call;
    struct loop_timer timer; /* its time is over, or the next try */
    bool timed_out, refused;
    struct frames frames;
    char id[DOCKER_ID]; /* "" until the Engine has made it */
    size_t len;
    char output[DOCKER_OUTPUT];
};

/* The container of an instance, which stays when it ends and is started again. */
struct docker_kept {
    struct docker_kept *next;
    struct docker *docker;
    char instance[DOCKER_NAME];
    char id[DOCKER_ID];
    char hash[72], image[DOCKER_ID]; /* as the start said for which it was made or taken */
    bool forgotten;
    struct engine_call *call; /* removes it */
};

/* The Engine's events of the project's containers. */
struct docker_events {
    char *project; /* NULL: nothing was started yet */
    struct engine_call *call;
    struct loop_timer timer; /* something came; or the next try */
    int64_t pause_ns;
    struct buf lines;
    bool opened; /* since the timer ran last */
};

struct docker {
    struct runtime runtime; /* first: what the supervisor holds */
    struct loop *loop;
    const struct runtime_events *events;
    struct engine *engine;
    char *host;
    struct runtime_handle *handles;
    struct runtime_execution *executions;
    struct docker_job *jobs;
    struct docker_kept *kept;
    struct docker_events stream;
};

/* docker.c: notes which container the instance has. -ENOMEM. */
int docker_keep(struct runtime_handle *handle);
/* The container that was noted for the instance, if it has this configuration and image; else "". */
const char *docker_keeps(const struct runtime_handle *handle);
/* It could not be started: the next start looks at it first. */
void docker_doubt(struct runtime_handle *handle);
/* Removes handle->new_id. */
void docker_discard(struct runtime_handle *handle);

/* docker_step.c */
void docker_go(struct runtime_handle *handle, enum docker_step step);
void docker_step_due(struct loop_timer *timer);
/* Its container has the name that it should have: goes on after RENAME. */
void docker_renamed(struct runtime_handle *handle);
/* Something happened to its container, or the Engine is back: looks again. */
void docker_heard(struct runtime_handle *handle);
/* Such a job has met a need of this handle, or `err` says why not. `status` is negative when the Engine gave no answer. */
void docker_needed(struct runtime_handle *handle, const struct docker_job *job, int status, const struct err *err);

/* docker_events.c: listens to what happens to the project's containers, over and over. -ENOMEM. */
int docker_events_begin(struct docker *docker, const char *project);
void docker_events_end(struct docker *docker);
/* As if there had been an event of this container. */
void docker_look_at(struct docker *docker, const char *id);

/* docker_policy.c: when the Engine is known: which restart policy the container gets. */
void docker_policy_choose(struct runtime_handle *handle);
/* Its process has ended, or the Engine is about to start it again: the Engine is not to. */
void docker_policy_hold(struct runtime_handle *handle);
/* What is in `HostConfig` of an inspection becomes what the file says. */
void docker_policy_update(struct runtime_handle *handle, const json_t *host);

/* docker_inspect.c: "" when there is none. */
const char *docker_text(const json_t *json, const char *key);
/* Takes from an inspection the addresses, the process, the image's health check, and from where on its output is new.
   -ENOMEM. */
int docker_take_state(struct runtime_handle *handle, const json_t *json);

/* Of the State of an inspection. Not so when the Engine has only decided to start it again. */
bool docker_is_running(const json_t *state);

void docker_check_free(struct spec_healthcheck *check);

/* docker_replace.c: ours gets the anonymous volumes of the container `found`, as GET /containers/json lists it. */
void docker_inherit(struct runtime_handle *handle, const json_t *found);
/* What SEE_OURS, SEE_OLD and REMOVE_OLD are answered. */
void docker_saw_ours(struct runtime_handle *handle, const json_t *json);
void docker_saw_old(struct runtime_handle *handle, const json_t *json);
void docker_removed_old(struct runtime_handle *handle, int status);

/* docker_run.c */
void docker_follow_logs(struct runtime_handle *handle);
/* Hears of its process's death before the Engine tells. */
void docker_watch_process(struct runtime_handle *handle);
void docker_forget_process(struct runtime_handle *handle);
/* RUN: when its process is gone already, the Engine is asked should it not tell. */
void docker_await_word(struct runtime_handle *handle);
bool docker_dying(struct runtime *runtime, struct runtime_handle *handle);
int docker_signal(struct runtime *runtime, struct runtime_handle *handle, int signo);
/* Sends handle->pending. -ENOMEM. */
int docker_send_signal(struct runtime_handle *handle);
/* Sets how it ended, from what a shell would say: 128 and the number of a signal. */
void docker_judge(struct runtime_handle *handle, int code, bool oom);
/* Each of these is the last: the handle is released in it, or soon after. It has ended, but for its last words: */
void docker_end(struct runtime_handle *handle);
void docker_tell_exit(struct runtime_handle *handle);
/* It never ran: */
void docker_fail(struct runtime_handle *handle, const struct err *err);
void docker_fail_memory(struct runtime_handle *handle);
/* It was to end before it ran: */
void docker_give_up(struct runtime_handle *handle);

/* docker_files.c: an archive of such files, for the caller to close. Negative errno. */
int docker_files_open(const json_t *files);

/* docker_hears.c */
bool docker_hears(struct runtime *runtime, struct runtime_handle *handle, int signo);

/* docker_plan.c: takes from the spec what the start needs. -ENOMEM, -E2BIG with `err`. */
int docker_plan(struct runtime_handle *handle, const struct runtime_start *start, struct err *err);
void docker_plan_free(struct runtime_handle *handle);
void docker_need_free(struct docker_need *need);

/* docker_stamp.c */
void docker_stamp(struct runtime *runtime, struct spec *spec);

/* docker_needs.c: what the handle needs is known for the end, also when its container is taken over and nobody looks for it.
   -ENOMEM. */
int docker_needs_note(struct runtime_handle *handle);
/* Works for handle->needs[handle->at]; docker_needed() follows, never from inside. */
int docker_need_begin(struct runtime_handle *handle);
void docker_job_finish(struct docker_job *job, int status, const struct err *err);
/* The job's image has been made, or `err` says why not: it is looked at, and the job finishes. */
void docker_job_made(struct docker_job *job, int status, const struct err *err);
void docker_job_free(struct docker_job *job);

/* docker_image.c: where an image is built from, as `build` says; `*ret_outside` is the caller's, and has to outlive it. -EINVAL: from
   no folder; -ENOMEM. */
int docker_build_source(const json_t *build, struct context_source *ret, char **ret_outside);
/* Makes the job's image be there: pulls or builds it. Negative errno. */
int docker_image_make(struct docker_job *job);

/* docker_exec.c */
int docker_exec(struct runtime *runtime, struct runtime_handle *handle, const struct runtime_exec *exec,
                struct runtime_execution **ret, struct err *err);
void docker_exec_cancel(struct runtime *runtime, struct runtime_execution *execution);

/* docker_takeover.c: GETs what the Engine has of a project, by its label; `format` has a place for the filters. As engine_wait_get(). */
int docker_list(struct engine_wait *wait, const char *format, const char *project, json_t **ret, struct err *err);

/* docker_remove.c: at the end: forgotten containers, their networks and, with remove_volumes, the volumes. Waits. */
void docker_remove_all(struct docker *docker);

/* docker_check.c */
void docker_check(struct runtime *runtime, const struct spec *spec, struct problems *problems);

#endif
