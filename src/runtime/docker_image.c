/* SPDX-License-Identifier: MIT
 *
 * Images: pulled or built. The Engine tells the progress as lines of JSON while it works, and that it failed, too.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

static void each_waiter(struct docker_job *job, void (*fn)(struct runtime_handle *handle, const char *text),
                        const char *text)
{
    for (struct runtime_handle *handle = job->docker->handles; handle; handle = handle->next)
        if (handle->job == job)
            fn(handle, text);
}

static void tell_progress(struct runtime_handle *handle, const char *text)
{
    handle->docker->events->progress(handle->owner, text);
}

static void tell_output(struct runtime_handle *handle, const char *text)
{
    handle->docker->events->output(handle->owner, 1, text, strlen(text));
}

static void take_line(struct docker_job *job, const char *line, size_t len)
{
    json_t *json = json_loadb(line, len, 0, NULL);
    const char *stream = json_string_value(json_object_get(json, "stream"));
    const char *error = json_string_value(json_object_get(json, "error"));

    if (stream)
        each_waiter(job, tell_output, stream);
    if (error) {
        int n = (int)strcspn(error, "\n");
        (void)err_set(&job->err, -EREMOTEIO, "%.*s", n, error);
    }
    json_decref(json);
}

static void on_progress(void *owner, const char *data, size_t len)
{
    struct docker_job *job = owner;
    struct buf *lines = &job->lines;
    const char *end;

    buf_add(lines, data, len);
    while (lines->len > 0 && (end = memchr(lines->data, '\n', lines->len))) {
        size_t line = (size_t)(end - lines->data);
        take_line(job, lines->data, line);
        buf_consume(lines, line + 1);
    }
}

static void on_pulled(void *owner, int status, const json_t *json, const struct err *err)
{
    struct docker_job *job = owner;
    struct err told = status == 200 ? job->err : *err;

    if (status == 200 && told.code == 0)
        job->refreshed = true;
    if (told.code < 0 && status > 0)
        (void)err_prefix(&told, "cannot pull the image %s", job->need.name);
    docker_job_finish(job, status, &told);
}

/* Without a tag the Engine would pull all of them. */
static int pull(struct docker_job *job)
{
    const struct docker_need *need = &job->need;
    const char *slash = strrchr(need->name, '/');
    bool tagged = strchr(slash ? slash : need->name, ':') || strchr(need->name, '@');
    CLEANUP_FREE char *name = NULL, *path = NULL, *platform = NULL, *whole = NULL;
    char text[256];

    if (asprintf(&name, "%s%s", need->name, tagged ? "" : ":latest") < 0)
        name = NULL;
    path = name ? engine_path("/images/create?fromImage=%s", name) : NULL;
    platform = engine_path("&platform=%s", need->platform ? need->platform : "");
    if (!path || !platform || asprintf(&whole, "%s%s", path, need->platform ? platform : "") < 0) {
        whole = NULL;
        return -ENOMEM;
    }
    const struct engine_request request = {
        .method = "POST", .path = whole, .owner = job, .data = on_progress, .done = on_pulled
    };
    (void)snprintf(text, sizeof(text), "pulling %s", name);
    each_waiter(job, tell_progress, text);
    return engine_begin(job->docker->engine, &request, &job->call);
}

/* ---- building ---- */

static void on_built(void *owner, int status, const json_t *json, const struct err *err)
{
    struct docker_job *job = owner;
    struct err packed = { 0 }, told = status == 200 ? job->err : *err;

    if (context_close(&job->context, &packed) < 0)
        told = packed;
    if (status == 200 && told.code == 0)
        job->refreshed = true;
    if (told.code < 0 && (status > 0 || packed.code))
        (void)err_prefix(&told, "cannot build the image %s", job->need.name);
    docker_job_finish(job, packed.code ? 200 : status, &told);
}

/* Appends "&name=value" to a query. */
static void add_query(struct buf *query, const char *name, const char *value)
{
    CLEANUP_FREE char *part = engine_path("%s", value);

    if (part)
        buf_printf(query, "&%s=%s", name, part);
    else
        query->failed = true;
}

static void add_json(struct buf *query, const char *name, const json_t *value)
{
    CLEANUP_FREE char *text = json_object_size(value) > 0 ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text)
        add_query(query, name, text);
}

static int build(struct docker_job *job)
{
    const json_t *from = job->need.body;
    const char *folder = json_string_value(json_object_get(from, "context"));
    const char *dockerfile = json_string_value(json_object_get(from, "dockerfile"));
    const char *target = json_string_value(json_object_get(from, "target"));
    CLEANUP_BUF struct buf path = { 0 };
    char text[256];

    if (!folder || strstr(folder, "://") || json_object_get(from, "dockerfile_inline"))
        return err_set(&job->err, -EINVAL, "cannot build the image %s: daruma builds from folders with a Dockerfile",
                       job->need.name);
    dockerfile = dockerfile ? dockerfile : "Dockerfile";
    int r = context_open(folder, dockerfile, &job->context, &job->err);
    if (r < 0)
        return r;
    buf_puts(&path, "/build?rm=1&forcerm=1");
    add_query(&path, "t", job->need.name);
    add_query(&path, "dockerfile", dockerfile);
    if (target)
        add_query(&path, "target", target);
    if (job->need.platform)
        add_query(&path, "platform", job->need.platform);
    add_json(&path, "buildargs", json_object_get(from, "args"));
    add_json(&path, "labels", json_object_get(from, "labels"));
    if (json_is_true(json_object_get(from, "no_cache")))
        buf_puts(&path, "&nocache=1");
    if (json_is_true(json_object_get(from, "pull")))
        buf_puts(&path, "&pull=1");
    const struct engine_request request = {
        .method = "POST",
        .path = path.data,
        .upload_fd = job->context.fd,
        .owner = job,
        .data = on_progress,
        .done = on_built,
    };
    (void)snprintf(text, sizeof(text), "building %s from %s", job->need.name, folder);
    each_waiter(job, tell_progress, text);
    r = path.failed ? -ENOMEM : engine_begin(job->docker->engine, &request, &job->call);
    if (r < 0)
        (void)context_close(&job->context, NULL);
    return r;
}

int docker_image_make(struct docker_job *job)
{
    return job->need.body ? build(job) : pull(job);
}
