/* SPDX-License-Identifier: MIT
 *
 * What /proc says of a process that is no child of ours (proc_pid_stat(5)).
 */
#ifndef DARUMA_RUNTIME_PROC_H
#define DARUMA_RUNTIME_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state;     /* 'Z': ended, not reaped yet */
    unsigned flags; /* PF_… of include/linux/sched.h */
    pid_t parent, session;
    uint64_t birth; /* in clock ticks since the boot: with the pid, what no other process of this boot has */
    int exit_code;  /* as wait(2) tells it; only of a 'Z', and 0 when we may not know */
};

/* 0, or -ESRCH when there is no such process. */
int proc_stat(pid_t pid, struct proc_stat *ret);

/* Do all of its threads end, or have they? No instruction of the program is executed any more then, and its descriptors are
   closed or about to be; its pidfd tells only later, and later still on a busy machine. False when it cannot be known. */
bool proc_is_dying(pid_t pid);

/* The process has ended, as its pidfd says, and somebody else is its parent: how? As wait(2) tells it. -ENODATA when it was
   reaped and the kernel is too old to remember (before 6.15). */
int proc_exit_code(pid_t pid, uint64_t birth, int pidfd, int *ret);

#endif
