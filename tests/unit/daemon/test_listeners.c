/* SPDX-License-Identifier: MIT
 *
 * Listeners: ports that are taken are problems with their place, a change opens and closes only what differs.
 */
#include "daemon/listeners.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A project that is loaded from text, as everything else gets it. */
static struct spec *load(const char *yaml)
{
    char dir[] = "/tmp/daruma-test.XXXXXX", path[64];
    struct problems problems = { 0 };
    struct spec *spec = NULL;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/compose.yaml", dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(yaml, file);
    (void)fclose(file);
    const char *const environment[] = { NULL };
    const struct compose_request request = { .working_dir = dir, .project_name = "test", .environment = environment };
    int r = compose_load(&request, &spec, &problems);
    (void)unlink(path);
    (void)rmdir(dir);
    if (r < 0) {
        struct buf text = { 0 };
        problems_format(&problems, false, &text);
        fail_msg("%s", text.data);
    }
    problems_free(&problems);
    return spec;
}

/* A port that is free now, held by nobody. */
static uint16_t free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    (void)close(fd);
    return ntohs(in.sin_port);
}

static int take_port(uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool accepts(uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
    (void)close(fd);
    return yes;
}

/* The value of a peer's variable; NULL when there is none. One of the last four stays valid. */
static const char *peer(struct listeners *listeners, const char *name)
{
    static char values[4][32];
    static unsigned next;
    const char *const *peers = listeners_peers(listeners);
    for (; peers && *peers; peers++) {
        if (strncmp(*peers, name, strlen(name)) != 0 || (*peers)[strlen(name)] != '=')
            continue;
        char *value = values[next++ % 4];
        (void)snprintf(value, sizeof(values[0]), "%s", *peers + strlen(name) + 1);
        return value;
    }
    return NULL;
}

static uint32_t active(const struct board *board)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < board->used_listeners; i++)
        n += board->listeners[i].state == BOARD_LISTENER_ACTIVE;
    return n;
}

static uint32_t routes(const struct board *board)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < board->used_routes; i++)
        n += board->routes[i].used;
    return n;
}

#define RUN "x-daruma: {process: {command: [\"true\"]}}"

static void every_taken_port_is_a_problem_with_its_place(void **state)
{
    uint16_t one = free_port(), two = free_port(), good = free_port();
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   "services:\n  a:\n    " RUN
                   "\n    ports:\n      - \"127.0.0.1:%u:80\"\n      - \"127.0.0.1:%u:81\"\n"
                   "      - \"127.0.0.1:%u:82\"\n",
                   one, good, two);
    struct spec *spec = load(yaml);
    struct listeners listeners = { 0 };
    struct problems problems = { 0 };
    int fd1 = take_port(one), fd2 = take_port(two);

    listeners_open(&listeners, spec, &problems);
    assert_int_equal(problems.errors, 2);
    assert_int_equal(problems.list[0].line, 5);
    assert_int_equal(problems.list[1].line, 7);
    assert_non_null(strstr(problems.list[0].message, "taken"));
    assert_non_null(strstr(problems.list[0].message, "ss -ltnp"));
    assert_true(accepts(good));
    listeners_discard(&listeners);
    assert_false(accepts(good));
    assert_int_equal(listeners.len, 0);

    (void)close(fd1);
    (void)close(fd2);
    problems_free(&problems);
    listeners_free(&listeners);
    spec_free(spec);
}

static void an_address_that_is_not_ours_is_a_problem(void **state)
{
    struct spec *spec = load("services:\n  a:\n    " RUN "\n    ports: [\"192.0.2.1:12345:80\"]\n");
    struct listeners listeners = { 0 };
    struct problems problems = { 0 };
    listeners_open(&listeners, spec, &problems);
    assert_int_equal(problems.errors, 1);
    assert_non_null(strstr(problems.list[0].message, "no such address"));
    problems_free(&problems);
    listeners_free(&listeners);
    spec_free(spec);
}

static void a_change_opens_and_closes_only_what_differs(void **state)
{
    uint16_t stays = free_port(), goes = free_port(), comes = free_port();
    char yaml[1024];
    const char *format = "services:\n  web:\n    " RUN "\n    ports: [\"127.0.0.1:%u:80\", \"127.0.0.1:%u:81\"]\n"
                         "  my-db: {" RUN ", expose: [\"5432\"]}\n";
    struct listeners listeners = { 0 };
    struct problems problems = { 0 };
    struct err err = { 0 };
    struct board *board = board_new(&err);
    assert_non_null(board);

    (void)snprintf(yaml, sizeof(yaml), format, stays, goes);
    struct spec *before = load(yaml);
    listeners_open(&listeners, before, &problems);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(listeners_publish(&listeners, before, board, &err), 0);
    assert_int_equal(active(board), 5); /* two published, three private */
    assert_int_equal(routes(board), 5);
    assert_true(accepts(stays) && accepts(goes));
    char *db_port = strdup(peer(&listeners, "MY_DB_PORT"));
    assert_string_equal(peer(&listeners, "MY_DB_PORT_5432"), db_port);
    assert_string_equal(peer(&listeners, "WEB_HOST"), "127.0.0.1");
    assert_string_equal(peer(&listeners, "WEB_PORT"), peer(&listeners, "WEB_PORT_80"));
    assert_non_null(peer(&listeners, "WEB_PORT_81"));
    assert_null(peer(&listeners, "MY-DB_PORT"));

    (void)snprintf(yaml, sizeof(yaml), format, stays, comes);
    struct spec *after = load(yaml);
    listeners_open(&listeners, after, &problems);
    assert_int_equal(problems.errors, 0);
    assert_true(accepts(goes)); /* not yet */
    assert_int_equal(listeners_publish(&listeners, after, board, &err), 0);
    assert_true(accepts(stays) && accepts(comes));
    assert_false(accepts(goes));
    assert_int_equal(active(board), 5);
    assert_int_equal(routes(board), 5);
    assert_string_equal(peer(&listeners, "MY_DB_PORT"), db_port);

    listeners_close_published(&listeners, board);
    assert_false(accepts(stays) || accepts(comes));
    assert_int_equal(active(board), 3);
    assert_true(accepts((uint16_t)atoi(db_port)));

    free(db_port);
    board_free(board);
    problems_free(&problems);
    listeners_free(&listeners);
    spec_free(before);
    spec_free(after);
}

static void a_refused_change_leaves_what_was_open(void **state)
{
    uint16_t first = free_port(), taken = free_port();
    char yaml[512];
    const char *format = "services:\n  web:\n    " RUN "\n    ports: [\"127.0.0.1:%u:80\"]\n";
    struct listeners listeners = { 0 };
    struct problems problems = { 0 };
    struct err err = { 0 };
    struct board *board = board_new(&err);
    assert_non_null(board);

    (void)snprintf(yaml, sizeof(yaml), format, first);
    struct spec *before = load(yaml);
    listeners_open(&listeners, before, &problems);
    assert_int_equal(listeners_publish(&listeners, before, board, &err), 0);
    int fd = take_port(taken);
    (void)snprintf(yaml, sizeof(yaml), format, taken);
    struct spec *after = load(yaml);
    listeners_open(&listeners, after, &problems);
    assert_int_equal(problems.errors, 1);
    listeners_discard(&listeners);
    assert_true(accepts(first));
    assert_int_equal(active(board), 2);
    /* And the old file can be applied again. */
    problems_free(&problems);
    listeners_open(&listeners, before, &problems);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(listeners_publish(&listeners, before, board, &err), 0);
    assert_true(accepts(first));

    (void)close(fd);
    board_free(board);
    problems_free(&problems);
    listeners_free(&listeners);
    spec_free(before);
    spec_free(after);
}

static bool has_peer(struct listeners *listeners, const char *begin)
{
    for (const char *const *peer = listeners_peers(listeners); *peer; peer++)
        if (strncmp(*peer, begin, strlen(begin)) == 0)
            return true;
    return false;
}

/* A name server has the same port twice, of which the gateway serves one. */
static void udp_says_nothing_about_the_same_port_of_tcp(void **state)
{
    struct listeners listeners = { 0 };
    struct problems problems = { 0 };
    struct board *board = board_new(NULL);
    struct spec *spec = load("services: {dns: {image: i, expose: [80], ports: [{target: 53, app_protocol: tcp}, "
                             "{target: 53, protocol: udp}]}}");
    listeners_open(&listeners, spec, &problems);
    assert_int_equal(listeners_publish(&listeners, spec, board, NULL), 0);
    for (size_t i = 0; i < listeners.len; i++)
        if (listeners.list[i].target == 53)
            assert_int_equal(board->listeners[listeners.list[i].slot].protocol, BOARD_TCP);
    assert_true(has_peer(&listeners, "DNS_PORT_53="));
    listeners_free(&listeners);
    problems_free(&problems);
    spec_free(spec);
    board_free(board);
}

/* What peers are told is the first port, and stays that while a change is only looked at. */
static void a_discarded_change_tells_peers_nothing(void **state)
{
    struct listeners listeners = { 0 };
    struct problems problems = { 0 };
    struct board *board = board_new(NULL);
    struct spec *before = load("services: {a: {image: i, expose: [80, 81]}}");
    struct spec *after = load("services: {a: {image: i, expose: [81, 80]}}");
    char told[64];

    listeners_open(&listeners, before, &problems);
    assert_int_equal(listeners_publish(&listeners, before, board, NULL), 0);
    (void)snprintf(told, sizeof(told), "A_PORT=%u", listeners.list[0].port);
    assert_int_equal(listeners.list[0].target, 80);
    assert_true(has_peer(&listeners, told));
    listeners_open(&listeners, after, &problems);
    listeners_discard(&listeners);
    assert_true(has_peer(&listeners, told));
    listeners_open(&listeners, after, &problems);
    assert_int_equal(listeners_publish(&listeners, after, board, NULL), 0);
    assert_false(has_peer(&listeners, told));
    listeners_free(&listeners);
    problems_free(&problems);
    spec_free(before);
    spec_free(after);
    board_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_taken_port_is_a_problem_with_its_place),
        cmocka_unit_test(an_address_that_is_not_ours_is_a_problem),
        cmocka_unit_test(a_change_opens_and_closes_only_what_differs),
        cmocka_unit_test(a_refused_change_leaves_what_was_open),
        cmocka_unit_test(udp_says_nothing_about_the_same_port_of_tcp),
        cmocka_unit_test(a_discarded_change_tells_peers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
