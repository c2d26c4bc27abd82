/* SPDX-License-Identifier: MIT */
#include "base/inherit.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct inherited {
    int fd;
    bool listens; /* else it is a pipe, of this file */
    dev_t dev;
    ino_t ino;
};

static struct inherited *list;
static size_t len, cap;

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static bool listens(int fd)
{
    int on = 0;
    socklen_t size = sizeof(on);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on;
}

static int add(int fd, bool is_listener, const struct stat *st)
{
    if (len == cap) {
        size_t wanted = cap ? 2 * cap : 64;
        struct inherited *grown = reallocarray(list, wanted, sizeof(*list));
        if (!grown)
            return -ENOMEM;
        list = grown;
        cap = wanted;
    }
    list[len++] = (struct inherited){ .fd = fd, .listens = is_listener, .dev = st->st_dev, .ino = st->st_ino };
    return 0;
}

static int judge(int fd, const struct stat *lock)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return 0;
    if (S_ISREG(st.st_mode) && st.st_dev == lock->st_dev && st.st_ino == lock->st_ino)
        return 0;
    if (S_ISSOCK(st.st_mode) && listens(fd))
        return add(fd, true, &st);
    if (S_ISFIFO(st.st_mode))
        return add(fd, false, &st);
    (void)close(fd);
    return 0;
}

/* Those that stay as they are. */
struct kept {
    const int *list;
    size_t n;
    struct stat lock;
};

static int look_at(int fd, const struct kept *kept)
{
    bool stays = fd <= STDERR_FILENO || bsearch(&fd, kept->list, kept->n, sizeof(*kept->list), compare);
    return stays ? 0 : judge(fd, &kept->lock);
}

/* A full table has no room for a look at itself. But then the numbers below the limit are those that it has. */
static int look_at_numbers(const struct kept *kept)
{
    struct rlimit files;
    int r = getrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;

    for (int fd = 0; r == 0 && fd < (int)files.rlim_cur; fd++)
        r = look_at(fd, kept);
    return r;
}

int inherit_begin(int *keep, size_t n, const char *lock_path)
{
    struct kept kept = { .list = keep, .n = n };
    int r = 0;

    qsort(keep, n, sizeof(*keep), compare);
    (void)stat(lock_path, &kept.lock);
    DIR *table = opendir("/proc/self/fd");
    if (!table)
        return errno == EMFILE || errno == ENFILE ? look_at_numbers(&kept) : -errno;
    /* What is closed meanwhile is behind us in the list. */
    for (const struct dirent *entry; r == 0 && (entry = readdir(table));) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        r = fd == dirfd(table) ? 0 : look_at(fd, &kept);
    }
    (void)closedir(table);
    return r;
}

int inherit_listener(const struct sockaddr *address, socklen_t size)
{
    for (size_t i = 0; i < len; i++) {
        struct sockaddr_storage at = { 0 };
        socklen_t at_len = sizeof(at);
        if (list[i].fd < 0 || !list[i].listens || getsockname(list[i].fd, (struct sockaddr *)&at, &at_len) < 0)
            continue;
        /* A Unix socket's path is shorter than its struct, as it was bound or as it is asked for. */
        bool same = at.ss_family == AF_UNIX && address->sa_family == AF_UNIX
                        ? strncmp(((struct sockaddr *)&at)->sa_data, address->sa_data, size - sizeof(sa_family_t)) == 0
                        : at_len == size && memcmp(&at, address, size) == 0;
        if (same)
            return TAKE_FD(list[i].fd);
    }
    return -1;
}

int inherit_pipe(const struct stat *file)
{
    static size_t next; /* they are asked for in about the order in which they were opened */

    for (size_t i = 0; i < len; i++) {
        struct inherited *one = &list[(next + i) % len];
        if (one->fd < 0 || one->listens || one->dev != file->st_dev || one->ino != file->st_ino)
            continue;
        next = (next + i + 1) % len;
        return TAKE_FD(one->fd);
    }
    return -1;
}

bool inherit_pipes_left(void)
{
    for (size_t i = 0; i < len; i++)
        if (list[i].fd >= 0 && !list[i].listens)
            return true;
    return false;
}

void inherit_end(void)
{
    for (size_t i = 0; i < len; i++)
        if (list[i].fd >= 0)
            (void)close(list[i].fd);
    free(list);
    list = NULL;
    len = cap = 0;
}
