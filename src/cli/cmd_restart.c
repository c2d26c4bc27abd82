/* SPDX-License-Identifier: MIT */
#include "cli/client.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct err err = { 0 };
    json_t *names = json_array();
    const struct cli_option options[] = { { 0 } };

    if (!cli_parse(cli, options, argc, argv, 0, SIZE_MAX)) {
        json_decref(names);
        return cli->status;
    }
    for (size_t i = 0; i < cli->args_len; i++)
        (void)json_array_append_new(names, json_string(cli->args[i]));
    json_t *body = json_pack("{s:o}", "services", names);
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
