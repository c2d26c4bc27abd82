/* SPDX-License-Identifier: MIT */
#include "cli/deploys.h"
#include "cli/printer.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How often it is asked whether the deploy is over: events tell of it, this is for those that got lost. */
enum { LOOK_MS = 500 };

struct watch {
    const struct cli *cli;
    const struct client *client;
    const char *service;
    struct printer printer;
    bool json, asked, changed;
    int64_t seen; /* the last event's number */
};

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static long long integer_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

int deploys_look(const struct cli *cli, const struct client *client, struct deploys_since *ret)
{
    json_t *project = NULL;
    struct err err = { 0 };

    ret->time = (double)clock_wall() / 1e9;
    if (client_call(client, "GET", "/v1/project", NULL, &project, &err) < 0)
        return cli_fail(cli, &err);
    ret->seq = json_integer_value(json_object_get(project, "last_event"));
    json_decref(project);
    return CLI_DONE;
}

static void print_answers(const json_t *receipt, const char *key, const char *title)
{
    const json_t *side = json_object_get(receipt, key);

    if (integer_of(side, "answers") > 0)
        printf("  %-13s %lld answers, %lld of them 5xx, p50 %.1f, p99 %.1f ms\n", title, integer_of(side, "answers"),
               integer_of(side, "failures"), number_of(side, "p50_ms"), number_of(side, "p99_ms"));
}

/* "prepare at 0.39, 1 started at 0.39, 1 retired at 0.90 s" */
static void print_steps(const json_t *steps)
{
    size_t i;
    json_t *step;

    json_array_foreach((json_t *)steps, i, step)
    {
        printf("%s%s at %.2f", i ? ", " : "  steps         ", json_text(step, "what"), number_of(step, "at_s"));
    }
    if (json_array_size(steps) > 0)
        printf(" s\n");
}

static void print_p99(const json_t *p99)
{
    static const char *const times[] = { "before", "meanwhile", "after" };
    const char *lead = "  p99           ";

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        if (number_of(p99, times[i]) <= 0)
            continue;
        printf("%s%s %.1f", lead, times[i], number_of(p99, times[i]));
        lead = ", ";
    }
    if (*lead == ',')
        printf(" ms\n");
}

static void print_log(const json_t *log, const char *words)
{
    size_t i;
    json_t *line;

    if (json_array_size(log) == 0 && *words)
        printf("  last words    %s\n", words);
    json_array_foreach((json_t *)log, i, line)
    {
        printf("%s%s\n", i ? "                " : "  its log       ", json_string_value(line));
    }
}

void deploys_print(const struct cli *cli, const json_t *receipt)
{
    const char *outcome = json_text(receipt, "outcome"), *words = json_text(receipt, "last_words");
    bool good = strcmp(outcome, "deployed") == 0;
    char span[CLOCK_TEXT], time[CLOCK_TEXT];

    printf("%s%s%s %s: version %lld → %lld, %s%s%s\n", cli_sgr(cli->colour_out, good ? CLI_GREEN : CLI_RED),
           good ? "✔" : "✘", cli_sgr(cli->colour_out, CLI_PLAIN), json_text(receipt, "service"),
           integer_of(receipt, "from"), integer_of(receipt, "to"), cli_sgr(cli->colour_out, CLI_BOLD), outcome,
           cli_sgr(cli->colour_out, CLI_PLAIN));
    printf("  began         %s, took %s\n", clock_format_wall((int64_t)(number_of(receipt, "began") * 1e9), time),
           clock_format_span((int64_t)(number_of(receipt, "took_s") * 1e9), span));
    printf("  how           %s, %s; %lld started, %lld failed\n", json_text(receipt, "strategy"),
           json_text(receipt, "order"), integer_of(receipt, "started"), integer_of(receipt, "failed_instances"));
    print_steps(json_object_get(receipt, "steps"));
    printf("  requests      %lld, %lld failed, %lld held, %lld retried\n", integer_of(receipt, "requests"),
           integer_of(receipt, "failed"), integer_of(receipt, "held"), integer_of(receipt, "retried"));
    if (number_of(receipt, "longest_gap_ms") > 0)
        printf("  longest gap   %.1f ms without an answer\n", number_of(receipt, "longest_gap_ms"));
    print_p99(json_object_get(receipt, "p99_ms"));
    print_answers(receipt, "old", "old version");
    print_answers(receipt, "new", "new version");
    print_answers(json_object_get(receipt, "probes"), "old", "probes of old");
    print_answers(json_object_get(receipt, "probes"), "new", "probes of new");
    if (*json_text(receipt, "reason"))
        printf("  reason        %s\n", json_text(receipt, "reason"));
    print_log(json_object_get(receipt, "log"), words);
}

static void on_event(struct client_stream *stream, const json_t *event)
{
    struct watch *watch = stream->data;

    watch->seen = json_integer_value(json_object_get(event, "seq"));
    if (strcmp(json_text(event, "service"), watch->service) != 0)
        return;
    watch->changed = watch->changed || strcmp(json_text(event, "kind"), "deploy") == 0;
    if (!watch->json)
        printer_progress(&watch->printer, event);
    (void)fflush(stdout);
}

static int is_going_on(const struct watch *watch, bool *ret, struct err *err)
{
    json_t *project = NULL, *name;
    size_t i;

    int r = client_call(watch->client, "GET", "/v1/project", NULL, &project, err);
    *ret = false;
    json_array_foreach(json_object_get(project, "deploying"), i, name)
    {
        *ret = *ret || strcmp(json_string_value(name), watch->service) == 0;
    }
    json_decref(project);
    return r;
}

/* The first one asks, the second one means it. */
static void on_interrupt(struct watch *watch, int fd)
{
    struct signalfd_siginfo info;
    struct err err = { 0 };

    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (!watch->asked) {
            watch->asked = true;
            (void)fprintf(stderr, "Ctrl-C once more goes back to the version before; else the deploy goes on\n");
            continue;
        }
        json_t *body = json_pack("{s:s}", "service", watch->service);
        if (client_call(watch->client, "POST", "/v1/rollback", body, NULL, &err) < 0)
            (void)cli_fail(watch->cli, &err);
        json_decref(body);
    }
}

static int wait_for_end(struct watch *watch, struct err *err)
{
    struct client_streams streams = { 0 };
    struct client_stream events = { .line = on_event, .data = watch };
    CLEANUP_CLOSE int signals = cli_take_signals((const int[]){ SIGINT, 0 });
    bool going_on = true;
    char path[CLIENT_EVENTS_PATH];

    int r = client_streams_init(&streams, err);
    if (r == 0)
        r = client_stream_open(&streams, watch->client, client_events_path(watch->seen, path), &events, err);
    if (r == 0)
        r = is_going_on(watch, &going_on, err);
    while (r == 0 && going_on &&
           (!events.ended || client_stream_again(&streams, client_events_path(watch->seen, path), &events, err))) {
        int64_t until = clock_now() + LOOK_MS * NS_PER_MS;
        while (r == 0 && !watch->changed && !events.ended && clock_now() < until) {
            r = client_streams_wait(&streams, signals, LOOK_MS, err);
            on_interrupt(watch, signals);
        }
        watch->changed = false;
        if (r == 0)
            r = is_going_on(watch, &going_on, err);
    }
    if (r == 0 && !events.ended) /* the last lines */
        r = client_streams_wait(&streams, -1, 50, err);
    if (r == 0 && going_on)
        r = err_set(err, -ECANCELED, "the project went down meanwhile");
    client_stream_close(&streams, &events);
    client_streams_free(&streams);
    return r;
}

/* The receipts since then; of one service, or of all (NULL). NULL with `err` when they cannot be asked for. */
static json_t *receipts_since(const struct client *client, const char *service, const struct deploys_since *since,
                              struct err *err)
{
    json_t *all = NULL, *list = json_array(), *receipt;
    size_t i;

    if (client_call(client, "GET", "/v1/deploys", NULL, &all, err) < 0) {
        json_decref(list);
        list = NULL;
    }
    json_array_foreach(all, i, receipt)
    {
        double ended = number_of(receipt, "began") + number_of(receipt, "took_s");
        if (ended >= since->time && (!service || strcmp(json_text(receipt, "service"), service) == 0))
            (void)json_array_append(list, receipt);
    }
    json_decref(all);
    return list;
}

static int code_of(const json_t *receipt)
{
    const char *outcome = json_text(receipt, "outcome");

    if (strcmp(outcome, "rolled back") == 0)
        return CLI_ROLLED_BACK;
    return strcmp(outcome, "deployed") == 0 ? CLI_DONE : CLI_FAILED;
}

int deploys_follow(const struct cli *cli, const struct client *client, const struct deploys_wish *wish,
                   const struct deploys_since *since)
{
    struct watch watch = {
        .cli = cli, .client = client, .service = wish->service, .printer.colour = cli->colour_out, .json = wish->json
    };
    struct err err = { 0 };
    int status = CLI_DONE;

    watch.seen = since->seq;
    if (wait_for_end(&watch, &err) < 0)
        return cli_fail(cli, &err);
    json_t *list = receipts_since(client, wish->service, since, &err);
    if (!list)
        return cli_fail(cli, &err);
    const json_t *last = json_array_get(list, json_array_size(list) - 1);
    if (last) {
        status = code_of(last);
        if (wish->back && status == CLI_ROLLED_BACK)
            status = CLI_DONE;
    }
    if (wish->json)
        printer_json(last ? last : json_null());
    else if (last)
        deploys_print(cli, last);
    else
        printf("%s: %s\n", wish->service,
               wish->otherwise ? wish->otherwise : "nothing of it runs that would have to be replaced");
    json_decref(list);
    return status;
}

int deploys_verdict(const struct cli *cli, const struct client *client, const struct deploys_since *since)
{
    struct err err = { 0 };
    json_t *list = receipts_since(client, NULL, since, &err), *receipt;
    int status = list ? CLI_DONE : cli_fail(cli, &err);
    size_t i;

    json_array_foreach(list, i, receipt)
    {
        int code = code_of(receipt);
        if (code == CLI_DONE)
            continue;
        status = code;
        deploys_print(cli, receipt);
    }
    json_decref(list);
    return status;
}
