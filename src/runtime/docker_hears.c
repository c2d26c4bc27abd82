/* SPDX-License-Identifier: MIT
 *
 * Process 1 of a PID namespace gets no signal that it has no handler for (pid_namespaces(7)): such a program does not end
 * at a stop signal, however long one waits. Whether that is so stands in /proc (proc(5)).
 */
#include "runtime/docker.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool read_proc(pid_t pid, const char *thread, const char *name, char *text, size_t size)
{
    char path[96];

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/%s", (int)pid, thread, name);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    text[n < 0 ? 0 : n] = '\0';
    return n >= 0;
}

static uint64_t mask_of(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, 16) : UINT64_MAX;
}

/* "NSpid:" has its number in each namespace, the innermost last. */
static bool is_first(const char *status)
{
    const char *line = strstr(status, "\nNSpid:");
    const char *last = line ? memrchr(line + 1, '\t', strcspn(line + 1, "\n")) : NULL;
    return last && strtol(last, NULL, 10) == 1;
}

/* What cannot be read may be anything. A thread in sigtimedwait(2) or sigwaitinfo(2) takes signals without a handler, and
   the kernel does not show them as blocked meanwhile. */
static bool thread_hears(pid_t pid, const char *thread, int signo)
{
    char status[4096], call[128];

    if (!read_proc(pid, thread, "status", status, sizeof(status)) ||
        !read_proc(pid, thread, "syscall", call, sizeof(call)))
        return true;
    uint64_t mask = mask_of(status, "\nSigCgt:") | mask_of(status, "\nSigBlk:");
    return (mask >> (signo - 1) & 1) || strtol(call, NULL, 10) == SYS_rt_sigtimedwait;
}

bool docker_hears(struct runtime *runtime, struct runtime_handle *handle, int signo)
{
    char path[48], number[16], status[4096];
    bool hears = false;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)handle->pid);
    (void)snprintf(number, sizeof(number), "%d", (int)handle->pid);
    DIR *threads = handle->pid > 0 && signo != SIGKILL ? opendir(path) : NULL;
    if (!threads)
        return true;
    if (!read_proc(handle->pid, number, "status", status, sizeof(status)) || !is_first(status))
        hears = true;
    for (struct dirent *entry; !hears && (entry = readdir(threads));)
        hears = entry->d_name[0] != '.' && thread_hears(handle->pid, entry->d_name, signo);
    (void)closedir(threads);
    return hears;
}
