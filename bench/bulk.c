/* SPDX-License-Identifier: MIT
 *
 * A client of large bodies that costs next to nothing itself, so that it is not what is measured: what it gets it drops
 * in the kernel, uncopied (MSG_TRUNC, tcp(7)), and what it sends is always the same memory. On each connection one body
 * follows the other for SECONDS; those that have begun by then are waited for. Prints how many MiB went by.
 *
 *     bulk PORT down|up MIB CONNECTIONS SECONDS       down: GET /MIBM     up: POST /?id=1
 */
#include "base/clock.h"
#include "base/http1.h"
#include "base/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 256 * 1024, HEAD = 4096 };

struct client {
    struct loop_io io;
    uint64_t to_send, to_drop; /* of the request's body; of the answer's, once its head is there */
    bool head_done;
    size_t len; /* of the answer's head so far */
    char head[HEAD];
};

static struct loop *loop;
static char request[256];
static size_t request_len;
static uint64_t body; /* bytes of each request's */
static uint64_t mib, moved;
static int64_t until;
static unsigned open_clients;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void ask(struct client *client)
{
    client->head_done = false;
    client->len = 0;
    client->to_send = body;
    if (send(client->io.fd, request, request_len, MSG_NOSIGNAL | (body > 0 ? MSG_MORE : 0)) != (ssize_t)request_len)
        fail("bulk: send");
    (void)loop_io_change(loop, &client->io, EPOLLIN | (body > 0 ? EPOLLOUT : 0));
}

static void push(struct client *client)
{
    static char bytes[AT_ONCE];
    while (client->to_send > 0) {
        size_t len = client->to_send < AT_ONCE ? (size_t)client->to_send : AT_ONCE;
        ssize_t n = send(client->io.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            fail("bulk: send");
        client->to_send -= (uint64_t)n;
    }
    (void)loop_io_change(loop, &client->io, EPOLLIN);
}

static void whole(struct client *client)
{
    moved += mib;
    if (clock_now() < until) {
        ask(client);
        return;
    }
    loop_io_remove(loop, &client->io);
    (void)close(client->io.fd);
    if (--open_clients == 0)
        loop_stop(loop);
}

/* Bytes of the answer; of its body those that came together with the head have been counted. */
static void take_head(struct client *client, size_t n)
{
    struct http1_head head;
    client->len += n;
    int len = http1_parse_response(client->head, client->len, body > 0 ? HTTP1_POST : HTTP1_GET, &http1_default_limits,
                                   &head);
    if (len == 0)
        return;
    if (len < 0 || head.status != 200 || head.framing != HTTP1_LENGTH ||
        head.content_length < client->len - (size_t)len) {
        fprintf(stderr, "bulk: not the answer that was asked for\n");
        exit(1);
    }
    client->head_done = true;
    client->to_drop = head.content_length - (client->len - (size_t)len);
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct client *client = io->data;
    ssize_t n;

    if ((events & EPOLLOUT) && client->to_send > 0)
        push(client);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    if (client->head_done)
        n = recv(io->fd, NULL, (size_t)client->to_drop, MSG_TRUNC | MSG_DONTWAIT);
    else
        n = recv(io->fd, client->head + client->len, sizeof(client->head) - client->len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        fail("bulk: recv");
    if (client->head_done)
        client->to_drop -= (uint64_t)n;
    else
        take_head(client, (size_t)n);
    if (client->head_done && client->to_drop == 0 && client->to_send == 0)
        whole(client);
}

static void begin(const char *port)
{
    const struct sockaddr_in in = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons((uint16_t)atoi(port)) };
    struct client *client = calloc(1, sizeof(*client));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!client || fd < 0 || connect(fd, (const struct sockaddr *)&in, sizeof(in)) < 0)
        fail("bulk: connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    client->io = (struct loop_io){ .fn = on_ready, .data = client };
    if (loop_io_add(loop, &client->io, fd, EPOLLIN) < 0)
        fail("bulk: epoll");
    open_clients++;
    ask(client);
}

int main(int argc, char **argv)
{
    bool up = argc == 6 && strcmp(argv[2], "up") == 0;

    if (argc != 6 || (!up && strcmp(argv[2], "down") != 0)) {
        fprintf(stderr, "usage: bulk PORT down|up MIB CONNECTIONS SECONDS\n");
        return 2;
    }
    mib = strtoull(argv[3], NULL, 10);
    body = up ? mib << 20 : 0;
    request_len = (size_t)(up ? snprintf(request, sizeof(request),
                                         "POST /?id=1 HTTP/1.1\r\nHost: bench\r\nContent-Length: %llu\r\n\r\n",
                                         (unsigned long long)body)
                              : snprintf(request, sizeof(request), "GET /%lluM HTTP/1.1\r\nHost: bench\r\n\r\n",
                                         (unsigned long long)mib));
    loop = loop_new();
    if (!loop)
        fail("bulk: epoll");
    until = clock_now() + (int64_t)(atof(argv[5]) * NS_PER_S);
    for (int i = atoi(argv[4]); i > 0; i--)
        begin(argv[1]);
    if (loop_run(loop) < 0)
        fail("bulk: epoll_wait");
    printf("%llu\n", (unsigned long long)moved);
    return 0;
}
