/* SPDX-License-Identifier: MIT
 *
 * Workers that find a damaged arena: a slot that does not pass its checks is dropped alone and counted, an arena that makes
 * no sense as a whole ends the pair, and nothing that stands in it makes a worker die again and again.
 */
#include "rig.h"

#include "base/rng.h"
#include "gateway/conn_fsm.h"
#include "gateway/slots.h"

#include <fcntl.h>

enum { CLIENTS = 6 };

static struct client client;
static off_t arena_at;
static const int *many;   /* the same, more of them, idle from the beginning */
static int kept[CLIENTS]; /* clients whose connections are kept alive, each in the slot of its number */

/* ---- the arena from outside ---- */

static int memory(void)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", rig_role(&rig));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Where it lies in the worker: the shared mapping that begins with its magic number. Successors have it at the same place. */
static void find_arena(void)
{
    char path[64], line[512];
    unsigned long from, to;
    uint64_t magic;
    int fd = memory();
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", rig_role(&rig));
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    arena_at = 0;
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%lx-%lx rw-s", &from, &to) == 2 &&
            pread(fd, &magic, sizeof(magic), (off_t)from) == sizeof(magic) && magic == GW_ARENA_MAGIC)
            arena_at = (off_t)from;
    (void)fclose(maps);
    (void)close(fd);
    assert_true(arena_at > 0);
}

static off_t conn_at(uint32_t index)
{
    return arena_at + (off_t)((sizeof(struct arena) + 4095) & ~(size_t)4095) + (off_t)(index * sizeof(struct conn));
}

static void overwrite(off_t at, const void *bytes, size_t len)
{
    int fd = memory();
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    (void)close(fd);
}

static struct conn read_conn(uint32_t index)
{
    struct conn conn;
    int fd = memory();
    assert_int_equal(pread(fd, &conn, sizeof(conn), conn_at(index)), sizeof(conn));
    (void)close(fd);
    return conn;
}

/* ---- the pair ---- */

static void ask_kept(int i, bool there)
{
    client.fd = kept[i];
    client.len = 0;
    (void)puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_int_equal(client_response(&client, HTTP1_GET), there ? 200 : 0);
}

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .guarded = true });
    rig_upstream(&rig, 0, NULL);
    WAIT_FOR(rig_role(&rig) > 0);
    find_arena();
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&client, &rig);
        kept[i] = client.fd;
        ask_kept(i, true);
        WAIT_FOR(read_conn((uint32_t)i).state == CONN_IDLE);
    }
    return 0;
}

static void close_clients(void)
{
    for (int i = 0; i < CLIENTS; i++)
        (void)close(kept[i]);
}

static int all_over(void **unused)
{
    (void)unused;
    close_clients();
    rig_end(&rig);
    return 0;
}

/* As after a fall on the head: it does nothing more, but what it has done can be changed. */
static pid_t stun(void)
{
    pid_t pid = rig_role(&rig);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    WAIT_FOR(waitid(P_PID, (id_t)rig.worker, &(siginfo_t){ 0 }, WNOHANG | WEXITED | WNOWAIT) == 0);
    return pid;
}

static void finish_off(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    WAIT_FOR(rig_role(&rig) != pid);
}

static const struct adoption_gauge *adoption(void)
{
    return &rig.gauges->worker[0].adoption;
}

static void dies_and_drops(uint32_t dropped)
{
    finish_off(rig_role(&rig));
    WAIT_FOR(adoption()->adoptions == 1);
    assert_int_equal(adoption()->dropped, dropped);
    assert_int_equal(adoption()->adopted, CLIENTS - dropped);
}

/* ---- one slot ---- */

static void without_damage_all_connections_go_on(void **unused)
{
    (void)unused;
    dies_and_drops(0);
    for (int i = 0; i < CLIENTS; i++)
        ask_kept(i, true);
}

static void damage(uint32_t index, size_t at, const void *bytes, size_t len)
{
    (void)stun();
    overwrite(conn_at(index) + (off_t)at, bytes, len);
}

static void only_the_damaged_slot_is_dropped(size_t at, const void *bytes, size_t len)
{
    damage(2, at, bytes, len);
    dies_and_drops(1);
    for (int i = 0; i < CLIENTS; i++)
        ask_kept(i, i != 2);
}

static void a_descriptor_that_is_another_socket_now_is_not_taken(void **unused)
{
    (void)unused;
    uint64_t cookie = read_conn(2).cookie + 1;
    only_the_damaged_slot_is_dropped(offsetof(struct conn, cookie), &cookie, sizeof(cookie));
}

static void a_descriptor_is_taken_by_one_slot_only(void **unused)
{
    (void)unused;
    struct conn first = read_conn(0);
    only_the_damaged_slot_is_dropped(0, &first, sizeof(first));
}

static void a_descriptor_goes_to_the_slot_whose_socket_it_is(void **unused)
{
    (void)unused;
    struct conn other = read_conn(4);
    only_the_damaged_slot_is_dropped(offsetof(struct conn, fd), &other.fd, sizeof(other.fd));
}

static void a_descriptor_that_is_not_open_is_not_taken(void **unused)
{
    (void)unused;
    only_the_damaged_slot_is_dropped(offsetof(struct conn, fd), &(int32_t){ 200 }, sizeof(int32_t));
}

static void a_request_that_waits_at_a_damaged_slot_is_not_read(void **unused)
{
    (void)unused;
    uint64_t cookie = read_conn(2).cookie + 1;
    damage(2, offsetof(struct conn, cookie), &cookie, sizeof(cookie));
    assert_true(puts_fd(kept[2], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    dies_and_drops(1);
    ask_kept(2, false);
}

static void a_state_that_there_is_not_is_dropped(void **unused)
{
    (void)unused;
    only_the_damaged_slot_is_dropped(offsetof(struct conn, state), &(uint8_t){ 200 }, 1);
}

static void a_state_without_what_it_needs_is_dropped(void **unused)
{
    (void)unused;
    only_the_damaged_slot_is_dropped(offsetof(struct conn, state), &(uint8_t){ CONN_TUNNEL }, 1);
}

static void a_block_that_there_is_not_is_dropped(void **unused)
{
    (void)unused;
    only_the_damaged_slot_is_dropped(offsetof(struct conn, in), &(uint32_t){ 100000 }, sizeof(uint32_t));
}

static void a_slot_in_whose_hands_two_workers_died_is_dropped(void **unused)
{
    (void)unused;
    only_the_damaged_slot_is_dropped(offsetof(struct conn, deaths), &(uint8_t){ 2 }, 1);
}

/* ---- many ---- */

enum { MANY = 700, EVERY = 50, DAMAGED = 600 };

static int ready_many(void **unused)
{
    static int fds[MANY];
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .guarded = true, .connections = 1024 });
    rig_upstream(&rig, 0, NULL);
    for (int i = 0; i < MANY; i++) {
        client_open(&client, &rig);
        fds[i] = client.fd;
        if ((i + 1) % EVERY == 0)
            WAIT_FOR(rig.gauges->worker[0].connections == (uint32_t)i + 1);
    }
    find_arena();
    many = fds;
    return 0;
}

static int over_many(void **unused)
{
    (void)unused;
    for (int i = 0; i < MANY; i++)
        (void)close(many[i]);
    rig_end(&rig);
    return 0;
}

/* More than are proven in one turn: who asks meanwhile is answered, and the damaged one is found in the end. */
static void those_that_rest_are_proven_one_after_the_other(void **unused)
{
    (void)unused;
    uint64_t cookie = read_conn(DAMAGED).cookie + 1;
    damage(DAMAGED, offsetof(struct conn, cookie), &cookie, sizeof(cookie));
    for (int i = 0; i < MANY; i += EVERY)
        if (i != DAMAGED)
            assert_true(puts_fd(many[i], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    finish_off(rig_role(&rig));
    for (int i = 0; i < MANY; i += EVERY) {
        client.fd = many[i];
        client.len = 0;
        assert_int_equal(client_response(&client, HTTP1_GET), i == DAMAGED ? 0 : 200);
    }
    WAIT_FOR(adoption()->adoptions == 1);
    assert_int_equal(adoption()->dropped, 1);
    assert_int_equal(adoption()->adopted, MANY - 1);
    assert_int_equal(rig.gauges->worker[0].connections, MANY - 1);
}

/* ---- the whole ---- */

/* The pair ends, in order: the supervisor sees that, and begins anew. */
static void the_pair_ends(off_t at, const void *bytes, size_t len)
{
    int status;
    pid_t pid = stun();
    overwrite(arena_at + at, bytes, len);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(rig.worker, &status, 0), rig.worker);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    /* So that the teardown has somebody to wait for. */
    rig.worker = fork();
    if (rig.worker == 0)
        _exit(0);
}

static void an_arena_of_another_layout_ends_the_pair(void **unused)
{
    (void)unused;
    the_pair_ends(offsetof(struct arena, layout), &(uint32_t){ GW_ARENA_LAYOUT + 1 }, sizeof(uint32_t));
}

static void an_arena_of_another_size_ends_the_pair(void **unused)
{
    (void)unused;
    the_pair_ends(offsetof(struct arena, conns), &(uint32_t){ 1 << 20 }, sizeof(uint32_t));
}

/* It answers somebody new, or has ended. */
static bool is_well_or_gone(void)
{
    siginfo_t info = { 0 };
    if (waitid(P_PID, (id_t)rig.worker, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
        return true;
    struct client *fresh = &client;
    client_open(fresh, &rig);
    struct timeval patience = { .tv_usec = 200000 };
    (void)setsockopt(fresh->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)puts_fd(fresh->fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    ssize_t n = recv(fresh->fd, fresh->buf, sizeof(fresh->buf), 0);
    client_close(fresh);
    return n > 12 && memcmp(fresh->buf, "HTTP/1.1 200", 12) == 0;
}

static void random_bytes_anywhere_do_not_make_it_die_on_and_on(void **unused)
{
    (void)unused;
    enum { SEEDS = 40, REGION = sizeof(struct arena) + 16 * sizeof(struct conn) };
    struct rng rng;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        (void)ready(NULL);
        rng_seed(&rng, seed);
        pid_t pid = stun();
        for (int hits = 1 + (int)rng_below(&rng, 30); hits > 0; hits--) {
            uint64_t garbage = rng_next(&rng), slot = rng_below(&rng, CLIENTS);
            off_t at = rng_below(&rng, 4) == 0 ? arena_at + (off_t)rng_below(&rng, sizeof(struct arena) / 8) * 8
                                               : conn_at((uint32_t)slot) + (off_t)rng_below(&rng, sizeof(struct conn));
            overwrite(at, &garbage, 1 + rng_below(&rng, 8));
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        WAIT_FOR(is_well_or_gone());
        assert_true(rig.guard->member[GUARD_SIDE_ROLE].deaths <= 6);
        close_clients();
        int status;
        for (int i = 0; i < 4; i++)
            upstream_end(&rig.up[i]);
        (void)close(rig.channel);
        assert_int_equal(waitpid(rig.worker, &status, 0), rig.worker);
        rig.worker = fork();
        if (rig.worker == 0)
            _exit(0);
        rig.channel = dup(STDIN_FILENO);
        rig_end(&rig);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ready, all_over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_damage_all_connections_go_on),
        TEST(a_descriptor_that_is_another_socket_now_is_not_taken),
        TEST(a_descriptor_is_taken_by_one_slot_only),
        TEST(a_descriptor_goes_to_the_slot_whose_socket_it_is),
        TEST(a_descriptor_that_is_not_open_is_not_taken),
        TEST(a_request_that_waits_at_a_damaged_slot_is_not_read),
        TEST(a_state_that_there_is_not_is_dropped),
        TEST(a_state_without_what_it_needs_is_dropped),
        TEST(a_block_that_there_is_not_is_dropped),
        TEST(a_slot_in_whose_hands_two_workers_died_is_dropped),
        cmocka_unit_test_setup_teardown(those_that_rest_are_proven_one_after_the_other, ready_many, over_many),
        TEST(an_arena_of_another_layout_ends_the_pair),
        TEST(an_arena_of_another_size_ends_the_pair),
        cmocka_unit_test(random_bytes_anywhere_do_not_make_it_die_on_and_on),
    };
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
