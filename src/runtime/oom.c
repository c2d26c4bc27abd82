/* SPDX-License-Identifier: MIT */
#include "runtime/oom.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_count(int fd, uint64_t *ret)
{
    char text[16384];
    size_t len = 0;
    ssize_t n;

    /* The kernel gives out such files by the page. */
    while ((n = pread(fd, text + len, sizeof(text) - 1 - len, (off_t)len)) > 0)
        len += (size_t)n;
    if (n < 0)
        return -errno;
    text[len] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (sscanf(line, "oom_kill %" SCNu64, ret) == 1)
            return 0;
    }
    return -ENODATA;
}

int oom_open_file(struct oom *oom, const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t count;

    if (fd < 0)
        return -errno;
    int r = read_count(fd, &count);
    if (r < 0)
        return r;
    *oom = (struct oom){ .fd = TAKE_FD(fd), .count = count };
    return 0;
}

/* A line of /proc/self/cgroup: "0::/path" is version 2, "4:memory:/path" version 1. */
static int open_group(struct oom *oom, const char *line)
{
    char path[PATH_MAX];
    const char *controllers = strchr(line, ':');
    const char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    int len = group ? (int)strcspn(group + 1, "\n") : 0;

    if (!group)
        return -ENOENT;
    if (strncmp(line, "0::", 3) == 0)
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/memory.events", len, group + 1);
    else if (strncmp(controllers, ":memory:", 8) == 0)
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%.*s/memory.oom_control", len, group + 1);
    else
        return -ENOENT;
    return oom_open_file(oom, path);
}

void oom_open(struct oom *oom)
{
    char line[PATH_MAX];
    int r = -ENOENT;

    oom->fd = -1;
    FILE *groups = fopen("/proc/self/cgroup", "re");
    while (groups && r < 0 && fgets(line, sizeof(line), groups))
        r = open_group(oom, line);
    if (groups)
        (void)fclose(groups);
    if (r < 0)
        (void)oom_open_file(oom, "/proc/vmstat");
}

void oom_close(struct oom *oom)
{
    if (oom->fd >= 0)
        (void)close(oom->fd);
    oom->fd = -1;
}

void oom_look(struct oom *oom, int64_t now_ns)
{
    uint64_t count = oom->count;

    if (oom->fd >= 0)
        (void)read_count(oom->fd, &count);
    if (count > oom->count) {
        oom->unowned += count - oom->count;
        oom->grown_ns = now_ns;
    } else if (now_ns - oom->grown_ns > OOM_NEAR_NS) {
        oom->unowned = 0; /* it hit somebody who is none of ours */
    }
    oom->count = count;
}

bool oom_take(struct oom *oom, int64_t now_ns)
{
    oom_look(oom, now_ns);
    if (oom->unowned == 0)
        return false;
    oom->unowned--;
    return true;
}
