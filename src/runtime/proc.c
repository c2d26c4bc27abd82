/* SPDX-License-Identifier: MIT */
#include "runtime/proc.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ioctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* PIDFD_GET_INFO, which the C library's headers do not have yet: include/uapi/linux/pidfd.h of Linux 6.15. */
struct pidfd_info {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
};
#define PIDFD_INFO      _IOWR(0xff, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT (UINT64_C(1) << 3)

int proc_stat(pid_t pid, struct proc_stat *ret)
{
    char path[64], line[1024];
    int parent, session;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (n <= 0)
        return -ESRCH;
    line[n] = '\0';
    const char *behind_name = strrchr(line, ')'); /* the name may hold anything, also parentheses */
    if (!behind_name ||
        sscanf(behind_name + 1, " %c %d %*d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
               &ret->state, &parent, &session, &ret->flags, &ret->birth) != 5)
        return -ESRCH;
    ret->parent = parent;
    ret->session = session;
    ret->exit_code = 0;
    const char *last = strrchr(line, ' ');
    if (ret->state == 'Z' && last)
        (void)sscanf(last, "%d", &ret->exit_code);
    return 0;
}

#define PF_EXITING 0x4u

bool proc_is_dying(pid_t pid)
{
    char path[64];
    struct proc_stat thread;
    bool dying = true;

    if (proc_stat(pid, &thread) < 0)
        return kill(pid, 0) < 0 && errno == ESRCH;
    if (!(thread.flags & PF_EXITING))
        return false;
    /* The first thread may end before the others do (pthread_exit(3)). */
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (struct dirent *entry; dying && threads && (entry = readdir(threads));)
        dying = entry->d_name[0] == '.' || proc_stat(atoi(entry->d_name), &thread) < 0 || (thread.flags & PF_EXITING);
    if (threads)
        (void)closedir(threads);
    return dying && threads;
}

/* The kernel shows the exit code to who might trace the process: to its own user, and to root. To others it shows 0. */
static int exit_code_of_zombie(pid_t pid, uint64_t birth, int *ret)
{
    char path[64];
    struct proc_stat stat_now;
    struct stat st;

    if (proc_stat(pid, &stat_now) < 0 || stat_now.birth != birth || stat_now.state != 'Z')
        return -ENODATA;
    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (stat_now.exit_code == 0 && (stat(path, &st) < 0 || (st.st_uid != geteuid() && geteuid() != 0)))
        return -ENODATA;
    *ret = stat_now.exit_code;
    return 0;
}

int proc_exit_code(pid_t pid, uint64_t birth, int pidfd, int *ret)
{
    struct pidfd_info info = { .mask = PIDFD_INFO_EXIT };

    /* Whoever is its parent may reap it between the two questions; then the second one has the answer. */
    if (exit_code_of_zombie(pid, birth, ret) == 0)
        return 0;
    if (ioctl(pidfd, PIDFD_INFO, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT))
        return -ENODATA;
    *ret = info.exit_code;
    return 0;
}
