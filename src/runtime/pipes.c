/* SPDX-License-Identifier: MIT */
#include "runtime/pipes.h"

#include "base/cleanup.h"
#include "base/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int pipes_init(struct pipes *pipes, const char *run_dir)
{
    CLEANUP_FREE char *real = realpath(run_dir, NULL); /* as /proc shows it */
    return asprintf(&pipes->directory, "%s/pipes", real ? real : run_dir) < 0 ? -ENOMEM : 0;
}

void pipes_free(struct pipes *pipes)
{
    if (pipes->directory)
        (void)rmdir(pipes->directory);
    free(pipes->directory);
    pipes->directory = NULL;
}

static const char *path_of(const struct pipes *pipes, const char *instance, int stream, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3900s/%.100s.%d", pipes->directory, instance, stream);
    return path;
}

static int make_named(const struct pipes *pipes, const char *instance, int stream, int *ret_read, int *ret_write,
                      struct err *err)
{
    char path[PATH_MAX];

    if (mkdir(pipes->directory, 0700) < 0 && errno != EEXIST)
        return err_errno(err, -errno, "cannot make the folder %.300s", pipes->directory);
    (void)path_of(pipes, instance, stream, path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, -errno, "cannot remove the old pipe %.300s", path);
    if (mkfifo(path, 0600) < 0)
        return err_errno(err, -errno, "cannot make the pipe %.300s", path);
    CLEANUP_CLOSE int ours = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CLEANUP_CLOSE int theirs = open(path, O_RDWR | O_CLOEXEC);
    if (ours < 0 || theirs < 0)
        return err_errno(err, -errno, "cannot open the pipe %.300s", path);
    *ret_read = TAKE_FD(ours);
    *ret_write = TAKE_FD(theirs);
    return 0;
}

static int make_nameless(int *ret_read, int *ret_write, struct err *err)
{
    char path[32];
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(err, -errno, "cannot open a pipe");
    CLEANUP_CLOSE int ours = ends[0];
    CLEANUP_CLOSE int write_only = ends[1];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", write_only);
    int theirs = open(path, O_RDWR | O_CLOEXEC);
    if (theirs < 0)
        return err_errno(err, -errno, "cannot open a pipe");
    *ret_read = TAKE_FD(ours);
    *ret_write = theirs;
    return 0;
}

int pipes_make(struct pipes *pipes, const char *instance, int stream, int *ret_read, int *ret_write, struct err *err)
{
    struct err why = { 0 };
    int r = make_named(pipes, instance, stream, ret_read, ret_write, &why);

    if (r == 0)
        return 0;
    if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
        return err_set(err, r, "%s", why.message);
    r = make_nameless(ret_read, ret_write, err);
    return r < 0 ? r : 1;
}

/* A pipe that the process writes into and our predecessor has read from; -1: there is none. */
static int inherited_of(pid_t pid, int stream)
{
    char path[64];
    struct stat st;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, stream);
    return pid > 0 && stat(path, &st) == 0 && S_ISFIFO(st.st_mode) ? inherit_pipe(&st) : -1;
}

int pipes_open(struct pipes *pipes, const char *instance, int stream, pid_t pid)
{
    char path[PATH_MAX];
    struct stat st;

    int inherited = inherited_of(pid, stream);
    if (inherited >= 0)
        return inherited;
    if (lstat(path_of(pipes, instance, stream, path), &st) < 0)
        return -errno;
    if (!S_ISFIFO(st.st_mode))
        return -EINVAL;
    CLEANUP_CLOSE int fd = inherit_pipe(&st);
    if (fd < 0)
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    return S_ISFIFO(st.st_mode) ? TAKE_FD(fd) : -EINVAL;
}

void pipes_remove(struct pipes *pipes, const char *instance)
{
    char path[PATH_MAX];
    for (int stream = 1; stream <= PIPES_STREAMS; stream++)
        (void)unlink(path_of(pipes, instance, stream, path));
}

bool pipes_owner(struct pipes *pipes, pid_t pid, char *ret, size_t size)
{
    size_t len = strlen(pipes->directory);

    for (int stream = 1; stream <= PIPES_STREAMS; stream++) {
        char path[64], to[PATH_MAX];
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, stream);
        ssize_t n = readlink(path, to, sizeof(to) - 1);
        if (n <= 0)
            continue;
        to[n] = '\0';
        char *end = strrchr(to, '.'); /* also cuts " (deleted)" off a path: then it is none of the present pipes */
        if (strncmp(to, pipes->directory, len) != 0 || to[len] != '/' || !end || strlen(end) != 2)
            continue;
        *end = '\0';
        (void)snprintf(ret, size, "%s", to + len + 1);
        return true;
    }
    return false;
}
