/* SPDX-License-Identifier: MIT
 *
 * daruma watch URL: probes at a fixed rate, shows what comes back, and ends with a receipt (docs/watch.md).
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "base/loop.h"
#include "cli/cli.h"
#include "cli/printer.h"
#include "watch/probe.h"
#include "watch/receipt.h"
#include "watch/request.h"
#include "watch/slo.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

enum {
    CONNECTIONS = 10000,
    SPARE_DESCRIPTORS = 32,
    SLOS = 16,
};

/* Up to here a person can read a line for each probe. */
#define LINES_RATE 20.0

/* What is shown while it runs. */
enum show { SHOW_NOTHING, SHOW_LINES, SHOW_JSON_LINES, SHOW_SUMMARY };

struct run {
    const struct cli *cli;
    const char *url;
    struct cli_list headers, slo_texts;
    const char *method, *data;
    int64_t count, expect, duration_ns, timeout_ns;
    double rate;
    bool json, session, no_keepalive, quiet, verbose;

    struct watch_slo slos[SLOS];
    struct watch_request request;
    enum show show;
    struct loop *loop;
    struct watch *watch;
    struct loop_io signals;
    struct loop_timer summary;
    int64_t summary_every_ns;
    uint64_t shown_sent; /* at the last summary */
};

/* 10:01:02 ✔ 200     3.2 ms  app-1         100 % */
static void print_line(const struct run *run, const struct watch_result *result)
{
    const struct watch_tally *tally = watch_tally(run->watch);
    bool ok = result->kind == WATCH_OK, colour = run->cli->colour_out;
    char what[32], percent[WATCH_PERCENT];

    if (result->kind == WATCH_OK || result->kind == WATCH_STATUS)
        (void)snprintf(what, sizeof(what), "%u", result->status);
    else
        (void)snprintf(what, sizeof(what), "%s", watch_kind_name(result->kind));
    printer_clock(clock_wall());
    printf("%s%s %-13s%s %9.1f ms  %-16s %s\n", cli_sgr(colour, ok ? CLI_GREEN : CLI_RED), ok ? "✔" : "✘", what,
           cli_sgr(colour, CLI_PLAIN), (double)(result->end_ns - result->due_ns) / NS_PER_MS,
           result->instance >= 0 ? tally->names[result->instance] : "", watch_percent(tally, percent));
}

/* Names were made safe when they were taken in: they need no escaping. */
static void print_json_line(const struct run *run, const struct watch_result *result)
{
    const struct watch_tally *tally = watch_tally(run->watch);
    const char *quote = result->instance >= 0 ? "\"" : "";

    printf("{\"probe\":%" PRIu64 ",\"due_ms\":%.3f,\"ok\":%s,\"kind\":\"%s\",\"status\":%u,\"ms\":%.3f,"
           "\"instance\":%s%s%s}\n",
           result->number, (double)(result->due_ns - tally->start_ns) / NS_PER_MS,
           result->kind == WATCH_OK ? "true" : "false", watch_kind_name(result->kind), result->status,
           (double)(result->end_ns - result->due_ns) / NS_PER_MS, quote,
           result->instance >= 0 ? tally->names[result->instance] : "null", quote);
}

static void on_result(void *data, const struct watch_result *result)
{
    const struct run *run = data;

    if (run->show == SHOW_LINES)
        print_line(run, result);
    else if (run->show == SHOW_JSON_LINES)
        print_json_line(run, result);
    else
        return;
    (void)fflush(stdout);
}

static void on_summary(struct loop_timer *timer)
{
    struct run *run = timer->data;
    const struct watch_tally *tally = watch_tally(run->watch);
    uint64_t sent = tally->sent, failed = sent - tally->kinds[WATCH_OK];
    bool colour = run->cli->colour_out;
    double per_second = (double)(sent - run->shown_sent) * NS_PER_S / (double)run->summary_every_ns;
    char percent[WATCH_PERCENT];

    run->shown_sent = sent;
    /* Without wrapping (DECAWM): what is drawn over must stay one line, also on a narrow terminal. */
    if (run->cli->live)
        (void)fputs("\r\033[K\033[?7l", stdout);
    printer_clock(clock_wall());
    printf("%" PRIu64 " ended, %.0f/s, %u under way, %s%" PRIu64 " failed%s, p50 %.1f, p99 %.1f, max %.1f ms, %s", sent,
           per_second, watch_under_way(run->watch), cli_sgr(colour && failed, CLI_RED), failed,
           cli_sgr(colour && failed, CLI_PLAIN), (double)hist_quantile(&tally->latency, 0.5) / 1000,
           (double)hist_quantile(&tally->latency, 0.99) / 1000, (double)tally->latency.max_us / 1000,
           watch_percent(tally, percent));
    (void)fputs(run->cli->live ? "\033[?7h" : "\n", stdout);
    (void)fflush(stdout);
    loop_timer_set(run->loop, timer, loop_now(run->loop) + run->summary_every_ns);
}

static void on_ended(void *data)
{
    struct run *run = data;
    loop_stop(run->loop);
}

/* The first Ctrl-C sends nothing more, the second does not wait for the rest either. */
static void on_signal(struct loop_io *io, uint32_t events)
{
    struct run *run = io->data;
    struct signalfd_siginfo info;

    (void)events;
    if (read(io->fd, &info, sizeof(info)) == sizeof(info))
        watch_stop(run->watch);
}

static int check_options(struct run *run)
{
    struct err err = { 0 };

    /* One probe a day is as slow, and ten million a second faster than anything that this could mean. */
    if (!(run->rate >= 1.0 / 86400 && run->rate <= 1e7))
        return cli_usage(run->cli, "--rate: expected probes a second, more than 0 and at most 10000000");
    if (run->count < 0)
        return cli_usage(run->cli, "--count: expected a number that is not negative");
    if (run->expect != 0 && (run->expect < 200 || run->expect > 999))
        return cli_usage(run->cli, "--expect: expected a status from 200 to 999");
    if (run->timeout_ns <= 0)
        return cli_usage(run->cli, "--timeout: expected more than 0");
    if (run->slo_texts.len > SLOS)
        return cli_usage(run->cli, "--slo: at most %d may be given", SLOS);
    for (size_t i = 0; i < run->slo_texts.len; i++)
        if (watch_slo_parse(run->slo_texts.items[i], &run->slos[i], &err) < 0)
            return cli_usage(run->cli, "--slo: %s", err.message);
    const struct watch_request_options options = {
        .url = run->url,
        .method = run->method,
        .headers = run->headers.items,
        .data = run->data,
        .close = run->no_keepalive,
        .session = run->session,
    };
    if (watch_request_init(&run->request, &options, &err) < 0)
        return err.code == -EINVAL ? cli_usage(run->cli, "%s", err.message) : cli_fail(run->cli, &err);
    return 0;
}

/* As many connections as the descriptor limit lets us have, after raising it as far as we may. */
static unsigned connection_bound(void)
{
    struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t wanted = CONNECTIONS + SPARE_DESCRIPTORS;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return CONNECTIONS;
    return limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (unsigned)limit.rlim_cur - SPARE_DESCRIPTORS : SPARE_DESCRIPTORS;
}

static int prepare(struct run *run, struct err *err)
{
    struct watch_options options = {
        .request = &run->request,
        .rate = run->rate,
        .count = (uint64_t)run->count,
        .duration_ns = run->duration_ns,
        .timeout_ns = run->timeout_ns,
        .connections = connection_bound(),
        .expect = (unsigned)run->expect,
        .keep_alive = !run->no_keepalive,
        .session = run->session,
    };
    const struct watch_events events = { .result = on_result, .ended = on_ended, .data = run };

    int r = http_client_resolve(run->request.host, run->request.port, &options.address, err);
    if (r < 0)
        return r;
    run->loop = loop_new();
    if (!run->loop)
        return err_errno(err, -errno, "event loop");
    run->watch = watch_new(run->loop, &options, &events, err);
    if (!run->watch)
        return err->code;
    run->signals = (struct loop_io){ .fn = on_signal, .data = run };
    run->signals.fd = cli_take_signals((const int[]){ SIGINT, SIGTERM, 0 });
    r = run->signals.fd < 0 ? run->signals.fd : loop_io_add(run->loop, &run->signals, run->signals.fd, EPOLLIN);
    if (r < 0)
        return err_errno(err, r, "cannot watch for signals");
    if (run->show == SHOW_SUMMARY) {
        run->summary_every_ns = run->cli->live ? NS_PER_S / 5 : NS_PER_S;
        run->summary = (struct loop_timer){ .fn = on_summary, .data = run };
        loop_timer_set(run->loop, &run->summary, clock_now() + run->summary_every_ns);
    }
    return 0;
}

static int print_receipt(const struct run *run)
{
    const struct watch_receipt receipt = {
        .url = run->url,
        .rate = run->rate,
        .tally = watch_tally(run->watch),
        .slos = run->slos,
        .slos_len = run->slo_texts.len,
    };
    CLEANUP_BUF struct buf text = { 0 };
    struct err err = { 0 };

    if (run->show == SHOW_SUMMARY && run->cli->live)
        (void)fputc('\n', stdout);
    if (run->json) {
        watch_receipt_json(&receipt, &text);
    } else {
        if (run->show != SHOW_NOTHING)
            (void)fputc('\n', stdout);
        watch_receipt_text(&receipt, run->cli->colour_out, &text);
    }
    if (text.failed) {
        (void)err_set(&err, -ENOMEM, "the receipt could not be written down");
        return cli_fail(run->cli, &err);
    }
    (void)fputs(text.data, stdout);
    return watch_receipt_met(&receipt) ? CLI_DONE : CLI_SLO_MISSED;
}

static int run_watch(struct run *run)
{
    struct err err = { 0 };

    if (run->json)
        run->show = run->verbose ? SHOW_JSON_LINES : SHOW_NOTHING;
    else if (run->quiet)
        run->show = SHOW_NOTHING;
    else
        run->show = run->rate <= LINES_RATE || run->verbose ? SHOW_LINES : SHOW_SUMMARY;

    int status = check_options(run);
    if (status != 0)
        return status;
    int r = prepare(run, &err);
    if (r == 0) {
        watch_start(run->watch);
        r = loop_run(run->loop);
        if (r < 0)
            (void)err_errno(&err, r, "event loop");
    }
    return r < 0 ? cli_fail(run->cli, &err) : print_receipt(run);
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct run run = { .cli = cli, .rate = 1, .timeout_ns = 5 * NS_PER_S, .signals.fd = -1 };
    const struct cli_option options[] = {
        { "rate", 'r', "N", "probes a second (1); fractions are allowed", .number = &run.rate },
        { "duration", 'd', "TIME", "how long: 30s, 5m; without it until --count or Ctrl-C",
          .duration_ns = &run.duration_ns },
        { "count", 'n', "N", "how many probes", .integer = &run.count },
        { "timeout", 0, "TIME", "a probe that has no whole answer by then has failed (5s)",
          .duration_ns = &run.timeout_ns },
        { "slo", 0, "GOAL", "99.9%, p99<100ms, max<1s or gap<2s; exit 4 when missed; may be given several times",
          .list = &run.slo_texts },
        { "request", 'X', "METHOD", "GET, or POST with --data", .text = &run.method },
        { "header", 'H', "FIELD", "\"Name: value\"; may be given several times", .list = &run.headers },
        { "data", 0, "TEXT", "the body", .text = &run.data },
        { "expect", 0, "STATUS", "the one status that counts as success; else any 2xx or 3xx", .integer = &run.expect },
        { "session", 0, NULL, "keep cookies from probe to probe", .flag = &run.session },
        { "no-keepalive", 0, NULL, "a new connection for each probe", .flag = &run.no_keepalive },
        { "json", 0, NULL, "print the receipt as one JSON object and nothing else", .flag = &run.json },
        { "verbose", 'v', NULL, "a line for each probe at any rate; with --json a JSON object", .flag = &run.verbose },
        { "quiet", 'q', NULL, "only the receipt", .flag = &run.quiet },
        { 0 },
    };

    int status;
    if (cli_parse(cli, options, argc, argv, 1, 1)) {
        run.url = cli->args[0];
        status = run_watch(&run);
    } else {
        status = cli->status;
    }
    watch_free(run.watch);
    loop_free(run.loop);
    watch_request_free(&run.request);
    if (run.signals.fd >= 0)
        (void)close(run.signals.fd);
    free(run.headers.items);
    free(run.slo_texts.items);
    return status;
}

const struct cli_command cmd_watch = {
    .name = "watch",
    .usage = "[OPTIONS] URL",
    .help = "probe a URL at a fixed rate, and prove how available it was",
    .more = "The clock of a probe runs from the instant at which it is due, so a stall counts for every probe that\n"
            "falls into it. {n} in the URL, a header or the data is replaced by the probe's number, from 0.\n"
            "Ends with a receipt, also at Ctrl-C.\n"
            "Exit codes: 0 done, 1 it could not be tried, 2 wrong usage, 4 an objective was missed.",
    .run = run_command,
};
