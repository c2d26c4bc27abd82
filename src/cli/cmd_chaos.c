/* SPDX-License-Identifier: MIT
 *
 * daruma chaos: the monkey (docs/chaos.md). It decides when; the supervisor, which knows who is healthy, decides
 * whom, by the number that the monkey draws, and does it. What follows is read from the supervisor's events.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "chaos/monkey.h"
#include "cli/client.h"
#include "cli/printer.h"
#include "compose/value.h"
#include "observe/api.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define TELL_NS     (2 * NS_PER_S)  /* a victim that is not back by then gets its line all the same */
#define BACK_NS     (30 * NS_PER_S) /* how long the last victims are waited for at the end */
#define VIA_NS      (5 * NS_PER_S)  /* how long an instance may think about --via */
#define TURN_MAX_MS 200

struct run {
    const struct cli *cli;
    int64_t every_ns, count, duration_ns, seed;
    int64_t pause_ns; /* the fault is that victims are stopped for so long; 0: that they are killed */
    const char *signal_name, *via;
    bool allow_last, json;

    int signo;
    json_t *services;
    struct client client;
    struct client_streams streams;
    struct client_stream events;
    struct monkey monkey;
    int signal_fd;
    int64_t start_ns;
    int64_t seen; /* the last event's number */
    bool interrupted;
};

static double ms_between(int64_t from_ns, int64_t to_ns)
{
    return (double)((to_ns - from_ns) / NS_PER_US) / 1000;
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

/* Takes the object over; NULL when there was no memory for it, which costs a line and nothing else. */
static void print_json(json_t *object)
{
    printer_json_line(object);
    (void)fflush(stdout);
    json_decref(object);
}

static void tell_hit(const struct run *run, const struct monkey_victim *victim)
{
    if (run->json)
        print_json(json_pack("{s:s, s:f, s:s, s:i, s:s}", "event", "kill", "time", (double)victim->hit_ns / NS_PER_S,
                             "instance", victim->instance, "pid", victim->pid, "how", victim->how));
}

static void tell_json_news(const char *news, const struct monkey_victim *victim, int64_t at_ns)
{
    print_json(json_pack("{s:s, s:f, s:s, s:f}", "event", news, "time", (double)at_ns / NS_PER_S, "instance",
                         victim->instance, "ms", ms_between(victim->hit_ns, at_ns)));
}

/* One line for one strike: when the victim is back, or as far as it is known by then. */
static void tell_story(const struct run *run, struct monkey_victim *victim)
{
    bool colour = run->cli->colour_out;

    printer_clock(victim->hit_ns);
    printf("%s%s%s (pid %d) %s", cli_sgr(colour, CLI_BOLD), victim->instance, cli_sgr(colour, CLI_PLAIN), victim->pid,
           victim->how);
    if (victim->dead_ns)
        printf(", dead after %.1f ms", ms_between(victim->hit_ns, victim->dead_ns));
    else if (!run->pause_ns)
        printf(", still alive");
    if (victim->back_ns)
        printf(", %sback after %.1f ms%s\n", cli_sgr(colour, CLI_GREEN), ms_between(victim->hit_ns, victim->back_ns),
               cli_sgr(colour, CLI_PLAIN));
    else
        printf("%s\n", victim->lost      ? ", and its restart policy leaves it so"
                       : victim->dead_ns ? ", not back yet"
                                         : "");
    (void)fflush(stdout);
    victim->told = true;
}

static void tell_back(const struct run *run, struct monkey_victim *victim)
{
    if (run->json) {
        tell_json_news("back", victim, victim->back_ns);
    } else if (!victim->told) {
        tell_story(run, victim);
    } else {
        printer_clock(victim->back_ns);
        printf("%s %sback after %.1f s%s\n", victim->instance, cli_sgr(run->cli->colour_out, CLI_GREEN),
               ms_between(victim->hit_ns, victim->back_ns) / 1000, cli_sgr(run->cli->colour_out, CLI_PLAIN));
        (void)fflush(stdout);
    }
}

static void tell_lost(const struct run *run, struct monkey_victim *victim)
{
    if (run->json)
        tell_json_news("lost", victim, victim->dead_ns);
    else
        tell_story(run, victim);
}

/* Those whose story has not ended in time are told of as they are; `all`: also those hit just now. */
static void tell_slow_ones(struct run *run, bool all)
{
    int64_t now = clock_wall();

    for (size_t i = 0; i < MONKEY_VICTIMS && !run->json; i++) {
        struct monkey_victim *victim = &run->monkey.victims[i];
        if (victim->used && !victim->told && (all || now - victim->hit_ns >= TELL_NS))
            tell_story(run, victim);
    }
}

static void tell_refusal(const struct run *run, const char *why)
{
    if (run->json) {
        print_json(
            json_pack("{s:s, s:f, s:s}", "event", "refused", "time", (double)clock_wall() / NS_PER_S, "why", why));
        return;
    }
    printer_clock(clock_wall());
    printf("%srefused%s: %s\n", cli_sgr(run->cli->colour_out, CLI_YELLOW), cli_sgr(run->cli->colour_out, CLI_PLAIN),
           why);
    (void)fflush(stdout);
}

static void tell_summary(const struct run *run)
{
    const struct monkey *monkey = &run->monkey;
    double median = (double)hist_quantile(&monkey->recovery, 0.5) / 1000;
    double longest = (double)monkey->recovery.max_us / 1000;

    if (run->json) {
        print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f}}", "event", "summary", "kills",
                             (json_int_t)monkey->kills, "refused", (json_int_t)monkey->refused, "back",
                             (json_int_t)monkey->back, "lost", (json_int_t)monkey->lost, "seed", (json_int_t)run->seed,
                             "recovery_ms", "median", median, "max", longest));
        return;
    }
    printf("%" PRIu64 " struck, %" PRIu64 " back", monkey->kills, monkey->back);
    if (monkey->back)
        printf(" (after %.1f ms in the median, %.1f ms at most)", median, longest);
    printf(", %" PRIu64 " refused; --seed %" PRId64 " repeats it\n", monkey->refused, run->seed);
}

/* --- striking ---------------------------------------------------------------------------------------------------- */

static void on_event(struct client_stream *stream, const json_t *object)
{
    struct run *run = stream->data;
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *instance = json_string_value(json_object_get(object, "instance"));
    const char *to = json_string_value(json_object_get(object, "to"));
    double time = json_number_value(json_object_get(object, "time"));
    struct monkey_victim *victim = NULL;

    run->seen = json_integer_value(json_object_get(object, "seq"));
    if (!kind || !instance)
        return;
    /* A double carries today's seconds to a quarter of a microsecond. */
    enum monkey_news news =
        monkey_event(&run->monkey, kind, instance, to ? to : "", (int64_t)(time * NS_PER_S), &victim);
    if (news == MONKEY_DEAD && run->json)
        tell_json_news("dead", victim, victim->dead_ns);
    else if (news == MONKEY_BACK)
        tell_back(run, victim);
    else if (news == MONKEY_LOST)
        tell_lost(run, victim);
}

/* "host:port", "[v6]:port" or "unix:/path", as the supervisor writes it. */
static int parse_endpoint(const char *endpoint, struct board_address *ret, struct err *err)
{
    char host[BOARD_ADDRESS_TEXT];
    const char *colon = strrchr(endpoint, ':');

    if (strncmp(endpoint, "unix:", 5) == 0)
        return http_client_resolve(endpoint, NULL, ret, err);
    if (!colon)
        return err_set(err, -EINVAL, "\"%s\" is no endpoint", endpoint);
    bool brackets = *endpoint == '[' && colon > endpoint + 2 && colon[-1] == ']';
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - endpoint) - 2 * brackets, endpoint + brackets);
    return http_client_resolve(host, colon + 1, ret, err);
}

/* One GET, straight to the instance. What came of it goes to `how`. */
static void get_via(const char *endpoint, const char *path, char *how, size_t size)
{
    static struct http1_head scratch;
    static struct http_client client;
    struct board_address address;
    char request[1024];
    struct err err = { 0 };

    if (parse_endpoint(endpoint, &address, &err) < 0) {
        (void)snprintf(how, size, "GET %s: %.200s", path, err.message);
        return;
    }
    int len =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, endpoint);
    http_client_init(&client, &scratch);
    int64_t deadline = clock_now() + VIA_NS;
    uint32_t want = 0;
    if (http_client_start(&client, &address, HTTP1_GET, request, (size_t)len) == 0)
        want = http_client_step(&client);
    while (want) {
        struct pollfd wait = { .fd = client.fd, .events = want & EPOLLIN ? POLLIN : POLLOUT };
        int64_t left = (deadline - clock_now()) / NS_PER_MS;
        if (left <= 0 || (poll(&wait, 1, (int)left) < 0 && errno != EINTR))
            break;
        if (wait.revents)
            want = http_client_step(&client);
    }
    if (client.state == HTTP_CLIENT_DONE)
        (void)snprintf(how, size, "GET %s answered %u", path, client.status);
    else if (client.state == HTTP_CLIENT_FAILED)
        (void)snprintf(how, size, "GET %s: %s", path,
                       client.error == -EPIPE ? "connection closed without an answer" : strerror(-client.error));
    else
        (void)snprintf(how, size, "GET %s: no answer within %d s", path, (int)(VIA_NS / NS_PER_S));
    http_client_close(&client);
}

/* What it did, in words; with --via that is done here. */
static void describe_hit(const struct run *run, const char *endpoint, struct monkey_victim *victim)
{
    char span[CLOCK_TEXT];

    if (run->pause_ns)
        (void)snprintf(victim->how, sizeof(victim->how), "stopped for %s", clock_format_span(run->pause_ns, span));
    else if (!run->via)
        (void)snprintf(victim->how, sizeof(victim->how), "SIG%s", sigabbrev_np(run->signo));
    else if (endpoint)
        get_via(endpoint, run->via, victim->how, sizeof(victim->how));
    else
        (void)snprintf(victim->how, sizeof(victim->how), "has no port to send GET %s to", run->via);
}

static json_t *what_to_do(struct run *run)
{
    json_t *body = json_pack("{s:O, s:b, s:I}", "services", run->services, "allow_last", run->allow_last, "pick",
                             (json_int_t)monkey_pick(&run->monkey));
    if (run->pause_ns)
        (void)json_object_set_new(body, "for", json_real((double)run->pause_ns / NS_PER_S));
    else
        (void)json_object_set_new(body, "signal", run->via ? json_null() : json_string(sigabbrev_np(run->signo)));
    return body;
}

/* 0, also when it was refused; negative errno with `err` when the monkey cannot go on. */
static int strike(struct run *run, struct err *err)
{
    json_t *answer = NULL, *body = what_to_do(run);

    if (!body)
        return err_set(err, -ENOMEM, "out of memory");
    int64_t now = clock_wall();
    int r = client_call(&run->client, "POST", run->pause_ns ? "/v1/chaos/pause" : "/v1/chaos/kill", body, &answer, err);
    json_decref(body);
    if (r == -EBUSY || r == -EREMOTEIO) { /* the latter also when the supervisor dies just now */
        tell_refusal(run, err->message);
        /* With a number of kills to reach, a refusal that will not end by itself ends the run. */
        bool hopeless = !monkey_refused(&run->monkey, now) && run->count > 0;
        r = hopeless ? err_prefix(err, "no victim is on its way back, so this is the end") : 0;
    } else if (r == 0) {
        const char *instance = json_string_value(json_object_get(answer, "instance"));
        struct monkey_victim *victim = monkey_hit(&run->monkey, instance ? instance : "?",
                                                  (int32_t)json_integer_value(json_object_get(answer, "pid")), now);
        describe_hit(run, json_string_value(json_object_get(answer, "endpoint")), victim);
        tell_hit(run, victim);
    }
    json_decref(answer);
    return r;
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

static bool follow_successor(struct run *run, struct err *err)
{
    char path[CLIENT_EVENTS_PATH];
    return client_stream_again(&run->streams, client_events_path(run->seen, path), &run->events, err);
}

/* Waits for events, a signal, or at most until `until_ns` (monotonic). */
static int turn(struct run *run, int64_t until_ns, struct err *err)
{
    struct signalfd_siginfo info;
    int64_t left = (until_ns - clock_now() + NS_PER_MS - 1) / NS_PER_MS;

    left = left < 0 ? 0 : left > TURN_MAX_MS ? TURN_MAX_MS : left;
    int r = client_streams_wait(&run->streams, run->signal_fd, (int)left, err);
    if (r == 0 && read(run->signal_fd, &info, sizeof(info)) == sizeof(info))
        run->interrupted = true;
    if (r == 0 && run->events.ended && !run->interrupted && !follow_successor(run, err))
        r = run->events.err.code ? err_set(err, run->events.err.code, "%s", run->events.err.message)
                                 : err_set(err, -ENOTCONN, "the project went down");
    tell_slow_ones(run, false);
    return r;
}

static int strike_until_done(struct run *run, struct err *err)
{
    int r = 0;

    run->start_ns = clock_now();
    for (int64_t due; r == 0 && !run->interrupted && (due = monkey_due(&run->monkey)) >= 0;) {
        if (clock_now() < run->start_ns + due)
            r = turn(run, run->start_ns + due, err);
        else
            r = strike(run, err);
    }
    int64_t deadline = clock_now() + run->pause_ns + BACK_NS;
    while (r == 0 && !run->interrupted && monkey_expects(&run->monkey, clock_wall()) && clock_now() < deadline)
        r = turn(run, deadline, err);
    tell_slow_ones(run, true);
    if (r == 0 && !run->interrupted && monkey_expects(&run->monkey, clock_wall()))
        r = err_set(err, -ETIMEDOUT, "not every victim was back within %d s",
                    (int)((run->pause_ns + BACK_NS) / NS_PER_S));
    if (r == 0 && run->monkey.lost > 0)
        r = err_set(err, -ECHILD,
                    "%" PRIu64 " did not come back; `restart: always` or a restart_policy would bring them",
                    run->monkey.lost);
    return r;
}

static int run_monkey(struct run *run)
{
    const struct monkey_options options = {
        .every_ns = run->every_ns,
        .count = (uint64_t)run->count,
        .duration_ns = run->duration_ns,
        .seed = (uint64_t)run->seed,
        .pause_ns = run->pause_ns,
    };
    struct err err = { 0 };

    int status = client_open(run->cli, &run->client);
    if (status != 0)
        return status;
    monkey_init(&run->monkey, &options);
    run->signal_fd = cli_take_signals((const int[]){ SIGINT, SIGTERM, 0 });
    if (run->signal_fd < 0) {
        (void)err_errno(&err, run->signal_fd, "cannot watch for signals");
        return cli_fail(run->cli, &err);
    }
    int r = client_streams_init(&run->streams, &err);
    run->events = (struct client_stream){ .line = on_event, .data = run };
    if (r == 0)
        r = client_stream_open(&run->streams, &run->client, "/v1/events?follow=1", &run->events, &err);
    if (r == 0) {
        r = strike_until_done(run, &err);
        if (run->monkey.attempts > 0)
            tell_summary(run);
    }
    client_stream_close(&run->streams, &run->events);
    client_streams_free(&run->streams);
    (void)close(run->signal_fd);
    return r < 0 ? cli_refused(run->cli, &err) : CLI_DONE;
}

static int check_options(struct run *run)
{
    const struct cli *cli = run->cli;
    bool pause = strcmp(cli->args[0], "pause") == 0;

    if (!pause && strcmp(cli->args[0], "kill") != 0)
        return cli_usage(cli, "there is no fault \"%s\"; what can be done is: kill, pause", cli->args[0]);
    if (pause && (run->via || run->signal_name))
        return cli_usage(cli, "--via and --signal are for \"chaos kill\"");
    if (!pause && run->pause_ns)
        return cli_usage(cli, "--for is for \"chaos pause\"");
    if (pause && !run->pause_ns)
        run->pause_ns = 5 * NS_PER_S;
    if (run->pause_ns < 0 || run->pause_ns > API_PAUSE_MAX_S * NS_PER_S)
        return cli_usage(cli, "--for: expected more than 0, and at most %d s", API_PAUSE_MAX_S);
    if (run->every_ns <= 0)
        return cli_usage(cli, "--every: expected more than 0");
    if (run->count < 0)
        return cli_usage(cli, "--count: expected a number that is not negative");
    if (run->via && run->signal_name)
        return cli_usage(cli, "--via and --signal exclude each other");
    if (run->via && (*run->via != '/' || strpbrk(run->via, " \r\n") || strlen(run->via) > 512))
        return cli_usage(cli, "--via: expected a path such as /crash");
    run->signo = value_signal(run->signal_name ? run->signal_name : "KILL");
    if (run->signo < 0 || !sigabbrev_np(run->signo))
        return cli_usage(cli, "--signal: there is no signal \"%s\"", run->signal_name);
    if (run->signo == SIGSTOP)
        return cli_usage(cli,
                         "--signal: SIGSTOP has no end of its own; \"chaos pause --for TIME\" stops for some time");
    return 0;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    /* 53 bits: a seed that was shown can be typed in again, and JSON readers keep it exactly. */
    struct run run = { .cli = cli, .every_ns = 20 * NS_PER_S, .seed = (int64_t)(rng_entropy() >> 11) };
    const struct cli_option options[] = {
        { "every", 0, "TIME", "from strike to strike (20s); the first one comes at once",
          .duration_ns = &run.every_ns },
        { "signal", 's', "SIGNAL", "what is sent (KILL)", .text = &run.signal_name },
        { "via", 0, "PATH", "instead of a signal: GET PATH, straight to the instance", .text = &run.via },
        { "for", 0, "TIME", "pause: how long an instance stands still (5s)", .duration_ns = &run.pause_ns },
        { "count", 'n', "N", "end after so many kills", .integer = &run.count },
        { "duration", 'd', "TIME", "end after this time; else at Ctrl-C", .duration_ns = &run.duration_ns },
        { "seed", 0, "N", "the same seed picks the same row of victims", .integer = &run.seed },
        { "allow-last", 0, NULL, "also the last healthy instance", .flag = &run.allow_last },
        { "json", 0, NULL, "one JSON object a line", .flag = &run.json },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 1, SIZE_MAX))
        return cli->status;
    int status = check_options(&run);
    if (status != 0)
        return status;
    run.services = client_names(cli, 1);
    status = run_monkey(&run);
    json_decref(run.services);
    return status;
}

const struct cli_command cmd_chaos = {
    .name = "chaos",
    .usage = "kill | pause [OPTIONS] [SERVICE…]",
    .help = "kill or stop instances at random, and watch them come back",
    .more =
        "Strikes one of the ready instances of the services (or of all), chosen by the seed. The last healthy one is\n"
        "spared unless --allow-last. Says whom it hit, when it was seen dead, and when it was back in rotation.\n"
        "What is paused goes on in time, also when this command or the supervisor is killed meanwhile.\n"
        "Exit codes: 0 done, 1 refused for good, or a victim did not come back, 2 wrong usage.",
    .run = run_command,
};
