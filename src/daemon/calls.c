/* SPDX-License-Identifier: MIT
 *
 * What the admin API (observe/admin.h) asks of the supervisor, and tells it to do. Each call is answered at once; what
 * takes time goes on in the loop, and is told by events.
 */
#include "daemon/daemon_parts.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "daemon/answers.h"
#include "daemon/deploys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static json_t *call_project(void *data)
{
    struct daemon *daemon = data;
    const struct spec *spec = supervisor_spec(daemon->supervisor);
    json_t *files = json_array();

    /* Whoever is told a state goes on with events: none may be told that no event has told. */
    daemon_look(daemon);
    for (char **file = spec->files; file && *file; file++)
        (void)json_array_append_new(files, json_string(*file));
    json_t *services = json_array(), *deploying = json_array();
    for (size_t i = 0; i < spec->services_len; i++) {
        const char *name = spec->services[i].name;
        (void)json_array_append_new(services, json_string(name));
        if (supervisor_is_deploying(daemon->supervisor, name))
            (void)json_array_append_new(deploying, json_string(name));
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:I, s:I, s:o}", "name",
                     daemon->dir.project, "version", DARUMA_VERSION, "pid", (int)getpid(), "guard",
                     (int)daemon->memory.guard->member[GUARD_SIDE_GUARD].pid, "runtime", daemon->runtime->name, "state",
                     answers_state_name(supervisor_state(daemon->supervisor)), "working_dir", spec->working_dir,
                     "files", files, "services", services, "listeners",
                     answers_listeners(daemon->memory.board, &daemon->listeners), "since",
                     (double)daemon->since_wall_ns / 1e9, "last_event", (json_int_t)daemon->bus.last_seq, "first_event",
                     (json_int_t)daemon->first_event, "deploying", deploying);
}

static json_t *call_instances(void *data)
{
    struct daemon *daemon = data;
    return answers_instances(daemon->supervisor);
}

static json_t *call_gateway(void *data)
{
    struct daemon *daemon = data;
    return answers_gateway(daemon->memory.board, daemon->memory.gauges);
}

static void call_metrics(void *data, struct buf *out)
{
    struct daemon *daemon = data;
    answers_metrics(out, daemon->supervisor, daemon->memory.board, daemon->memory.gauges, daemon->since_wall_ns);
}

static int call_up(void *data, const json_t *json, json_t **ret, struct err *err)
{
    struct daemon *daemon = data;
    struct up_request request = { 0 };
    struct problems problems = { 0 };
    CLEANUP_BUF struct buf text = { 0 };
    json_t *plan = NULL;

    daemon_busy_begin(daemon->guard); /* a request of some megabytes takes its time */
    int r = up_request_parse(json, &request, err);
    daemon_busy_end();
    if (r < 0)
        return r;
    if (request.id && request.id == daemon->request.id) { /* by somebody whose supervisor died before it could answer */
        *ret = json_pack("{s:s, s:[]}", "warnings", "", "plan");
        up_request_free(&request);
        return 0;
    }
    up_request_inherit(&request, &daemon->request);
    r = daemon_change(daemon, &request, &problems, &plan, err);
    problems_format(&problems, false, &text);
    const char *told = text.len > 0 ? text.data : "";
    if (r == 0)
        *ret = json_pack("{s:s, s:O}", "warnings", told, "plan", plan);
    if (r == 0 && !request.dry_run) {
        up_request_free(&daemon->request);
        daemon->request = request;
        daemon->request.build = false;
        request = (struct up_request){ 0 };
    } else if (r < 0 && problems.errors > 0) {
        *ret = json_pack("{s:s, s:s}", "error", "the files do not load; nothing was changed", "problems", told);
    }
    json_decref(plan);
    up_request_free(&request);
    problems_free(&problems);
    return r;
}

static void call_down(void *data, bool kill, bool volumes)
{
    struct daemon *daemon = data;

    daemon->runtime->remove_volumes = daemon->runtime->remove_volumes || volumes;
    daemon_go_down(daemon, kill);
}

static int call_restart(void *data, const char *service, struct err *err)
{
    struct daemon *daemon = data;
    return supervisor_restart(daemon->supervisor, service, err);
}

static int call_rollback(void *data, const char *service, uint32_t version, struct err *err)
{
    struct daemon *daemon = data;
    return supervisor_rollback(daemon->supervisor, service, version, err);
}

static json_t *call_deploys(void *data)
{
    struct daemon *daemon = data;
    return deploys_read(&daemon->receipts);
}

static json_t *call_upgrading(void *data)
{
    return daemon_upgrade_json(data);
}

static int call_upgrade(void *data, const char *path, json_t **ret, struct err *err)
{
    int r = daemon_upgrade(data, path, err);
    if (r < 0 && r != -EALREADY)
        return r;
    *ret = r == 0 ? daemon_upgrade_json(data) : json_pack("{s:s}", "state", "unchanged");
    return 0;
}

static int call_scale(void *data, const char *service, int replicas, struct err *err)
{
    struct daemon *daemon = data;
    return supervisor_scale(daemon->supervisor, service, replicas, err);
}

/* Signals every instance when no name is given. */
static int call_kill(void *data, const char *name, int signo, struct err *err)
{
    struct daemon *daemon = data;
    const struct spec *spec = supervisor_spec(daemon->supervisor);

    if (name)
        return supervisor_kill(daemon->supervisor, name, signo, err);
    for (size_t i = 0; i < spec->services_len; i++) {
        int r = supervisor_kill(daemon->supervisor, spec->services[i].name, signo, err);
        /* Those that run nothing just now have nothing to be killed. */
        if (r < 0 && r != -ESRCH)
            return r;
    }
    return 0;
}

static void emit_chaos(struct daemon *daemon, const char *victim, const char *text)
{
    struct event event = { .kind = EVENT_CHAOS };

    (void)snprintf(event.instance, sizeof(event.instance), "%s", victim);
    logs_service_of(victim, event.service);
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    event_emit(&daemon->bus, &event);
}

/* Its process and address are asked for before it is hit: afterwards they may be gone. */
static int pick_victim(struct daemon *daemon, const char *const *services, uint64_t pick, bool allow_last,
                       char victim[EVENT_NAME], json_t **ret, struct err *err)
{
    int r = supervisor_chaos_kill(daemon->supervisor, services, pick, 0, allow_last, victim, err);
    if (r == 0)
        *ret = answers_instance(daemon->supervisor, victim);
    return r;
}

static int call_chaos_pause(void *data, const char *const *services, uint64_t pick, int64_t ns, bool allow_last,
                            json_t **ret, struct err *err)
{
    struct daemon *daemon = data;
    char victim[EVENT_NAME], text[EVENT_TEXT], span[CLOCK_TEXT];
    json_t *told = NULL;

    int r = pick_victim(daemon, services, pick, allow_last, victim, &told, err);
    if (r == 0)
        r = supervisor_pause(daemon->supervisor, victim, ns, err);
    if (r < 0) {
        json_decref(told);
        return r;
    }
    (void)snprintf(text, sizeof(text), "the monkey stops it for %s", clock_format_span(ns, span));
    emit_chaos(daemon, victim, text);
    *ret = told;
    return 0;
}

static int call_chaos_kill(void *data, const char *const *services, uint64_t pick, int signo, bool allow_last,
                           json_t **ret, struct err *err)
{
    struct daemon *daemon = data;
    char victim[EVENT_NAME], text[EVENT_TEXT];
    json_t *told = NULL;

    int r = pick_victim(daemon, services, pick, allow_last, victim, &told, err);
    if (r == 0 && signo)
        r = supervisor_chaos_kill(daemon->supervisor, services, pick, signo, allow_last, victim, err);
    if (r < 0) {
        json_decref(told);
        return r;
    }
    (void)snprintf(text, sizeof(text), "the monkey sends SIG%s", cause_signal_name(signo));
    if (signo)
        emit_chaos(daemon, victim, text);
    *ret = told;
    return 0;
}

struct api_calls daemon_calls(struct daemon *daemon)
{
    return (struct api_calls){
        .data = daemon,
        .project = call_project,
        .instances = call_instances,
        .gateway = call_gateway,
        .metrics = call_metrics,
        .up = call_up,
        .down = call_down,
        .restart = call_restart,
        .rollback = call_rollback,
        .deploys = call_deploys,
        .upgrade = call_upgrade,
        .upgrading = call_upgrading,
        .scale = call_scale,
        .kill = call_kill,
        .chaos_kill = call_chaos_kill,
        .chaos_pause = call_chaos_pause,
    };
}
