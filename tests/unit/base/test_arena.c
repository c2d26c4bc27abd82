/* SPDX-License-Identifier: MIT
 *
 * Records that outlive their writer: kept whole over any death, and refused when they are not what they should be.
 */
#include "base/arena.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct arena_shape shape = { .version = 7, .slots = 16, .size = 1000 };
static char path[64];
static struct arena_file arena;

static int setup(void **state)
{
    char folder[] = "/tmp/daruma-test-XXXXXX";
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/arena", folder);
    arena = (struct arena_file){ 0 };
    return 0;
}

static int teardown(void **state)
{
    arena_close(&arena);
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    return rmdir(path);
}

/* Opens it, and says what was wrong with the one before. */
static const char *open_arena(const struct arena_shape *wanted)
{
    static struct err refused;
    struct err err = { 0 };

    arena_close(&arena);
    assert_int_equal(arena_open(&arena, path, wanted, &refused, &err), 0);
    return refused.message;
}

static const char *text_in(uint32_t slot)
{
    const void *record;
    return arena_load(&arena, slot, &record) > 0 ? record : "";
}

static void put(uint32_t slot, const char *text)
{
    assert_int_equal(arena_store(&arena, slot, text, (uint32_t)strlen(text) + 1), 0);
}

static void a_record_is_found_again(void **state)
{
    assert_string_equal(open_arena(&shape), "");
    put(3, "three");
    put(4, "four");
    put(3, "three, changed");
    assert_string_equal(open_arena(&shape), "");
    assert_string_equal(text_in(3), "three, changed");
    assert_string_equal(text_in(4), "four");
    assert_string_equal(text_in(5), "");
}

static void an_emptied_slot_is_free(void **state)
{
    open_arena(&shape);
    put(3, "three");
    assert_int_equal(arena_store(&arena, 3, NULL, 0), 0);
    assert_string_equal(text_in(3), "");
    open_arena(&shape);
    assert_string_equal(text_in(3), "");
}

static void a_damaged_record_is_none_or_the_one_before(void **state)
{
    open_arena(&shape);
    put(0, "before");
    put(0, "after");
    put(1, "intact");
    struct stat st;
    assert_int_equal(fstat(arena.fd, &st), 0);
    char *at = memmem(arena.memory, (size_t)st.st_size, "after", 5);
    assert_non_null(at);
    at[2] = 'x';
    assert_string_equal(text_in(0), "before");
    at = memmem(arena.memory, (size_t)st.st_size, "before", 6);
    assert_non_null(at);
    at[2] = 'x';
    assert_string_equal(text_in(0), "");
    assert_string_equal(text_in(1), "intact");
    put(0, "new");
    assert_string_equal(text_in(0), "new");
}

/* Refused, with the reason, and a new one in its place that works. */
static void refused(const char *why)
{
    assert_non_null(strstr(open_arena(&shape), why));
    assert_string_equal(text_in(0), "");
    put(0, "new");
    assert_string_equal(open_arena(&shape), "");
    assert_string_equal(text_in(0), "new");
}

static void what_is_no_arena_of_ours_is_refused(void **state)
{
    struct arena_shape other = shape;

    open_arena(&shape);
    put(0, "old");
    other.version++;
    assert_non_null(strstr(open_arena(&other), "another version"));
    assert_string_equal(text_in(0), "");
    refused("another version");

    assert_int_equal(truncate(path, 5000), 0);
    refused("cut off");
    assert_int_equal(truncate(path, 10), 0);
    refused("cut off");
    assert_int_equal(chmod(path, 0644), 0);
    refused("others may open it");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    refused("cannot be opened");
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        refused("belongs to user 65534");
    }
}

static void random_bytes_are_never_a_record(void **state)
{
    static unsigned char noise[65536];
    const void *record;

    srandom(1);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (unsigned char)random();
        open_arena(&shape);
        /* The header stays: only what it leads to is noise. */
        int fd = open(path, O_WRONLY);
        assert_true(pwrite(fd, noise, 16 * 2 * 1024, 4096) == 16 * 2 * 1024);
        (void)close(fd);
        assert_string_equal(open_arena(&shape), "");
        for (uint32_t slot = 0; slot < shape.slots; slot++)
            assert_int_equal(arena_load(&arena, slot, &record), 0);
    }
    int fd = open(path, O_WRONLY);
    assert_true(pwrite(fd, noise, 4096, 0) == 4096);
    (void)close(fd);
    refused("damaged");
}

/* The writer is killed at some instruction, again and again: each record is whole, and one of the last two. */
static void a_writer_that_is_killed_leaves_whole_records(void **state)
{
    struct {
        uint64_t number[100];
    } record = { 0 };

    open_arena(&shape);
    for (int round = 0; round < 50; round++) {
        pid_t pid = fork();
        if (pid == 0 && (arena = (struct arena_file){ 0 }, open_arena(&shape)))
            for (;;) {
                for (int i = 0; i < 100; i++)
                    record.number[i]++;
                (void)arena_store(&arena, 0, &record, sizeof(record));
            }
        assert_true(pid > 0);
        clock_sleep((round % 7 + 1) * 300 * NS_PER_US);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        open_arena(&shape);
        const void *found;
        if (arena_load(&arena, 0, &found) == 0)
            continue; /* it was killed before its first one */
        uint64_t before = record.number[0];
        memcpy(&record, found, sizeof(record));
        for (int i = 1; i < 100; i++)
            assert_true(record.number[i] == record.number[0]);
        assert_true(record.number[0] >= before);
    }
    assert_true(record.number[0] > 0);
}

/* On tmpfs, where memory is what a file takes. */
static void empty_slots_take_no_memory(void **state)
{
    const struct arena_shape large = { .version = 1, .slots = 10000, .size = 8000 };
    struct arena_file file;
    struct err refused, err;
    const void *record;
    struct stat st;

    if (access("/dev/shm", W_OK) < 0)
        skip();
    char name[] = "/dev/shm/daruma-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)unlink(name);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(arena_open(&file, name, &large, &refused, &err), 0);
        assert_int_equal(stat(name, &st), 0);
        blkcnt_t before = st.st_blocks;
        for (uint32_t slot = 0; slot < large.slots; slot++)
            assert_int_equal(arena_load(&file, slot, &record), life && slot == 5000 ? 6 : 0);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_blocks, before);
        assert_int_equal(arena_store(&file, 5000, "hello", 6), 0);
        arena_close(&file);
    }
    assert_int_equal(stat(name, &st), 0);
    (void)unlink(name);
    assert_true(st.st_blocks * 512 <= 64 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_is_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_emptied_slot_is_free, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_record_is_none_or_the_one_before, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_arena_of_ours_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(random_bytes_are_never_a_record, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_slots_take_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_writer_that_is_killed_leaves_whole_records, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
