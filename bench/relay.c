/* SPDX-License-Identifier: MIT
 *
 * The least that a proxy can do: bytes from one socket to the other, without looking at them. One upstream connection
 * for each client connection; four system calls a request (recv, send, recv, send) beside those to epoll. What a proxy
 * costs above this is the price of knowing what it forwards.
 *
 *     relay PORT UPSTREAM      UPSTREAM is a port on 127.0.0.1, or the path of a Unix socket
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FDS = 65536, EVENTS = 256, BUFFER = 64 * 1024 };

static int other[FDS]; /* the socket that this one's bytes go to; 0: none */
static int epoll_fd;
static struct sockaddr_storage upstream;
static socklen_t upstream_len;

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons((uint16_t)atoi(port)) };
}

static void set_upstream(const char *text)
{
    if (text[0] == '/') {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", text);
        memcpy(&upstream, &un, sizeof(un));
        upstream_len = sizeof(un);
    } else {
        struct sockaddr_in in = loopback(text);
        memcpy(&upstream, &in, sizeof(in));
        upstream_len = sizeof(in);
    }
}

static void part(int fd)
{
    int pair = other[fd];
    other[fd] = other[pair] = 0;
    (void)close(fd);
    (void)close(pair);
}

static int watch(int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void join(int client)
{
    int on = 1, fd = socket(upstream.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || fd >= FDS || client >= FDS || connect(fd, (struct sockaddr *)&upstream, upstream_len) < 0) {
        (void)close(fd);
        (void)close(client);
        return;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    other[client] = fd;
    other[fd] = client;
    if (watch(client) < 0 || watch(fd) < 0)
        part(client);
}

/* Blocks while the other side does not take what came: in a benchmark it does. */
static void pass(int fd)
{
    static char bytes[BUFFER];
    ssize_t n;

    do {
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n > 0 && send(other[fd], bytes, (size_t)n, MSG_NOSIGNAL) != n)
            n = 0;
    } while (n == BUFFER);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        part(fd);
}

int main(int argc, char **argv)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 3) {
        fprintf(stderr, "usage: relay PORT UPSTREAM\n");
        return 2;
    }
    struct sockaddr_in in = loopback(argv[1]);
    set_upstream(argv[2]);
    (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ FDS, FDS });
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || epoll_fd < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(listener, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(listener, 4096) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &(struct epoll_event){ .events = EPOLLIN, .data.fd = listener }) <
            0) {
        perror("relay");
        return 1;
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (client >= 0)
                    join(client);
            } else if (other[fd]) {
                pass(fd);
            }
        }
    }
}
