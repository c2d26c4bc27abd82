/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static int for_each(int (*fn)(int fd))
{
    DIR *table = opendir("/proc/self/fd");
    int r = 0;

    if (!table)
        return -errno;
    for (const struct dirent *entry; r == 0 && (entry = readdir(table));) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd > STDERR_FILENO && fd != dirfd(table) && fn(fd) < 0)
            r = -errno;
    }
    (void)closedir(table);
    return r;
}

static int keep_one(int fd)
{
    return fcntl(fd, F_SETFD, 0);
}

static int end_one(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int table_keep_over_exec(bool keep)
{
    return for_each(keep ? keep_one : end_one);
}

static int close_stranger(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 || (flags & FD_CLOEXEC) ? flags : close(fd);
}

int table_close_strangers(void)
{
    return for_each(close_stranger);
}

void table_make_room(unsigned descriptors)
{
    struct rlimit files;
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd >= 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        rlim_t last = (files.rlim_max < descriptors ? files.rlim_max : descriptors) - 1;
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = files.rlim_max, .rlim_max = files.rlim_max });
        int far = fcntl(fd, F_DUPFD_CLOEXEC, (int)last);
        (void)setrlimit(RLIMIT_NOFILE, &files);
        if (far >= 0)
            (void)close(far);
    }
    if (fd >= 0)
        (void)close(fd);
}
