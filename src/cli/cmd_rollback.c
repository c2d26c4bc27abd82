/* SPDX-License-Identifier: MIT */
#include "cli/client.h"
#include "cli/deploys.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct deploys_since since;
    struct err err = { 0 };
    int64_t to = 0;
    bool detach = false, json = false;
    const struct cli_option options[] = {
        { "to", 0, "VERSION", "to that version, as a receipt names it; else to the one before", .integer = &to },
        { "detach", 'd', NULL, "come back at once", .flag = &detach },
        { "json", 0, NULL, "the receipt as JSON", .flag = &json },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 1, 1))
        return cli->status;
    if (to < 0 || to > INT32_MAX)
        return cli_usage(cli, "--to: %lld is no version", (long long)to);
    int status = client_open(cli, &client);
    if (status == CLI_DONE)
        status = deploys_look(cli, &client, &since);
    if (status != CLI_DONE)
        return status;
    json_t *body = json_pack("{s:s, s:I}", "service", cli->args[0], "to", (json_int_t)to);
    if (client_call(&client, "POST", "/v1/rollback", body, NULL, &err) < 0)
        status = cli_refused(cli, &err);
    json_decref(body);
    if (status != CLI_DONE || detach)
        return status;
    const struct deploys_wish what = { .service = cli->args[0], .json = json, .back = true };
    return deploys_follow(cli, &client, &what, &since);
}

const struct cli_command cmd_rollback = {
    .name = "rollback",
    .usage = "SERVICE [--to VERSION] [-d] [--json]",
    .help = "go back to the version of a service before, or turn a deploy round",
    .run = run,
};
