/* SPDX-License-Identifier: MIT
 *
 * Carries a start through its steps (see docker.h): each makes a call, and its answer leads to the next one.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PAUSE_NS (100 * NS_PER_MS)
#define LAST_PAUSE_NS  (5 * NS_PER_S)

/* How often a container that was found may have gone before it was started. */
enum { LOOKS_MAX = 5 };

static void step_begin(struct runtime_handle *handle);

/* It is to end, and does not run as far as anybody knows. One that is looked for does: it has to be found in order to end. */
static bool need_not_start(const struct runtime_handle *handle)
{
    return handle->cancelled && handle->step < DOCKER_START && !handle->adopting;
}

/* ---- an Engine that does not answer ---- */

static void try_again(struct runtime_handle *handle)
{
    int64_t pause = handle->pause_ns ? handle->pause_ns : FIRST_PAUSE_NS;

    handle->pause_ns = pause * 2 < LAST_PAUSE_NS ? pause * 2 : LAST_PAUSE_NS;
    loop_timer_set(handle->docker->loop, &handle->timer, clock_now() + pause);
}

/* Was it no answer of the Engine's? Then the step is tried again, however long it takes. */
static bool unanswered(struct runtime_handle *handle, int status, const struct err *err)
{
    if (status >= 0 || status == -ENOMEM || status == -EPROTO)
        return false;
    if (!handle->told)
        handle->docker->events->progress(handle->owner, err->message);
    handle->told = true;
    try_again(handle);
    return true;
}

void docker_step_due(struct loop_timer *timer)
{
    struct runtime_handle *handle = timer->data;

    if (handle->step == DOCKER_LAST)
        docker_tell_exit(handle);
    else if (handle->step == DOCKER_RUN)
        docker_go(handle, DOCKER_CHECK);
    else if (need_not_start(handle))
        docker_give_up(handle);
    else
        step_begin(handle);
}

/* ---- what the steps do with an answer ---- */

void docker_go(struct runtime_handle *handle, enum docker_step step)
{
    loop_timer_cancel(handle->docker->loop, &handle->timer);
    handle->step = step;
    handle->pause_ns = 0;
    handle->told = false;
    if (need_not_start(handle) && step != DOCKER_STOP_OLD)
        docker_give_up(handle);
    else
        step_begin(handle);
}

/* It is taken as it runs, or its end is asked for. */
static void adopt_found(struct runtime_handle *handle, const char *id, const char *state)
{
    (void)snprintf(handle->id, sizeof(handle->id), "%s", id);
    if (!*id) {
        docker_judge(handle, 128 + SIGKILL, false);
        handle->how.cause = CAUSE_UNKNOWN;
        handle->how.status = -1;
        docker_end(handle);
    } else if (docker_keep(handle) < 0) {
        docker_fail_memory(handle);
    } else {
        handle->taken_over = strcmp(state, "running") == 0;
        docker_go(handle, handle->taken_over ? DOCKER_INSPECT : DOCKER_CHECK);
    }
}

/* One that was created and never started: nobody knows whether all was put into it that belongs there. */
static bool is_half_made(const json_t *container)
{
    const char *state = docker_text(container, "State");
    return strcmp(state, "dead") == 0 || strcmp(state, "created") == 0;
}

static bool has_hash(const json_t *container, const char *hash)
{
    return strcmp(docker_text(json_object_get(container, "Labels"), CONTAINER_LABEL "config-hash"), hash) == 0;
}

/* What to look at first: what is half made has to go, except for who looks for one that ran. */
static const json_t *choose(const json_t *list, bool half_made)
{
    json_t *container;
    size_t i;

    json_array_foreach((json_t *)list, i, container)
    {
        if (is_half_made(container) == half_made)
            return container;
    }
    return json_array_get(list, 0);
}

/* The instance's container, if it has one. */
static void take_look(struct runtime_handle *handle, const json_t *list)
{
    const json_t *found = choose(list, !handle->adopting);

    /* What an earlier supervisor was about to make or to replace when it died is no running copy: that start begins anew. */
    if (handle->adopting && found && (!has_hash(found, handle->hash) || is_half_made(found))) {
        handle->adopting = false;
        found = choose(list, true);
    }
    const char *id = docker_text(found, "Id"), *state = docker_text(found, "State");

    handle->at = 0;
    docker_policy_choose(handle);
    if (handle->adopting) {
        adopt_found(handle, id, state);
        return;
    }
    if (!found) {
        docker_go(handle, DOCKER_NEED);
        return;
    }
    if (strcmp(state, "removing") == 0 || strcmp(state, "restarting") == 0) {
        (void)snprintf(handle->id, sizeof(handle->id), "%s", id);
        if (strcmp(state, "restarting") == 0)
            docker_policy_hold(handle);
        try_again(handle);
        return;
    }
    bool other_image = handle->image[0] && strcmp(docker_text(found, "ImageID"), handle->image) != 0;
    bool other_file = !has_hash(found, handle->hash) && strcmp(docker_keeps(handle), id) != 0;

    if (other_file || other_image || is_half_made(found)) {
        (void)snprintf(handle->old_id, sizeof(handle->old_id), "%s", id);
        docker_inherit(handle, found);
        docker_go(handle, is_half_made(found) ? DOCKER_REMOVE_OLD : DOCKER_NEED);
        return;
    }
    (void)snprintf(handle->id, sizeof(handle->id), "%s", id);
    if (docker_keep(handle) < 0) {
        docker_fail_memory(handle);
        return;
    }
    handle->taken_over = strcmp(state, "running") == 0;
    docker_go(handle, handle->taken_over ? DOCKER_INSPECT : DOCKER_START);
}

static void take_end(struct runtime_handle *handle, const json_t *state)
{
    docker_judge(handle, (int)json_integer_value(json_object_get(state, "ExitCode")),
                 json_is_true(json_object_get(state, "OOMKilled")));
    docker_end(handle);
}

/* It runs, as far as the last answer knows. */
static void go_on(struct runtime_handle *handle)
{
    if (handle->pending)
        (void)docker_send_signal(handle);
    docker_go(handle, handle->heard ? DOCKER_CHECK : DOCKER_RUN);
    if (handle->step == DOCKER_RUN)
        docker_await_word(handle);
}

/* It runs: its addresses are known, and its output is asked for. */
static void take_running(struct runtime_handle *handle, const json_t *json)
{
    const json_t *state = json_object_get(json, "State");

    if (!docker_is_running(state) && handle->taken_over) {
        handle->taken_over = false; /* it ended between two questions */
        docker_go(handle, handle->adopting ? DOCKER_CHECK : DOCKER_START);
        return;
    }
    if (docker_take_state(handle, json) < 0) {
        docker_fail_memory(handle);
        return;
    }
    docker_follow_logs(handle);
    if (handle->taken_over)
        handle->docker->events->progress(handle->owner, "its container runs already and is taken over");
    handle->step = DOCKER_RUN;
    if (handle->check.test != SPEC_TEST_NONE)
        handle->docker->events->healthcheck(handle->owner, &handle->check);
    handle->docker->events->started(handle->owner, handle->pid, handle->ports, handle->ports_len);
    docker_policy_update(handle, json_object_get(json, "HostConfig"));
    if (!json_is_true(json_object_get(state, "Running"))) {
        take_end(handle, state);
    } else if (!docker_is_running(state)) {
        docker_go(handle, DOCKER_CHECK);
    } else {
        docker_watch_process(handle);
        go_on(handle);
    }
}

/* Something has happened to it, or may have while nobody heard. */
static void take_check(struct runtime_handle *handle, int status, const json_t *json)
{
    const json_t *state = json_object_get(json, "State");
    pid_t pid = (pid_t)json_integer_value(json_object_get(state, "Pid"));

    if (status == 404) {
        docker_judge(handle, 128 + SIGKILL, false);
        docker_end(handle);
    } else if (status != 200) {
        try_again(handle);
    } else if (!json_is_true(json_object_get(state, "Running"))) {
        take_end(handle, state);
    } else if (!docker_is_running(state)) {
        docker_policy_hold(handle);
        try_again(handle);
    } else if (pid != handle->engine_pid) {
        /* Somebody restarted it, or the Engine was faster: that life is over, and the next start takes this one over. */
        docker_judge(handle, handle->told_code >= 0 ? handle->told_code : 128 + SIGKILL, false);
        docker_end(handle);
    } else {
        docker_follow_logs(handle);
        go_on(handle);
    }
}

/* Its container is made and has its name. */
static void fill(struct runtime_handle *handle)
{
    handle->at = 0;
    if (json_object_size(handle->files) > 0)
        docker_go(handle, DOCKER_COPY);
    else
        docker_go(handle, handle->networks_len > 0 ? DOCKER_CONNECT : DOCKER_START);
}

static void take_created(struct runtime_handle *handle, const json_t *json)
{
    bool replaces = handle->old_id[0] != '\0';
    char *id = replaces ? handle->new_id : handle->id;
    json_t *warning;
    size_t i;

    /* What this kernel or this Engine has left out. */
    json_array_foreach(json_object_get(json, "Warnings"), i, warning)
    {
        if (json_is_string(warning))
            handle->docker->events->progress(handle->owner, json_string_value(warning));
    }
    (void)snprintf(id, DOCKER_ID, "%s", docker_text(json, "Id"));
    if (replaces) {
        /* What was put into theirs is not known. */
        docker_go(handle, json_object_size(handle->files) > 0 ? DOCKER_STOP_OLD : DOCKER_SEE_OURS);
        return;
    }
    handle->fresh = true;
    if (docker_keep(handle) < 0)
        docker_fail_memory(handle);
    else
        fill(handle);
}

void docker_renamed(struct runtime_handle *handle)
{
    if (handle->fresh)
        fill(handle);
    else
        docker_go(handle, handle->taken_over ? DOCKER_INSPECT : DOCKER_START);
}

/* What a refusal is to a person. */
static void refused(struct runtime_handle *handle, const struct err *err)
{
    struct err told = *err;

    if (handle->step == DOCKER_CREATE || handle->step == DOCKER_RENAME)
        (void)err_prefix(&told, "cannot create the container %s", handle->name);
    else if (handle->step == DOCKER_START)
        (void)err_prefix(&told, "cannot start the container %s", handle->name);
    else if (handle->step == DOCKER_COPY)
        (void)err_prefix(&told, "cannot put secrets and configs into the container %s", handle->name);
    else if (handle->step == DOCKER_CONNECT)
        (void)err_prefix(&told, "cannot join the network %s", handle->networks[handle->at].name);
    else
        (void)err_prefix(&told, "the Docker Engine refuses");
    docker_fail(handle, &told);
}

static void on_answer(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;
    bool ok = status >= 200 && status < 400; /* 304: it runs already */

    handle->call = NULL;
    if (handle->archive > 0)
        (void)close(handle->archive);
    handle->archive = 0;
    if (status < 0 && need_not_start(handle) && !handle->old_id[0]) {
        docker_give_up(handle);
        return;
    }
    if (unanswered(handle, status, err))
        return;
    if (handle->step == DOCKER_LOOK && ok)
        take_look(handle, json);
    else if (handle->step == DOCKER_STOP_OLD) /* whatever came of it: it is removed by force */
        docker_go(handle, DOCKER_REMOVE_OLD);
    else if (handle->step == DOCKER_REMOVE_OLD && (ok || status == 404 || status == 409))
        docker_removed_old(handle, status);
    else if (handle->step == DOCKER_CREATE && ok)
        take_created(handle, json);
    else if (handle->step == DOCKER_SEE_OURS && ok)
        docker_saw_ours(handle, json);
    else if (handle->step == DOCKER_SEE_OLD && ok)
        docker_saw_old(handle, json);
    else if (handle->step == DOCKER_SEE_OLD && status == 404)
        docker_go(handle, DOCKER_REMOVE_OLD);
    else if (handle->step == DOCKER_RENAME && ok)
        docker_renamed(handle);
    else if (handle->step == DOCKER_COPY && ok)
        docker_go(handle, handle->networks_len > 0 ? DOCKER_CONNECT : DOCKER_START);
    else if (handle->step == DOCKER_CONNECT && ok)
        docker_go(handle, ++handle->at < handle->networks_len ? DOCKER_CONNECT : DOCKER_START);
    else if (handle->step == DOCKER_START && ok)
        docker_go(handle, DOCKER_INSPECT);
    else if (handle->step == DOCKER_START && (status == 404 || status == 409) && ++handle->looks < LOOKS_MAX)
        docker_go(handle, DOCKER_LOOK); /* somebody has removed it, or does so just now */
    else if (handle->step == DOCKER_INSPECT && ok)
        take_running(handle, json);
    else if (handle->step == DOCKER_CHECK || handle->step == DOCKER_INSPECT)
        take_check(handle, status, json);
    else
        refused(handle, err);
}

void docker_heard(struct runtime_handle *handle)
{
    if (handle->step == DOCKER_LAST)
        return;
    handle->heard = true;
    if (handle->step == DOCKER_RUN)
        docker_go(handle, DOCKER_CHECK);
    else if (loop_timer_armed(&handle->timer))
        loop_timer_set(handle->docker->loop, &handle->timer, clock_now());
}

/* Where its name means another image by now, the container is created from the ID. */
static void take_image(struct runtime_handle *handle, const struct docker_job *job)
{
    const char *name = docker_text(handle->body, "Image");
    size_t len = strlen(name), i;
    bool named = false;
    json_t *tag;

    json_array_foreach(job->tags, i, tag)
    {
        const char *text = json_string_value(tag);
        named =
            named || strcmp(text, name) == 0 || (strncmp(text, name, len) == 0 && strcmp(text + len, ":latest") == 0);
    }
    if (job->need.by_id && !named)
        (void)json_object_set_new(handle->body, "Image", json_string(job->id));
    handle->docker->events->made_of(handle->owner, job->id);
}

void docker_needed(struct runtime_handle *handle, const struct docker_job *job, int status, const struct err *err)
{
    if (unanswered(handle, status, err))
        return;
    if (err->code < 0) {
        docker_fail(handle, err);
        return;
    }
    if (job->need.kind == DOCKER_IMAGE)
        take_image(handle, job);
    if (++handle->at < handle->needs_len) {
        docker_go(handle, DOCKER_NEED);
    } else if (handle->prepare) {
        docker_judge(handle, 0, false);
        docker_tell_exit(handle);
    } else {
        docker_go(handle, DOCKER_CREATE);
    }
}

/* ---- the steps' calls ---- */

static void step_begin(struct runtime_handle *handle)
{
    char path[2 * DOCKER_ID + 64];
    struct engine_request request = {
        .method = "GET", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = handle, .done = on_answer
    };
    CLEANUP_FREE char *built = NULL, *query = NULL;

    switch (handle->step) {
    case DOCKER_LOOK:
        request.path = handle->look;
        break;
    case DOCKER_STOP_OLD:
        request.method = "POST";
        request.timeout_ns += handle->grace_s * NS_PER_S;
        (void)snprintf(path, sizeof(path), "/containers/%s/stop?t=%d", handle->old_id, handle->grace_s);
        break;
    case DOCKER_REMOVE_OLD:
        request.method = "DELETE";
        (void)snprintf(path, sizeof(path), "/containers/%s?force=1", handle->old_id);
        break;
    case DOCKER_NEED:
        if (docker_need_begin(handle) < 0)
            docker_fail_memory(handle);
        return;
    case DOCKER_CREATE:
        request.method = "POST";
        request.path = handle->old_id[0] ? handle->create_beside : handle->create;
        request.body = handle->body;
        break;
    case DOCKER_SEE_OURS:
    case DOCKER_SEE_OLD:
        (void)snprintf(path, sizeof(path), "/containers/%s/json",
                       handle->step == DOCKER_SEE_OURS ? handle->new_id : handle->old_id);
        break;
    case DOCKER_RENAME:
        request.method = "POST";
        query = engine_path("?name=%s", handle->name);
        if (!query || asprintf(&built, "/containers/%s/rename%s", handle->id, query) < 0)
            built = NULL;
        request.path = built;
        break;
    case DOCKER_COPY:
        handle->archive = docker_files_open(handle->files);
        request.method = "PUT";
        request.upload_fd = handle->archive;
        (void)snprintf(path, sizeof(path), "/containers/%s/archive?path=/", handle->id);
        if (handle->archive < 0)
            request.path = NULL;
        break;
    case DOCKER_CONNECT:
        request.method = "POST";
        built = engine_path("/networks/%s/connect", handle->networks[handle->at].name);
        request.path = built;
        request.body = handle->networks[handle->at].body;
        (void)json_object_set_new(request.body, "Container", json_string(handle->id));
        break;
    case DOCKER_START:
        request.method = "POST";
        (void)snprintf(path, sizeof(path), "/containers/%s/start", handle->id);
        break;
    case DOCKER_INSPECT:
    case DOCKER_CHECK:
        handle->heard = false;
        (void)snprintf(path, sizeof(path), "/containers/%s/json", handle->id);
        break;
    case DOCKER_RUN:
    case DOCKER_LAST:
        return;
    }
    if (request.path && engine_begin(handle->docker->engine, &request, &handle->call) == 0)
        return;
    handle->call = NULL;
    if (handle->step == DOCKER_CHECK)
        try_again(handle); /* what runs does not fail for our want of memory */
    else
        docker_fail_memory(handle);
}
