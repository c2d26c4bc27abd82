/* SPDX-License-Identifier: MIT */
#include "cli/client.h"
#include "cli/scale.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int scale_add(json_t *scale, const char *word)
{
    const char *equals = strchr(word, '=');
    char *end;

    if (!equals || equals == word || !equals[1] || strspn(equals + 1, "0123456789") != strlen(equals + 1))
        return -EINVAL;
    long replicas = strtol(equals + 1, &end, 10);
    if (replicas > 10000)
        return -EINVAL;
    json_t *name = json_stringn(word, (size_t)(equals - word));
    int r = name ? json_object_set_new(scale, json_string_value(name), json_integer(replicas)) : -1;
    json_decref(name);
    return r < 0 ? -EINVAL : 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct err err = { 0 };
    const struct cli_option options[] = { { 0 } };

    if (!cli_parse(cli, options, argc, argv, 1, SIZE_MAX))
        return cli->status;
    json_t *body = json_object();
    int status = 0;
    for (size_t i = 0; status == 0 && i < cli->args_len; i++)
        if (scale_add(body, cli->args[i]) < 0)
            status = cli_usage(cli, "expected SERVICE=NUMBER (0 to 10000), not \"%s\"", cli->args[i]);
    if (status == 0)
        status = client_open(cli, &client);
    if (status == 0 && client_call(&client, "POST", "/v1/scale", body, NULL, &err) < 0)
        status = cli_refused(cli, &err);
    json_decref(body);
    return status;
}

const struct cli_command cmd_scale = {
    .name = "scale",
    .usage = "SERVICE=NUMBER…",
    .help = "run more or fewer instances of services",
    .run = run,
};
