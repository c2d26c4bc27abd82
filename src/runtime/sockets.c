/* SPDX-License-Identifier: MIT */
#include "runtime/sockets.h"

#include "base/cleanup.h"
#include "base/inherit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { LISTEN_FDS_START = 3 }; /* sd_listen_fds(3) */

int sockets_init(struct sockets *sockets, const char *run_dir)
{
    *sockets = (struct sockets){ 0 };
    return asprintf(&sockets->directory, "%s/sockets", run_dir) < 0 ? -ENOMEM : 0;
}

static const char *socket_path(const struct kept_socket *kept)
{
    return ((const struct sockaddr_un *)&kept->address.u.any)->sun_path;
}

static void close_socket(struct kept_socket *kept)
{
    if (kept->fd >= 0)
        (void)close(kept->fd);
    (void)unlink(socket_path(kept));
    free(kept->instance);
    free(kept);
}

void sockets_free(struct sockets *sockets)
{
    while (sockets->first) {
        struct kept_socket *kept = sockets->first;
        sockets->first = kept->next;
        close_socket(kept);
    }
    if (sockets->directory)
        (void)rmdir(sockets->directory);
    free(sockets->directory);
    sockets->directory = NULL;
}

static int listen_at(const struct sockaddr_un *address, struct err *err)
{
    int inherited = inherit_listener((const struct sockaddr *)address, sizeof(*address));
    if (inherited >= 0)
        return inherited;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, -errno, "cannot open a socket");
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return err_errno(err, -errno, "cannot remove the old socket %s", address->sun_path);
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return err_errno(err, -errno, "cannot bind the socket %s", address->sun_path);
    if (listen(fd, SOMAXCONN) < 0)
        return err_errno(err, -errno, "cannot listen on %s", address->sun_path);
    return TAKE_FD(fd);
}

/* Adds the instance's entry, without a socket yet. */
static struct kept_socket *add(struct sockets *sockets, const char *instance, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", sockets->directory, instance);
    if (n < 0 || (size_t)n >= sizeof(address.sun_path)) {
        (void)err_set(err, -ENAMETOOLONG, "the socket's path %s/%s is too long; set DARUMA_RUN_DIR to a shorter one",
                      sockets->directory, instance);
        return NULL;
    }
    if (mkdir(sockets->directory, 0700) < 0 && errno != EEXIST) {
        (void)err_errno(err, -errno, "cannot make the folder %s", sockets->directory);
        return NULL;
    }
    struct kept_socket *kept = calloc(1, sizeof(*kept));
    if (kept)
        kept->instance = strdup(instance);
    if (!kept || !kept->instance) {
        (void)err_errno(err, -ENOMEM, "cannot keep a socket for %s", instance);
        free(kept);
        return NULL;
    }
    kept->fd = -1;
    kept->address.len = sizeof(address);
    memcpy(&kept->address.u, &address, sizeof(address));
    kept->next = sockets->first;
    sockets->first = kept;
    return kept;
}

static struct kept_socket *find(const struct sockets *sockets, const char *instance)
{
    struct kept_socket *kept = sockets->first;
    while (kept && strcmp(kept->instance, instance) != 0)
        kept = kept->next;
    return kept;
}

const struct kept_socket *sockets_open(struct sockets *sockets, const char *instance, struct err *err)
{
    struct kept_socket *kept = find(sockets, instance);
    if (!kept)
        kept = add(sockets, instance, err);
    if (kept && kept->fd < 0)
        kept->fd = listen_at((const struct sockaddr_un *)&kept->address.u.any, err);
    return kept && kept->fd >= 0 ? kept : NULL;
}

static bool is_at(int fd, const struct board_address *address)
{
    struct sockaddr_un at = { 0 };
    socklen_t len = sizeof(at);
    return getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sun_family == AF_UNIX &&
           strcmp(at.sun_path, ((const struct sockaddr_un *)&address->u.any)->sun_path) == 0;
}

int sockets_adopt(struct sockets *sockets, const char *instance, int pidfd, struct err *err)
{
    struct kept_socket *kept = add(sockets, instance, err);
    if (!kept)
        return -EIO;
    int fd = inherit_listener(&kept->address.u.any, kept->address.len);
    if (fd < 0)
        fd = pidfd_getfd(pidfd, LISTEN_FDS_START, 0);
    if (fd >= 0 && is_at(fd, &kept->address))
        kept->fd = fd;
    else if (fd >= 0)
        (void)close(fd);
    return 0;
}

void sockets_forget(struct sockets *sockets, const char *instance)
{
    for (struct kept_socket **at = &sockets->first; *at; at = &(*at)->next)
        if (strcmp((*at)->instance, instance) == 0) {
            struct kept_socket *kept = *at;
            *at = kept->next;
            close_socket(kept);
            return;
        }
}
