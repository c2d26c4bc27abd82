/* SPDX-License-Identifier: MIT */
#include "cli/client.h"

#include "compose/value.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct err err = { 0 };
    const char *signal = "KILL";
    const struct cli_option options[] = {
        { "signal", 's', "SIGNAL", "name or number; KILL unless given", .text = &signal },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, SIZE_MAX))
        return cli->status;
    int signo = value_signal(signal);
    if (signo < 0)
        return cli_usage(cli, "there is no signal \"%s\"", signal);
    json_t *body = json_pack("{s:i, s:o}", "signal", signo, "targets", client_names(cli, 0));
    int status = client_open(cli, &client);
    if (status == 0 && client_call(&client, "POST", "/v1/kill", body, NULL, &err) < 0)
        status = cli_refused(cli, &err);
    json_decref(body);
    return status;
}

const struct cli_command cmd_kill = {
    .name = "kill",
    .usage = "[-s SIGNAL] [SERVICE or INSTANCE…]",
    .help = "send a signal to instances; what dies of it comes back",
    .run = run,
};
