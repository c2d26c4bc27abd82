/* SPDX-License-Identifier: MIT
 *
 * The Engine's stream of events: containers that end, are removed, restarted or run out of memory. What an event says
 * is not taken at its word, since the stream may break and be told again: it says where to look.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PAUSE_NS (100 * NS_PER_MS)
#define LAST_PAUSE_NS  (2 * NS_PER_S)

static struct runtime_handle *find(const struct docker *docker, const char *id)
{
    for (struct runtime_handle *handle = docker->handles; handle; handle = handle->next)
        if (strcmp(handle->id, id) == 0)
            return handle;
    return NULL;
}

void docker_look_at(struct docker *docker, const char *id)
{
    struct runtime_handle *handle = find(docker, id);
    if (handle)
        docker_heard(handle);
}

/* How it ended cannot be asked any more when the Engine has started it again. */
static void take_event(struct docker *docker, const json_t *event)
{
    const json_t *actor = json_object_get(event, "Actor");
    const char *code = docker_text(json_object_get(actor, "Attributes"), "exitCode");
    struct runtime_handle *handle = find(docker, docker_text(actor, "ID"));

    if (!handle)
        return;
    if (*code)
        handle->told_code = atoi(code);
    docker_heard(handle);
}

static void take_lines(struct docker *docker)
{
    struct buf *lines = &docker->stream.lines;
    const char *end;

    while (lines->len > 0 && (end = memchr(lines->data, '\n', lines->len))) {
        size_t len = (size_t)(end - lines->data);
        json_t *event = json_loadb(lines->data, len, 0, NULL);
        buf_consume(lines, len + 1);
        take_event(docker, event);
        json_decref(event);
    }
}

/* After a gap nobody knows what has happened. */
static void look_at_all(struct docker *docker)
{
    struct runtime_handle *next;

    for (struct runtime_handle *handle = docker->handles; handle; handle = next) {
        next = handle->next; /* this one may end */
        docker_heard(handle);
    }
}

static void try_again(struct docker_events *stream, struct loop *loop)
{
    stream->pause_ns = stream->pause_ns * 2 < LAST_PAUSE_NS ? stream->pause_ns * 2 : LAST_PAUSE_NS;
    loop_timer_set(loop, &stream->timer, clock_now() + stream->pause_ns);
}

static void on_lines(void *owner, const char *data, size_t len)
{
    struct docker *docker = owner;
    buf_add(&docker->stream.lines, data, len);
    loop_timer_set(docker->loop, &docker->stream.timer, clock_now());
}

static void on_opened(void *owner)
{
    struct docker *docker = owner;
    docker->stream.opened = true;
    docker->stream.pause_ns = FIRST_PAUSE_NS;
    loop_timer_set(docker->loop, &docker->stream.timer, clock_now());
}

static void on_cut(void *owner, int status, const json_t *json, const struct err *err)
{
    struct docker *docker = owner;
    docker->stream.call = NULL;
    try_again(&docker->stream, docker->loop);
}

static void begin(struct docker *docker)
{
    struct docker_events *stream = &docker->stream;
    CLEANUP_FREE char *filters = NULL, *path = NULL, *since = NULL;
    /* "died" and "remove" are Podman's names. */
    json_t *filter = json_pack("{s:[s], s:[s, s, s, s, s], s:[s+]}", "type", "container", "event", "die", "died", "oom",
                               "destroy", "remove", "label", "com.docker.compose.project=", stream->project);

    filters = filter ? json_dumps(filter, JSON_COMPACT) : NULL;
    json_decref(filter);
    path = filters ? engine_path("/events?filters=%s", filters) : NULL;
    /* What happens between its first byte and its first event is told as well. */
    if (path && asprintf(&since, "%s&since=%lld", path, (long long)(clock_wall() / NS_PER_S)) < 0)
        since = NULL;
    const struct engine_request request = {
        .method = "GET", .path = since, .owner = docker, .opened = on_opened, .data = on_lines, .done = on_cut
    };
    if (!since || engine_begin(docker->engine, &request, &stream->call) < 0) {
        stream->call = NULL;
        try_again(stream, docker->loop);
    }
}

static void on_timer(struct loop_timer *timer)
{
    struct docker *docker = timer->data;
    struct docker_events *stream = &docker->stream;
    bool opened = stream->opened;

    stream->opened = false;
    if (stream->lines.failed) {
        /* Out of memory: what was lost is found by looking. */
        buf_free(&stream->lines);
        opened = true;
    }
    take_lines(docker);
    if (opened)
        look_at_all(docker);
    if (stream->call)
        return;
    buf_free(&stream->lines);
    begin(docker);
}

int docker_events_begin(struct docker *docker, const char *project)
{
    struct docker_events *stream = &docker->stream;

    if (stream->project)
        return 0;
    stream->project = strdup(project);
    if (!stream->project)
        return -ENOMEM;
    stream->pause_ns = FIRST_PAUSE_NS;
    stream->timer = (struct loop_timer){ .fn = on_timer, .data = docker };
    loop_timer_set(docker->loop, &stream->timer, clock_now());
    return 0;
}

void docker_events_end(struct docker *docker)
{
    struct docker_events *stream = &docker->stream;

    loop_timer_cancel(docker->loop, &stream->timer);
    engine_cancel(stream->call);
    buf_free(&stream->lines);
    free(stream->project);
}
