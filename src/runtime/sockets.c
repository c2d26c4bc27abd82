/* SPDX-License-Identifier: MIT */
#include "runtime/sockets.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

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

static struct kept_socket *open_socket(struct sockets *sockets, const char *instance, struct err *err)
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
    kept->fd = listen_at(&address, err);
    if (kept->fd < 0) {
        free(kept->instance);
        free(kept);
        return NULL;
    }
    kept->address.len = sizeof(address);
    memcpy(&kept->address.u, &address, sizeof(address));
    return kept;
}

const struct kept_socket *sockets_open(struct sockets *sockets, const char *instance, struct err *err)
{
    for (struct kept_socket *kept = sockets->first; kept; kept = kept->next)
        if (strcmp(kept->instance, instance) == 0)
            return kept;
    struct kept_socket *kept = open_socket(sockets, instance, err);
    if (kept) {
        kept->next = sockets->first;
        sockets->first = kept;
    }
    return kept;
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
