/* SPDX-License-Identifier: MIT
 *
 * daruma gateway: the gateway alone, in front of services that somebody else runs.
 */
#include "cli/up.h"

#include "base/cleanup.h"
#include "compose/model.h"

#include <errno.h>

/* The file in the words of x-gateway. */
static int print(struct cli *cli)
{
    CLEANUP_BUF struct buf text = { 0 };
    struct spec *spec = NULL;

    int status = cli_load(cli, false, &spec);
    if (status != CLI_DONE)
        return status;
    (void)json_object_del(spec->model, "name");
    (void)json_object_del(spec->model, "services");
    model_print_yaml(spec->model, &text);
    if (text.failed)
        status = cli_fail(cli, &(struct err){ .code = -ENOMEM });
    else
        (void)fputs(text.data, stdout);
    spec_free(spec);
    return status;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct up_options up = { .wait_timeout_ns = UP_WAIT_NS };
    bool show = false;
    const struct cli_option options[] = {
        { "nginx-conf", 0, "FILE", "what it shall do, as nginx would understand it", .text = &cli->nginx_conf },
        { "detach", 'd', NULL, "come back when it listens, and let it run", .flag = &up.detach },
        { "print", 0, NULL, "start nothing; print the file in the words of x-gateway", .flag = &show },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, 0))
        return cli->status;
    if (!cli->nginx_conf)
        return cli_usage(cli, "--nginx-conf FILE is missing");
    return show ? print(cli) : up_project(cli, &up);
}

const struct cli_command cmd_gateway = {
    .name = "gateway",
    .usage = "--nginx-conf FILE [-d | --print]",
    .help = "run the gateway alone, from a configuration of nginx's",
    .more =
        "In the foreground it shows what happens; Ctrl-C ends it when the requests on their way are answered.\n"
        "The project is named after the file's folder (or -p NAME): `daruma -p NAME down` ends one that runs with -d,\n"
        "and the same command again makes a running one be as the file says now.",
    .run = run,
};
