/* SPDX-License-Identifier: MIT
 *
 * From the supervisor while the project runs, afterwards from the files that it has left.
 */
#include "cli/client.h"
#include "cli/printer.h"

#include "base/buf.h"
#include "observe/feed.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct output {
    struct printer *printer;
    json_int_t seq;   /* of the last line that came; 0: none yet */
    struct buf names; /* "&service=app", for each that was named */
    struct buf path;  /* of the first request */
    struct buf rest;  /* of one that goes on */
};

static void print_line(struct client_stream *stream, const json_t *line)
{
    struct output *output = stream->data;
    output->seq = json_integer_value(json_object_get(line, "seq"));
    printer_log(output->printer, line);
    (void)fflush(stdout);
}

static const char *rest_path(struct client_stream *stream)
{
    struct output *output = stream->data;
    if (output->seq == 0)
        return output->path.data;
    output->rest.len = 0;
    buf_printf(&output->rest, "/v1/logs?follow=1&after=%lld%s", (long long)output->seq,
               output->names.len > 0 ? output->names.data : "");
    return output->rest.failed ? output->path.data : output->rest.data;
}

/* So that the columns stand still, the widest name is known before the first line. */
static void measure(const struct client *client, struct printer *printer)
{
    json_t *instances = NULL, *instance;
    size_t i;

    if (client_call(client, "GET", "/v1/instances", NULL, &instances, NULL) < 0)
        return;
    json_array_foreach(instances, i, instance)
    {
        int width = (int)strlen(json_text(instance, "instance"));
        printer->width = width > printer->width ? width : printer->width;
    }
    json_decref(instances);
}

static int from_supervisor(const struct cli *cli, const struct client *client, int64_t tail, bool follow,
                           struct printer *printer)
{
    struct output output = { .printer = printer };
    struct client_stream stream = { .line = print_line, .data = &output, .rest_path = follow ? rest_path : NULL };
    struct err err = { 0 };

    for (size_t i = 0; i < cli->args_len; i++) {
        char *name = curl_easy_escape(NULL, cli->args[i], 0);
        buf_printf(&output.names, "&service=%s", name ? name : "");
        curl_free(name);
    }
    buf_printf(&output.path, "/v1/logs?follow=%d", follow);
    if (tail >= 0)
        buf_printf(&output.path, "&tail=%lld", (long long)tail);
    buf_add(&output.path, output.names.data, output.names.len);
    measure(client, printer);
    int r =
        output.path.failed || output.names.failed ? -ENOMEM : client_follow(client, output.path.data, &stream, &err);
    buf_free(&output.names);
    buf_free(&output.path);
    buf_free(&output.rest);
    if (r < 0)
        return cli_refused(cli, err.code ? &err : &(struct err){ .code = r });
    return CLI_DONE;
}

static int from_files(const struct cli *cli, const struct client *client, int64_t tail, struct printer *printer)
{
    char dir[PATH_MAX];
    const struct logs_query query = { .names = (const char *const *)cli->args, .tail = tail };
    struct logs_line line;
    struct err err = { 0 };
    bool any = false;

    (void)rundir_file(&client->dir, "logs", dir);
    for (char **name = cli->args; *name; name++)
        if (!logs_exist(dir, *name)) {
            (void)err_set(&err, -ENOENT, "project \"%s\" is not running, and there are no logs of \"%.100s\"",
                          client->dir.project, *name);
            return cli_refused(cli, &err);
        }
    struct logs_reader *reader = logs_reader_new(dir, &query);
    if (!reader)
        return cli_fail(cli, &(struct err){ .code = -ENOMEM });
    while (logs_reader_next(reader, &line)) {
        json_t *told = feed_log_line(&line);
        printer_log(printer, told);
        json_decref(told);
        any = true;
    }
    logs_reader_free(reader);
    if (any)
        return CLI_DONE;
    (void)err_set(&err, -ENOENT, "project \"%s\" is not running and has left no logs", client->dir.project);
    return cli_fail(cli, &err);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct printer printer = { .colour = cli->colour_out };
    struct client client;
    bool follow = false;
    const char *tail_text = "all";
    int64_t tail = -1;
    const struct cli_option options[] = {
        { "follow", 'f', NULL, "go on with what is written from now on", .flag = &follow },
        { "tail", 'n', "NUMBER", "only the last lines of each instance; all unless given", .text = &tail_text },
        { "timestamps", 't', NULL, "when each line was written", .flag = &printer.timestamps },
        { "json", 0, NULL, "one JSON object a line", .flag = &printer.json },
        { "no-log-prefix", 0, NULL, "without the instance's name", .flag = &printer.no_prefix },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, SIZE_MAX))
        return cli->status;
    if (strcmp(tail_text, "all") != 0) {
        char *end;
        tail = strtoll(tail_text, &end, 10);
        if (*end || end == tail_text || tail < 0)
            return cli_usage(cli, "--tail: expected a number of lines or \"all\", not \"%s\"", tail_text);
    }
    int status = client_find(cli, &client);
    if (status != 0)
        return status;
    if (rundir_busy(&client.dir))
        return from_supervisor(cli, &client, tail, follow, &printer);
    return from_files(cli, &client, tail, &printer);
}

const struct cli_command cmd_logs = {
    .name = "logs",
    .usage = "[-f] [--tail NUMBER] [-t] [--no-log-prefix] [--json] [SERVICE or INSTANCE…]",
    .help = "what the instances wrote, also those that are gone",
    .run = run,
};
