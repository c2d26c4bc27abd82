/* SPDX-License-Identifier: MIT
 *
 * Watching a deploy to its end, and its receipt for people: what `deploy`, `rollback` and `up -d` have in common.
 */
#ifndef DARUMA_CLI_DEPLOYS_H
#define DARUMA_CLI_DEPLOYS_H

#include "cli/client.h"

/* Where the project stood before the deploy was asked for. */
struct deploys_since {
    int64_t seq; /* the newest event */
    double time; /* wall clock, seconds */
};

/* 0, or the exit code with the reason printed. */
int deploys_look(const struct cli *cli, const struct client *client, struct deploys_since *ret);

/* What was asked for. */
struct deploys_wish {
    const char *service;
    bool json;             /* progress is not shown, and the receipt is JSON */
    bool back;             /* to go back */
    const char *otherwise; /* what to say when nothing was deployed; NULL: that nothing had to be */
};

/*
 * Shows the progress of a service's deploy, and its receipt at the end. The first Ctrl-C asks, the second goes back. Returns
 * the exit code: CLI_DONE (also when there was nothing to deploy, or it went back as was asked for), CLI_ROLLED_BACK,
 * CLI_FAILED when it paused.
 */
int deploys_follow(const struct cli *cli, const struct client *client, const struct deploys_wish *wish,
                   const struct deploys_since *since);

/* The exit code that the deploys since then come to; tells of those that did not succeed, or that nobody can say. */
int deploys_verdict(const struct cli *cli, const struct client *client, const struct deploys_since *since);

/* A receipt, several lines. */
void deploys_print(const struct cli *cli, const json_t *receipt);

#endif
