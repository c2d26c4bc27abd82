/* SPDX-License-Identifier: MIT
 *
 * Instances that were started by an earlier supervisor: they are taken over, by the number and birth of their main
 * process, or found by the pipes that they write into, and ended when nobody knows them.
 */
#include "runtime/process.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/proc.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

/* What nobody knows is asked to end, and so long is waited for it. */
#define STRAY_PATIENCE_NS (10 * NS_PER_S)

enum { NAME_SIZE = 128 };

/* ---- taking over ---- */

static void on_adopted(struct loop_timer *timer)
{
    struct runtime_handle *handle = timer->data;
    struct runtime_exit how = { .cause = CAUSE_UNKNOWN, .status = -1, .at_ns = clock_now() };

    if (handle->child.pidfd >= 0)
        handle->process->events->started(handle->owner, handle->child.pid, handle->ports, handle->ports_len);
    else
        process_finish(handle, &how);
}

/* A process may have the number of another one that is long dead; with the time of its birth it is unique. The
   descriptor is opened first: what is still the right one afterwards has been the right one then. */
static int find_process(pid_t pid, uint64_t birth)
{
    struct proc_stat found;

    if (pid <= 0)
        return -ESRCH;
    CLEANUP_CLOSE int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return -errno;
    if (proc_stat(pid, &found) < 0 || found.birth != birth)
        return -ESRCH;
    return TAKE_FD(pidfd);
}

static void claim_ports(struct runtime_handle *handle)
{
    for (size_t i = 0; i < handle->ports_len; i++) {
        struct sockaddr_in in;
        memcpy(&in, &handle->ports[i].address.u, sizeof(in));
        if (in.sin_family != AF_INET)
            continue;
        handle->taken[i] = ntohs(in.sin_port);
        ports_claim(&handle->process->ports, handle->taken[i]);
    }
}

static int take_over(struct runtime_handle *handle, const struct runtime_start *start,
                     const struct runtime_trace *trace, struct err *err)
{
    struct process *process = handle->process;
    bool socket = start->service->process_socket;

    handle->child.pid = trace->pid;
    handle->child.pidfd = find_process(trace->pid, trace->birth);
    handle->birth = trace->birth;
    handle->ports_len = trace->ports_len;
    memcpy(handle->ports, trace->ports, sizeof(handle->ports));
    for (size_t i = 0; i < ARRAY_LEN(handle->streams); i++)
        handle->streams[i].fd = pipes_open(&process->pipes, start->instance, handle->streams[i].number,
                                           handle->child.pidfd >= 0 ? trace->pid : 0);
    claim_ports(handle);
    int r = socket && handle->child.pidfd >= 0
                ? sockets_adopt(&process->sockets, start->instance, handle->child.pidfd, err)
                : 0;
    if (r == 0)
        r = launch_build(start, handle->ports, handle->ports_len, socket, &handle->launch, err);
    if (r < 0)
        return r;
    r = process_watch(handle);
    return r < 0 ? err_errno(err, r, "cannot watch %s", start->instance) : 0;
}

int process_adopt(struct runtime *runtime, const struct runtime_start *start, const struct runtime_trace *trace,
                  struct runtime_handle **ret, struct err *err)
{
    struct process *process = (struct process *)runtime;
    struct runtime_handle *handle = process_handle_new(process, start);

    if (!handle)
        return err_errno(err, -ENOMEM, "cannot take over %s", start->instance);
    int r = take_over(handle, start, trace, err);
    if (r < 0) {
        process_handle_free(handle);
        return r;
    }
    handle->adopted = (struct loop_timer){ .fn = on_adopted, .data = handle };
    loop_timer_set(process->loop, &handle->adopted, loop_now(process->loop));
    process_handle_list(handle);
    *ret = handle;
    return 0;
}

/* ---- strays ---- */

static bool is_known(const struct process *process, const char *instance)
{
    for (const struct runtime_handle *handle = process->handles; handle; handle = handle->next)
        if (handle->child.pidfd >= 0 && strcmp(handle->instance, instance) == 0)
            return true;
    return false;
}

/* Signals a process, if it writes into a pipe of ours and belongs to no instance that is known. The descriptor is opened
   first, so that who is signalled is who was looked at. */
static bool signal_stray(struct process *process, pid_t pid, int signo)
{
    char instance[NAME_SIZE];
    CLEANUP_CLOSE int pidfd = pidfd_open(pid, 0);

    if (pidfd < 0 || !pipes_owner(&process->pipes, pid, instance, sizeof(instance)) || is_known(process, instance))
        return false;
    return pidfd_send_signal(pidfd, signo, NULL, 0) == 0;
}

/* Returns how many strays there were. */
static int signal_strays(struct process *process, int signo)
{
    int found = 0;
    DIR *proc = opendir("/proc");

    if (!proc)
        return 0;
    for (const struct dirent *entry; (entry = readdir(proc));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        found += pid > 0 && signal_stray(process, pid, signo);
    }
    (void)closedir(proc);
    return found;
}

int process_end_strays(struct runtime *runtime)
{
    struct process *process = (struct process *)runtime;
    int64_t until = clock_now() + STRAY_PATIENCE_NS;

    if (access(process->pipes.directory, F_OK) < 0)
        return 0; /* nobody was here before */
    int found = signal_strays(process, SIGTERM);
    int left = found;

    while (left > 0 && clock_now() < until) {
        clock_sleep(5 * NS_PER_MS);
        left = signal_strays(process, 0);
    }
    if (left > 0)
        (void)signal_strays(process, SIGKILL);
    return found;
}
