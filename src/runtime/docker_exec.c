/* SPDX-License-Identifier: MIT
 *
 * Commands that run in a container: health checks, hooks. Made, started (its output comes as the answer), asked for its status.
 *
 * An Engine that is gone or hangs says nothing about the container: then the command is tried again, and its time is
 * over only when the Engine itself says that it still runs. The API cannot kill a command; what takes too long is left
 * alone and ends with its container.
 */
#include "runtime/docker.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define PAUSE_NS (500 * NS_PER_MS)

static void make(struct runtime_execution *execution);
static void ask_status(struct runtime_execution *execution);

static void execution_free(struct runtime_execution *execution)
{
    loop_timer_cancel(execution->docker->loop, &execution->timer);
    engine_cancel(execution->call);
    *execution->link = execution->next;
    if (execution->next)
        execution->next->link = execution->link;
    json_decref(execution->body);
    free(execution);
}

static void finish(struct runtime_execution *execution, int result)
{
    execution->done(execution->owner, result, execution->output, execution->len);
    execution_free(execution);
}

/* From the beginning, in a while. */
static void try_again(struct runtime_execution *execution)
{
    execution->id[0] = '\0';
    execution->timed_out = false;
    loop_timer_set(execution->docker->loop, &execution->timer, clock_now() + PAUSE_NS);
}

static void on_timer(struct loop_timer *timer)
{
    struct runtime_execution *execution = timer->data;

    if (!execution->id[0]) {
        make(execution);
        return;
    }
    execution->timed_out = true;
    engine_cancel(execution->call);
    execution->call = NULL;
    ask_status(execution);
}

static void begin(struct runtime_execution *execution, struct engine_request *request)
{
    request->owner = execution;
    if (engine_begin(execution->docker->engine, request, &execution->call) < 0) {
        execution->call = NULL;
        finish(execution, -ENOMEM);
    }
}

static void on_status(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_execution *execution = owner;

    execution->call = NULL;
    if (status < 0)
        try_again(execution);
    else if (status != 200)
        finish(execution, -EIO);
    else if (execution->timed_out && json_is_true(json_object_get(json, "Running")))
        finish(execution, -ETIMEDOUT);
    else
        finish(execution, (int)json_integer_value(json_object_get(json, "ExitCode")));
}

static void ask_status(struct runtime_execution *execution)
{
    char path[DOCKER_ID + 32];
    struct engine_request request = { .method = "GET", .path = path, .done = on_status };

    (void)snprintf(path, sizeof(path), "/exec/%s/json", execution->id);
    begin(execution, &request);
}

static void on_payload(void *owner, int stream, const char *data, size_t len)
{
    struct runtime_execution *execution = owner;
    size_t room = sizeof(execution->output) - execution->len;

    len = len < room ? len : room;
    memcpy(execution->output + execution->len, data, len);
    execution->len += len;
}

static void on_output(void *owner, const char *data, size_t len)
{
    struct runtime_execution *execution = owner;
    frames_take(&execution->frames, data, len, on_payload, execution);
}

static void on_ended(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_execution *execution = owner;

    execution->call = NULL;
    loop_timer_cancel(execution->docker->loop, &execution->timer);
    if (status < 0)
        try_again(execution);
    else if (status >= 400)
        finish(execution, -EIO);
    else
        ask_status(execution);
}

static void on_made(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_execution *execution = owner;
    const char *id = json_string_value(json_object_get(json, "Id"));
    char path[DOCKER_ID + 32];

    execution->call = NULL;
    if (status < 0) {
        try_again(execution);
        return;
    }
    if (status != 201 && !execution->refused) {
        /* It does not run, or is frozen. If it has ended, that is found out before this counts. */
        execution->refused = true;
        docker_look_at(execution->docker, execution->container);
        try_again(execution);
        return;
    }
    json_t *body = status == 201 && id ? json_pack("{s:b, s:b}", "Detach", 0, "Tty", 0) : NULL;
    if (!body) {
        finish(execution, status == 201 ? -ENOMEM : -ESRCH);
        return;
    }
    if (execution->timeout_ns > 0)
        loop_timer_set(execution->docker->loop, &execution->timer, clock_now() + execution->timeout_ns);
    (void)snprintf(execution->id, sizeof(execution->id), "%s", id);
    (void)snprintf(path, sizeof(path), "/exec/%s/start", execution->id);
    struct engine_request request = {
        .method = "POST", .path = path, .body = body, .data = on_output, .done = on_ended
    };
    execution->len = 0;
    execution->frames = (struct frames){ 0 };
    begin(execution, &request);
    json_decref(body);
}

static void make(struct runtime_execution *execution)
{
    char path[DOCKER_ID + 32];
    struct engine_request request = { .method = "POST", .path = path, .body = execution->body, .done = on_made };

    (void)snprintf(path, sizeof(path), "/containers/%s/exec", execution->container);
    begin(execution, &request);
}

/* POST /containers/ID/exec. NULL: no memory. */
static json_t *body_of(const struct runtime_exec *exec)
{
    json_t *words = json_array(), *environment = json_array();

    for (char *const *word = exec->argv; *word; word++)
        (void)json_array_append_new(words, json_string(*word));
    for (char *const *entry = exec->as ? exec->as->environment : NULL; entry && *entry; entry++)
        (void)json_array_append_new(environment, json_string(*entry));
    json_t *body =
        json_pack("{s:o, s:o, s:b, s:b}", "Cmd", words, "Env", environment, "AttachStdout", 1, "AttachStderr", 1);
    if (!exec->as)
        return body;
    (void)json_object_set_new(body, "User", json_string(exec->as->user));
    (void)json_object_set_new(body, "WorkingDir", json_string(exec->as->working_dir));
    (void)json_object_set_new(body, "Privileged", json_boolean(exec->as->privileged));
    return body;
}

int docker_exec(struct runtime *runtime, struct runtime_handle *handle, const struct runtime_exec *exec,
                struct runtime_execution **ret, struct err *err)
{
    struct docker *docker = handle->docker;
    struct runtime_execution *execution = calloc(1, sizeof(*execution));
    json_t *body = body_of(exec);
    if (!execution || !body) {
        free(execution);
        json_decref(body);
        return err_errno(err, -ENOMEM, "cannot run a command");
    }
    *execution = (struct runtime_execution){
        .next = docker->executions,
        .link = &docker->executions,
        .docker = docker,
        .owner = exec->owner,
        .done = exec->done,
        .body = body,
        .timeout_ns = exec->timeout_ns,
        .timer = { .fn = on_timer, .data = execution },
    };
    memcpy(execution->container, handle->id, sizeof(execution->container));
    if (execution->next)
        execution->next->link = &execution->next;
    docker->executions = execution;
    /* In the loop's next turn: nobody is called back from here. */
    loop_timer_set(docker->loop, &execution->timer, clock_now());
    *ret = execution;
    return 0;
}

void docker_exec_cancel(struct runtime *runtime, struct runtime_execution *execution)
{
    execution_free(execution);
}
