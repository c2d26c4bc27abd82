/* SPDX-License-Identifier: MIT
 *
 * Processes that instances leave behind. The supervisor is their reaper; what distinguishes them from its other
 * children (gateway workers) is the session: whatever came from an instance has another one than the supervisor.
 */
#include "runtime/process.h"

#include "base/clock.h"
#include "runtime/proc.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
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
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct proc_stat child;
        if (pid <= 0 || proc_stat(pid, &child) < 0 || child.parent != self || child.session == process->session)
            continue;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, WNOHANG);
        found++;
    }
    (void)closedir(proc);
    return found;
}

/* Also of one that is not our child: its parent reaps it. */
static void await_end(const struct spawned *child)
{
    struct pollfd end = { .fd = child->pidfd, .events = POLLIN };

    if (child->pidfd < 0)
        return;
    (void)poll(&end, 1, (int)(KILL_PATIENCE_NS / NS_PER_MS));
    (void)waitid(P_PIDFD, (id_t)child->pidfd, &(siginfo_t){ 0 }, WEXITED | WNOHANG);
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
        await_end(&handle->child);
    for (struct runtime_execution *execution = process->executions; execution; execution = execution->next)
        await_end(&execution->child);

    /* A process that hangs in the kernel does not die of SIGKILL: at some point it is left behind. */
    for (int64_t until = clock_now() + KILL_PATIENCE_NS; kill_children(process) > 0 && clock_now() < until;)
        clock_sleep(NS_PER_MS);
}
