/* SPDX-License-Identifier: MIT
 *
 * fork(2) and execve(2) without waiting: whether the program runs is told later by a descriptor.
 */
#ifndef DARUMA_RUNTIME_SPAWN_H
#define DARUMA_RUNTIME_SPAWN_H

#include "runtime/launch.h"

#include <sys/resource.h>
#include <sys/types.h>

struct spawn {
    const struct launch *launch;
    char *const *argv; /* argv[0] is the name, `program` the file */
    const char *program;
    int in_fd, out_fd, err_fd;   /* become 0, 1 and 2; stay the caller's */
    int listen_fd;               /* becomes 3; -1: none */
    bool ends_with_us;           /* killed when this process dies: what nobody would take over */
    const struct rlimit *nofile; /* what it gets unless its own limits say otherwise: ours was raised */
};

struct spawned {
    pid_t pid;
    int pidfd;   /* readable when it has ended; it must then be reaped with waitid(P_PIDFD) */
    int exec_fd; /* non-blocking: end of file when the program runs, struct spawn_failure when it does not */
};

/* Written to exec_fd by a child that could not become the program; it then exits. */
struct spawn_failure {
    int error;       /* errno */
    char action[24]; /* what failed: "chdir" … */
};

/*
 * Forks. The child is leader of a new session and process group, and waits for spawn_go() before it becomes the program:
 * until then it can be written down who it is. When we die before that, it ends by itself. Negative errno with `err`.
 */
int spawn_start(const struct spawn *spawn, struct spawned *ret, struct err *err);
void spawn_go(const struct spawned *child);

/* Sends a signal to the main process and its whole group. */
void spawn_kill(const struct spawned *child, int signo);

#endif
