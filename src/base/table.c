/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int table_keep_over_exec(bool keep)
{
    DIR *table = opendir("/proc/self/fd");
    int r = 0;

    if (!table)
        return -errno;
    for (const struct dirent *entry; r == 0 && (entry = readdir(table));) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd > STDERR_FILENO && fd != dirfd(table) && fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC) < 0)
            r = -errno;
    }
    (void)closedir(table);
    return r;
}
