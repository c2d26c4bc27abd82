/* SPDX-License-Identifier: MIT */
#include "observe/logfile.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void logfile_init(struct logfile *file, const char *path, int64_t limit)
{
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    file->fd = -1;
    file->size = 0;
    file->inode = 0;
    file->limit = limit;
}

void logfile_close(struct logfile *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = -1;
}

int logfile_open(struct logfile *file)
{
    struct stat st;
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    CLEANUP_CLOSE int fd = open(file->path, flags, 0600);

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    file->size = st.st_size;
    file->inode = st.st_ino;
    file->endless = !S_ISREG(st.st_mode);
    file->fd = TAKE_FD(fd);
    return 0;
}

void logfile_cut(struct logfile *file, uint64_t inode, int64_t size)
{
    char old[PATH_MAX + 2];
    struct stat st;

    if (inode == 0)
        return;
    (void)snprintf(old, sizeof(old), "%s.1", file->path);
    /* What cannot be cut stays there twice: better than not at all. */
    if (stat(old, &st) == 0 && st.st_ino == inode && st.st_size > size)
        (void)!truncate(old, size);
    if (stat(file->path, &st) < 0)
        return;
    int64_t wanted = st.st_ino == inode ? size : 0;
    if (st.st_size > wanted)
        (void)!truncate(file->path, wanted);
    file->size = wanted;
    file->inode = st.st_ino;
}

static void rotate(struct logfile *file)
{
    char old[PATH_MAX + 2];

    (void)snprintf(old, sizeof(old), "%s.1", file->path);
    /* When renaming fails the file goes on growing: lines are worth more than the limit. */
    if (rename(file->path, old) == 0)
        logfile_close(file);
}

int logfile_write(struct logfile *file, const char *lines, size_t len)
{
    if (file->fd >= 0 && file->size > 0 && file->size + (int64_t)len > file->limit)
        rotate(file);
    if (file->fd < 0) {
        int r = logfile_open(file);
        if (r < 0)
            return r;
    }
    ssize_t n = write(file->fd, lines, len);
    if (n == (ssize_t)len) {
        file->size += file->endless ? 0 : n;
        return 0;
    }
    int r = n < 0 ? -errno : -ENOSPC;
    /* A part of a line would be read as a line of its own. */
    if (n > 0 && !file->endless && ftruncate(file->fd, file->size) < 0)
        file->size += n;
    /* Who makes room by removing this file gets it only when we let go of it; the next line opens it again. */
    if (r == -ENOSPC || r == -EDQUOT)
        logfile_close(file);
    return r;
}
