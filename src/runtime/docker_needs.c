/* SPDX-License-Identifier: MIT
 *
 * Networks, volumes and images: looked for, and made when they are missing. Looked for at each start, since somebody
 * may have removed them; instances that need the same one at the same time wait for one job.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct docker_job *job_find(struct docker *docker, const struct docker_need *need)
{
    for (struct docker_job *job = docker->jobs; job; job = job->next)
        if (job->need.kind == need->kind && strcmp(job->need.name, need->name) == 0)
            return job;
    return NULL;
}

static struct docker_job *job_new(struct docker *docker, const struct docker_need *need)
{
    struct docker_job *job = calloc(1, sizeof(*job));
    char *name = strdup(need->name);

    if (!job || !name) {
        free(job);
        free(name);
        return NULL;
    }
    *job = (struct docker_job){ .next = docker->jobs, .docker = docker, .context = { .fd = -1 } };
    job->need = (struct docker_need){ .kind = need->kind, .name = name };
    docker->jobs = job;
    return job;
}

void docker_job_free(struct docker_job *job)
{
    engine_cancel(job->call);
    (void)context_close(&job->context, NULL);
    docker_need_free(&job->need);
    json_decref(job->tags);
    buf_free(&job->lines);
    free(job);
}

/* Its definition may have changed since the last time. */
static void job_take(struct docker_job *job, const struct docker_need *need)
{
    json_t *old = job->need.body;
    job->need.body = json_incref(need->body);
    json_decref(old);
    job->need.refresh = need->refresh;
    job->need.never = need->never;
    job->need.by_id = need->by_id;
    job->made = false;
    free(job->need.platform);
    job->need.platform = need->platform ? strdup(need->platform) : NULL;
    job->err = (struct err){ 0 };
    buf_consume(&job->lines, job->lines.len);
}

void docker_job_finish(struct docker_job *job, int status, const struct err *err)
{
    struct docker *docker = job->docker;
    const struct err told = *err;
    bool again = true;

    job->running = false;
    job->call = NULL;
    /* One after the other, from the beginning each time: who hears of it may go, or begin another job. */
    while (again) {
        again = false;
        for (struct runtime_handle *handle = docker->handles; handle; handle = handle->next) {
            if (handle->job != job)
                continue;
            handle->job = NULL;
            docker_needed(handle, job, status, &told);
            again = true;
            break;
        }
        if (job->running)
            return; /* it was begun anew */
    }
}

static const char *const kind_names[] = {
    [DOCKER_NETWORK] = "network", [DOCKER_VOLUME] = "volume", [DOCKER_IMAGE] = "image"
};

static void on_made(void *owner, int status, const json_t *json, const struct err *err)
{
    struct docker_job *job = owner;
    struct err told = { 0 };

    if (status != 409) /* 409: somebody was faster */
        told = *err;
    if (told.code < 0 && status > 0)
        (void)err_prefix(&told, "cannot make the %s %s", kind_names[job->need.kind], job->need.name);
    if (told.code < 0 && job->need.kind == DOCKER_NETWORK && strstr(told.message, "overlaps"))
        (void)err_set(
            &told, told.code,
            "cannot make the network %s: another one (`docker network ls`) has these addresses; give it another "
            "`ipam.config.subnet`",
            job->need.name);
    docker_job_finish(job, status, &told);
}

static int job_make(struct docker_job *job)
{
    if (job->need.kind == DOCKER_IMAGE)
        return docker_image_make(job);
    const struct engine_request request = {
        .method = "POST",
        .path = job->need.kind == DOCKER_NETWORK ? "/networks/create" : "/volumes/create",
        .body = job->need.body,
        .timeout_ns = DOCKER_TIMEOUT_NS,
        .owner = job,
        .done = on_made,
    };
    return engine_begin(job->docker->engine, &request, &job->call);
}

static void take_image(struct docker_job *job, const json_t *json)
{
    json_decref(job->tags);
    job->tags = json_incref(json_object_get(json, "RepoTags"));
    (void)snprintf(job->id, sizeof(job->id), "%s", docker_text(json, "Id"));
}

static void on_looked(void *owner, int status, const json_t *json, const struct err *err)
{
    struct docker_job *job = owner;
    const struct docker_need *need = &job->need;
    bool refresh = need->refresh && !job->refreshed;
    struct err told = *err;

    job->call = NULL;
    if (need->kind == DOCKER_IMAGE && status == 200)
        take_image(job, json);
    if (status == 404 && need->by_id) {
        (void)err_set(&told, -ENOENT,
                      "the image %s of this version is gone; \"daruma up\" goes on with the one that has its name now",
                      need->name);
    } else if (status == 404 && job->made) {
        (void)err_set(&told, -ENOENT, "there is no image \"%s\", although it was just made", need->name);
    } else if (status == 404 && !need->body && (need->kind != DOCKER_IMAGE || need->never)) {
        (void)err_set(&told, -ENOENT, "there is no %s \"%s\"; %s", kind_names[need->kind], need->name,
                      need->kind == DOCKER_IMAGE ? "its pull_policy is never"
                                                 : "the file says that it exists (external)");
    } else if (status == 404 || (status == 200 && refresh)) {
        int r = job_make(job);
        if (r == 0)
            return;
        told = job->err;
        if (told.code == 0)
            (void)err_errno(&told, r, "cannot make the %s %s", kind_names[need->kind], need->name);
    }
    docker_job_finish(job, status, &told);
}

static int job_look(struct docker_job *job)
{
    static const char *const formats[] = {
        [DOCKER_NETWORK] = "/networks/%s", [DOCKER_VOLUME] = "/volumes/%s", [DOCKER_IMAGE] = "/images/%s/json"
    };
    CLEANUP_FREE char *path = NULL;

    /* An image's name has slashes that are part of the path. */
    int n = asprintf(&path, formats[job->need.kind], job->need.name);
    if (n < 0) {
        path = NULL;
        return -ENOMEM;
    }
    const struct engine_request request = {
        .method = "GET", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = job, .done = on_looked
    };
    return engine_begin(job->docker->engine, &request, &job->call);
}

void docker_job_made(struct docker_job *job, int status, const struct err *err)
{
    struct err told = *err;

    job->made = true;
    job->refreshed = job->refreshed || told.code == 0;
    int r = told.code == 0 ? job_look(job) : -ECANCELED;
    if (r == 0)
        return;
    if (told.code == 0)
        (void)err_errno(&told, r, "cannot look at the image %s", job->need.name);
    docker_job_finish(job, status, &told);
}

static struct docker_job *job_for(struct docker *docker, const struct docker_need *need)
{
    struct docker_job *job = job_find(docker, need);
    return job ? job : job_new(docker, need);
}

int docker_needs_note(struct runtime_handle *handle)
{
    for (size_t i = 0; i < handle->needs_len; i++) {
        struct docker_job *job = job_for(handle->docker, &handle->needs[i]);
        if (!job)
            return -ENOMEM;
        if (!job->need.body && !job->running)
            job->need.body = json_incref(handle->needs[i].body);
    }
    return 0;
}

int docker_need_begin(struct runtime_handle *handle)
{
    struct docker *docker = handle->docker;
    const struct docker_need *need = &handle->needs[handle->at];
    struct docker_job *job = job_for(docker, need);

    if (!job)
        return -ENOMEM;
    if (job->running) {
        handle->job = job;
        return 0;
    }
    job_take(job, need);
    job->refreshed = job->refreshed && !handle->prepare;
    int r = job_look(job);
    if (r < 0)
        return r;
    job->running = true;
    handle->job = job;
    return 0;
}
