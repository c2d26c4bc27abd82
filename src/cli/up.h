/* SPDX-License-Identifier: MIT
 *
 * Brings a project up, or makes a running one be as its files say now: what `up` and `gateway` do. Everything that can be
 * wrong is found here, in the command's own process, where a person reads it.
 */
#ifndef DARUMA_CLI_UP_H
#define DARUMA_CLI_UP_H

#include "base/clock.h"
#include "cli/cli.h"

/* How long `-d` waits for everything to be ready, unless told otherwise: long enough for a slow start_period. */
#define UP_WAIT_NS (300 * NS_PER_S)

struct up_options {
    bool build, detach, no_wait;
    int64_t wait_timeout_ns; /* with `detach`; 0: as long as it takes */
    struct cli_list scale;   /* "SERVICE=NUMBER" */
};

/* Loads what `cli` means, and goes on until everything is ready, or, in the foreground, until the project is down. The exit
   code. */
int up_project(struct cli *cli, const struct up_options *options);

#endif
