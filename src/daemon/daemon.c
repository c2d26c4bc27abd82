/* SPDX-License-Identifier: MIT
 *
 * The wiring (see daemon.h). Every part is told about its neighbours here, by functions; none of them knows another.
 */
#include "daemon/daemon_parts.h"

#include "base/clock.h"
#include "base/inherit.h"
#include "base/notify.h"
#include "daemon/answers.h"
#include "daemon/deploys.h"
#include "daemon/specs.h"

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

/* ---- what the services' supervisor needs ---- */

static void on_ring(void *data)
{
    struct daemon *daemon = data;
    if (daemon->workers)
        workers_sync(daemon->workers);
}

static struct spec *on_load_spec(void *data, uint32_t id)
{
    struct daemon *daemon = data;
    struct spec *spec = NULL;
    struct err err = { 0 };

    if (specs_load(&daemon->dir, id, &spec, &err) < 0)
        daemon_warn(daemon, "a version of an earlier supervisor is lost", err.message);
    return spec;
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

void daemon_emit(struct daemon *daemon, enum event_kind kind, const char *from, const char *to, const char *text)
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
    if (deploys_write(&daemon->receipts, receipt, daemon->logs_dir) < 0)
        daemon_emit(daemon, EVENT_WARNING, "", "", "the receipt of a deploy could not be written");
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
    loop_timer_set(daemon->loop, &daemon->look, loop_now(daemon->loop));
}

static void on_log_written(void *data)
{
    struct daemon *daemon = data;
    if (daemon->admin)
        admin_wake(daemon->admin);
}

void daemon_warn(struct daemon *daemon, const char *what, const char *why)
{
    char text[EVENT_TEXT];
    (void)snprintf(text, sizeof(text), "%s: %.120s", what, why);
    daemon_emit(daemon, EVENT_WARNING, "", "", text);
}

/* For whoever comes after us. */
void daemon_write_down(struct daemon *daemon, const struct up_request *request, uint32_t spec_id, bool whole)
{
    struct err err = { 0 };
    const struct applied applied = {
        .request = *request,
        .id = spec_id,
        .whole = whole,
        .runtime = daemon->kind,
        .ports = listeners_ports(&daemon->listeners),
    };

    if (applied_save(&daemon->dir, &applied, &err) < 0)
        daemon_warn(daemon, "should the supervisor die, its instances cannot be taken over", err.message);
    json_decref(applied.ports);
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

void daemon_look(struct daemon *daemon)
{
    enum supervisor_state before = daemon->state, now = supervisor_state(daemon->supervisor);
    char text[EVENT_TEXT];

    if (now == before)
        return;
    daemon->state = now;
    write_record(daemon);
    (void)snprintf(text, sizeof(text), "project %s is %s", daemon->dir.project, answers_state_name(now));
    daemon_emit(daemon, EVENT_PROJECT, answers_state_name(before), answers_state_name(now), text);
    if (now == SUPERVISOR_DOWN && daemon->stopping)
        workers_drain(daemon->workers, daemon->killing ? 0 : LAST_ANSWERS_NS);
}

static void on_look(struct loop_timer *timer)
{
    daemon_look(timer->data);
}

/* ---- up, down ---- */

void daemon_go_down(struct daemon *daemon, bool kill)
{
    if (!daemon->stopping) {
        daemon->stopping = true;
        notify_send("STOPPING=1");
        write_record(daemon); /* before anything ends: whoever comes after us goes on with it */
        listeners_close_published(&daemon->listeners, daemon->memory.board);
        workers_sync(daemon->workers);
        supervisor_down(daemon->supervisor);
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
    if (daemon->upgrade.memory)
        daemon_upgrade_look(daemon);
}

/* Who is to be watched is the guard: it is there as long as anything of this project is. */
void daemon_notify_ready(const struct daemon *daemon)
{
    notify_send("READY=1\nMAINPID=%d\nSTATUS=project %s", (int)daemon->memory.guard->member[GUARD_SIDE_GUARD].pid,
                daemon->dir.project);
}

/* ---- signals ---- */

static void on_signal(struct loop_io *io, uint32_t events)
{
    struct daemon *daemon = io->data;
    struct signalfd_siginfo info;

    while (read(io->fd, &info, sizeof(info)) == sizeof(info)) {
        guard_heard(daemon->guard);
        if (info.ssi_signo == SIGHUP)
            daemon_reload(daemon);
        else
            daemon_go_down(daemon, daemon->stopping); /* the second one means it */
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
        .calls = daemon_calls(daemon),
        .journal = daemon->journal,
        .logs_dir = daemon->logs_dir,
        .logs = daemon->logs,
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
        .load_spec = on_load_spec,
        .deployed = on_deployed,
        .peer_environment = on_peer_environment,
    };
    daemon->supervisor = supervisor_new(&peers);
    return daemon->supervisor ? 0 : err_set(err, -ENOMEM, "out of memory");
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
        r = daemon_take_over(daemon, goes_on, err);
    if (r == 0 && spec)
        r = daemon_apply(daemon, &daemon->request, spec, err);
    else if (r == 0 && !daemon->before.whole)
        daemon_apply_again(daemon);
    if (r < 0) {
        spec_free(spec);
        return r;
    }
    daemon_write_down(daemon, &daemon->request, daemon->spec_id, true);
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

void daemon_watch_guard(struct daemon *daemon)
{
    int fd = guard_fd(daemon->guard);
    daemon_notify_ready(daemon);
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
        daemon_watch_guard(daemon);
}

static void on_beat(struct loop_timer *timer)
{
    struct daemon *daemon = timer->data;

    if (guard_beat(daemon->guard, clock_now()) && guard_tend(daemon->guard))
        daemon_watch_guard(daemon);
    loop_timer_set(daemon->loop, timer, clock_now() + BEAT_NS);
}

/* We could not become the supervisor after one that died at some time, but somebody else may: what runs and what is known of it
   stays as it is. */
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
    if (daemon->dir_hold >= 0)
        (void)close(daemon->dir_hold);
    applied_free(&daemon->before);
    up_request_free(&daemon->request);
    free(daemon);
}

int daemon_run(struct daemon_setup *setup, const struct daemon_memory *memory, struct guard *guard, int ready_fd)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    struct err err = { 0 };

    if (!daemon)
        return EXIT_FAILURE;
    daemon->dir = setup->dir;
    daemon->dir_hold = rundir_hold(&daemon->dir); /* without it there is a risk, and no more */
    daemon->before = setup->before;
    daemon->spec_id = setup->before.id;
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
        daemon_go_on(daemon);
    if (r == 0) {
        write_record(daemon);
        daemon_is_ready();
        daemon_watch_guard(daemon);
        on_beat(&daemon->beat);
        on_watchdog(&daemon->watchdog);
        daemon_upgrade_go_on(daemon);
    }
    daemon_busy_end();
    const char *told = r == 0 ? "ok" : err.message[0] ? err.message : strerror(-r);
    /* When nobody listens any more there is nobody to tell. */
    if (ready_fd >= 0) {
        (void)!write(ready_fd, told, strlen(told) + 1);
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
    /* When it only goes on, the next one finds all of it as we have, in the table and in memory, and so does the gateway. */
    if (r == 0 || !taking_over)
        take_down(daemon);
    else if (!setup->goes_on)
        give_way(daemon);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
