/* SPDX-License-Identifier: MIT
 *
 * Images: pulled or built. The Engine tells the progress as lines of JSON while it works, and that it failed, too.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

/* What a Dockerfile is called in the archive that is no file of the folder. */
#define SENT_DOCKERFILE ".daruma.Dockerfile"

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

    if (told.code < 0 && status > 0)
        (void)err_prefix(&told, "cannot pull the image %s", job->need.name);
    docker_job_made(job, status, &told);
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
    if (told.code < 0 && (status > 0 || packed.code))
        (void)err_prefix(&told, "cannot build the image %s", job->need.name);
    docker_job_made(job, packed.code ? 200 : status, &told);
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
    bool some = json_object_size(value) > 0 || json_array_size(value) > 0;
    CLEANUP_FREE char *text = some ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text)
        add_query(query, name, text);
}

static void add_each(struct buf *query, const char *name, const json_t *list)
{
    json_t *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item) if (json_is_string(item))
        add_query(query, name, json_string_value(item));
}

static void add_number(struct buf *query, const char *name, const json_t *value)
{
    if (json_is_integer(value))
        buf_printf(query, "&%s=%lld", name, (long long)json_integer_value(value));
    else if (json_is_string(value))
        add_query(query, name, json_string_value(value));
}

/* What `build` says becomes the query (https://docs.docker.com/engine/api/v1.41/#operation/ImageBuild). */
static void build_query(const struct docker_need *need, const char *dockerfile, struct buf *query)
{
    const json_t *from = need->body;
    const char *target = docker_text(from, "target"), *network = docker_text(from, "network");
    const char *platform = json_string_value(json_array_get(json_object_get(from, "platforms"), 0));

    buf_puts(query, "/build?rm=1&forcerm=1");
    add_query(query, "t", need->name);
    add_each(query, "t", json_object_get(from, "tags"));
    add_query(query, "dockerfile", dockerfile);
    if (*target)
        add_query(query, "target", target);
    if (*network)
        add_query(query, "networkmode", network);
    if (need->platform || platform)
        add_query(query, "platform", need->platform ? need->platform : platform);
    add_json(query, "buildargs", json_object_get(from, "args"));
    add_json(query, "labels", json_object_get(from, "labels"));
    add_json(query, "cachefrom", json_object_get(from, "cache_from"));
    add_each(query, "extrahosts", json_object_get(from, "extra_hosts"));
    add_number(query, "shmsize", json_object_get(from, "shm_size"));
    if (json_is_true(json_object_get(from, "no_cache")))
        buf_puts(query, "&nocache=1");
    if (json_is_true(json_object_get(from, "pull")))
        buf_puts(query, "&pull=1");
}

/* A Dockerfile that the folder has, that another one has, or that the compose file itself writes. */
int docker_build_source(const json_t *build, struct context_source *ret, char **ret_outside)
{
    const char *text = json_string_value(json_object_get(build, "dockerfile_inline"));
    const char *folder = docker_text(build, "context"), *dockerfile = docker_text(build, "dockerfile");
    bool outside = *dockerfile == '/' || strncmp(dockerfile, "../", 3) == 0;

    if (!*folder || strstr(folder, "://"))
        return -EINVAL;
    *ret_outside = NULL;
    if (outside && *dockerfile != '/' && asprintf(ret_outside, "%s/%s", folder, dockerfile) < 0) {
        *ret_outside = NULL;
        return -ENOMEM;
    }
    *ret = (struct context_source){
        .folder = folder,
        .dockerfile = text || outside ? SENT_DOCKERFILE
                      : *dockerfile   ? dockerfile
                                      : "Dockerfile",
        .outside = !outside || text ? NULL
                   : *ret_outside   ? *ret_outside
                                    : dockerfile,
        .text = text,
    };
    return 0;
}

static int build(struct docker_job *job)
{
    struct context_source source;
    CLEANUP_BUF struct buf path = { 0 };
    CLEANUP_FREE char *outside = NULL;
    char text[256];

    int r = docker_build_source(job->need.body, &source, &outside);
    if (r == -EINVAL)
        return err_set(&job->err, r, "cannot build the image %s: daruma builds from folders; clone it first",
                       job->need.name);
    if (r == 0)
        r = context_open(&source, &job->context, &job->err);
    if (r < 0)
        return r;
    build_query(&job->need, source.dockerfile, &path);
    const struct engine_request request = {
        .method = "POST",
        .path = path.data,
        .upload_fd = job->context.fd,
        .owner = job,
        .data = on_progress,
        .done = on_built,
    };
    (void)snprintf(text, sizeof(text), "building %s from %s", job->need.name, source.folder);
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
