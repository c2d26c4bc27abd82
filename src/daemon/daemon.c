/* SPDX-License-Identifier: MIT
 *
 * The wiring (see daemon.h). Every part is told about its neighbours here, by functions; none of them knows another.
 */
#include "daemon/daemon.h"
#include "daemon/accesslog.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/inherit.h"
#include "base/notify.h"
#include "base/version.h"
#include "daemon/answers.h"
#include "daemon/deploys.h"
#include "daemon/kept.h"
#include "daemon/workers.h"
#include "observe/admin.h"
#include "observe/logfile.h"
#include "observe/logs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

enum {
    OWN_LOG = 4 << 20,    /* bytes of daruma.log before it is begun anew */
    RECEIPTS = 256 << 10, /* of the receipts of deploys */
};
/* How long the gateway may go on with what is in flight after all services have ended: answers that are on their way. */
#define LAST_ANSWERS_NS (2 * NS_PER_S)
#define BEAT_NS         (100 * NS_PER_MS)

struct daemon {
    struct rundir dir;
    struct up_request request; /* the last that succeeded */
    int64_t since_wall_ns;
    uint64_t first_event; /* the number of the last event before ours */

    struct loop *loop;
    struct event_bus bus;
    struct daemon_memory memory;
    struct accesslog accesslog;
    struct listeners listeners;
    struct workers *workers;
    struct kept kept;
    struct applied before; /* what we have taken over */
    struct err refused;    /* why not */
    struct runtime *runtime;
    enum spec_runtime kind; /* of the runtime; it stays as long as the project runs */
    struct supervisor *supervisor;

    struct journal *journal;
    struct logs *logs;
    char logs_dir[PATH_MAX];
    struct logfile own_log, receipts;
    struct api api;
    struct admin *admin;

    struct event_sink sink;
    struct loop_timer look; /* has the project's state changed? */
    enum supervisor_state state;
    bool stopping, killing;
    bool stale; /* what is written down (applied.h): a deploy may have gone back */

    int signal_fd;
    struct loop_io signal_io;

    struct guard *guard;
    struct loop_io guard_io;
    struct loop_timer beat;
    struct loop_timer watchdog; /* the service manager's */
};

/* ---- what the services' supervisor needs ---- */

static void on_ring(void *data)
{
    struct daemon *daemon = data;
    if (daemon->workers)
        workers_sync(daemon->workers);
}

static int on_board_service(void *data, const char *service)
{
    struct daemon *daemon = data;
    return board_service_add(daemon->memory.board, service);
}

static char *on_room(void *data, const char *instance, int stream, size_t *ret_len)
{
    struct daemon *daemon = data;
    return logs_room(daemon->logs, instance, stream, ret_len);
}

static void on_output(void *data, const char *service, const char *instance, int stream, const char *text, size_t len)
{
    struct daemon *daemon = data;
    logs_write(daemon->logs, instance, stream, text, len);
}

static const char *const *on_peer_environment(void *data)
{
    static const char *const none[] = { NULL };
    struct daemon *daemon = data;
    const char *const *peers = listeners_peers(&daemon->listeners);
    return peers ? peers : none;
}

/* ---- events ---- */

static void emit(struct daemon *daemon, enum event_kind kind, const char *from, const char *to, const char *text)
{
    struct event event = { .kind = kind };

    (void)snprintf(event.from, sizeof(event.from), "%s", from);
    (void)snprintf(event.to, sizeof(event.to), "%s", to);
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    event_emit(&daemon->bus, &event);
}

static void on_deployed(void *data, const struct deploy_receipt *receipt)
{
    struct daemon *daemon = data;
    if (deploys_write(&daemon->receipts, receipt) < 0)
        emit(daemon, EVENT_WARNING, "", "", "the receipt of a deploy could not be written");
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct daemon *daemon = sink->data;
    char time[CLOCK_TEXT], text[EVENT_LINE], line[EVENT_LINE + 128];

    int n = snprintf(line, sizeof(line), "%s %-15s %s\n", clock_format_wall(event->wall_ns, time),
                     event_kind_name(event->kind), event_format(event, text));
    (void)logfile_write(&daemon->own_log, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
    if (daemon->admin)
        admin_wake(daemon->admin);
    daemon->stale = daemon->stale || event->kind == EVENT_DEPLOY;
    loop_timer_set(daemon->loop, &daemon->look, loop_now(daemon->loop));
}

static void on_log_written(void *data)
{
    struct daemon *daemon = data;
    if (daemon->admin)
        admin_wake(daemon->admin);
}

static void warn(struct daemon *daemon, const char *what, const char *why)
{
    char text[EVENT_TEXT];
    (void)snprintf(text, sizeof(text), "%s: %.120s", what, why);
    emit(daemon, EVENT_WARNING, "", "", text);
}

/* For whoever comes after us. */
static void write_down(struct daemon *daemon, const struct up_request *request)
{
    struct err err = { 0 };
    json_t *model = supervisor_model(daemon->supervisor);

    daemon->stale = false;
    const struct applied applied = {
        .request = *request,
        .spec = (struct spec *)supervisor_spec(daemon->supervisor),
        .runtime = daemon->kind,
        .ports = listeners_ports(&daemon->listeners),
    };
    if (applied_save(&daemon->dir, &applied, model, &err) < 0)
        warn(daemon, "should the supervisor die, its instances cannot be taken over", err.message);
    json_decref(applied.ports);
    json_decref(model);
}

static void write_record(struct daemon *daemon)
{
    struct kept_record *record = &daemon->kept.record;

    record->state = daemon->state;
    record->stopping = daemon->stopping;
    record->killing = daemon->killing;
    record->remove_volumes = daemon->runtime->remove_volumes;
    record->since_wall_ns = daemon->since_wall_ns;
    kept_write(&daemon->kept);
}

/* Something happened: is the project another than before? */
static void on_look(struct loop_timer *timer)
{
    struct daemon *daemon = timer->data;
    enum supervisor_state before = daemon->state, now = supervisor_state(daemon->supervisor);
    char text[EVENT_TEXT];

    if (daemon->stale && !daemon->stopping)
        write_down(daemon, &daemon->request);
    if (now == before)
        return;
    daemon->state = now;
    write_record(daemon);
    (void)snprintf(text, sizeof(text), "project %s is %s", daemon->dir.project, answers_state_name(now));
    emit(daemon, EVENT_PROJECT, answers_state_name(before), answers_state_name(now), text);
    if (now == SUPERVISOR_DOWN && daemon->stopping)
        workers_drain(daemon->workers, daemon->killing ? 0 : LAST_ANSWERS_NS);
}

/* ---- up, down ---- */

static void go_down(struct daemon *daemon, bool kill)
{
    if (!daemon->stopping) {
        daemon->stopping = true;
        notify_send("STOPPING=1");
        write_record(daemon); /* before anything ends: whoever comes after us goes on with it */
        listeners_close_published(&daemon->listeners, daemon->memory.board);
        workers_sync(daemon->workers);
        supervisor_down(daemon->supervisor);
    } else {
        kill = true;
    }
    if (kill && !daemon->killing) {
        daemon->killing = true;
        write_record(daemon);
        supervisor_down(daemon->supervisor);
    }
    loop_timer_set(daemon->loop, &daemon->look, loop_now(daemon->loop));
}

static void on_workers_gone(void *data)
{
    struct daemon *daemon = data;
    loop_stop(daemon->loop);
}

static void on_drained(void *data)
{
    struct daemon *daemon = data;
    if (daemon->supervisor)
        supervisor_drained_bell(daemon->supervisor);
}

/* Loads what `request` says and opens the ports that are new. Everything that is wrong goes to `problems` or `err`. */
static int prepare(struct daemon *daemon, const struct up_request *request, struct spec **ret,
                   struct problems *problems, struct err *err)
{
    struct spec *spec = NULL;
    enum spec_runtime kind;

    int r = compose_load(&request->compose, &spec, problems);
    if (r == 0 && strcmp(spec->name, daemon->dir.project) != 0)
        r = err_set(err, -EINVAL, "the files are those of project \"%s\", but this is \"%s\"", spec->name,
                    daemon->dir.project);
    if (r == 0)
        r = up_request_apply(request, spec, err);
    if (r == 0)
        r = spec_choose_runtime(spec, request->runtime, &kind, err);
    if (r == 0 && kind != daemon->kind)
        r = err_set(err, -EINVAL,
                    "project \"%s\" runs with the %s runtime, and the files ask for the other one; take it down first",
                    daemon->dir.project, daemon->runtime->name);
    if (r == 0)
        daemon->runtime->check(daemon->runtime, spec, problems);
    if (r == 0)
        listeners_open(&daemon->listeners, spec, problems);
    if (r == 0 && problems->errors > 0)
        r = -EINVAL;
    if (r < 0) {
        listeners_discard(&daemon->listeners);
        spec_free(spec);
        return r;
    }
    *ret = spec;
    return 0;
}

/* Who is to be watched is the guard: it is there as long as anything of this project is. */
static void notify_ready(const struct daemon *daemon)
{
    notify_send("READY=1\nMAINPID=%d\nSTATUS=project %s", (int)daemon->memory.guard->member[GUARD_SIDE_GUARD].pid,
                daemon->dir.project);
}

/* Makes the project be as the request says. `problems` may hold warnings afterwards. */
static int change(struct daemon *daemon, const struct up_request *request, struct problems *problems, struct err *err)
{
    struct spec *spec;

    if (daemon->stopping)
        return err_set(err, -EBUSY, "project \"%s\" is going down", daemon->dir.project);
    daemon_busy_begin(daemon->guard);
    int r = prepare(daemon, request, &spec, problems, err);
    daemon_busy_end();
    if (r < 0)
        return r;
    if (request->replace)
        supervisor_turn_round(daemon->supervisor, request->services);
    r = supervisor_apply(daemon->supervisor, spec, request->services, err);
    if (r < 0) {
        listeners_discard(&daemon->listeners);
        spec_free(spec);
        return r;
    }
    r = listeners_publish(&daemon->listeners, spec, daemon->memory.board, err);
    accesslog_apply(&daemon->accesslog, spec);
    workers_sync(daemon->workers);
    write_down(daemon, request);
    notify_ready(daemon); /* a manager that lost sight of us may have asked */
    loop_timer_set(daemon->loop, &daemon->look, loop_now(daemon->loop));
    return r;
}

/* The same request again: SIGHUP. */
static void reload(struct daemon *daemon)
{
    struct problems problems = { 0 };
    CLEANUP_BUF struct buf text = { 0 };
    struct err err = { 0 };

    if (change(daemon, &daemon->request, &problems, &err) < 0) {
        char told[EVENT_TEXT];
        problems_format(&problems, false, &text);
        const char *all = text.len > 0 ? text.data : err.message;
        (void)fprintf(stderr, "%s\n", all);
        (void)snprintf(told, sizeof(told), "the files could not be loaded again, nothing was changed: %.*s",
                       (int)(strcspn(all, "\n") < 160 ? strcspn(all, "\n") : 160), all);
        emit(daemon, EVENT_WARNING, "", "", told);
    }
    problems_free(&problems);
}

/* ---- the admin API's questions ---- */

static json_t *call_project(void *data)
{
    struct daemon *daemon = data;
    const struct spec *spec = supervisor_spec(daemon->supervisor);
    json_t *files = json_array();

    for (char **file = spec->files; file && *file; file++)
        (void)json_array_append_new(files, json_string(*file));
    json_t *deploying = json_array();
    for (size_t i = 0; i < spec->services_len; i++)
        if (supervisor_is_deploying(daemon->supervisor, spec->services[i].name))
            (void)json_array_append_new(deploying, json_string(spec->services[i].name));
    return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:o, s:f, s:I, s:I, s:o}", "name", daemon->dir.project,
                     "version", DARUMA_VERSION, "pid", (int)getpid(), "guard",
                     (int)daemon->memory.guard->member[GUARD_SIDE_GUARD].pid, "runtime", daemon->runtime->name, "state",
                     answers_state_name(supervisor_state(daemon->supervisor)), "working_dir", spec->working_dir,
                     "files", files, "listeners", answers_listeners(daemon->memory.board, &daemon->listeners), "since",
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

/* What `up` would do: everything is checked, nothing changed. */
static int plan(struct daemon *daemon, const struct up_request *request, struct problems *problems, json_t **ret,
                struct err *err)
{
    struct spec *spec;

    int r = prepare(daemon, request, &spec, problems, err);
    if (r < 0)
        return r;
    *ret = deploys_plan(daemon->supervisor, spec, request->services);
    listeners_discard(&daemon->listeners);
    spec_free(spec);
    return 0;
}

static int call_up(void *data, const json_t *json, json_t **ret, struct err *err)
{
    struct daemon *daemon = data;
    struct up_request request = { 0 };
    struct problems problems = { 0 };
    CLEANUP_BUF struct buf text = { 0 };
    json_t *planned = NULL;

    int r = up_request_parse(json, &request, err);
    if (r < 0)
        return r;
    r = request.dry_run ? plan(daemon, &request, &problems, &planned, err) : change(daemon, &request, &problems, err);
    problems_format(&problems, false, &text);
    const char *told = text.len > 0 ? text.data : "";
    if (r == 0 && request.dry_run) {
        *ret = json_pack("{s:s, s:o}", "warnings", told, "plan", planned);
    } else if (r == 0) {
        *ret = json_pack("{s:s}", "warnings", told);
        for (const char *const *name = request.renew; name && *name; name++)
            supervisor_renew(daemon->supervisor, *name);
        up_request_free(&daemon->request);
        daemon->request = request;
        request = (struct up_request){ 0 };
    } else if (problems.errors > 0) {
        *ret = json_pack("{s:s, s:s}", "error", "the files do not load; nothing was changed", "problems", told);
    }
    up_request_free(&request);
    problems_free(&problems);
    return r;
}

static void call_down(void *data, bool kill, bool volumes)
{
    struct daemon *daemon = data;

    daemon->runtime->remove_volumes = daemon->runtime->remove_volumes || volumes;
    go_down(daemon, kill);
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

static void emit_chaos(struct daemon *daemon, const char *victim, int signo)
{
    struct event event = { .kind = EVENT_CHAOS };

    (void)snprintf(event.instance, sizeof(event.instance), "%s", victim);
    logs_service_of(victim, event.service);
    (void)snprintf(event.text, sizeof(event.text), "the monkey sends SIG%s",
                   sigabbrev_np(signo) ? sigabbrev_np(signo) : "?");
    event_emit(&daemon->bus, &event);
}

static int call_chaos_kill(void *data, const char *const *services, uint64_t pick, int signo, bool allow_last,
                           json_t **ret, struct err *err)
{
    struct daemon *daemon = data;
    char victim[EVENT_NAME];

    /* Its process and address are asked for before it dies: afterwards they are gone. */
    int r = supervisor_chaos_kill(daemon->supervisor, services, pick, 0, allow_last, victim, err);
    if (r < 0)
        return r;
    json_t *told = answers_instance(daemon->supervisor, victim);
    if (signo)
        r = supervisor_chaos_kill(daemon->supervisor, services, pick, signo, allow_last, victim, err);
    if (r < 0) {
        json_decref(told);
        return r;
    }
    if (signo)
        emit_chaos(daemon, victim, signo);
    *ret = told;
    return 0;
}

/* ---- signals ---- */

static void on_signal(struct loop_io *io, uint32_t events)
{
    struct daemon *daemon = io->data;
    struct signalfd_siginfo info;

    while (read(io->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload(daemon);
        else
            go_down(daemon, false);
    }
}

static int watch_signals(struct daemon *daemon)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    /* A client that went away is an error of a write, no reason to end. Instances get it back as it was. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signal_fd < 0)
        return -errno;
    daemon->signal_io = (struct loop_io){ .fn = on_signal, .data = daemon };
    return loop_io_add(daemon->loop, &daemon->signal_io, daemon->signal_fd, EPOLLIN);
}

/* ---- building ---- */

static int build_observers(struct daemon *daemon, struct err *err)
{
    char path[PATH_MAX];

    daemon->journal = journal_new(&daemon->bus, &daemon->kept.events);
    daemon->logs = logs_new(rundir_file(&daemon->dir, "logs", daemon->logs_dir), &daemon->bus, &daemon->kept.lines,
                            daemon->kept.inbox);
    if (!daemon->journal || !daemon->logs)
        return err_set(err, -ENOMEM, "out of memory");
    daemon->first_event = daemon->bus.last_seq;
    logs_on_write(daemon->logs, on_log_written, daemon);
    logfile_init(&daemon->receipts, rundir_file(&daemon->dir, "deploys.jsonl", path), RECEIPTS);
    logfile_init(&daemon->own_log, rundir_file(&daemon->dir, "daruma.log", path), OWN_LOG);
    daemon->sink = (struct event_sink){ .fn = on_event, .data = daemon };
    event_subscribe(&daemon->bus, &daemon->sink);
    daemon->api = (struct api){
        .calls = {
            .data = daemon,
            .project = call_project,
            .instances = call_instances,
            .gateway = call_gateway,
            .up = call_up,
            .down = call_down,
            .restart = call_restart,
            .rollback = call_rollback,
        .deploys = call_deploys,
        .scale = call_scale,
            .kill = call_kill,
            .chaos_kill = call_chaos_kill,
        },
        .journal = daemon->journal,
        .logs_dir = daemon->logs_dir,
    };
    return 0;
}

static int build_gateway(struct daemon *daemon, const struct spec *spec, struct err *err)
{
    accesslog_init(&daemon->accesslog, daemon->loop, &daemon->bus, daemon->memory.rings, daemon->memory.workers);
    accesslog_apply(&daemon->accesslog, spec);
    int r = listeners_publish(&daemon->listeners, spec, daemon->memory.board, err);
    if (r < 0)
        return r;
    const struct workers_setup setup = {
        .loop = daemon->loop,
        .events = &daemon->bus,
        .board = daemon->memory.board,
        .gauges = daemon->memory.gauges,
        .shared = daemon->memory.gateway,
        .access = daemon->memory.rings,
        .listeners = &daemon->listeners,
        .memory = &daemon->memory.pairs,
        .count = daemon->memory.workers,
        .data = daemon,
        .drained = on_drained,
        .gone = on_workers_gone,
    };
    daemon->workers = workers_new(&setup, err);
    return daemon->workers ? 0 : -EAGAIN;
}

struct runtime *daemon_runtime_new(struct loop *loop, const struct rundir *dir, enum spec_runtime kind, struct err *err)
{
    if (kind == SPEC_RUNTIME_DOCKER)
        return runtime_docker_new(loop, &supervisor_runtime_events, getenv("DOCKER_HOST"), err);
    return runtime_process_new(loop, &supervisor_runtime_events, dir->path, err);
}

static int build_supervisor(struct daemon *daemon, struct err *err)
{
    daemon->runtime = daemon_runtime_new(daemon->loop, &daemon->dir, daemon->kind, err);
    if (!daemon->runtime)
        return -ENOMEM;
    const struct supervisor_peers peers = {
        .loop = daemon->loop,
        .runtime = daemon->runtime,
        .events = &daemon->bus,
        .board = daemon->memory.board,
        .gauges = daemon->memory.gauges,
        .arena = &daemon->kept.state,
        .data = daemon,
        .ring = on_ring,
        .board_service = on_board_service,
        .room = on_room,
        .output = on_output,
        .deployed = on_deployed,
        .peer_environment = on_peer_environment,
    };
    daemon->supervisor = supervisor_new(&peers);
    return daemon->supervisor ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static void describe_takeover(const struct daemon *daemon, int taken, bool goes_on, char text[EVENT_TEXT])
{
    const struct guard_member *role = &daemon->memory.guard->member[GUARD_SIDE_ROLE];
    const char *name = role->last_code == CLD_KILLED ? sigabbrev_np(role->last_status) : NULL;
    char span[CLOCK_TEXT];

    if (!goes_on)
        (void)snprintf(text, EVENT_TEXT, "%d instances of an earlier supervisor are taken over", taken);
    else
        (void)snprintf(text, EVENT_TEXT, "the supervisor died%s%s; its successor took over %d instances within %s",
                       name ? " by SIG" : "", name ? name : "", taken,
                       clock_format_span(clock_now() - role->died_ns, span));
}

/* What runs already is ours again; of what is not known, nothing is left. */
static int take_over(struct daemon *daemon, bool goes_on, struct err *err)
{
    char text[EVENT_TEXT];

    if (daemon->refused.code)
        warn(daemon, "what an earlier supervisor left cannot be used, what still runs is ended and started anew",
             daemon->refused.message);
    if (daemon->before.spec) {
        int taken = supervisor_restore(daemon->supervisor, TAKE_PTR(daemon->before.spec), err);
        if (taken < 0)
            return taken;
        describe_takeover(daemon, taken, goes_on, text);
        emit(daemon, EVENT_PROJECT, "", "", text);
    }
    if (goes_on && !daemon->refused.code)
        return 0;
    int strays = daemon->runtime->end_strays(daemon->runtime);
    if (strays > 0) {
        (void)snprintf(text, sizeof(text), "%d processes of an earlier supervisor that nothing is known of were ended",
                       strays);
        emit(daemon, EVENT_WARNING, "", "", text);
    }
    return 0;
}

/* The workers are forked first, while there is little to inherit; the socket opens last, when there is an answer to
   everything. */
static int build(struct daemon *daemon, struct spec *spec, bool goes_on, struct err *err)
{
    char path[PATH_MAX];

    daemon->loop = loop_new();
    if (!daemon->loop)
        return err_errno(err, -errno, "cannot prepare the supervisor");
    daemon->look = (struct loop_timer){ .fn = on_look, .data = daemon };
    /* Without what it was made from, an earlier supervisor's state means nothing. */
    int r = kept_open(&daemon->kept, &daemon->dir, !daemon->before.spec, &daemon->refused, err);
    if (r == 0)
        r = build_observers(daemon, err);
    if (r == 0)
        r = build_gateway(daemon, spec ? spec : daemon->before.spec, err);
    if (r == 0)
        r = build_supervisor(daemon, err);
    if (r == 0) {
        r = watch_signals(daemon);
        if (r < 0)
            (void)err_errno(err, r, "cannot watch for signals");
    }
    if (r == 0)
        r = take_over(daemon, goes_on, err);
    if (r == 0 && spec)
        r = supervisor_apply(daemon->supervisor, spec, daemon->request.services, err);
    if (r < 0) {
        spec_free(spec);
        return r;
    }
    write_down(daemon, &daemon->request);
    int fd = admin_listen(rundir_file(&daemon->dir, "admin.sock", path), err);
    if (fd < 0)
        return fd;
    daemon->admin = admin_new(daemon->loop, fd, &daemon->api, err);
    return daemon->admin ? 0 : -EIO;
}

/* ---- the other half of the pair ---- */

static void on_watchdog(struct loop_timer *timer)
{
    struct daemon *daemon = timer->data;
    int64_t every = notify_watchdog_ns();

    if (every == 0)
        return;
    notify_send("WATCHDOG=1");
    loop_timer_set(daemon->loop, timer, clock_now() + every);
}

static void watch_guard(struct daemon *daemon)
{
    int fd = guard_fd(daemon->guard);
    notify_ready(daemon);
    loop_io_remove(daemon->loop, &daemon->guard_io);
    /* When it cannot be watched it is looked after with the next beat. */
    if (fd >= 0)
        (void)loop_io_add(daemon->loop, &daemon->guard_io, fd, EPOLLIN);
}

/* It has died. When it cannot be put back at once it is tried again with the beats: the old descriptor says nothing new. */
static void on_guard(struct loop_io *io, uint32_t events)
{
    struct daemon *daemon = io->data;

    loop_io_remove(daemon->loop, io);
    if (guard_tend(daemon->guard))
        watch_guard(daemon);
}

static void on_beat(struct loop_timer *timer)
{
    struct daemon *daemon = timer->data;

    if (guard_beat(daemon->guard, clock_now()) && guard_tend(daemon->guard))
        watch_guard(daemon);
    loop_timer_set(daemon->loop, timer, clock_now() + BEAT_NS);
}

/* We could not become the supervisor, but somebody else may: what runs and what is known of it stays as it is. */
static void give_way(struct daemon *daemon)
{
    char path[PATH_MAX];

    workers_free(daemon->workers);
    (void)unlink(rundir_file(&daemon->dir, "admin.sock", path));
}

static void take_down(struct daemon *daemon)
{
    char path[PATH_MAX];

    workers_free(daemon->workers);
    accesslog_close(&daemon->accesslog);
    supervisor_free(daemon->supervisor);
    if (daemon->runtime)
        daemon->runtime->destroy(daemon->runtime);
    /* Until here clients could follow the end. */
    (void)unlink(rundir_file(&daemon->dir, "admin.sock", path));
    admin_free(daemon->admin);
    event_unsubscribe(&daemon->bus, &daemon->sink);
    logs_free(daemon->logs);
    journal_free(daemon->journal);
    logfile_close(&daemon->own_log);
    logfile_close(&daemon->receipts);
    listeners_free(&daemon->listeners);
    if (daemon->signal_fd >= 0) {
        loop_io_remove(daemon->loop, &daemon->signal_io);
        (void)close(daemon->signal_fd);
    }
    loop_free(daemon->loop);
    kept_close(&daemon->kept);
    kept_forget(&daemon->dir);
    applied_free(&daemon->before);
    up_request_free(&daemon->request);
    free(daemon);
}

/* Somebody asked the supervisor before us to end, and it could not even hear it. */
static bool was_asked_to_end(const struct daemon *daemon)
{
    const struct guard_member *before = &daemon->memory.guard->member[GUARD_SIDE_ROLE];
    return before->last_code == CLD_KILLED && (before->last_status == SIGTERM || before->last_status == SIGINT);
}

/* The one before us was killed at some instruction: what it was about to do, we do. */
static void go_on(struct daemon *daemon)
{
    const struct kept_record *record = &daemon->kept.record;

    daemon->since_wall_ns = record->since_wall_ns;
    daemon->state = (enum supervisor_state)record->state;
    if (daemon->state == SUPERVISOR_DOWN)
        daemon->state = SUPERVISOR_STOPPING; /* what follows from it may not have been done */
    daemon->runtime->remove_volumes = record->remove_volumes;
    if (record->stopping || was_asked_to_end(daemon))
        go_down(daemon, record->killing);
}

int daemon_run(struct daemon_setup *setup, const struct daemon_memory *memory, struct guard *guard, int ready_fd)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    struct err err = { 0 };

    if (!daemon)
        return EXIT_FAILURE;
    daemon->dir = setup->dir;
    daemon->before = setup->before;
    daemon->refused = setup->refused;
    daemon->request = setup->request;
    if (!setup->spec) {
        daemon->request = daemon->before.request;
        daemon->before.request = (struct up_request){ 0 };
    }
    daemon->listeners = setup->listeners;
    daemon->kind = setup->runtime;
    daemon->memory = *memory;
    daemon->guard = guard;
    daemon->guard_io = (struct loop_io){ .fn = on_guard, .data = daemon };
    daemon->beat = (struct loop_timer){ .fn = on_beat, .data = daemon };
    daemon->watchdog = (struct loop_timer){ .fn = on_watchdog, .data = daemon };
    bool taking_over = setup->before.spec != NULL;
    daemon->since_wall_ns = clock_wall();
    daemon->signal_fd = -1;
    daemon_busy_begin(guard);
    int r = build(daemon, setup->spec, setup->goes_on, &err);
    inherit_end();
    if (r == 0 && setup->goes_on)
        go_on(daemon);
    if (r == 0) {
        write_record(daemon);
        daemon_is_ready();
        watch_guard(daemon);
        on_beat(&daemon->beat);
        on_watchdog(&daemon->watchdog);
    }
    daemon_busy_end();
    const char *told = r == 0 ? "ok" : err.message[0] ? err.message : strerror(-r);
    /* When nobody listens any more there is nobody to tell. */
    if (ready_fd >= 0) {
        (void)!write(ready_fd, told, strlen(told));
        (void)close(ready_fd);
    }
    if (r == 0)
        r = loop_run(daemon->loop);
    /* From here on it is an end and no death. Only one that could not begin where another one stood is tried again. */
    if (r == 0 || !setup->goes_on)
        guard_over(guard, r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    daemon_busy_begin(guard);
    if (r < 0)
        (void)fprintf(stderr, "daruma: %s\n", err.message[0] ? err.message : strerror(-r));
    else
        rundir_forget_origin(&daemon->dir);
    if (r < 0 && taking_over)
        give_way(daemon);
    else
        take_down(daemon);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
