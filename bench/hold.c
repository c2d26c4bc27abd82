/* SPDX-License-Identifier: MIT
 *
 * Many clients that have nothing to say: opens connections, makes one request on each, so that the front has really
 * served it, prints "ready N" when all are answered, and keeps them open until it is killed.
 *
 *     hold PORT COUNT         idle ones
 *     hold PORT COUNT slow    each sends a head that never ends, a byte a second; "ready" after the first bytes
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SPARE = 64,   /* descriptors that are not connections */
    SLICES = 200, /* of a second */
};

static bool slow;

/* The connection, or -1. */
static int hold_one(const struct sockaddr_in *to)
{
    static const char whole[] = "GET / HTTP/1.1\r\nHost: hold\r\n\r\n", part[] = "GET / HTTP/1.1\r\nHost: hold\r\nX: ";
    const char *ask = slow ? part : whole;
    char answer[4096];
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
        send(fd, ask, strlen(ask), MSG_NOSIGNAL) != (ssize_t)strlen(ask))
        return -1;
    /* Every server here answers with "ok\n" behind its head, in one piece or in two. */
    while (!slow && (len < 7 || memcmp(answer + len - 3, "ok\n", 3) != 0)) {
        ssize_t n = recv(fd, answer + len, sizeof(answer) - len, 0);
        if (n <= 0)
            return -1;
        len += (size_t)n;
    }
    return fd;
}

/* One byte more on each in a second, spread over it, so that our own bursts are not what others wait for; who was closed
   stays so. */
static void go_on(const int *fds, unsigned count)
{
    const unsigned slice = count / SLICES + 1;
    for (unsigned i = 0; count > 0; i = (i + 1) % count) {
        (void)send(fds[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (i % slice == slice - 1 || i == count - 1)
            (void)usleep(1000000 / SLICES);
    }
}

/* A child holds as many as it may have descriptors; the parent sums up. */
static void hold_many(const struct sockaddr_in *to, unsigned count, int report_fd)
{
    unsigned held = 0;
    int *fds = calloc(count, sizeof(*fds));

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fds && held < count && (fds[held] = hold_one(to)) >= 0)
        held++;
    if (write(report_fd, &held, sizeof(held)) == sizeof(held) && slow)
        go_on(fds, held);
    (void)pause();
    _exit(0);
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    int report[2];

    if (argc < 3 || argc > 4 || getrlimit(RLIMIT_NOFILE, &limit) < 0 || pipe(report) < 0) {
        fprintf(stderr, "usage: hold PORT COUNT [slow]\n");
        return 2;
    }
    slow = argc == 4;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons((uint16_t)atoi(argv[1])) };
    unsigned wanted = (unsigned)atoi(argv[2]), each = (unsigned)limit.rlim_cur - SPARE, children = 0, held = 0;
    for (unsigned left = wanted; left > 0; children++) {
        unsigned share = left < each ? left : each;
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        if (pid == 0)
            hold_many(&to, share, report[1]);
        left -= share;
    }
    for (unsigned i = 0; i < children; i++) {
        unsigned part = 0;
        if (read(report[0], &part, sizeof(part)) != sizeof(part))
            return 1;
        held += part;
    }
    printf("ready %u\n", held);
    (void)fflush(stdout);
    if (held < wanted)
        perror("hold");
    (void)pause();
    return 0;
}
