/* SPDX-License-Identifier: MIT
 *
 * The runtime for containers: carries a start through its steps (see docker.h), hears of the end, and passes on what
 * the container writes. Runs in the supervisor. It restarts nothing by itself, and the Engine does not either.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define FIRST_PAUSE_NS (100 * NS_PER_MS)
#define LAST_PAUSE_NS  (5 * NS_PER_S)
/* So long the end of its output is waited for, once a container has ended. */
#define LAST_WORDS_NS (100 * NS_PER_MS)

/* How often a container that was found may have gone before it was started. */
enum { LOOKS_MAX = 5 };

static void step_begin(struct runtime_handle *handle);
static void handle_free(struct runtime_handle *handle);

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

static int keep(struct runtime_handle *handle)
{
    struct docker *docker = handle->docker;
    struct docker_kept *kept = kept_find(docker, handle->instance);

    if (!kept) {
        kept = calloc(1, sizeof(*kept));
        if (!kept)
            return -ENOMEM;
        kept->docker = docker;
        memcpy(kept->instance, handle->instance, sizeof(kept->instance));
        kept->next = docker->kept;
        docker->kept = kept;
    }
    memcpy(kept->id, handle->id, sizeof(kept->id));
    return 0;
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

static void docker_forget(struct runtime *runtime, const char *instance)
{
    struct docker *docker = docker_of(runtime);
    struct docker_kept *kept = kept_find(docker, instance);
    char path[DOCKER_ID + 32];

    if (!kept)
        return;
    kept->forgotten = true;
    (void)snprintf(path, sizeof(path), "/containers/%s?force=1", kept->id);
    const struct engine_request request = {
        .method = "DELETE", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = kept, .done = on_removed
    };
    if (engine_begin(docker->engine, &request, &kept->call) < 0)
        kept->call = NULL;
}

/* ---- the end ---- */

static void tell_exit(struct runtime_handle *handle)
{
    const struct runtime_exit how = handle->how;

    loop_timer_cancel(handle->docker->loop, &handle->timer);
    handle->ended = true;
    handle->docker->events->exited(handle->owner, &how); /* releases it */
}

/* It never ran. */
static void fail(struct runtime_handle *handle, const struct err *err)
{
    handle->how = (struct runtime_exit){ .cause = CAUSE_SPAWN, .status = 127, .at_ns = clock_now(), .err = *err };
    tell_exit(handle);
}

static void fail_memory(struct runtime_handle *handle)
{
    struct err err;
    (void)err_errno(&err, -ENOMEM, "cannot start %s", handle->instance);
    fail(handle, &err);
}

/* It was to end before it ran. */
static void give_up(struct runtime_handle *handle)
{
    handle->how = (struct runtime_exit){
        .cause = CAUSE_KILLED, .status = handle->cancelled, .by_signal = true, .at_ns = clock_now()
    };
    tell_exit(handle);
}

/* The Engine tells a signal as a shell does: 128 and its number. */
static void judge_exit(struct runtime_handle *handle, int code, bool oom)
{
    bool by_signal = code > 128 && code < 128 + NSIG;
    handle->how = (struct runtime_exit){
        .cause = oom ? CAUSE_OOM : cause_of_exit(by_signal ? CLD_KILLED : CLD_EXITED, by_signal ? code - 128 : code),
        .status = by_signal ? code - 128 : code,
        .by_signal = by_signal,
        .at_ns = handle->how.at_ns ? handle->how.at_ns : clock_now(),
    };
}

/* All is known about its end but, perhaps, its last words. */
static void end(struct runtime_handle *handle)
{
    handle->step = DOCKER_LAST;
    if (handle->logs)
        loop_timer_set(handle->docker->loop, &handle->timer, clock_now() + LAST_WORDS_NS);
    else
        tell_exit(handle);
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

static void on_timer(struct loop_timer *timer)
{
    struct runtime_handle *handle = timer->data;

    if (handle->step == DOCKER_LAST)
        tell_exit(handle);
    else if (handle->cancelled && handle->step < DOCKER_START)
        give_up(handle);
    else
        step_begin(handle);
}

/* ---- what it writes ---- */

static void on_payload(void *owner, int stream, const char *data, size_t len)
{
    struct runtime_handle *handle = owner;
    handle->docker->events->output(handle->owner, stream, data, len);
}

static void on_log_data(void *owner, const char *data, size_t len)
{
    struct runtime_handle *handle = owner;
    frames_take(&handle->frames, data, len, on_payload, handle);
}

static void on_log_end(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;

    handle->logs = NULL;
    handle->logs_since = (double)clock_wall() / 1e9;
    if (handle->step == DOCKER_LAST && loop_timer_armed(&handle->timer))
        tell_exit(handle);
}

static void follow_logs(struct runtime_handle *handle)
{
    char path[DOCKER_ID + 96];
    const struct engine_request request = {
        .method = "GET", .path = path, .owner = handle, .data = on_log_data, .done = on_log_end
    };
    if (handle->logs)
        return;
    (void)snprintf(path, sizeof(path), "/containers/%s/logs?follow=1&stdout=1&stderr=1&since=%.9f", handle->id,
                   handle->logs_since);
    handle->frames = (struct frames){ .raw = handle->frames.raw };
    if (engine_begin(handle->docker->engine, &request, &handle->logs) < 0)
        handle->logs = NULL; /* without its output it works all the same */
}

/* ---- signals ---- */

static void on_signalled(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;
    handle->kill = NULL;
    /* Any answer will do: a container that does not run any more is about to be heard of. */
    if (status > 0)
        handle->pending = 0;
}

static int send_signal(struct runtime_handle *handle)
{
    char path[DOCKER_ID + 48];
    const struct engine_request request = {
        .method = "POST", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = handle, .done = on_signalled
    };
    (void)snprintf(path, sizeof(path), "/containers/%s/kill?signal=%d", handle->id, handle->pending);
    engine_cancel(handle->kill);
    handle->kill = NULL;
    return engine_begin(handle->docker->engine, &request, &handle->kill);
}

static int docker_signal(struct runtime *runtime, struct runtime_handle *handle, int signo)
{
    if (handle->ended || handle->step == DOCKER_LAST)
        return -ESRCH;
    if (handle->step == DOCKER_RUN || handle->step == DOCKER_CHECK) {
        handle->pending = signo;
        return send_signal(handle);
    }
    /* What the Engine is making just now is waited for: otherwise nobody would know of it. */
    handle->cancelled = handle->pending = signo;
    if (handle->step >= DOCKER_CREATE && handle->call)
        return 0;
    engine_cancel(handle->call);
    handle->call = NULL;
    handle->job = NULL;
    loop_timer_set(handle->docker->loop, &handle->timer, clock_now());
    return 0;
}

/* ---- what the steps do with an answer ---- */

static const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static void go(struct runtime_handle *handle, enum docker_step step)
{
    handle->step = step;
    handle->pause_ns = 0;
    handle->told = false;
    if (handle->cancelled && step < DOCKER_START)
        give_up(handle);
    else
        step_begin(handle);
}

/* Whatever its configuration: it is taken as it runs, or its end is asked for. */
static void adopt_found(struct runtime_handle *handle, const char *id, const char *state)
{
    (void)snprintf(handle->id, sizeof(handle->id), "%s", id);
    if (!*id) {
        handle->how = (struct runtime_exit){ .cause = CAUSE_UNKNOWN, .status = -1, .at_ns = clock_now() };
        tell_exit(handle);
    } else if (keep(handle) < 0) {
        fail_memory(handle);
    } else {
        handle->taken_over = strcmp(state, "running") == 0;
        go(handle, handle->taken_over ? DOCKER_INSPECT : DOCKER_CHECK);
    }
}

/* The instance's container, if it has one. */
static void take_look(struct runtime_handle *handle, const json_t *list)
{
    const json_t *found = json_array_get(list, 0);
    const char *id = text_at(found, "Id"), *state = text_at(found, "State");
    const char *hash = text_at(json_object_get(found, "Labels"), CONTAINER_LABEL "config-hash");

    handle->at = 0;
    if (handle->adopting) {
        adopt_found(handle, id, state);
        return;
    }
    if (!found) {
        go(handle, DOCKER_NEED);
        return;
    }
    if (strcmp(state, "removing") == 0) {
        try_again(handle);
        return;
    }
    if (strcmp(hash, handle->hash) != 0 || strcmp(state, "dead") == 0) {
        (void)snprintf(handle->old_id, sizeof(handle->old_id), "%s", id);
        go(handle, DOCKER_STOP_OLD);
        return;
    }
    (void)snprintf(handle->id, sizeof(handle->id), "%s", id);
    if (keep(handle) < 0) {
        fail_memory(handle);
        return;
    }
    handle->taken_over = strcmp(state, "running") == 0;
    go(handle, handle->taken_over ? DOCKER_INSPECT : DOCKER_START);
}

/* "2026-11-22T09:32:21.138644333Z" → seconds since the Epoch; 0 when it is no time, or the Engine's "never". */
static double parse_time(const char *text)
{
    struct tm tm = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    double fraction = rest && *rest == '.' ? strtod(rest, NULL) : 0;
    time_t whole = rest ? timegm(&tm) : 0;
    return whole > 0 ? (double)whole + fraction : 0;
}

/* A port of the container, at its own address. */
static bool set_address(struct board_address *address, const char *ip, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1) {
        *address = (struct board_address){ .len = sizeof(in) };
        memcpy(&address->u, &in, sizeof(in));
        return true;
    }
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1) {
        *address = (struct board_address){ .len = sizeof(in6) };
        memcpy(&address->u, &in6, sizeof(in6));
        return true;
    }
    return false;
}

static void find_ports(struct runtime_handle *handle, const json_t *json)
{
    const json_t *networks = json_object_get(json_object_get(json, "NetworkSettings"), "Networks");
    const char *ip = handle->host_network ? "127.0.0.1" : "", *name;
    json_t *network;

    json_object_foreach((json_t *)networks, name, network)
    {
        if (!*ip)
            ip = text_at(network, "IPAddress");
        if (!*ip)
            ip = text_at(network, "GlobalIPv6Address");
    }
    handle->ports_len = 0;
    for (size_t i = 0; i < handle->targets_len; i++) {
        struct runtime_port *port = &handle->ports[handle->ports_len];
        port->target = handle->targets[i];
        handle->ports_len += set_address(&port->address, ip, port->target);
    }
}

/* Its process, when that is one of this machine. */
static pid_t find_pid(const struct runtime_handle *handle, const json_t *state)
{
    pid_t pid = (pid_t)json_integer_value(json_object_get(state, "Pid"));
    bool here = pid > 0 && engine_is_local(handle->docker->engine) && (kill(pid, 0) == 0 || errno == EPERM);
    return here ? pid : 0;
}

/* It runs: its addresses are known, its output and its end are asked for. */
static void take_running(struct runtime_handle *handle, const json_t *json)
{
    const json_t *state = json_object_get(json, "State");

    if (!json_is_true(json_object_get(state, "Running")) && handle->taken_over) {
        handle->taken_over = false; /* it ended between two questions */
        go(handle, handle->adopting ? DOCKER_CHECK : DOCKER_START);
        return;
    }
    handle->frames.raw = json_is_true(json_object_get(json_object_get(json, "Config"), "Tty"));
    /* Not StartedAt: a program is quicker with its first line than the Engine with that note. */
    handle->logs_since = handle->taken_over ? (double)clock_wall() / 1e9 : parse_time(text_at(state, "FinishedAt"));
    find_ports(handle, json);
    follow_logs(handle);
    if (handle->taken_over)
        handle->docker->events->progress(handle->owner, "its container runs already and is taken over");
    handle->step = DOCKER_RUN;
    handle->docker->events->started(handle->owner, find_pid(handle, state), handle->ports, handle->ports_len);
    if (handle->pending)
        (void)send_signal(handle);
    go(handle, DOCKER_RUN);
}

/* The call that waited for its end broke off. */
static void take_check(struct runtime_handle *handle, int status, const json_t *json)
{
    const json_t *state = json_object_get(json, "State");

    if (status == 404) {
        judge_exit(handle, 128 + SIGKILL, false);
        end(handle);
        return;
    }
    if (json_is_true(json_object_get(state, "Running"))) {
        follow_logs(handle);
        if (handle->pending)
            (void)send_signal(handle);
        go(handle, DOCKER_RUN);
        return;
    }
    judge_exit(handle, (int)json_integer_value(json_object_get(state, "ExitCode")),
               json_is_true(json_object_get(state, "OOMKilled")));
    end(handle);
}

/* It has ended. Only SIGKILL leaves the question who sent it. */
static void take_exit(struct runtime_handle *handle, const json_t *json)
{
    int code = (int)json_integer_value(json_object_get(json, "StatusCode"));

    handle->how.at_ns = clock_now();
    judge_exit(handle, code, false);
    if (code == 128 + SIGKILL && !handle->pending)
        go(handle, DOCKER_LAST);
    else
        end(handle);
}

static void take_created(struct runtime_handle *handle, const json_t *json)
{
    (void)snprintf(handle->id, sizeof(handle->id), "%s", text_at(json, "Id"));
    handle->at = 0;
    if (keep(handle) < 0)
        fail_memory(handle);
    else
        go(handle, handle->networks_len > 0 ? DOCKER_CONNECT : DOCKER_START);
}

/* What a refusal is to a person. */
static void refused(struct runtime_handle *handle, const struct err *err)
{
    struct err told = *err;

    if (handle->step == DOCKER_CREATE)
        (void)err_prefix(&told, "cannot create the container %s", handle->name);
    else if (handle->step == DOCKER_START)
        (void)err_prefix(&told, "cannot start the container %s", handle->name);
    else if (handle->step == DOCKER_CONNECT)
        (void)err_prefix(&told, "cannot join the network %s", handle->networks[handle->at].name);
    else
        (void)err_prefix(&told, "the Docker Engine refuses");
    fail(handle, &told);
}

static void on_answer(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;
    bool ok = status >= 200 && status < 400; /* 304: it runs already */

    handle->call = NULL;
    if (status < 0 && handle->step == DOCKER_RUN)
        handle->step = DOCKER_CHECK;
    if (handle->cancelled && status < 0 && handle->step < DOCKER_START) {
        give_up(handle);
        return;
    }
    if (unanswered(handle, status, err))
        return;
    if (handle->step == DOCKER_LOOK && ok)
        take_look(handle, json);
    else if (handle->step == DOCKER_STOP_OLD) /* whatever came of it, it is removed by force */
        go(handle, DOCKER_REMOVE_OLD);
    else if (handle->step == DOCKER_REMOVE_OLD && (ok || status == 404 || status == 409))
        go(handle, ok ? DOCKER_NEED : DOCKER_LOOK);
    else if (handle->step == DOCKER_CREATE && ok)
        take_created(handle, json);
    else if (handle->step == DOCKER_CONNECT && ok)
        go(handle, ++handle->at < handle->networks_len ? DOCKER_CONNECT : DOCKER_START);
    else if (handle->step == DOCKER_START && ok)
        go(handle, DOCKER_INSPECT);
    else if (handle->step == DOCKER_START && status == 404 && ++handle->looks < LOOKS_MAX)
        go(handle, DOCKER_LOOK); /* somebody removed it */
    else if (handle->step == DOCKER_INSPECT && ok)
        take_running(handle, json);
    else if (handle->step == DOCKER_RUN && ok)
        take_exit(handle, json);
    else if (handle->step == DOCKER_RUN || handle->step == DOCKER_CHECK || handle->step == DOCKER_INSPECT)
        take_check(handle, status, json);
    else if (handle->step == DOCKER_LAST) {
        judge_exit(handle, 128 + SIGKILL, json_is_true(json_object_get(json_object_get(json, "State"), "OOMKilled")));
        end(handle);
    } else
        refused(handle, err);
}

void docker_needed(struct runtime_handle *handle, int status, const struct err *err)
{
    if (unanswered(handle, status, err))
        return;
    if (err->code < 0)
        fail(handle, err);
    else
        go(handle, ++handle->at < handle->needs_len ? DOCKER_NEED : DOCKER_CREATE);
}

/* ---- the steps' calls ---- */

static void step_begin(struct runtime_handle *handle)
{
    char path[2 * DOCKER_ID + 64];
    struct engine_request request = {
        .method = "GET", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = handle, .done = on_answer
    };
    CLEANUP_FREE char *connect = NULL;

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
            fail_memory(handle);
        return;
    case DOCKER_CREATE:
        request.method = "POST";
        request.path = handle->create;
        request.body = handle->body;
        break;
    case DOCKER_CONNECT:
        request.method = "POST";
        connect = engine_path("/networks/%s/connect", handle->networks[handle->at].name);
        request.path = connect;
        request.body = handle->networks[handle->at].body;
        (void)json_object_set_new(request.body, "Container", json_string(handle->id));
        break;
    case DOCKER_START:
        request.method = "POST";
        (void)snprintf(path, sizeof(path), "/containers/%s/start", handle->id);
        break;
    case DOCKER_RUN:
        request.method = "POST";
        request.timeout_ns = 0;
        (void)snprintf(path, sizeof(path), "/containers/%s/wait?condition=not-running", handle->id);
        break;
    case DOCKER_INSPECT:
    case DOCKER_CHECK:
    case DOCKER_LAST:
        (void)snprintf(path, sizeof(path), "/containers/%s/json", handle->id);
        break;
    }
    if (!request.path || engine_begin(handle->docker->engine, &request, &handle->call) < 0)
        fail_memory(handle);
}

/* ---- --- ---- */

static void handle_free(struct runtime_handle *handle)
{
    loop_timer_cancel(handle->docker->loop, &handle->timer);
    engine_cancel(handle->call);
    engine_cancel(handle->logs);
    engine_cancel(handle->kill);
    docker_plan_free(handle);
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
    handle->timer = (struct loop_timer){ .fn = on_timer, .data = handle };
    int r = docker_plan(handle, start, err);
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
    .check = docker_check,
    .start = docker_start,
    .adopt = docker_adopt,
    .end_strays = docker_end_strays,
    .signal = docker_signal,
    .exec = docker_exec,
    .exec_cancel = docker_exec_cancel,
    .release = docker_release,
    .forget = docker_forget,
    .destroy = docker_destroy,
};

/* Each running container costs two descriptors: for its end, and for what it writes. */
static void raise_nofile(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

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
    raise_nofile();
    *docker =
        (struct docker){ .runtime = docker_runtime, .loop = loop, .events = events, .engine = engine, .host = copy };
    return &docker->runtime;
}
