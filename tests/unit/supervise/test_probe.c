/* SPDX-License-Identifier: MIT
 *
 * One probe of a server of our own.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "supervise/probe.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void on_done(struct probe *probe, bool passed, const char *text)
{
    *(int *)probe->data = passed ? 1 : -1;
}

static int listen_anywhere(struct board_address *ret)
{
    const struct sockaddr_in anywhere = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret = (struct board_address){ .len = sizeof(anywhere) };
    memcpy(&ret->u, &anywhere, sizeof(anywhere));
    assert_int_equal(bind(fd, &ret->u.any, ret->len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &ret->u.any, &ret->len), 0);
    return fd;
}

/* Until its program runs, whoever is being started holds all that its supervisor has open. */
static pid_t fork_holder(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    return pid;
}

static void its_connection_says_nothing_any_more_though_a_child_holds_it(void **unused)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    struct loop *loop = loop_new();
    int result = 0;
    struct probe probe = { .loop = loop, .done = on_done, .data = &result };
    struct probe_target target = { .test = SPEC_TEST_HTTP, .url = "/", .timeout_ns = 10 * NS_PER_S };
    int listener = listen_anywhere(&target.address);

    probe_start(&probe, &target);
    assert_int_equal(loop_turn(loop, NS_PER_S), 0);
    pid_t holder = fork_holder();
    int server = accept(listener, NULL, NULL);
    assert_int_equal(send(server, answer, sizeof(answer) - 1, 0), sizeof(answer) - 1);
    (void)close(server);
    while (result == 0)
        assert_int_equal(loop_turn(loop, NS_PER_S), 0);
    assert_int_equal(result, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(loop_turn(loop, 10 * NS_PER_MS), 0);
    (void)kill(holder, SIGKILL);
    (void)waitpid(holder, NULL, 0);
    (void)close(listener);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_connection_says_nothing_any_more_though_a_child_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
