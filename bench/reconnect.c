/* SPDX-License-Identifier: MIT
 *
 * Clients that want an upgraded connection each, as WebSockets are, all the time: each sends a word every 100 ms and waits for its echo, and
 * connects anew when its connection ends. Until SIGINT or SIGTERM; then one line of JSON:
 *
 *     opened    connections that got their 101
 *     refused   attempts that did not: another answer, or none within 15 s
 *     ended     connections that the other side ended
 *     words     words that came back
 *
 *     reconnect PORT COUNT
 */
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1000, EVERY_MS = 100, PATIENCE_S = 15 };

static _Atomic long opened, refused, ended, words;
static uint16_t port;

static int connect_and_upgrade(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char head[512];
    size_t len = 0;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
        send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
        return -1;
    /* Byte by byte: what follows the head is not its own. */
    while (len < sizeof(head) && (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0))
        if (recv(fd, head + len++, 1, 0) != 1)
            return -1;
    return len > 12 && memcmp(head + 9, "101", 3) == 0 ? TAKE_FD(fd) : -1;
}

static bool exchange(int fd)
{
    char word[4] = "word", back[4];

    if (send(fd, word, sizeof(word), MSG_NOSIGNAL) != sizeof(word) ||
        recv(fd, back, sizeof(back), MSG_WAITALL) != sizeof(back))
        return false;
    atomic_fetch_add(&words, 1);
    struct pollfd end = { .fd = fd, .events = POLLIN };
    return poll(&end, 1, EVERY_MS) == 0;
}

static void *hold(void *unused)
{
    for (;;) {
        CLEANUP_CLOSE int fd = connect_and_upgrade();
        if (fd < 0) {
            atomic_fetch_add(&refused, 1);
            (void)usleep(EVERY_MS * 1000);
            continue;
        }
        atomic_fetch_add(&opened, 1);
        while (exchange(fd))
            ;
        atomic_fetch_add(&ended, 1);
    }
    return unused;
}

int main(int argc, char **argv)
{
    sigset_t stop;
    pthread_t thread;
    int number, count = argc == 3 ? atoi(argv[2]) : 0;

    port = argc == 3 ? (uint16_t)atoi(argv[1]) : 0;
    if (port == 0 || count < 1 || count > MOST) {
        (void)fprintf(stderr, "usage: reconnect PORT COUNT\n");
        return 2;
    }
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGINT);
    (void)sigaddset(&stop, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
    for (int i = 0; i < count; i++)
        if (pthread_create(&thread, NULL, hold, NULL) != 0)
            return 1;
    (void)sigwait(&stop, &number);
    printf("{\"opened\": %ld, \"refused\": %ld, \"ended\": %ld, \"words\": %ld}\n", opened, refused, ended, words);
    return 0;
}
