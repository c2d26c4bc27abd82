/* SPDX-License-Identifier: MIT
 *
 * Kills a supervised application again and again, and measures how long it takes to be back.
 *
 *     killer START_LOG HOST PORT COUNT GAP_MS
 *
 * START_LOG is bench/app.c's: its last line names the process to kill. For each kill a line is printed: milliseconds
 * until the successor's main() ran, and until a GET /health to HOST:PORT was answered with 200.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http_client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define LIMIT_NS (20 * NS_PER_S) /* a successor that takes longer does not come */
#define PAUSE_NS (50 * NS_PER_US)

struct start {
    int pid;
    int64_t at_ns;
};

/* The last whole line of the log. */
static bool last_start(const char *path, struct start *ret)
{
    CLEANUP_FILE FILE *file = fopen(path, "r");
    char line[64];
    bool found = false;

    while (file && fgets(line, sizeof(line), file))
        found = (strchr(line, '\n') && sscanf(line, "%d %" SCNd64, &ret->pid, &ret->at_ns) == 2) || found;
    return found;
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
}

static bool answers(const struct board_address *address, int64_t deadline)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
    static struct http1_head scratch;
    static struct http_client client;
    uint32_t want = 0;

    http_client_init(&client, &scratch);
    if (http_client_start(&client, address, HTTP1_GET, request, sizeof(request) - 1) == 0)
        want = http_client_step(&client);
    while (want && clock_now() < deadline) {
        struct pollfd wait = { .fd = client.fd, .events = want & EPOLLIN ? POLLIN : POLLOUT };
        if (poll(&wait, 1, 100) > 0)
            want = http_client_step(&client);
    }
    bool ok = client.state == HTTP_CLIENT_DONE && client.status == 200;
    http_client_close(&client);
    return ok;
}

static bool kill_once(const char *log, const struct board_address *address)
{
    struct start before, after;

    if (!last_start(log, &before))
        return false;
    int64_t killed = clock_now(), deadline = killed + LIMIT_NS;
    if (kill(before.pid, SIGKILL) < 0)
        return false;
    for (after = before; after.at_ns == before.at_ns; pause_shortly())
        if (!last_start(log, &after) || clock_now() > deadline)
            return false;
    while (!answers(address, deadline)) {
        if (clock_now() > deadline)
            return false;
        pause_shortly();
    }
    printf("%.3f %.3f\n", (double)(after.at_ns - killed) / NS_PER_MS, (double)(clock_now() - killed) / NS_PER_MS);
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    struct board_address address;
    struct err err = { 0 };

    if (argc != 6) {
        (void)fprintf(stderr, "usage: killer START_LOG HOST PORT COUNT GAP_MS\n");
        return 2;
    }
    if (http_client_resolve(argv[2], argv[3], &address, &err) < 0) {
        (void)fprintf(stderr, "killer: %s\n", err.message);
        return 2;
    }
    for (long n = atol(argv[4]); n > 0; n--) {
        clock_sleep(atol(argv[5]) * NS_PER_MS);
        if (!kill_once(argv[1], &address)) {
            (void)fprintf(stderr, "killer: the application is not there, or did not come back in 20 s\n");
            return 1;
        }
    }
    return 0;
}
