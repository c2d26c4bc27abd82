/* SPDX-License-Identifier: MIT */
#include "daemon/listen_socket.h"

#include "base/cleanup.h"
#include "base/inherit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { BACKLOG = 4096, DEFER_S = 1 };

int listen_socket_inet(const char *host, uint16_t port, struct board_address *ret)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    *ret = (struct board_address){ 0 };
    if (!host[0] || inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in.sin_addr) == 1) {
        memcpy(&ret->u, &in, sizeof(in));
        ret->len = sizeof(in);
    } else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&ret->u, &in6, sizeof(in6));
        ret->len = sizeof(in6);
    } else {
        return -EINVAL;
    }
    return 0;
}

int listen_socket_unix(const char *path, struct board_address *ret)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t len = strlen(path);

    if (len >= sizeof(un.sun_path))
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, len);
    *ret = (struct board_address){ .len = sizeof(un) };
    memcpy(&ret->u, &un, sizeof(un));
    return 0;
}

const char *listen_socket_path(const struct board_address *address)
{
    return address->u.any.sa_family == AF_UNIX ? ((const struct sockaddr_un *)(const void *)&address->u)->sun_path
                                               : NULL;
}

/* A socket is there: does nobody listen on it, for its owner died? */
static int remove_stale(const struct board_address *address)
{
    const char *path = listen_socket_path(address);
    struct stat st;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || lstat(path, &st) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    if (connect(fd, &address->u.any, address->len) == 0 || errno != ECONNREFUSED)
        return -EADDRINUSE;
    return unlink(path) < 0 ? -errno : 0;
}

/* The permissions are there from the first moment on. */
static int bind_unix(int fd, const struct board_address *address, mode_t mode)
{
    mode_t before = umask(0777 & ~mode);
    int r = bind(fd, &address->u.any, address->len) < 0 ? -errno : 0;
    (void)umask(before);
    return r;
}

static int bind_to(int fd, const struct board_address *address, mode_t mode)
{
    if (!listen_socket_path(address))
        return bind(fd, &address->u.any, address->len) < 0 ? -errno : 0;
    int r = bind_unix(fd, address, mode);
    if (r == -EADDRINUSE)
        r = remove_stale(address);
    else
        return r;
    return r < 0 ? r : bind_unix(fd, address, mode);
}

int listen_socket_open(struct board_address *address, mode_t mode)
{
    int family = address->u.any.sa_family, on = 1;
    int inherited = inherit_listener(&address->u.any, address->len);
    if (inherited >= 0)
        return inherited;
    CLEANUP_CLOSE int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    /* Otherwise connections of an earlier run that linger in TIME_WAIT would keep the port from us. */
    if (family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    /* "[::]:80" beside "0.0.0.0:80" is what the file says, and both can be had. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    /* Accepted sockets inherit it, if it is there before their connection is made. */
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    int r = bind_to(fd, address, mode);
    if (r < 0)
        return r;
    if (listen(fd, BACKLOG) < 0)
        return -errno;
    socklen_t len = sizeof(address->u);
    if (family != AF_UNIX && getsockname(fd, &address->u.any, &len) == 0)
        address->len = len;
    return TAKE_FD(fd);
}

void listen_socket_defer(int fd, bool defer)
{
    int seconds = defer ? DEFER_S : 0;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
}
