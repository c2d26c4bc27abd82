/* SPDX-License-Identifier: MIT */
#include "observe/inbox.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define INBOX_MAGIC 0x646172756e627831u

static_assert(sizeof(struct inbox) == 24 + EVENT_NAME + INBOX_SIZE, "layout");

/* A file of the right size, with room on the file system for all of it. */
static int open_file(const char *path)
{
    struct stat st;
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    bool ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
                st.st_size == (off_t)sizeof(struct inbox);
    if (!ours && (ftruncate(fd, 0) < 0 || ftruncate(fd, sizeof(struct inbox)) < 0))
        return -errno;
    if (fallocate(fd, 0, 0, sizeof(struct inbox)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

struct inbox *inbox_open(const char *path, struct err *err)
{
    CLEANUP_CLOSE int fd = open_file(path);
    if (fd < 0) {
        (void)err_errno(err, fd, "cannot make %.300s; make room there, or set DARUMA_RUN_DIR", path);
        return NULL;
    }
    struct inbox *inbox = mmap(NULL, sizeof(*inbox), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (inbox == MAP_FAILED) {
        (void)err_errno(err, -errno, "cannot map %.300s", path);
        return NULL;
    }
    (void)madvise(inbox, sizeof(*inbox), MADV_DONTFORK); /* the reader's alone */
    if (inbox->magic != INBOX_MAGIC || !memchr(inbox->instance, 0, sizeof(inbox->instance)))
        memset(inbox, 0, sizeof(*inbox));
    inbox->magic = INBOX_MAGIC;
    return inbox;
}

void inbox_close(struct inbox *inbox)
{
    if (inbox)
        (void)munmap(inbox, sizeof(*inbox));
}

void inbox_begin(struct inbox *inbox, const char *instance, int stream)
{
    (void)snprintf(inbox->instance, sizeof(inbox->instance), "%s", instance);
    inbox->stream = (uint32_t)stream;
    inbox->number++;
    atomic_signal_fence(memory_order_seq_cst); /* a death sees this before the bytes that are read now */
}

void inbox_end(struct inbox *inbox, size_t len)
{
    memset(inbox->data, 0, len);
}

size_t inbox_length(const struct inbox *inbox)
{
    size_t len = INBOX_SIZE;
    while (len > 0 && inbox->data[len - 1] == '\0')
        len--;
    return len;
}
