/* SPDX-License-Identifier: MIT
 *
 * A file that lines are appended to, which never grows beyond a limit: full, it is renamed to PATH.1 and begun anew.
 */
#ifndef DARUMA_OBSERVE_LOGFILE_H
#define DARUMA_OBSERVE_LOGFILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logfile {
    char path[PATH_MAX];
    int fd; /* -1: not open; opened by the first line */
    int64_t size, limit;
    uint64_t inode; /* of the file as it was opened last; 0: never */
    bool endless;   /* a pipe or a device: it has no size, and is never renamed */
};

void logfile_init(struct logfile *file, const char *path, int64_t limit);
void logfile_close(struct logfile *file);

/* Opens it before its first line; else that does. Never waits. 0 or a negative errno; -ENXIO: nobody reads this pipe. */
int logfile_open(struct logfile *file);

/* Before the first line: what came behind `size` bytes of the file that had that inode is cut off, also when it has been
   renamed since; a file that was begun after it is emptied. Inode 0: it never was opened, and nothing is done. */
void logfile_cut(struct logfile *file, uint64_t inode, int64_t size);

/* Appends whole lines. 0, or a negative errno; then nothing of them is in the file. -EAGAIN: the pipe is full. */
int logfile_write(struct logfile *file, const char *lines, size_t len);

#endif
