/* SPDX-License-Identifier: MIT
 *
 * The runtime for containers: handles, the containers that stay when their instance ends, and what the supervisor
 * calls. Runs in the supervisor. It restarts nothing by itself, and keeps the Engine from doing so (docker_policy.c).
 */
#include "runtime/docker.h"

#include "base/clock.h"
#include "base/files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct docker *docker_of(struct runtime *runtime)
{
    return (struct docker *)runtime;
}

/* ---- the containers that stay ---- */

static struct docker_kept *kept_find(struct docker *docker, const char *instance)
{
    for (struct docker_kept *kept = docker->kept; kept; kept = kept->next)
        if (strcmp(kept->instance, instance) == 0 && !kept->forgotten)
            return kept;
    return NULL;
}

static struct docker_kept *kept_new(const struct runtime_handle *handle)
{
    struct docker *docker = handle->docker;
    struct docker_kept *kept = calloc(1, sizeof(*kept));

    if (!kept)
        return NULL;
    kept->docker = docker;
    memcpy(kept->instance, handle->instance, sizeof(kept->instance));
    kept->next = docker->kept;
    docker->kept = kept;
    return kept;
}

int docker_keep(struct runtime_handle *handle)
{
    struct docker_kept *kept = kept_find(handle->docker, handle->instance);

    if (!kept)
        kept = kept_new(handle);
    if (!kept)
        return -ENOMEM;
    memcpy(kept->id, handle->id, sizeof(kept->id));
    memcpy(kept->hash, handle->hash, sizeof(kept->hash));
    memcpy(kept->image, handle->image, sizeof(kept->image));
    return 0;
}

const char *docker_keeps(const struct runtime_handle *handle)
{
    const struct docker_kept *kept = kept_find(handle->docker, handle->instance);
    bool same = kept && strcmp(kept->hash, handle->hash) == 0 && strcmp(kept->image, handle->image) == 0;
    return same ? kept->id : "";
}

void docker_doubt(struct runtime_handle *handle)
{
    struct docker_kept *kept = kept_find(handle->docker, handle->instance);
    if (kept)
        kept->hash[0] = '\0';
}

static void kept_free(struct docker_kept *kept)
{
    for (struct docker_kept **at = &kept->docker->kept; *at; at = &(*at)->next)
        if (*at == kept) {
            *at = kept->next;
            break;
        }
    engine_cancel(kept->call);
    free(kept);
}

static void on_removed(void *owner, int status, const json_t *json, const struct err *err)
{
    struct docker_kept *kept = owner;
    kept->call = NULL;
    if (status > 0 && (status < 300 || status == 404))
        kept_free(kept);
    /* Else it is tried once more at the end. */
}

static void kept_remove(struct docker_kept *kept, const char *options)
{
    char path[DOCKER_ID + 32];

    kept->forgotten = true;
    (void)snprintf(path, sizeof(path), "/containers/%s?force=1%s", kept->id, options);
    const struct engine_request request = {
        .method = "DELETE", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = kept, .done = on_removed
    };
    if (engine_begin(kept->docker->engine, &request, &kept->call) < 0)
        kept->call = NULL;
}

static void docker_forget(struct runtime *runtime, const char *instance)
{
    struct docker_kept *kept = kept_find(docker_of(runtime), instance);
    if (kept)
        kept_remove(kept, "");
}

void docker_discard(struct runtime_handle *handle)
{
    struct docker_kept *kept = kept_new(handle);

    if (kept) { /* else the next LOOK does it */
        memcpy(kept->id, handle->new_id, sizeof(kept->id));
        kept_remove(kept, "&v=1"); /* its volumes are its own: those that it has inherited have names */
    }
    handle->new_id[0] = '\0';
}

/* ---- --- ---- */

static void handle_free(struct runtime_handle *handle)
{
    loop_timer_cancel(handle->docker->loop, &handle->timer);
    engine_cancel(handle->call);
    engine_cancel(handle->logs);
    engine_cancel(handle->kill);
    engine_cancel(handle->policy);
    docker_forget_process(handle);
    docker_check_free(&handle->check);
    if (handle->archive > 0)
        (void)close(handle->archive);
    docker_plan_free(handle);
    json_decref(handle->ours);
    if (handle->link) {
        *handle->link = handle->next;
        if (handle->next)
            handle->next->link = handle->link;
    }
    free(handle);
}

static int begin(struct runtime *runtime, const struct runtime_start *start, bool adopting, struct runtime_handle **ret,
                 struct err *err)
{
    struct docker *docker = docker_of(runtime);
    struct runtime_handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        return err_errno(err, -ENOMEM, "cannot start %s", start->instance);
    handle->docker = docker;
    handle->owner = start->owner;
    handle->adopting = adopting;
    handle->told_code = -1;
    handle->timer = (struct loop_timer){ .fn = docker_step_due, .data = handle };
    int r = docker_plan(handle, start, err);
    const char *kept = r < 0 || adopting || start->prepare ? "" : docker_keeps(handle);
    handle->step = start->prepare ? DOCKER_NEED : *kept ? DOCKER_START : DOCKER_LOOK;
    if (*kept) {
        (void)snprintf(handle->id, sizeof(handle->id), "%s", kept);
        docker_policy_choose(handle);
    }
    if (r == 0 && (docker_needs_note(handle) < 0 || docker_events_begin(docker, start->spec->name) < 0))
        r = err_errno(err, -ENOMEM, "cannot start %s", start->instance);
    if (r < 0) {
        handle_free(handle);
        return r;
    }
    /* The first step in the loop's next turn: nobody is called back from here. */
    loop_timer_set(docker->loop, &handle->timer, clock_now());
    handle->next = docker->handles;
    handle->link = &docker->handles;
    if (handle->next)
        handle->next->link = &handle->next;
    docker->handles = handle;
    *ret = handle;
    return 0;
}

static int docker_start(struct runtime *runtime, const struct runtime_start *start, struct runtime_handle **ret,
                        struct err *err)
{
    return begin(runtime, start, false, ret, err);
}

/* A container is found by its labels, so no trace is needed. */
static int docker_adopt(struct runtime *runtime, const struct runtime_start *start, const struct runtime_trace *trace,
                        struct runtime_handle **ret, struct err *err)
{
    return begin(runtime, start, true, ret, err);
}

/* A container of an instance is found by the next start of that instance: there are no doubles to end. */
static int docker_end_strays(struct runtime *runtime)
{
    return 0;
}

static void docker_release(struct runtime *runtime, struct runtime_handle *handle)
{
    handle_free(handle);
}

static void docker_destroy(struct runtime *runtime)
{
    struct docker *docker = docker_of(runtime);

    while (docker->executions)
        docker_exec_cancel(runtime, docker->executions);
    while (docker->handles)
        handle_free(docker->handles);
    docker_events_end(docker);
    docker_remove_all(docker);
    while (docker->kept)
        kept_free(docker->kept);
    while (docker->jobs) {
        struct docker_job *job = docker->jobs;
        docker->jobs = job->next;
        docker_job_free(job);
    }
    engine_free(docker->engine);
    free(docker->host);
    free(docker);
}

static const struct runtime docker_runtime = {
    .name = "docker",
    .prepares = true,
    .check = docker_check,
    .stamp = docker_stamp,
    .start = docker_start,
    .adopt = docker_adopt,
    .end_strays = docker_end_strays,
    .signal = docker_signal,
    .hears = docker_hears,
    .dying = docker_dying,
    .exec = docker_exec,
    .exec_cancel = docker_exec_cancel,
    .release = docker_release,
    .forget = docker_forget,
    .destroy = docker_destroy,
};

struct runtime *runtime_docker_new(struct loop *loop, const struct runtime_events *events, const char *host,
                                   struct err *err)
{
    struct docker *docker = calloc(1, sizeof(*docker));
    char *copy = strdup(host ? host : "");
    struct engine *engine = docker && copy ? engine_new(loop, host, err) : NULL;

    if (!engine) {
        if (!docker || !copy)
            (void)err_errno(err, -ENOMEM, "cannot start the docker runtime");
        free(docker);
        free(copy);
        return NULL;
    }
    (void)files_raise_limit(); /* each running container costs two descriptors: its process, and what it writes */
    *docker =
        (struct docker){ .runtime = docker_runtime, .loop = loop, .events = events, .engine = engine, .host = copy };
    return &docker->runtime;
}
