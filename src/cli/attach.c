/* SPDX-License-Identifier: MIT */
#include "cli/attach.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "cli/printer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>

enum { LAST_LINES = 10, PATH = 96 };

/* How long the supervisor may take to end after its last word. */
#define GONE_MS 10000

/* How long events that have happened may take to be shown. */
#define REST_NS (2 * NS_PER_S)

/* As often one instance may be refused a start while `up -d` waits: once may be by chance. */
enum { REFUSALS_MAX = 2 };

/* One watched project. */
struct session {
    const struct attach *attach;
    struct printer printer;
    struct client_streams streams;
    struct client_stream events, logs;
    char state[16];    /* of the project, as the last event or answer says */
    int64_t seen;      /* the last event's number */
    json_int_t logged; /* the last log line's number; 0: there was none yet */
    bool with_logs;
    int supervisor;           /* pidfd of its guard, which ends last; -1: it was gone before we looked */
    bool changed;             /* an instance has ended: have all? */
    bool down_asked;          /* by us, or by somebody else */
    bool interrupted;         /* by a signal: the next one kills */
    char refused[EVENT_LINE]; /* who cannot be started, and why; "": nobody */
};

static void on_event(struct client_stream *stream, const json_t *event)
{
    struct session *session = stream->data;
    const char *kind = json_text(event, "kind"), *to = json_text(event, "to");

    session->seen = json_integer_value(json_object_get(event, "seq"));
    if (strcmp(kind, "project") == 0 && *to) {
        (void)snprintf(session->state, sizeof(session->state), "%s", to);
        /* Somebody else may have asked; a project whose services have all ended is down without a while of stopping. */
        if (strcmp(to, "stopping") == 0 || strcmp(to, "down") == 0)
            session->down_asked = true;
    }
    if (strcmp(kind, "instance.exit") == 0 || strcmp(kind, "instance.state") == 0)
        session->changed = true;
    if (strcmp(kind, "instance.exit") == 0 && strcmp(json_text(event, "cause"), "spawn") == 0 &&
        json_integer_value(json_object_get(event, "starts")) >= REFUSALS_MAX)
        (void)snprintf(session->refused, sizeof(session->refused), "%s", json_text(event, "line"));
    printer_progress(&session->printer, event);
    (void)fflush(stdout);
}

static void on_log(struct client_stream *stream, const json_t *line)
{
    struct session *session = stream->data;
    session->logged = json_integer_value(json_object_get(line, "seq"));
    printer_log(&session->printer, line);
    (void)fflush(stdout);
}

/* Both go on from what was seen last. */
static const char *logs_path(const struct session *session, char path[PATH])
{
    if (session->logged)
        (void)snprintf(path, PATH, "/v1/logs?follow=1&after=%lld", (long long)session->logged);
    else
        (void)snprintf(path, PATH, "/v1/logs?follow=1&since=%.6f", session->attach->since_time);
    return path;
}

static int open_streams(struct session *session, struct err *err)
{
    const struct client *client = session->attach->client;
    char path[PATH];

    session->events = (struct client_stream){ .line = on_event, .data = session };
    session->logs = (struct client_stream){ .line = on_log, .data = session };
    int r =
        client_stream_open(&session->streams, client, client_events_path(session->seen, path), &session->events, err);
    if (r == 0 && session->with_logs)
        r = client_stream_open(&session->streams, client, logs_path(session, path), &session->logs, err);
    return r;
}

static int open_session(struct session *session, const struct attach *attach, bool logs, struct err *err)
{
    *session = (struct session){
        .attach = attach,
        .supervisor = -1,
        .printer.colour = attach->cli->colour_out,
        .seen = attach->since_seq,
        .with_logs = logs,
    };
    int r = client_streams_init(&session->streams, err);
    return r == 0 ? open_streams(session, err) : r;
}

/* The streams have ended before the project. False when there is no successor, or nothing more to come. */
static bool follow_successor(struct session *session, struct err *err)
{
    char path[PATH];

    if (strcmp(session->state, "down") == 0 ||
        !client_stream_again(&session->streams, client_events_path(session->seen, path), &session->events, err))
        return false;
    return !session->with_logs || client_stream_again(&session->streams, logs_path(session, path), &session->logs, err);
}

static void close_session(struct session *session)
{
    client_stream_close(&session->streams, &session->events);
    client_stream_close(&session->streams, &session->logs);
    client_streams_free(&session->streams);
    if (session->supervisor >= 0)
        (void)close(session->supervisor);
}

/* What the project's state is now, and who supervises it; events tell how it goes on. `ret_last` (may be NULL): the
   number of the newest event. */
static int ask_project(struct session *session, int64_t *ret_last, struct err *err)
{
    json_t *project = NULL;

    int r = client_call(session->attach->client, "GET", "/v1/project", NULL, &project, err);
    if (r < 0)
        return r;
    (void)snprintf(session->state, sizeof(session->state), "%s", json_text(project, "state"));
    if (session->supervisor < 0)
        session->supervisor = pidfd_open((pid_t)json_integer_value(json_object_get(project, "guard")), 0);
    if (ret_last)
        *ret_last = json_integer_value(json_object_get(project, "last_event"));
    json_decref(project);
    return 0;
}

static bool state_is(const struct session *session, const char *state)
{
    return strcmp(session->state, state) == 0;
}

/* ---- up -d ---- */

static bool exit_is_bad(const json_t *instance)
{
    const json_t *last = json_object_get(instance, "last_exit");
    const char *cause = json_text(last, "cause");
    bool asked = strcmp(cause, "stop") == 0 || strcmp(cause, "scale") == 0 || strcmp(cause, "deploy") == 0;

    if (!json_is_object(last) || asked)
        return false;
    return json_integer_value(json_object_get(last, "status")) != 0 || strcmp(cause, "exit") != 0;
}

static void print_to_stderr(struct client_stream *stream, const json_t *line)
{
    (void)fprintf(stderr, "    %s\n", json_text(line, "text"));
}

static void tell_failed(const struct session *session, const json_t *instance)
{
    const struct cli *cli = session->attach->cli;
    const char *name = json_text(instance, "instance"), *waits_for = json_text(instance, "waits_for");
    const json_t *last = json_object_get(instance, "last_exit");
    struct client_stream stream = { .line = print_to_stderr };
    char path[160];

    (void)fprintf(stderr, "%s✘%s %s is %s", cli_sgr(cli->colour_err, CLI_RED), cli_sgr(cli->colour_err, CLI_PLAIN),
                  name, json_text(instance, "state"));
    if (json_is_integer(json_object_get(last, "status")))
        (void)fprintf(stderr, ", exited with status %lld", json_integer_value(json_object_get(last, "status")));
    else if (json_is_integer(json_object_get(last, "signal")))
        (void)fprintf(stderr, ", ended by SIG%s",
                      cause_signal_name((int)json_integer_value(json_object_get(last, "signal"))));
    if (*waits_for)
        (void)fprintf(stderr, ", waits for %s", waits_for);
    (void)fprintf(stderr, "\n");
    (void)snprintf(path, sizeof(path), "/v1/logs?service=%.64s&tail=%d&since=%.6f", name, LAST_LINES,
                   session->attach->since_time);
    (void)client_follow(session->attach->client, path, &stream, NULL);
}

/* Says on standard error what keeps the project from being ready. `late`: also what is still on its way. */
static void tell_why(const struct session *session, bool late)
{
    json_t *instances = NULL, *instance;
    size_t i;

    if (client_call(session->attach->client, "GET", "/v1/instances", NULL, &instances, NULL) < 0)
        return;
    (void)fflush(stdout);
    json_array_foreach(instances, i, instance)
    {
        const char *state = json_text(instance, "state");
        bool ended = strcmp(state, "idle") == 0 && exit_is_bad(instance);
        bool on_its_way = strcmp(state, "starting") == 0 || strcmp(state, "waiting") == 0;
        if (strcmp(state, "failed") == 0 || ended || (late && on_its_way) || *json_text(instance, "waits_for"))
            tell_failed(session, instance);
    }
    json_decref(instances);
}

/* What happened until now is shown before the command ends. */
static int show_the_rest(struct session *session, struct err *err)
{
    int64_t last = 0, deadline = clock_now() + REST_NS;

    int r = ask_project(session, &last, err);
    while (r == 0 && session->seen < last && clock_now() < deadline &&
           (!session->events.ended || follow_successor(session, err)))
        r = client_streams_wait(&session->streams, -1, 100, err);
    return r;
}

static bool is_settled(const struct session *session)
{
    return state_is(session, "ready") || state_is(session, "degraded");
}

int attach_until_ready(const struct attach *attach, int64_t timeout_ns)
{
    struct session session;
    struct err err = { 0 };
    int64_t deadline = clock_now() + timeout_ns;
    bool late = false;

    int r = open_session(&session, attach, false, &err);
    if (r == 0)
        r = ask_project(&session, NULL, &err);
    while (r == 0 && !late && !session.refused[0] && !is_settled(&session) &&
           (!session.events.ended || follow_successor(&session, &err))) {
        r = client_streams_wait(&session.streams, -1, 100, &err);
        late = timeout_ns > 0 && clock_now() >= deadline;
    }
    bool settled = is_settled(&session);
    if (r == 0 && (settled || !session.events.ended))
        r = show_the_rest(&session, &err);
    if (r == 0 && session.events.ended && !settled)
        r = session.events.err.code ? (err = session.events.err).code
                                    : err_set(&err, -ECANCELED, "the project went down meanwhile");
    if (r == 0 && late && !is_settled(&session))
        (void)err_set(&err, -ETIMEDOUT, "not ready after %.0f s (--wait-timeout); what runs goes on",
                      (double)timeout_ns / 1e9);
    else if (r == 0 && session.refused[0] && !is_settled(&session))
        (void)err_set(&err, -ECANCELED, "%s; what runs goes on, and this is tried again until `daruma down`",
                      session.refused);
    int status = state_is(&session, "ready") && r == 0 ? CLI_DONE : CLI_FAILED;
    if (err.code)
        (void)cli_fail(attach->cli, &err);
    if (r == 0 && status == CLI_FAILED)
        tell_why(&session, late);
    close_session(&session);
    return status;
}

/* ---- up in the foreground, down ---- */

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP, 0 };

void attach_hold_signals(void)
{
    (void)cli_hold_signals(end_signals);
}

static void ask_down(struct session *session, bool kill)
{
    json_t *body = json_pack("{s:b, s:b}", "kill", kill, "volumes", session->attach->volumes);
    struct err err = { 0 };

    /* When it is gone already there is nothing to ask. */
    int r = client_call(session->attach->client, "POST", "/v1/down", body, NULL, &err);
    if (r < 0 && r != -ENOTCONN)
        (void)cli_fail(session->attach->cli, &err);
    json_decref(body);
    session->down_asked = true;
}

static void handle_signals(struct session *session, int fd)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        (void)fprintf(stderr, "%s\n",
                      session->interrupted ? "killing what is left" : "stopping in order; once more kills at once");
        ask_down(session, session->interrupted);
        session->interrupted = true;
    }
}

/* Has every service ended by itself? `ret_bad`: and did one of them fail? */
static bool all_ended(const struct session *session, bool *ret_bad)
{
    json_t *instances = NULL, *instance;
    size_t i;
    bool ended = true;

    if (client_call(session->attach->client, "GET", "/v1/instances", NULL, &instances, NULL) < 0)
        return false;
    ended = json_array_size(instances) > 0;
    *ret_bad = false;
    json_array_foreach(instances, i, instance)
    {
        const char *state = json_text(instance, "state");
        bool failed = strcmp(state, "failed") == 0;
        bool over = strcmp(state, "completed") == 0 ||
                    (strcmp(state, "idle") == 0 && json_is_object(json_object_get(instance, "last_exit")));
        ended = ended && (failed || over);
        *ret_bad = *ret_bad || failed || exit_is_bad(instance);
    }
    json_decref(instances);
    return ended;
}

/* After the last event: waits for this very supervisor, and not for the project's lock, which the next one may hold by
   then. */
static int wait_gone(const struct session *session)
{
    struct pollfd gone = { .fd = session->supervisor, .events = POLLIN };
    struct err err = { 0 };
    int n = 1;

    if (session->supervisor >= 0)
        while ((n = poll(&gone, 1, GONE_MS)) < 0 && errno == EINTR)
            ;
    if (n != 0)
        return CLI_DONE;
    (void)err_set(&err, -ETIMEDOUT, "the supervisor has not ended yet; %.300s/daruma.log may say why",
                  session->attach->client->dir.path);
    return cli_fail(session->attach->cli, &err);
}

/* Did the streams end because the project is down, or did the supervisor die? */
static int judge_end(const struct session *session)
{
    struct err err = { 0 };

    if (session->down_asked)
        return wait_gone(session);
    (void)err_set(&err, -ECONNRESET,
                  "the supervisor has died; `daruma up` starts the project again, %.300s/daruma.log "
                  "may say why",
                  session->attach->client->dir.path);
    return cli_fail(session->attach->cli, &err);
}

int attach_until_down(const struct attach *attach)
{
    struct session session;
    struct err err = { 0 };
    bool bad = false, ended = false;
    CLEANUP_CLOSE int signals = cli_take_signals(end_signals);

    /* `up | tee log`: Ctrl-C ends the reader too, and what is written to nobody must not end us before it is heard. */
    (void)signal(SIGPIPE, SIG_IGN);
    int r = open_session(&session, attach, true, &err);
    if (r == 0 && signals < 0)
        r = err_errno(&err, signals, "cannot watch for signals");
    if (r == 0)
        r = ask_project(&session, NULL, &err);
    session.changed = true;
    while (r == 0 && (!session.events.ended || follow_successor(&session, &err))) {
        r = client_streams_wait(&session.streams, signals, 1000, &err);
        bool unread = client_nobody_reads(); /* looked at first: a signal that ended the reader is there by then */
        handle_signals(&session, signals);
        if (r == 0 && unread && !session.down_asked)
            r = err_set(&err, -EPIPE, "nobody reads any more; the project goes on without this command");
        if (session.changed && !session.down_asked && !session.events.ended && all_ended(&session, &bad)) {
            ended = true;
            ask_down(&session, false);
        }
        session.changed = false;
    }
    /* The last lines may still be on their way. */
    for (int i = 0; r == 0 && !session.logs.ended && i < 50; i++)
        r = client_streams_wait(&session.streams, -1, 20, &err);
    int status = r < 0 ? cli_fail(attach->cli, &err) : judge_end(&session);
    close_session(&session);
    return status == CLI_DONE && ended && bad ? CLI_FAILED : status;
}

int attach_to_end(const struct attach *attach, int64_t timeout_ns)
{
    struct session session;
    struct err err = { 0 };
    int64_t deadline = clock_now() + timeout_ns;

    int r = open_session(&session, attach, false, &err);
    if (r == 0)
        r = ask_project(&session, NULL, &err);
    if (r == 0)
        ask_down(&session, timeout_ns == 0);
    while (r == 0 && (!session.events.ended || follow_successor(&session, &err))) {
        r = client_streams_wait(&session.streams, -1, 100, &err);
        if (timeout_ns > 0 && clock_now() >= deadline) {
            ask_down(&session, true);
            timeout_ns = -1;
        }
    }
    int status = r < 0 ? cli_fail(attach->cli, &err) : wait_gone(&session);
    close_session(&session);
    return status;
}
