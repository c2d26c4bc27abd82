/* SPDX-License-Identifier: MIT
 *
 * daruma up: the project of a compose file.
 */
#include "cli/up.h"

#include <stdlib.h>

static int run(struct cli *cli, int argc, char **argv)
{
    struct up_options up = { .wait_timeout_ns = UP_WAIT_NS };
    bool keep_nginx = false;
    const struct cli_option options[] = {
        { "build", 0, NULL, "build images that are built anew first", .flag = &up.build },
        { "detach", 'd', NULL, "come back when everything is ready, and let it run", .flag = &up.detach },
        { "no-wait", 0, NULL, "with -d: come back at once", .flag = &up.no_wait },
        { "wait-timeout", 0, "SECONDS", "with -d: wait no longer than that (300); 0: as long as it takes",
          .duration_ns = &up.wait_timeout_ns },
        { "scale", 0, "SERVICE=NUMBER", "so many instances, whatever the file says", .list = &up.scale },
        { "keep-nginx", 0, NULL, "start services that are nginx; else the gateway does their work",
          .flag = &keep_nginx },
        { 0 },
    };

    bool parsed = cli_parse(cli, options, argc, argv, 0, SIZE_MAX);
    cli->replace_nginx = !keep_nginx;
    int status = parsed ? up_project(cli, &up) : cli->status;
    free(up.scale.items);
    return status;
}

const struct cli_command cmd_up = {
    .name = "up",
    .usage = "[-d [--no-wait | --wait-timeout SECONDS]] [--build] [--scale SERVICE=NUMBER] [--keep-nginx] [SERVICE…]",
    .help = "start the project, or make it be as its files say now",
    .more = "In the foreground it shows events and logs; Ctrl-C stops the project in order, twice at once.\n"
            "With services named, only these and what they depend on are started or changed.",
    .run = run,
};
