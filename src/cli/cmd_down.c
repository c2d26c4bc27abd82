/* SPDX-License-Identifier: MIT */
#include "cli/attach.h"
#include "cli/client.h"
#include "cli/printer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/daemon.h"

#include <errno.h>

/* When all of daruma was killed, what it ran still runs: somebody has to know it in order to end it. */
static bool revive(const struct cli *cli, const struct client *client, int *ret_status)
{
    struct err err = { 0 };
    CLEANUP_CLOSE int lock = rundir_lock(&client->dir, 0);
    int r = lock < 0 ? -ENOENT : daemon_revive(&client->dir, &err);

    if (r == 0 || r == -ENOENT)
        return true;
    *ret_status = cli_fail(cli, &err);
    return false;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int64_t timeout_ns = -1;
    bool volumes = false;
    struct client client;
    struct err err = { 0 };
    json_t *project = NULL;
    const struct cli_option options[] = {
        { "timeout", 't', "SECONDS", "kill what has not ended by then; else each service's stop_grace_period",
          .duration_ns = &timeout_ns },
        { "volumes", 'v', NULL, "remove the named volumes of its containers, too", .flag = &volumes },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, 0))
        return cli->status;
    int status = client_find(cli, &client);
    if (status != 0 || !revive(cli, &client, &status))
        return status;
    status = client_open(cli, &client);
    if (status != 0)
        return status;
    if (client_call(&client, "GET", "/v1/project", NULL, &project, &err) < 0)
        return cli_fail(cli, &err);
    const struct attach attach = {
        .cli = cli,
        .client = &client,
        .since_seq = json_integer_value(json_object_get(project, "last_event")),
        .volumes = volumes,
    };
    json_decref(project);
    return attach_to_end(&attach, timeout_ns);
}

const struct cli_command cmd_down = {
    .name = "down",
    .usage = "[-t SECONDS] [-v]",
    .help = "stop the project: services in reverse order, each with its requests finished",
    .run = run,
};
