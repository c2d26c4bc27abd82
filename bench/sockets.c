/* SPDX-License-Identifier: MIT
 *
 * Clients with upgraded connections, as those of WebSockets are: opens them, prints "ready N", then sends a number on each
 * every PAUSE_MS and expects it back (bench/app.c). At SIGINT or SIGTERM it says what it saw: {"open", "closed",
 * "messages", "wrong", "max_ms"}.
 *
 *     sockets PORT COUNT [PAUSE_MS (1000)]
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/loop.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

struct client {
    struct loop_io io;
    struct loop_timer timer;
    uint64_t number, answer; /* sent last; what has come of it */
    size_t len;              /* of `answer`, in bytes */
    int64_t sent_ns;
};

static struct loop *loop;
static int64_t pause_ns = NS_PER_S;
static unsigned opened, closed;
static uint64_t messages, wrong;
static int64_t longest_ns;

static void lose(struct client *client)
{
    loop_io_remove(loop, &client->io);
    loop_timer_cancel(loop, &client->timer);
    (void)close(client->io.fd);
    closed++;
}

static void on_timer(struct loop_timer *timer)
{
    struct client *client = timer->data;

    client->number++;
    client->sent_ns = clock_now();
    if (send(client->io.fd, &client->number, sizeof(client->number), MSG_NOSIGNAL) != sizeof(client->number))
        lose(client);
}

static void on_answer(struct loop_io *io, uint32_t events)
{
    struct client *client = io->data;

    (void)events;
    ssize_t n = recv(io->fd, (char *)&client->answer + client->len, sizeof(client->answer) - client->len, 0);
    if (n <= 0) {
        lose(client);
        return;
    }
    client->len += (size_t)n;
    if (client->len < sizeof(client->answer))
        return;
    int64_t took = clock_now() - client->sent_ns;
    longest_ns = took > longest_ns ? took : longest_ns;
    client->len = 0;
    messages++;
    wrong += client->answer != client->number;
    loop_timer_set(loop, &client->timer, clock_now() + pause_ns);
}

/* False when it could not be opened. */
static bool open_client(struct client *client, const struct sockaddr_in *to, int64_t first_ns)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    char answer[1024] = { 0 };
    size_t len = 0;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
        send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) != sizeof(ask) - 1)
        return false;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (!strstr(answer, "\r\n\r\n")) {
        ssize_t n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
    }
    client->io = (struct loop_io){ .fn = on_answer, .data = client };
    client->timer = (struct loop_timer){ .fn = on_timer, .data = client };
    loop_timer_set(loop, &client->timer, clock_now() + first_ns);
    return strstr(answer, " 101 ") && loop_io_add(loop, &client->io, fd, EPOLLIN) == 0;
}

static void on_signal(struct loop_io *io, uint32_t events)
{
    (void)io;
    (void)events;
    loop_stop(loop);
}

int main(int argc, char **argv)
{
    sigset_t set;

    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "usage: sockets PORT COUNT [PAUSE_MS]\n");
        return 2;
    }
    if (argc == 4)
        pause_ns = atol(argv[3]) * NS_PER_MS;
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons((uint16_t)atoi(argv[1])) };
    unsigned count = (unsigned)atoi(argv[2]);
    struct client *clients = calloc(count + 1, sizeof(*clients));
    loop = loop_new();
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (!loop || !clients || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return 1;
    struct loop_io ends = { .fn = on_signal };
    if (loop_io_add(loop, &ends, signalfd(-1, &set, SFD_CLOEXEC), EPOLLIN) < 0)
        return 1;
    /* Spread over the pause, so that our own bursts are not what others wait for. */
    while (opened < count && open_client(&clients[opened], &to, pause_ns * opened / count))
        opened++;
    (void)printf("ready %u\n", opened);
    (void)fflush(stdout);
    if (opened < count)
        return 1;
    (void)loop_run(loop);
    (void)printf("{\"open\": %u, \"closed\": %u, \"messages\": %" PRIu64 ", \"wrong\": %" PRIu64
                 ", \"max_ms\": %.1f}\n",
                 opened - closed, closed, messages, wrong, (double)longest_ns / (double)NS_PER_MS);
    return 0;
}
