/* SPDX-License-Identifier: MIT
 *
 * A file that lines are appended to, which never grows beyond a limit: full, it is renamed to PATH.1 and begun anew.
 */
#ifndef DARUMA_OBSERVE_LOGFILE_H
#define DARUMA_OBSERVE_LOGFILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct logfile {
    char path[PATH_MAX];
    int fd; /* -1: not open; opened by the first line */
    int64_t size, limit;
};

void logfile_init(struct logfile *file, const char *path, int64_t limit);
void logfile_close(struct logfile *file);

/* Appends whole lines. 0, or a negative errno; then nothing of them is in the file. */
int logfile_write(struct logfile *file, const char *lines, size_t len);

#endif
