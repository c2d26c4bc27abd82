/* SPDX-License-Identifier: MIT */
#include "cli/client.h"
#include "cli/printer.h"

#include "base/cause.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum column { SERVICE, INSTANCE, STATE, HEALTH, UPTIME, RESTARTS, ENDPOINT, IN_FLIGHT, LAST_EXIT, COLUMNS };

enum { CELL = 96, GAP = 2 };

static const char *const titles[COLUMNS] = {
    [SERVICE] = "SERVICE",   [INSTANCE] = "INSTANCE",   [STATE] = "STATE",
    [HEALTH] = "HEALTH",     [UPTIME] = "UPTIME",       [RESTARTS] = "RESTARTS",
    [ENDPOINT] = "ENDPOINT", [IN_FLIGHT] = "IN-FLIGHT", [LAST_EXIT] = "LAST EXIT",
};

/* What is left out first where the terminal is too narrow. */
static const enum column dispensable[] = { SERVICE, LAST_EXIT, HEALTH, IN_FLIGHT, UPTIME, ENDPOINT, RESTARTS };

struct row {
    char cell[COLUMNS][CELL];
    enum cli_colour colour; /* of the state */
};

static void fill_state(struct row *row, const json_t *instance)
{
    const char *state = json_text(instance, "state"), *waits_for = json_text(instance, "waits_for");
    const json_t *retry = json_object_get(instance, "retry_in_s");
    char span[CLOCK_TEXT];

    row->colour = CLI_YELLOW;
    if (strcmp(state, "serving") == 0)
        row->colour = CLI_GREEN;
    else if (strcmp(state, "failed") == 0)
        row->colour = CLI_RED;
    else if (strcmp(state, "completed") == 0 || (strcmp(state, "idle") == 0 && !*waits_for))
        row->colour = CLI_DIM;
    if (json_is_number(retry))
        (void)snprintf(row->cell[STATE], CELL, "%.16s, again in %s", state,
                       clock_format_span((int64_t)(json_number_value(retry) * 1e9), span));
    else if (*waits_for)
        (void)snprintf(row->cell[STATE], CELL, "waits for %.64s", waits_for);
    else
        (void)snprintf(row->cell[STATE], CELL, "%.16s", state);
}

static void fill_last_exit(struct row *row, const json_t *instance)
{
    const json_t *last = json_object_get(instance, "last_exit");
    const json_t *status = json_object_get(last, "status"), *signal = json_object_get(last, "signal");
    char how[32] = "";

    if (!json_is_object(last))
        return;
    if (json_is_integer(signal))
        (void)snprintf(how, sizeof(how), "SIG%.12s", cause_signal_name((int)json_integer_value(signal)));
    else if (json_is_integer(status))
        (void)snprintf(how, sizeof(how), "status %d", (int)json_integer_value(status));
    (void)snprintf(row->cell[LAST_EXIT], CELL, "%.32s%s%.16s%s", how, *how ? " (" : "", json_text(last, "cause"),
                   *how ? ")" : "");
}

static void fill(struct row *row, const json_t *instance)
{
    const json_t *uptime = json_object_get(instance, "uptime_s");

    (void)snprintf(row->cell[SERVICE], CELL, "%.64s", json_text(instance, "service"));
    (void)snprintf(row->cell[INSTANCE], CELL, "%.64s", json_text(instance, "instance"));
    fill_state(row, instance);
    (void)snprintf(row->cell[HEALTH], CELL, "%.16s", json_text(instance, "health"));
    if (json_is_number(uptime)) {
        char span[CLOCK_TEXT];
        int64_t ns = (int64_t)(json_number_value(uptime) * 1e9);
        /* Below a minute clock_format_span() says more than anybody asks of an uptime. */
        if (ns >= NS_PER_S && ns < 60 * NS_PER_S)
            (void)snprintf(row->cell[UPTIME], CELL, "%d s", (int)(ns / NS_PER_S));
        else
            (void)snprintf(row->cell[UPTIME], CELL, "%s", clock_format_span(ns, span));
    }
    (void)snprintf(row->cell[RESTARTS], CELL, "%d", (int)json_integer_value(json_object_get(instance, "restarts")));
    (void)snprintf(row->cell[ENDPOINT], CELL, "%.80s", json_text(instance, "endpoint"));
    (void)snprintf(row->cell[IN_FLIGHT], CELL, "%d", (int)json_integer_value(json_object_get(instance, "in_flight")));
    fill_last_exit(row, instance);
}

/* How wide each column is; 0: not shown. */
static void measure(const struct row *rows, size_t len, int widths[COLUMNS])
{
    struct winsize size = { 0 };
    int total = 0;

    for (int c = 0; c < COLUMNS; c++) {
        widths[c] = (int)strlen(titles[c]);
        for (size_t i = 0; i < len; i++)
            if ((int)strlen(rows[i].cell[c]) > widths[c])
                widths[c] = (int)strlen(rows[i].cell[c]);
        total += widths[c] + GAP;
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) /* no terminal */
        return;
    for (size_t i = 0; i < ARRAY_LEN(dispensable) && total - GAP > size.ws_col; i++) {
        total -= widths[dispensable[i]] + GAP;
        widths[dispensable[i]] = 0;
    }
}

static void print_row(const struct row *row, const int widths[COLUMNS], bool colour, enum cli_colour all)
{
    int pad = 0;

    for (int c = 0; c < COLUMNS; c++) {
        if (widths[c] == 0)
            continue;
        enum cli_colour own = all != CLI_PLAIN ? all : c == STATE ? row->colour : CLI_PLAIN;
        bool on = colour && own != CLI_PLAIN;
        const char *text = row->cell[c][0] ? row->cell[c] : "-";
        printf("%*s%s%s%s", pad, "", cli_sgr(on, own), text, cli_sgr(on, CLI_PLAIN));
        pad = widths[c] - (int)strlen(text) + GAP;
    }
    printf("\n");
}

static int print_table(const struct cli *cli, const json_t *instances)
{
    size_t len = json_array_size(instances);
    CLEANUP_FREE struct row *rows = calloc(len + 1, sizeof(*rows));
    int widths[COLUMNS];

    if (!rows)
        return CLI_FAILED;
    for (size_t i = 0; i < len; i++)
        fill(&rows[i], json_array_get(instances, i));
    measure(rows, len, widths);
    struct row *head = &rows[len];
    for (int c = 0; c < COLUMNS; c++)
        (void)snprintf(head->cell[c], CELL, "%s", titles[c]);
    print_row(head, widths, cli->colour_out, CLI_BOLD);
    for (size_t i = 0; i < len; i++)
        print_row(&rows[i], widths, cli->colour_out, CLI_PLAIN);
    return CLI_DONE;
}

static bool named(const char *name, const json_t *instance)
{
    return strcmp(name, json_text(instance, "service")) == 0 || strcmp(name, json_text(instance, "instance")) == 0;
}

/* Only those that were asked for. NULL when a name is nobody's. */
static json_t *choose(const struct cli *cli, const struct client *client, const json_t *instances)
{
    json_t *chosen = json_array(), *instance;
    size_t i;

    for (char **name = cli->args; *name; name++) {
        bool found = false;
        json_array_foreach(instances, i, instance)
        {
            found = found || named(*name, instance);
        }
        struct err err = { 0 };
        if (!found && !client_has_service(client, *name, &err)) {
            (void)cli_refused(cli, &err);
            json_decref(chosen);
            return NULL;
        }
    }
    json_array_foreach(instances, i, instance)
    {
        bool wanted = !cli->args[0];
        for (char **name = cli->args; *name && !wanted; name++)
            wanted = named(*name, instance);
        if (wanted)
            (void)json_array_append(chosen, instance);
    }
    return chosen;
}

static int print(const struct cli *cli, const json_t *instances, bool json, bool quiet)
{
    json_t *instance;
    size_t i;

    if (json) {
        printer_json(instances);
        return CLI_DONE;
    }
    if (!quiet)
        return print_table(cli, instances);
    json_array_foreach(instances, i, instance)
    {
        printf("%s\n", json_text(instance, "instance"));
    }
    return CLI_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct client client;
    struct err err = { 0 };
    json_t *instances = NULL;
    bool json = false, quiet = false;
    const struct cli_option options[] = {
        { "json", 0, NULL, "as the admin API answers", .flag = &json },
        { "quiet", 'q', NULL, "only the instances' names", .flag = &quiet },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, SIZE_MAX))
        return cli->status;
    int status = client_open(cli, &client);
    if (status != 0)
        return status;
    if (client_call(&client, "GET", "/v1/instances", NULL, &instances, &err) < 0)
        return cli_fail(cli, &err);
    json_t *chosen = choose(cli, &client, instances);
    status = chosen ? print(cli, chosen, json, quiet) : CLI_USAGE;
    json_decref(chosen);
    json_decref(instances);
    return status;
}

const struct cli_command cmd_ps = {
    .name = "ps",
    .usage = "[--json] [-q] [SERVICE or INSTANCE…]",
    .help = "the instances: state, health, uptime, restarts, endpoint, requests in flight",
    .run = run,
};
