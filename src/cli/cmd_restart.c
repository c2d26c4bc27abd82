/* SPDX-License-Identifier: MIT */
#include "cli/client.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct err err = { 0 };
    const struct cli_option options[] = { { 0 } };

    if (!cli_parse(cli, options, argc, argv, 0, SIZE_MAX))
        return cli->status;
    json_t *body = json_pack("{s:o}", "services", client_names(cli, 0));
    int status = client_open(cli, &client);
    if (status == 0 && client_call(&client, "POST", "/v1/restart", body, NULL, &err) < 0)
        status = cli_refused(cli, &err);
    json_decref(body);
    return status;
}

const struct cli_command cmd_restart = {
    .name = "restart",
    .usage = "[SERVICE…]",
    .help = "restart services, one instance after the other, drained first",
    .run = run,
};
