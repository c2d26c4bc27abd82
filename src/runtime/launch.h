/* SPDX-License-Identifier: MIT
 *
 * What one process of an instance is to be: program, arguments, environment, directory, user, limits. Built before
 * fork(2), because a child of a fork may not allocate; used for the instance itself and for what runs beside it.
 *
 * Its environment, later lines win:
 *
 *   inherited    PATH HOME USER LOGNAME LANG LC_ALL TZ TERM TMPDIR of whoever gave `daruma up`, nothing else. Docker
 *                passes none of the host's environment; a plain process without PATH or HOME finds nothing
 *   user         HOME USER LOGNAME of the service's `user`
 *   daruma       DARUMA_SERVICE, DARUMA_INSTANCE, HOSTNAME (`hostname`, else the instance's name), HOST=127.0.0.1
 *   peers        <SERVICE>_HOST, <SERVICE>_PORT
 *   file         `environment` and `env_file`
 *   ports        PORT_<target> for each port. PORT is the private port of the first one, or of the target that the
 *                file's own PORT names; a PORT in the file that is no target of the service stays as it is
 *   socket       LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, when a listening socket is handed over (sd_listen_fds(3))
 */
#ifndef DARUMA_RUNTIME_LAUNCH_H
#define DARUMA_RUNTIME_LAUNCH_H

#include "runtime/runtime.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Strings that belong to the list; NULL-terminated once something was added. */
struct strings {
    char **list;
    size_t len, cap;
};

/* Who a process runs as. */
struct identity {
    bool change; /* false: as we are */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary */
    int groups_len;
};

struct launch_limit {
    int resource;
    struct rlimit limit;
};

struct launch {
    struct strings argv;
    struct strings environment;
    char *directory;
    struct identity identity;
    struct launch_limit *limits;
    size_t limits_len;
    char *listen_pid; /* in `environment`: room behind "LISTEN_PID=", filled by the child; NULL: no socket */
};

/* Builds it for one start. `ports` are the instance's private addresses, `socket` says that the first one is handed
   over as a listening socket. -EINVAL when nothing says what to run, -ENOENT for an unknown user, -EPERM when only root
   could do it, -ENOMEM; with `err`. On failure `ret` holds nothing. */
int launch_build(const struct runtime_start *start, const struct runtime_port *ports, size_t ports_len, bool socket,
                 struct launch *ret, struct err *err);
/* Accepts a zeroed one. */
void launch_free(struct launch *launch);

/* The words to run: x-daruma.process.command, else entrypoint and command. -EINVAL when the file names none. */
int launch_command(const struct spec_service *service, struct strings *ret);

/* "uid", "uid:gid", "name", "name:group" → who that is. As launch_build(). */
int launch_identity(const char *user, struct identity *ret, struct err *err);
void identity_free(struct identity *identity);

/* The executable file for `name`: looked for in `path` ("a:b"; NULL: the system's default), or taken from `directory`
   when it has a slash. -ENOENT, -EACCES (found, but not executable), -ENAMETOOLONG. */
int launch_find_program(const char *name, const char *path, const char *directory, char **ret);

/* The value of NAME, or NULL. `list` may be NULL. */
const char *environment_get(char *const *list, const char *name);

void strings_free(struct strings *strings);

#endif
