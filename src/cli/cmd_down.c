/* SPDX-License-Identifier: MIT */
#include "cli/attach.h"
#include "cli/client.h"
#include "cli/printer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/daemon.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Who only asks whether a supervisor holds the lock holds it for a moment, too (rundir_busy()). */
enum { LOCK_MS = 20 };

/* When all of daruma was killed, what it ran still runs: somebody has to know it in order to end it. */
static bool revive(const struct cli *cli, const struct client *client, int *ret_status)
{
    struct err err = { 0 };
    CLEANUP_CLOSE int lock = rundir_lock(&client->dir, LOCK_MS);
    int r = lock < 0 ? -ENOENT : daemon_revive(&client->dir, &err);

    if (r == 0 || r == -ENOENT)
        return true;
    *ret_status = cli_fail(cli, &err);
    return false;
}

/* The file may be gone meanwhile: then containers are not ruled out. */
static bool may_have_volumes(const struct cli *cli)
{
    const struct compose_request request = cli_compose_request(cli);
    const char *wanted = cli->runtime ? cli->runtime : getenv("DARUMA_RUNTIME");
    enum spec_runtime kind = SPEC_RUNTIME_DOCKER;
    struct problems problems = { 0 };
    struct spec *spec = NULL;
    struct err err;

    if (compose_load(&request, &spec, &problems) == 0)
        (void)spec_choose_runtime(spec, wanted && *wanted ? wanted : NULL, &kind, &err);
    problems_free(&problems);
    spec_free(spec);
    return kind == SPEC_RUNTIME_DOCKER;
}

/* Those that nobody here knows of any more: an earlier `down` has left them. */
static int remove_volumes(const struct cli *cli, const struct client *client, size_t *ret)
{
    json_t *names = NULL, *name;
    struct err err = { 0 };
    size_t i;

    int r = runtime_docker_remove_volumes(getenv("DOCKER_HOST"), client->dir.project, &names, &err);
    *ret = json_array_size(names);
    json_array_foreach(names, i, name)
    {
        if (r == 0)
            printf("· the volume %s is removed\n", json_string_value(name));
    }
    json_decref(names);
    if (r == 0)
        return CLI_DONE;
    (void)err_prefix(&err, "cannot remove the volumes of project \"%s\"", client->dir.project);
    return cli_fail(cli, &err);
}

/* With what it is told to remove, as far as its supervisor knows it. */
static int stop(const struct cli *cli, const struct client *client, int64_t timeout_ns, bool volumes)
{
    struct err err = { 0 };
    json_t *project = NULL;

    if (client_call(client, "GET", "/v1/project", NULL, &project, &err) < 0)
        return cli_fail(cli, &err);
    const struct attach attach = {
        .cli = cli,
        .client = client,
        .since_seq = json_integer_value(json_object_get(project, "last_event")),
        .volumes = volumes,
    };
    bool docker = strcmp(json_text(project, "runtime"), "docker") == 0;
    json_decref(project);
    int status = attach_to_end(&attach, timeout_ns);
    /* It knows those of the services that it has started. */
    return status == CLI_DONE && volumes && docker ? remove_volumes(cli, client, &(size_t){ 0 }) : status;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int64_t timeout_ns = -1;
    bool volumes = false;
    struct client client;
    size_t removed = 0;
    const struct cli_option options[] = {
        { "timeout", 't', "SECONDS", "kill what has not ended by then; else each service's stop_grace_period",
          .duration_ns = &timeout_ns },
        { "volumes", 'v', NULL, "remove the volumes of its containers, too, also when it is down already",
          .flag = &volumes },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, 0))
        return cli->status;
    int status = client_find(cli, &client);
    if (status != 0 || !revive(cli, &client, &status))
        return status;
    if (volumes && !rundir_busy(&client.dir) && may_have_volumes(cli)) {
        status = remove_volumes(cli, &client, &removed);
        if (removed > 0 || status != 0)
            return status;
    }
    status = client_open(cli, &client);
    return status == 0 ? stop(cli, &client, timeout_ns, volumes) : status;
}

const struct cli_command cmd_down = {
    .name = "down",
    .usage = "[-t SECONDS] [-v]",
    .help = "stop the project: services in reverse order, each with its requests finished",
    .run = run,
};
