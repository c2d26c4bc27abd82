/* SPDX-License-Identifier: MIT
 *
 * daruma upgrade: what runs goes on as another program.
 */
#include "cli/client.h"
#include "cli/printer.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* How long it may take to hear of it: the supervisor is another one in between. */
#define PATIENCE_NS (120 * NS_PER_S)
enum { LOOK_MS = 10 };

static bool is_over(const char *state)
{
    static const char *const ends[] = { "done", "refused", "failed", "unchanged" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (strcmp(state, ends[i]) == 0)
            return true;
    return false;
}

/* Asks until it is over. `*state` is what was heard last. */
static int follow(const struct client *client, json_t **state, struct err *err)
{
    int64_t deadline = clock_now() + PATIENCE_NS;
    int r = 0;

    while (!is_over(json_text(*state, "state"))) {
        json_t *now = NULL;
        if (clock_now() > deadline)
            return r < 0 ? r
                         : err_set(err, -ETIMEDOUT, "the upgrade does not come to an end; `daruma events` may say why");
        (void)poll(NULL, 0, LOOK_MS);
        /* It cannot be asked in the moment in which it becomes the other program. */
        r = client_call(client, "GET", "/v1/upgrade", NULL, &now, err);
        if (r == 0 && now) {
            json_decref(*state);
            *state = now;
        } else {
            json_decref(now);
        }
    }
    return 0;
}

static int tell(const struct cli *cli, const json_t *state, bool json)
{
    const char *how = json_text(state, "state"), *path = json_text(state, "path");
    bool unchanged = strcmp(how, "unchanged") == 0;
    struct err err = { 0 };

    if (json)
        printer_json_line(state);
    if (unchanged || strcmp(how, "done") == 0) {
        if (unchanged && !json)
            printf("this program runs already\n");
        else if (!json)
            printf("%s (%s) goes on where %s was: the supervisor and %lld gateway workers, after %.0f ms\n", path,
                   json_text(state, "to"), json_text(state, "from"),
                   (long long)json_integer_value(json_object_get(state, "upgraded")),
                   json_number_value(json_object_get(state, "took_ms")));
        if (!unchanged && !json && !json_is_true(json_object_get(state, "in_place")))
            printf(
                "it lays out the gateway's memory differently: %lld workers of the program before end what they have\n",
                (long long)json_integer_value(json_object_get(state, "draining")));
        return CLI_DONE;
    }
    (void)err_set(&err, -EREMOTEIO, "%.200s %s: %s; daruma %s goes on", path,
                  strcmp(how, "refused") == 0 ? "is refused" : "failed and all went back", json_text(state, "why"),
                  json_text(state, "from"));
    (void)cli_fail(cli, &err);
    return strcmp(how, "refused") == 0 ? CLI_FAILED : CLI_ROLLED_BACK;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct err err = { 0 };
    bool json = false;
    const struct cli_option options[] = {
        { "json", 0, NULL, "print what became of it as JSON", .flag = &json },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, 1))
        return cli->status;
    CLEANUP_FREE char *path = cli->args_len > 0 ? realpath(cli->args[0], NULL) : NULL;
    if (cli->args_len > 0 && !path)
        return cli_usage(cli, "%s: %s", cli->args[0], strerror(errno));
    int status = client_open(cli, &client);
    if (status != 0)
        return status;
    json_t *body = path ? json_pack("{s:s}", "path", path) : json_object(), *state = NULL;
    int r = client_call(&client, "POST", "/v1/upgrade", body, &state, &err);
    if (r == 0)
        r = follow(&client, &state, &err);
    status = r < 0 ? cli_fail(cli, &err) : tell(cli, state, json);
    json_decref(body);
    json_decref(state);
    return status;
}

const struct cli_command cmd_upgrade = {
    .name = "upgrade",
    .usage = "[PROGRAM] [--json]",
    .help = "let another daruma go on where this one is, without an end",
    .more = "PROGRAM is the new daruma; unless given, what lies now where the running one was started from.\n"
            "Supervisor and gateway become that program one after the other: no connection is closed, no instance\n"
            "restarted. A program whose self-check fails is refused; one that cannot go on is left again.",
    .run = run,
};
