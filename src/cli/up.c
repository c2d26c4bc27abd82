/* SPDX-License-Identifier: MIT */
#include "cli/up.h"

#include "cli/attach.h"
#include "cli/client.h"
#include "cli/deploys.h"
#include "cli/printer.h"
#include "cli/scale.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long another `up` of the same project may take to start, and a project to go down, before we give up. */
#define PATIENCE_NS (60 * NS_PER_S)

struct up {
    struct cli *cli;
    struct client client;
    struct spec *spec;
    json_t *request; /* POST /v1/up */
    struct attach attach;
    bool foreground;
};

static int print_problems(const struct cli *cli, struct problems *problems)
{
    CLEANUP_BUF struct buf text = { 0 };

    problems_format(problems, cli->colour_err, &text);
    if (text.len > 0)
        (void)fputs(text.data, stderr);
    problems_free(problems);
    return CLI_USAGE;
}

/* Events of an earlier supervisor, which has died, are not what came of this command. */
static json_int_t first_event(const struct up *up)
{
    json_t *project = NULL;
    json_int_t first = 0;

    if (client_call(&up->client, "GET", "/v1/project", NULL, &project, NULL) == 0)
        first = json_integer_value(json_object_get(project, "first_event"));
    json_decref(project);
    return first;
}

/* The lock is ours: nobody else runs this project. */
static int start(struct up *up)
{
    struct up_request request = { 0 };
    struct problems problems = { 0 };
    struct err err = { 0 };

    int r = up_request_parse(up->request, &request, &err);
    if (r == 0)
        r = up_request_apply(&request, up->spec, &err);
    if (r == 0) {
        up->attach.since_time = (double)clock_wall() / 1e9;
        if (up->foreground)
            attach_hold_signals();
        r = daemon_start(&up->client.dir, &request, TAKE_PTR(up->spec), &problems, &err);
    }
    up_request_free(&request);
    int status = problems.errors > 0 ? CLI_USAGE : CLI_DONE;
    (void)print_problems(up->cli, &problems);
    if (r == 0)
        up->attach.since_seq = first_event(up);
    if (r == 0 || status == CLI_USAGE)
        return status;
    return cli_refused(up->cli, &err);
}

/* Another directory's project of the same name is not to be changed by accident. */
static int check_origin(const struct up *up, const json_t *project)
{
    const char *origin = json_text(project, "working_dir");
    struct err err = { 0 };

    if (strcmp(origin, up->spec->working_dir) == 0)
        return CLI_DONE;
    (void)err_set(
        &err, -EBUSY,
        "a project named \"%s\" runs already, from %.200s; give this one another name (-p NAME, or `name:` in "
        "the file), or end that one with `daruma -p %s down`",
        up->spec->name, origin, up->spec->name);
    (void)cli_fail(up->cli, &err);
    return CLI_USAGE;
}

/* The running supervisor is to make it so. */
static int change(struct up *up)
{
    json_t *answer = NULL;
    struct err err = { 0 };

    if (up->foreground)
        attach_hold_signals();
    int r = client_call(&up->client, "POST", "/v1/up", up->request, &answer, &err);
    (void)fputs(json_text(answer, r == 0 ? "warnings" : "problems"), stderr);
    json_decref(answer);
    return r < 0 ? cli_refused(up->cli, &err) : CLI_DONE;
}

/* Somebody holds the lock: a running supervisor, one that starts or ends, another `up` that still checks. Returns
   -EAGAIN when it is not to be talked to yet. */
static int join_running(struct up *up)
{
    json_t *project = NULL;
    struct err err = { 0 };

    if (client_call(&up->client, "GET", "/v1/project", NULL, &project, &err) < 0)
        return -EAGAIN;
    int status = check_origin(up, project);
    const char *state = json_text(project, "state");
    if (status == CLI_DONE && (strcmp(state, "stopping") == 0 || strcmp(state, "down") == 0)) {
        json_decref(project);
        return -EAGAIN;
    }
    up->attach.since_seq = json_integer_value(json_object_get(project, "last_event"));
    up->attach.since_time = (double)clock_wall() / 1e9;
    json_decref(project);
    return status == CLI_DONE ? change(up) : status;
}

/* Starts the project or changes the running one, whichever it is. */
static int start_or_join(struct up *up)
{
    int64_t deadline = clock_now() + PATIENCE_NS;
    struct err err = { 0 };

    do {
        CLEANUP_CLOSE int lock = rundir_lock(&up->client.dir, 20);
        if (lock >= 0)
            return start(up);
        if (lock != -EWOULDBLOCK) {
            (void)err_errno(&err, lock, "cannot lock %.300s/lock", up->client.dir.path);
            (void)cli_fail(up->cli, &err);
            return CLI_USAGE;
        }
        int status = join_running(up);
        if (status != -EAGAIN)
            return status;
    } while (clock_now() < deadline);
    (void)err_set(&err, -EBUSY,
                  "the supervisor of project \"%s\" neither answers nor ends; %.300s/daruma.log may say why",
                  up->client.dir.project, up->client.dir.path);
    return cli_fail(up->cli, &err);
}

/* Loads the files, finds the run directory and writes the request down. */
static int prepare(struct up *up, const struct up_options *options)
{
    const struct cli_list *scale_words = &options->scale;
    struct cli *cli = up->cli;
    struct compose_request compose = cli_compose_request(cli);
    const char *runtime = cli->runtime ? cli->runtime : getenv("DARUMA_RUNTIME");
    json_t *scale = json_object();
    struct err err = { 0 };
    int status = CLI_DONE;

    for (size_t i = 0; i < scale_words->len && status == CLI_DONE; i++)
        if (scale_add(scale, scale_words->items[i]) < 0)
            status = cli_usage(cli, "--scale: expected SERVICE=NUMBER, not \"%s\"", scale_words->items[i]);
    if (status == CLI_DONE)
        status = cli_load(cli, false, &up->spec);
    if (status == CLI_DONE) {
        up->request = up_request_json(&compose, cli->args_len > 0 ? (const char *const *)cli->args : NULL, scale,
                                      runtime && *runtime ? runtime : NULL);
        if (options->build)
            (void)json_object_set_new(up->request, "build", json_true());
        int r = up->request ? rundir_name(&up->client.dir, up->spec->name, &err) : -ENOMEM;
        if (r == 0)
            r = rundir_create(&up->client.dir, &err);
        if (r < 0) {
            (void)cli_fail(cli, err.code ? &err : &(struct err){ .code = r });
            status = CLI_USAGE;
        }
    }
    json_decref(scale);
    return status;
}

int up_project(struct cli *cli, const struct up_options *options)
{
    struct up up = { .cli = cli, .attach = { .cli = cli, .client = &up.client } };

    int status = prepare(&up, options);
    up.foreground = !options->detach && !options->no_wait;
    bool ready = status == CLI_DONE && up.spec;
    if (ready)
        status = start_or_join(&up);
    spec_free(up.spec);
    json_decref(up.request);
    if (!ready || status != CLI_DONE || options->no_wait)
        return status;
    if (!options->detach)
        return attach_until_down(&up.attach);
    status = attach_until_ready(&up.attach, options->wait_timeout_ns);
    if (status != CLI_DONE && !rundir_busy(&up.client.dir))
        return status; /* it went down meanwhile */
    const struct deploys_since since = { .seq = up.attach.since_seq, .time = up.attach.since_time };
    int verdict = deploys_verdict(cli, &up.client, &since);
    return verdict == CLI_DONE ? status : verdict;
}
