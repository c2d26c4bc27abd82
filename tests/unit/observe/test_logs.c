/* SPDX-License-Identifier: MIT
 *
 * Logs: lines that are cut, kept over rotation, merged by time, followed.
 */
#include "base/clock.h"
#include "observe/logfile.h"
#include "observe/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    struct event_bus bus;
    struct event_sink sink;
    int warnings;
    char warning[EVENT_TEXT];
    struct logs *logs;
};

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct fixture *f = sink->data;
    if (event->kind != EVENT_WARNING)
        return;
    f->warnings++;
    (void)snprintf(f->warning, sizeof(f->warning), "%s", event->text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/daruma-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->sink = (struct event_sink){ .fn = on_event, .data = f };
    event_subscribe(&f->bus, &f->sink);
    f->logs = logs_new(f->dir, &f->bus, NULL, NULL);
    assert_non_null(f->logs);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    logs_free(f->logs);
    (void)nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *instance, int stream, const char *text)
{
    logs_write(f->logs, instance, stream, text, strlen(text));
}

static struct logs_reader *reader(struct fixture *f, const char *const *names, int64_t tail)
{
    const struct logs_query query = { .names = names, .tail = tail };
    struct logs_reader *reader = logs_reader_new(f->dir, &query);
    assert_non_null(reader);
    return reader;
}

static void expect(struct logs_reader *reader, const char *instance, int stream, const char *text)
{
    struct logs_line line;
    if (!logs_reader_next(reader, &line))
        fail_msg("no line, expected \"%s\"", text);
    assert_string_equal(line.text, text);
    assert_string_equal(line.instance, instance);
    assert_int_equal(line.stream, stream);
    assert_int_equal(line.len, strlen(text));
}

static void expect_end(struct logs_reader *reader)
{
    struct logs_line line;
    if (logs_reader_next(reader, &line))
        fail_msg("expected no line, got \"%s\"", line.text);
}

static void lines_are_cut_where_they_end_and_streams_do_not_mix(void **state)
{
    struct fixture *f = *state;
    say(f, "app-1", 1, "one\ntw");
    say(f, "app-1", 2, "complaint\n");
    say(f, "app-1", 1, "o\n\n");
    struct logs_reader *r = reader(f, NULL, -1);
    expect(r, "app-1", 1, "one");
    expect(r, "app-1", 2, "complaint");
    expect(r, "app-1", 1, "two");
    expect(r, "app-1", 1, "");
    expect_end(r);
    logs_reader_free(r);
}

static void what_an_instance_left_without_a_newline_is_a_line_when_it_ends(void **state)
{
    struct fixture *f = *state;
    say(f, "app-1", 1, "last words");
    struct logs_reader *r = reader(f, NULL, -1);
    expect_end(r);
    struct event event = { .kind = EVENT_INSTANCE_EXIT, .instance = "app-1" };
    event_emit(&f->bus, &event);
    expect(r, "app-1", 1, "last words");
    say(f, "app-1", 1, "born again\n");
    expect(r, "app-1", 1, "born again");
    expect_end(r);
    logs_reader_free(r);
}

static void a_line_that_never_ends_is_cut_and_costs_bounded_memory(void **state)
{
    struct fixture *f = *state;
    char block[1000];
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 40; i++)
        logs_write(f->logs, "app-1", 1, block, sizeof(block));
    logs_write(f->logs, "app-1", 1, "\n", 1);
    struct logs_reader *r = reader(f, NULL, -1);
    struct logs_line line;
    size_t total = 0;
    while (logs_reader_next(r, &line)) {
        assert_true(line.len <= LOGS_LINE);
        total += line.len;
    }
    assert_int_equal(total, 40 * sizeof(block));
    logs_reader_free(r);
}

static void instances_are_merged_by_time(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%d\n", i);
        say(f, i % 3 == 0 ? "a-1" : i % 3 == 1 ? "a-2" : "b-1", 1, text);
    }
    struct logs_reader *r = reader(f, NULL, -1);
    struct logs_line line;
    for (int i = 0; i < 50; i++) {
        assert_true(logs_reader_next(r, &line));
        assert_int_equal(atoi(line.text), i);
    }
    expect_end(r);
    logs_reader_free(r);
}

/* What comes while others are still being read has to wait for its turn; else who asks for what is behind the last line that it
   has would not be told of it. */
static void a_follower_can_go_on_behind_any_line(void **state)
{
    struct fixture *f = *state;
    struct logs_query query = { .tail = -1, .writer = f->logs };
    struct logs_line line;
    char text[32];
    int written = 0, expected = 0;

    say(f, "quiet-1", 1, "0\n");
    say(f, "loud-1", 1, "1\n2\n3\n4\n5\n6\n7\n8\n");
    written = 9;
    for (uint64_t last = 0; last < 40; query.after = last) {
        struct logs_reader *r = logs_reader_new(f->dir, &query);
        for (int i = 0; i < 13; i++) {
            assert_true(logs_reader_next(r, &line));
            assert_int_equal(atoi(line.text), expected++);
            assert_true(line.number > last);
            last = line.number;
            (void)snprintf(text, sizeof(text), "%d\n", written);
            say(f, written++ % 5 ? "loud-1" : "quiet-1", 1, text);
        }
        logs_reader_free(r);
    }
}

static void a_writer_that_knows_of_none_counts_on_behind_the_lines_that_are_there(void **state)
{
    struct fixture *f = *state;

    say(f, "app-1", 1, "one\ntwo\n");
    logs_free(f->logs);
    f->logs = logs_new(f->dir, &f->bus, NULL, NULL);
    say(f, "app-2", 1, "three\n");
    const struct logs_query query = { .tail = -1, .writer = f->logs };
    struct logs_reader *r = logs_reader_new(f->dir, &query);
    expect(r, "app-1", 1, "one");
    expect(r, "app-1", 1, "two");
    expect(r, "app-2", 1, "three");
    expect_end(r);
    logs_reader_free(r);
}

static void services_and_instances_can_be_named(void **state)
{
    struct fixture *f = *state;
    say(f, "app-1", 1, "app one\n");
    say(f, "app-2", 1, "app two\n");
    say(f, "app-x-1", 1, "another service\n");
    struct logs_reader *r = reader(f, (const char *const[]){ "app", NULL }, -1);
    expect(r, "app-1", 1, "app one");
    expect(r, "app-2", 1, "app two");
    expect_end(r);
    logs_reader_free(r);
    r = reader(f, (const char *const[]){ "app-2", "app-x", NULL }, -1);
    expect(r, "app-2", 1, "app two");
    expect(r, "app-x-1", 1, "another service");
    expect_end(r);
    logs_reader_free(r);
    assert_true(logs_exist(f->dir, "app") && logs_exist(f->dir, "app-1"));
    assert_false(logs_exist(f->dir, "ap") || logs_exist(f->dir, "app-7") || logs_exist("/nonexistent/logs", "app"));
}

static void fill(struct fixture *f, int from, int to)
{
    char text[256];
    for (int i = from; i < to; i++) {
        (void)snprintf(text, sizeof(text), "%d %0200d\n", i, 0);
        say(f, "app-1", 1, text);
    }
}

static int first_number(struct logs_reader *r)
{
    struct logs_line line;
    return logs_reader_next(r, &line) ? atoi(line.text) : -1;
}

/* 229 bytes a line with its head: 1 MiB holds about 4,500 of them. */
static void the_tail_reaches_back_over_a_rotation(void **state)
{
    struct fixture *f = *state;
    fill(f, 0, 5000);
    for (int64_t tail = 0; tail <= 4999; tail += tail < 3 || tail > 300 ? 1 + tail / 3 : 50) {
        struct logs_reader *r = reader(f, NULL, tail);
        for (int64_t i = 5000 - tail; i < 5000; i++)
            assert_int_equal(first_number(r), i);
        expect_end(r);
        logs_reader_free(r);
    }
}

static void two_files_are_kept_and_no_more(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat st;
    fill(f, 0, 20000);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/app-1.log%s", f->dir, i ? ".1" : "");
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size <= LOGS_FILE);
    }
    struct logs_reader *r = reader(f, NULL, -1);
    int first = first_number(r);
    assert_true(first > 10000 && first < 16000);
    for (int i = first + 1; i < 20000; i++)
        assert_int_equal(first_number(r), i);
    logs_reader_free(r);
}

static void a_follower_loses_nothing_over_a_rotation(void **state)
{
    struct fixture *f = *state;
    fill(f, 0, 10);
    struct logs_reader *r = reader(f, NULL, 0);
    expect_end(r);
    for (int i = 10; i < 12000; i += 100) {
        fill(f, i, i + 100);
        for (int k = 0; k < 100; k++)
            assert_int_equal(first_number(r), i + k);
    }
    expect_end(r);
    logs_reader_free(r);
}

static void a_follower_sees_instances_that_come_later(void **state)
{
    struct fixture *f = *state;
    struct logs_reader *r = reader(f, NULL, 0);
    expect_end(r);
    say(f, "late-1", 1, "here\n");
    expect(r, "late-1", 1, "here");
    say(f, "late-2", 2, "me too\n");
    expect(r, "late-2", 2, "me too");
    expect_end(r);
    logs_reader_free(r);
}

/* How often this process has called write(2) and its like; -1 when the kernel does not count. */
static long writes(void)
{
    FILE *io = fopen("/proc/self/io", "re");
    char line[128];
    long n = -1;

    while (io && fgets(line, sizeof(line), io))
        (void)sscanf(line, "syscw: %ld", &n);
    if (io)
        (void)fclose(io);
    return n;
}

/* A service that floods its log must not keep the supervisor from everything else. */
static void many_short_lines_are_written_together(void **state)
{
    struct fixture *f = *state;
    char flood[INBOX_SIZE];
    long before = writes();

    if (before < 0)
        skip();
    for (size_t i = 0; i < sizeof(flood); i++)
        flood[i] = i % 2 ? '\n' : (char)('a' + i / 2 % 26);
    logs_write(f->logs, "app-1", 1, flood, sizeof(flood));
    assert_in_range(writes() - before, 1, 40);

    struct logs_reader *r = reader(f, NULL, -1);
    for (size_t i = 0; i < sizeof(flood); i += 2)
        expect(r, "app-1", 1, (char[]){ flood[i], '\0' });
    expect_end(r);
    logs_reader_free(r);
}

static void a_disk_that_is_full_is_told_once_and_costs_no_half_lines(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small = { .rlim_cur = 1000 };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill(f, 0, 20);
    assert_int_equal(f->warnings, 1);
    assert_non_null(strstr(f->warning, "lost"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    fill(f, 20, 22);
    assert_int_equal(f->warnings, 1); /* who knows whether it stays like that */
    int64_t deadline = clock_now() + 20 * NS_PER_S;
    for (int i = 22; f->warnings < 2 && clock_now() < deadline; i++) {
        clock_sleep(10 * NS_PER_MS);
        fill(f, i, i + 1);
    }
    assert_int_equal(f->warnings, 2);
    assert_non_null(strstr(f->warning, "16 were lost"));
    (void)signal(SIGXFSZ, handler);

    struct logs_reader *r = reader(f, NULL, -1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(first_number(r), i);
    assert_int_equal(first_number(r), 20);
    assert_int_equal(first_number(r), 21);
    logs_reader_free(r);
}

/* /dev/full takes nothing. A file that is kept open would keep its room also after somebody removed it. */
static void a_full_disk_does_not_keep_the_file_open(void **state)
{
    struct logfile file;

    logfile_init(&file, "/dev/full", 1 << 20);
    assert_int_equal(logfile_write(&file, "a\n", 2), -ENOSPC);
    assert_int_equal(file.fd, -1);
    assert_int_equal(logfile_write(&file, "a\n", 2), -ENOSPC);
    logfile_close(&file);
}

/* Whoever writes never waits for who does not read; and what has no size is never full, so it keeps its name. */
static void a_pipe_is_written_to_only_while_somebody_reads(void **state)
{
    struct fixture *f = *state;
    struct logfile file;
    struct stat st;
    char path[128], page[4096], lines[8192];

    (void)snprintf(path, sizeof(path), "%s/pipe", f->dir);
    memset(page, '\n', sizeof(page));
    assert_int_equal(mkfifo(path, 0600), 0);
    logfile_init(&file, path, sizeof(page));
    assert_int_equal(logfile_write(&file, "a\n", 2), -ENXIO);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(logfile_write(&file, page, sizeof(page)), 0);
        assert_int_equal(read(reader, lines, sizeof(lines)), sizeof(page));
    }
    while (logfile_write(&file, page, sizeof(page)) == 0)
        ;
    assert_int_equal(logfile_write(&file, page, sizeof(page)), -EAGAIN);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    logfile_close(&file);
    (void)close(reader);
    (void)unlink(path);
}

static void a_folder_that_is_not_there_has_no_lines(void **state)
{
    const struct logs_query query = { .tail = -1 };
    struct logs_reader *r = logs_reader_new("/nonexistent/logs", &query);
    assert_non_null(r);
    expect_end(r);
    logs_reader_free(r);
}

/* Reads a pipe into the logs, until it is killed. */
static void read_on(const char *dir, int pipe_fd, _Atomic int *reads)
{
    char path[128];
    struct event_bus bus = { 0 };
    struct arena_file arena = { 0 };
    struct err refused, err;

    (void)snprintf(path, sizeof(path), "%s/arena", dir);
    assert_int_equal(arena_open(&arena, path, &logs_shape, &refused, &err), 0);
    assert_int_equal(refused.code, 0);
    (void)snprintf(path, sizeof(path), "%s/inbox", dir);
    struct inbox *inbox = inbox_open(path, &err);
    struct logs *logs = logs_new(dir, &bus, &arena, inbox);
    for (ssize_t n = 1; n > 0;) {
        size_t size;
        char *room = logs_room(logs, "app-1", 1, &size);
        n = read(pipe_fd, room, size);
        (*reads)++;
        if (n > 0)
            logs_write(logs, "app-1", 1, room, (size_t)n);
    }
    logs_free(logs);
    inbox_close(inbox);
    arena_close(&arena);
}

/* Numbered lines come in pieces of all sizes, and whoever writes them into the file is killed again and again. */
static void a_killed_writer_loses_and_doubles_no_line(void **state)
{
    enum { LINES = 30000 }; /* more than one file of them, and less than two */
    struct fixture *f = *state;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    pid_t speaker = fork();
    if (speaker == 0) {
        (void)close(fds[0]);
        for (int i = 1; i <= LINES; i++) {
            char line[64];
            int n = snprintf(line, sizeof(line), "this is line number %d", i);
            (void)!write(fds[1], line, (size_t)n);
            (void)!write(fds[1], "\n", 1);
        }
        _exit(0);
    }
    (void)close(fds[1]);
    _Atomic int *reads = mmap(NULL, sizeof(*reads), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(reads != MAP_FAILED);
    for (int round = 0; round < 100; round++) {
        int until = *reads + 1 + round % 40;
        pid_t writer = fork();
        if (writer == 0) {
            read_on(f->dir, fds[0], reads);
            _exit(0);
        }
        while (*reads < until && waitpid(writer, NULL, WNOHANG) == 0)
            ;
        (void)kill(writer, SIGKILL);
        (void)waitpid(writer, NULL, 0);
    }
    read_on(f->dir, fds[0], reads);
    (void)munmap(reads, sizeof(*reads));
    assert_int_equal(waitpid(speaker, NULL, 0), speaker);
    (void)close(fds[0]);

    struct logs_reader *lines = reader(f, NULL, -1);
    struct logs_line line;
    int expected = 1;
    uint64_t number = 0;
    while (logs_reader_next(lines, &line)) {
        char text[64];
        assert_true(line.number > number);
        number = line.number;
        (void)snprintf(text, sizeof(text), "this is line number %d", expected++);
        assert_int_equal(line.len, strlen(text));
        assert_memory_equal(line.text, text, line.len);
    }
    assert_int_equal(expected, LINES + 1);
    logs_reader_free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_cut_where_they_end_and_streams_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_instance_left_without_a_newline_is_a_line_when_it_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_that_never_ends_is_cut_and_costs_bounded_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(instances_are_merged_by_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_can_go_on_behind_any_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_writer_that_knows_of_none_counts_on_behind_the_lines_that_are_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(services_and_instances_can_be_named, setup, teardown),
        cmocka_unit_test_setup_teardown(the_tail_reaches_back_over_a_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(two_files_are_kept_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_loses_nothing_over_a_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_sees_instances_that_come_later, setup, teardown),
        cmocka_unit_test_setup_teardown(many_short_lines_are_written_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_is_told_once_and_costs_no_half_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_writer_loses_and_doubles_no_line, setup, teardown),
        cmocka_unit_test(a_full_disk_does_not_keep_the_file_open),
        cmocka_unit_test_setup_teardown(a_pipe_is_written_to_only_while_somebody_reads, setup, teardown),
        cmocka_unit_test(a_folder_that_is_not_there_has_no_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
