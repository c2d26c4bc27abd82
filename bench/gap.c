/* SPDX-License-Identifier: MIT
 *
 * How long nobody answers when a process behind a port is killed.
 *
 *     gap PORT
 *
 * Reads process ids from standard input. Each is killed with SIGKILL, a request goes out at once on a connection that was
 * there before, and the milliseconds from the kill to the whole answer are printed. Ends early when there is none.
 */
#include "base/clock.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Every server here answers with "ok\n" behind its head. */
static bool ask(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: gap\r\n\r\n";
    char answer[4096];
    size_t len = 0;

    if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        return false;
    while (len < 7 || memcmp(answer + len - 3, "ok\n", 3) != 0) {
        ssize_t n = recv(fd, answer + len, sizeof(answer) - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
    }
    return true;
}

int main(int argc, char **argv)
{
    int pid, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 2) {
        (void)fprintf(stderr, "usage: gap PORT\n");
        return 2;
    }
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons((uint16_t)atoi(argv[1])) };
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        perror("gap");
        return 1;
    }
    while (scanf("%d", &pid) == 1) {
        if (!ask(fd))
            return 1;
        int64_t begun = clock_now();
        if (kill(pid, SIGKILL) < 0 || !ask(fd))
            return 1;
        printf("%.3f\n", (double)(clock_now() - begun) / (double)NS_PER_MS);
        (void)fflush(stdout);
    }
    return 0;
}
