/* SPDX-License-Identifier: MIT
 *
 * Watching a project while it comes up, runs and goes down: what `up` and `down` do after they have asked for it.
 */
#ifndef DARUMA_CLI_ATTACH_H
#define DARUMA_CLI_ATTACH_H

#include "cli/client.h"

/* Where to begin: what had happened before is not shown again. */
struct attach {
    const struct cli *cli;
    const struct client *client;
    int64_t since_seq; /* events after this one */
    double since_time; /* log lines since then */
    bool volumes;      /* attach_to_end(): the project's volumes are to go, too */
};

/* Shows progress until everything is ready (CLI_DONE), or cannot become so or is not so after `timeout_ns` (0: no limit)
   (CLI_FAILED, with what is not ready and the last lines of its log). */
int attach_until_ready(const struct attach *attach, int64_t timeout_ns);

/* Puts off the signals that mean "end" until attach_until_down() takes them: from the moment on at which there is a
   project to be stopped, Ctrl-C may not end the command alone. */
void attach_hold_signals(void);

/*
 * Shows events and logs until the project is down. The first SIGINT, SIGTERM or SIGHUP asks it to go down, the second to
 * be quick about it. When all services have ended by themselves the project is taken down, too: CLI_FAILED when one of
 * them had failed.
 */
int attach_until_down(const struct attach *attach);

/* Waits until a project that was asked to go down is gone with all of its processes, showing what ends. After
   `timeout_ns` (-1: never) it is killed. */
int attach_to_end(const struct attach *attach, int64_t timeout_ns);

#endif
