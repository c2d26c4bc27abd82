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

int docker_image_make(struct docker_job *job)
{
    return pull(job);
}
