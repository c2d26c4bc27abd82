/* SPDX-License-Identifier: MIT */
#include "cli/client.h"
#include "cli/printer.h"

#include "base/clock.h"

#include <errno.h>

struct output {
    struct printer printer;
    bool json;
    double since; /* wall clock, seconds */
    int64_t seq;  /* of the last one that came */
    char path[CLIENT_EVENTS_PATH];
};

static const char *rest_path(struct client_stream *stream)
{
    struct output *output = stream->data;
    return client_events_path(output->seq, output->path);
}

static void print_line(struct client_stream *stream, const json_t *event)
{
    struct output *output = stream->data;

    output->seq = json_integer_value(json_object_get(event, "seq"));
    if (json_number_value(json_object_get(event, "time")) < output->since)
        return;
    if (output->json)
        printer_json_line(event);
    else
        printer_event(&output->printer, event);
    (void)fflush(stdout);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct output output = { .printer = { .colour = cli->colour_out, .timestamps = true } };
    struct client_stream stream = { .line = print_line, .data = &output };
    struct client client;
    struct err err = { 0 };
    bool follow = false;
    int64_t since_ns = -1;
    const struct cli_option options[] = {
        { "follow", 'f', NULL, "go on with what happens from now on", .flag = &follow },
        { "json", 0, NULL, "one JSON object a line", .flag = &output.json },
        { "since", 0, "DURATION", "only what happened within that time: 90s, 5m", .duration_ns = &since_ns },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, 0))
        return cli->status;
    if (since_ns >= 0)
        output.since = (double)(clock_wall() - since_ns) / 1e9;
    int status = client_open(cli, &client);
    if (status != 0)
        return status;
    stream.rest_path = follow ? rest_path : NULL;
    int r = client_follow(&client, follow ? "/v1/events?follow=1" : "/v1/events", &stream, &err);
    return r < 0 ? cli_fail(cli, &err) : CLI_DONE;
}

const struct cli_command cmd_events = {
    .name = "events",
    .usage = "[-f] [--json] [--since DURATION]",
    .help = "what happened: starts, deaths and their causes, health, faults",
    .run = run,
};
