/* SPDX-License-Identifier: MIT
 *
 * Processes that instances leave behind. The supervisor is their reaper; what distinguishes them from its other
 * children (gateway workers) is the session: whatever came from an instance has another one than the supervisor.
 */
#include "runtime/process.h"

#include "base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_PATIENCE_NS (5 * NS_PER_S)

/* Is somebody else going to reap it: an instance's main process, a health check, a child of the house? */
static bool is_expected(const struct process *process, pid_t pid)
{
    for (const struct runtime_handle *handle = process->handles; handle; handle = handle->next)
        if (handle->child.pid == pid && handle->child.pidfd >= 0)
            return true;
    for (const struct runtime_execution *execution = process->executions; execution; execution = execution->next)
        if (execution->child.pid == pid && execution->child.pidfd >= 0)
            return true;
    return getsid(pid) == process->session;
}

void process_reap_orphans(struct process *process)
{
    for (;;) {
        siginfo_t info = { 0 };
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        /* The kernel shows only the first one that has ended. It will be reaped by whom it concerns; next time. */
        if (is_expected(process, info.si_pid))
            return;
        (void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}

/* The parent of a process as /proc tells it; 0 when it is gone. */
static pid_t parent_of(const char *pid)
{
    char path[64], line[512];
    int parent = 0;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    const char *text = fgets(line, sizeof(line), file);
    (void)fclose(file);
    const char *behind_name = text ? strrchr(text, ')') : NULL; /* the name may hold anything, also parentheses */
    if (!behind_name || sscanf(behind_name + 1, " %*c %d", &parent) != 1)
        return 0;
    return parent;
}

/* Kills every child that is not of our session. Their own children become ours in turn, so the caller comes again until
   there is none left. Returns how many there were. */
static int kill_children(const struct process *process)
{
    pid_t self = getpid();
    int found = 0;

    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (const struct dirent *entry; (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || parent_of(entry->d_name) != self)
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (getsid(pid) == process->session)
            continue;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, WNOHANG);
        found++;
    }
    (void)closedir(proc);
    return found;
}

void process_kill_all(struct process *process)
{
    for (struct runtime_handle *handle = process->handles; handle; handle = handle->next)
        if (handle->child.pidfd >= 0)
            spawn_kill(&handle->child, SIGKILL);
    for (struct runtime_execution *execution = process->executions; execution; execution = execution->next)
        if (execution->child.pidfd >= 0)
            spawn_kill(&execution->child, SIGKILL);
    /* A child that was killed between fork(2) and setsid(2) is still of our session: these are known by their pidfd. */
    for (struct runtime_handle *handle = process->handles; handle; handle = handle->next)
        if (handle->child.pidfd >= 0)
            (void)waitid(P_PIDFD, (id_t)handle->child.pidfd, &(siginfo_t){ 0 }, WEXITED);
    for (struct runtime_execution *execution = process->executions; execution; execution = execution->next)
        if (execution->child.pidfd >= 0)
            (void)waitid(P_PIDFD, (id_t)execution->child.pidfd, &(siginfo_t){ 0 }, WEXITED);

    /* A process that hangs in the kernel does not die of SIGKILL: at some point it is left behind. */
    for (int64_t until = clock_now() + KILL_PATIENCE_NS; kill_children(process) > 0 && clock_now() < until;)
        clock_sleep(NS_PER_MS);
}
