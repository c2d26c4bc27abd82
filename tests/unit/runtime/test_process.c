/* SPDX-License-Identifier: MIT
 *
 * The process runtime with real processes.
 */
#include "rig.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/un.h>

/* One running copy, as the supervisor would see it. */
struct copy {
    struct runtime_handle *handle;
    pid_t pid;
    struct runtime_port ports[RUNTIME_PORTS];
    size_t ports_len;
    bool started, exited, started_first;
    struct runtime_exit how;
    struct buf out, error;
};

static void on_started(void *owner, pid_t pid, const struct runtime_port *ports, size_t ports_len)
{
    struct copy *copy = owner;
    assert_false(copy->started || copy->exited);
    copy->started = true;
    copy->pid = pid;
    copy->ports_len = ports_len;
    memcpy(copy->ports, ports, ports_len * sizeof(*ports));
}

static void on_exited(void *owner, const struct runtime_exit *how)
{
    struct copy *copy = owner;
    assert_false(copy->exited);
    copy->exited = true;
    copy->started_first = copy->started;
    copy->how = *how;
}

/* As the supervisor's: larger than what may be taken at once. */
static char *on_room(void *owner, int stream, size_t *ret_len)
{
    static char room[64 << 10];
    *ret_len = sizeof(room);
    return room;
}

/* Who writes without end gets no more than a share of each turn. */
static void on_output(void *owner, int stream, const char *data, size_t len)
{
    struct copy *copy = owner;
    assert_false(copy->exited);
    assert_in_range(len, 1, 16 << 10);
    buf_add(stream == 1 ? &copy->out : &copy->error, data, len);
}

static const struct runtime_events events = {
    .started = on_started, .exited = on_exited, .room = on_room, .output = on_output
};

static int setup(void **unused)
{
    return rig_start(&events);
}

static int teardown(void **unused)
{
    return rig_end();
}

static int start_copy(const struct spec_service *service, const char *instance, struct copy *copy, struct err *err)
{
    static const struct spec spec = { .name = "test", .working_dir = "/tmp" };
    static const char *const peers[] = { "DB_HOST=127.0.0.1", "DB_PORT=5", NULL };
    struct runtime_start start = {
        .spec = &spec,
        .service = service,
        .instance = instance,
        .number = 1,
        .peers = peers,
        .owner = copy,
    };
    *copy = (struct copy){ 0 };
    return runtime->start(runtime, &start, &copy->handle, err);
}

static void begin(const struct spec_service *service, struct copy *copy)
{
    struct err err = { 0 };
    if (start_copy(service, "app-1", copy, &err) < 0)
        fail_msg("%s", err.message);
}

static void end(struct copy *copy)
{
    if (copy->handle && !copy->exited)
        (void)runtime->signal(runtime, copy->handle, SIGKILL);
    WAIT_FOR(copy->exited);
    runtime->release(runtime, copy->handle);
    buf_free(&copy->out);
    buf_free(&copy->error);
}

/* Runs a shell script to its end. */
static void run(const char *script, struct copy *copy)
{
    char *command[] = { "/bin/sh", "-c", (char *)script, NULL };
    struct spec_service service = service_of(command);
    begin(&service, copy);
    WAIT_FOR(copy->exited);
}

static const char *text(struct buf *buf)
{
    return buf->data ? buf->data : "";
}

static void an_exit_status_is_told_after_all_output(void **unused)
{
    struct copy copy;
    run("echo one; echo two >&2; echo three; exit 3", &copy);
    assert_true(copy.started_first);
    assert_int_equal(copy.how.cause, CAUSE_EXIT);
    assert_int_equal(copy.how.status, 3);
    assert_false(copy.how.by_signal);
    assert_string_equal(text(&copy.out), "one\nthree\n");
    assert_string_equal(text(&copy.error), "two\n");
    end(&copy);
}

static void output_larger_than_a_pipe_arrives_whole(void **unused)
{
    struct copy copy;
    run("head -c 1000000 /dev/zero | tr '\\0' x; echo end", &copy);
    assert_int_equal(copy.out.len, 1000004);
    assert_string_equal(copy.out.data + 1000000, "end\n");
    end(&copy);
}

static void signals_tell_who_was_to_blame(void **unused)
{
    struct copy copy;
    run("kill -9 $$", &copy);
    assert_true(copy.how.by_signal);
    assert_int_equal(copy.how.status, SIGKILL);
    assert_int_equal(copy.how.cause, CAUSE_KILLED);
    end(&copy);
    run("ulimit -c 0; kill -SEGV $$", &copy);
    assert_int_equal(copy.how.status, SIGSEGV);
    assert_int_equal(copy.how.cause, CAUSE_CRASH);
    end(&copy);
}

static void a_program_that_is_not_there_is_refused(void **unused)
{
    struct copy copy;
    struct err err = { 0 };
    char *missing[] = { "no-such-program", NULL };
    struct spec_service service = service_of(missing);
    assert_int_equal(start_copy(&service, "app-1", &copy, &err), -ENOENT);
    assert_non_null(strstr(err.message, "no-such-program"));

    char *folder[] = { "/etc", NULL };
    service = service_of(folder);
    assert_int_equal(start_copy(&service, "app-1", &copy, &err), -EACCES);
}

static void a_failed_exec_is_told_with_its_reason(void **unused)
{
    struct copy copy;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/garbage", run_dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("\x7f"
                "ELF, but no more\n",
                file);
    (void)fclose(file);
    assert_int_equal(chmod(path, 0755), 0);

    char *command[] = { path, NULL };
    struct spec_service service = service_of(command);
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    assert_false(copy.started);
    assert_int_equal(copy.how.cause, CAUSE_SPAWN);
    assert_non_null(strstr(copy.how.err.message, "garbage"));
    assert_non_null(strstr(copy.how.err.message, strerror(ENOEXEC)));
    end(&copy);

    char *sleeping[] = { "sleep", "60", NULL };
    service = service_of(sleeping);
    service.working_dir = "/nowhere";
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    assert_int_equal(copy.how.cause, CAUSE_SPAWN);
    assert_non_null(strstr(copy.how.err.message, "/nowhere"));
    end(&copy);
    assert_int_equal(unlink(path), 0);
}

static void it_leads_a_session_with_clean_signals_and_descriptors(void **unused)
{
    struct copy copy;
    int careless = dup(STDERR_FILENO); /* without close-on-exec, as a library may open it */
    (void)signal(SIGPIPE, SIG_IGN);
    run("ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; "
        "cut -d' ' -f1,5,6 /proc/$$/stat; echo $$; grep '^SigBlk' /proc/self/status; "
        /* 32 and 33 belong to the C library, whose posix_spawn (of make, for one) leaves them ignored. */
        "echo $((0x$(sed -n 's/^SigIgn:.//p' /proc/self/status) & 0x7fffffff)); umask",
        &copy);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)close(careless);
    char expected[256];
    /* 3 is the folder that ls itself reads. */
    (void)snprintf(expected, sizeof(expected), "0 1 2 3 /dev/null\n%d %d %d\n%d\nSigBlk:\t%016d\n%d\n0022\n", copy.pid,
                   copy.pid, copy.pid, copy.pid, 0, 0);
    assert_string_equal(text(&copy.out), expected);
    end(&copy);
}

static void the_environment_is_the_files_and_little_else(void **unused)
{
    struct copy copy;
    char *command[] = { "env", NULL };
    char *environment[] = { "DB_PORT=6", "MINE=yes", NULL };
    struct spec_port ports[] = { { .target = 5000 }, { .target = 9000 } };
    struct spec_service service = service_of(command);
    service.environment = environment;
    service.ports = ports;
    service.ports_len = 2;
    service.hostname = "instance-01";
    assert_int_equal(setenv("DARUMA_TEST_SECRET", "x", 1), 0);
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    assert_int_equal(copy.ports_len, 2);
    const char *out = text(&copy.out);
    assert_null(strstr(out, "DARUMA_TEST_SECRET"));
    assert_non_null(strstr(out, "PATH="));
    assert_non_null(strstr(out, "DARUMA_SERVICE=app\n"));
    assert_non_null(strstr(out, "DARUMA_INSTANCE=app-1\n"));
    assert_non_null(strstr(out, "HOSTNAME=instance-01\n"));
    assert_non_null(strstr(out, "HOST=127.0.0.1\n"));
    assert_non_null(strstr(out, "DB_HOST=127.0.0.1\n"));
    assert_non_null(strstr(out, "DB_PORT=6\n")); /* the file's own entry wins */
    assert_null(strstr(out, "DB_PORT=5\n"));
    assert_non_null(strstr(out, "MINE=yes\n"));
    char line[64];
    unsigned first = ntohs(((struct sockaddr_in *)&copy.ports[0].address.u.any)->sin_port);
    unsigned second = ntohs(((struct sockaddr_in *)&copy.ports[1].address.u.any)->sin_port);
    (void)snprintf(line, sizeof(line), "\nPORT=%u\n", first);
    assert_non_null(strstr(out, line));
    (void)snprintf(line, sizeof(line), "PORT_5000=%u\n", first);
    assert_non_null(strstr(out, line));
    (void)snprintf(line, sizeof(line), "PORT_9000=%u\n", second);
    assert_non_null(strstr(out, line));
    end(&copy);

    /* A PORT in the file that names a target means that port; one that names none stays. */
    environment[0] = "PORT=9000";
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    (void)snprintf(line, sizeof(line), "PORT=%u\n",
                   ntohs(((struct sockaddr_in *)&copy.ports[1].address.u.any)->sin_port));
    assert_non_null(strstr(text(&copy.out), line));
    end(&copy);
    environment[0] = "PORT=77";
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    assert_non_null(strstr(text(&copy.out), "PORT=77\n"));
    end(&copy);
}

static void private_ports_are_never_shared_and_always_fresh(void **unused)
{
    enum { COPIES = 20 };
    static struct copy copies[COPIES];
    static bool seen[65536];
    char *command[] = { "sleep", "60", NULL };
    struct spec_port port = { .target = 80 };
    struct spec_service service = service_of(command);
    service.ports = &port;
    service.ports_len = 1;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COPIES; i++)
            begin(&service, &copies[i]);
        for (int i = 0; i < COPIES; i++) {
            WAIT_FOR(copies[i].started);
            unsigned number = ntohs(((struct sockaddr_in *)&copies[i].ports[0].address.u.any)->sin_port);
            assert_true(number >= 1024 && !seen[number]);
            seen[number] = true;
        }
        for (int i = 0; i < COPIES; i++)
            end(&copies[i]);
    }
}

static void sigkill_takes_the_whole_group_and_others_only_the_main_process(void **unused)
{
    struct copy copy;
    char *command[] = { "/bin/sh", "-c", "trap 'echo hup' HUP; sleep 60 & echo $!; while :; do wait; done", NULL };
    struct spec_service service = service_of(command);
    begin(&service, &copy);
    WAIT_FOR(strchr(text(&copy.out), '\n'));
    pid_t child = (pid_t)strtol(text(&copy.out), NULL, 10);
    assert_true(alive(child));
    assert_int_equal(runtime->signal(runtime, copy.handle, SIGHUP), 0);
    WAIT_FOR(strstr(text(&copy.out), "hup\n"));
    assert_true(alive(child));
    assert_int_equal(runtime->signal(runtime, copy.handle, SIGKILL), 0);
    WAIT_FOR(copy.exited);
    WAIT_FOR(!alive(child));
    assert_int_equal(runtime->signal(runtime, copy.handle, SIGHUP), -ESRCH);
    end(&copy);
}

static void what_the_main_process_leaves_in_its_group_is_ended_and_output_does_not_wait_for_it(void **unused)
{
    struct copy copy;
    int64_t begun = clock_now();
    run("sleep 60 & echo $!", &copy); /* sleep holds the pipes open */
    assert_true(clock_now() - begun < 30 * NS_PER_S);
    pid_t child = (pid_t)strtol(text(&copy.out), NULL, 10);
    assert_true(child > 0);
    WAIT_FOR(!alive(child));
    end(&copy);
}

/* Has the process been reaped? */
static bool exists(pid_t pid)
{
    return kill(pid, 0) == 0;
}

static void orphans_are_reaped_and_children_of_the_house_are_not(void **unused)
{
    struct copy copy;
    pid_t ours = fork();
    if (ours == 0)
        _exit(42);
    char *command[] = { "/bin/sh", "-c", "(setsid sh -c 'echo $$; sleep 0.1' &); sleep 60", NULL };
    struct spec_service service = service_of(command);
    begin(&service, &copy);
    WAIT_FOR(strchr(text(&copy.out), '\n'));
    pid_t orphan = (pid_t)strtol(text(&copy.out), NULL, 10);
    WAIT_FOR(!alive(orphan));
    int status = 0;
    for (int64_t until = clock_now() + 1500 * NS_PER_MS; clock_now() < until;)
        assert_int_equal(loop_turn(loop, 10 * NS_PER_MS), 0); /* at least one look of the reaper */
    assert_int_equal(waitpid(ours, &status, 0), ours);
    assert_int_equal(WEXITSTATUS(status), 42);
    WAIT_FOR(!exists(orphan));
    end(&copy);
}

static void destroy_leaves_nothing_not_even_what_has_escaped(void **unused)
{
    static struct copy copy, second;
    char *command[] = { "/bin/sh", "-c", "(setsid sh -c 'trap \"\" TERM HUP; sleep 60 & echo $! $$; wait' &); sleep 60",
                        NULL };
    struct spec_service service = service_of(command);
    begin(&service, &copy);
    begin(&service, &second);
    WAIT_FOR(strchr(text(&copy.out), '\n') && second.started);
    char *rest;
    pid_t inner = (pid_t)strtol(text(&copy.out), &rest, 10), outer = (pid_t)strtol(rest, NULL, 10);
    pid_t main_pid = copy.pid;
    assert_true(alive(inner) && alive(outer) && alive(main_pid));
    runtime->destroy(runtime);
    runtime = NULL;
    assert_false(exists(inner) || exists(outer) || exists(main_pid) || exists(second.pid));
    buf_free(&copy.out);
    buf_free(&second.out);
}

/* --- commands beside an instance --- */

struct execution {
    bool done;
    int result;
    size_t len;
    char output[8192];
};

static void on_done(void *owner, int result, const char *output, size_t len)
{
    struct execution *execution = owner;
    assert_false(execution->done);
    execution->done = true;
    execution->result = result;
    execution->len = len;
    memcpy(execution->output, output, len);
    execution->output[len] = '\0';
}

static struct runtime_execution *exec_shell(struct copy *copy, const char *script, int64_t timeout_ns,
                                            struct execution *execution)
{
    char *argv[] = { "sh", "-c", (char *)script, NULL };
    struct runtime_exec exec = { .argv = argv, .timeout_ns = timeout_ns, .owner = execution, .done = on_done };
    struct runtime_execution *ret;
    struct err err = { 0 };
    *execution = (struct execution){ 0 };
    if (runtime->exec(runtime, copy->handle, &exec, &ret, &err) < 0)
        fail_msg("%s", err.message);
    return ret;
}

static void begin_sleeper(struct copy *copy)
{
    static char *command[] = { "sleep", "60", NULL };
    struct spec_service service = service_of(command);
    begin(&service, copy);
    WAIT_FOR(copy->started);
}

static void a_command_beside_it_gives_status_and_output(void **unused)
{
    struct copy copy;
    struct execution execution;
    begin_sleeper(&copy);
    (void)exec_shell(&copy, "echo $DARUMA_INSTANCE; echo bad >&2; exit 4", PATIENCE_NS, &execution);
    WAIT_FOR(execution.done);
    assert_int_equal(execution.result, 4);
    assert_string_equal(execution.output, "app-1\nbad\n");

    (void)exec_shell(&copy, "head -c 300000 /dev/zero | tr '\\0' y", PATIENCE_NS, &execution);
    WAIT_FOR(execution.done);
    assert_int_equal(execution.result, 0);
    assert_int_equal(execution.len, 4096);

    (void)exec_shell(&copy, "kill -9 $$", PATIENCE_NS, &execution);
    WAIT_FOR(execution.done);
    assert_int_equal(execution.result, 128 + SIGKILL);
    end(&copy);
}

static void a_command_that_takes_too_long_goes_with_its_whole_group(void **unused)
{
    struct copy copy;
    struct execution execution;
    begin_sleeper(&copy);
    (void)exec_shell(&copy, "trap '' TERM; sleep 60 & echo $!; wait", 300 * NS_PER_MS, &execution);
    WAIT_FOR(execution.done);
    assert_int_equal(execution.result, -ETIMEDOUT);
    pid_t child = (pid_t)strtol(execution.output, NULL, 10);
    assert_true(child > 0);
    WAIT_FOR(!alive(child));
    end(&copy);
}

static void a_cancelled_command_is_not_heard_of_again(void **unused)
{
    struct copy copy;
    struct execution execution;
    begin_sleeper(&copy);
    char path[128], script[512];
    (void)snprintf(path, sizeof(path), "%s/pid", run_dir);
    (void)snprintf(script, sizeof(script), "echo $$ > %s.new; mv %s.new %s; sleep 60", path, path, path);
    struct runtime_execution *running = exec_shell(&copy, script, PATIENCE_NS, &execution);
    WAIT_FOR(access(path, F_OK) == 0);
    FILE *file = fopen(path, "r");
    int pid = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    runtime->exec_cancel(runtime, running);
    WAIT_FOR(!exists(pid));
    assert_false(execution.done);
    assert_int_equal(unlink(path), 0);
    end(&copy);
}

/* --- a socket that is handed over --- */

static bool connect_to(const struct board_address *address, int *ret)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &address->u.any, address->len) == 0) {
        *ret = fd;
        return true;
    }
    (void)close(fd);
    return false;
}

static void a_listening_socket_outlives_the_instance(void **unused)
{
    struct copy copy;
    char *command[] = {
        "/bin/sh", "-c",
        "echo $LISTEN_FDS $((LISTEN_PID - $$)) $LISTEN_FDNAMES; readlink /proc/self/fd/3; exec sleep 60", NULL
    };
    char *environment[] = { "LISTEN_PID=1", NULL }; /* of a file that means another manager */
    struct spec_service service = service_of(command);
    service.process_socket = true;
    service.environment = environment;
    begin(&service, &copy);
    WAIT_FOR(copy.started && strstr(text(&copy.out), "socket:"));
    assert_memory_equal(text(&copy.out), "1 0 app\n", 8);
    assert_int_equal(copy.ports_len, 1);
    struct board_address address = copy.ports[0].address;
    char first[64], second[64];
    (void)snprintf(first, sizeof(first), "%s", strstr(text(&copy.out), "socket:"));
    end(&copy);

    int fd = -1;
    assert_true(connect_to(&address, &fd)); /* nobody runs: it waits in the backlog */
    begin(&service, &copy);
    WAIT_FOR(strstr(text(&copy.out), "socket:"));
    (void)snprintf(second, sizeof(second), "%s", strstr(text(&copy.out), "socket:"));
    assert_string_equal(first, second);
    (void)close(fd);
    end(&copy);

    runtime->forget(runtime, "app-1");
    assert_false(connect_to(&address, &fd));
}

/* --- who it is --- */

static void limits_and_user_are_as_the_file_says(void **unused)
{
    struct copy copy;
    struct rlimit now;
    char *command[] = { "/bin/sh", "-c", "ulimit -Sn; ulimit -Hn; id -u; id -g; id -G; echo $HOME", NULL };
    struct spec_ulimit limit = { .resource = RLIMIT_NOFILE, .soft = 123, .hard = 456 };
    struct spec_service service = service_of(command);
    service.ulimits = &limit;
    service.ulimits_len = 1;
    if (geteuid() != 0) {
        service.user = "0";
        struct err err = { 0 };
        assert_int_equal(start_copy(&service, "app-1", &copy, &err), -EPERM);
        skip();
    }
    service.user = "nobody";
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    assert_string_equal(text(&copy.out), "123\n456\n65534\n65534\n65534\n/nonexistent\n");
    end(&copy);
    service.user = "4711:4712";
    begin(&service, &copy);
    WAIT_FOR(copy.exited);
    assert_non_null(strstr(text(&copy.out), "\n4711\n4712\n4712\n"));
    end(&copy);

    struct err err = { 0 };
    service.user = "nobody-of-that-name";
    assert_int_equal(start_copy(&service, "app-1", &copy, &err), -ENOENT);
    assert_non_null(strstr(err.message, "nobody-of-that-name"));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, now.rlim_max); /* ours is raised */
}

static void no_descriptor_is_lost(void **unused)
{
    struct copy copy;
    int counts[2];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20; i++) {
            run("echo x; exit 1", &copy);
            end(&copy);
        }
        counts[round] = dup(0);
        (void)close(counts[round]);
    }
    assert_int_equal(counts[0], counts[1]);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(an_exit_status_is_told_after_all_output),
        STORY(output_larger_than_a_pipe_arrives_whole),
        STORY(signals_tell_who_was_to_blame),
        STORY(a_program_that_is_not_there_is_refused),
        STORY(a_failed_exec_is_told_with_its_reason),
        STORY(it_leads_a_session_with_clean_signals_and_descriptors),
        STORY(the_environment_is_the_files_and_little_else),
        STORY(private_ports_are_never_shared_and_always_fresh),
        STORY(sigkill_takes_the_whole_group_and_others_only_the_main_process),
        STORY(what_the_main_process_leaves_in_its_group_is_ended_and_output_does_not_wait_for_it),
        STORY(orphans_are_reaped_and_children_of_the_house_are_not),
        STORY(destroy_leaves_nothing_not_even_what_has_escaped),
        STORY(a_command_beside_it_gives_status_and_output),
        STORY(a_command_that_takes_too_long_goes_with_its_whole_group),
        STORY(a_cancelled_command_is_not_heard_of_again),
        STORY(a_listening_socket_outlives_the_instance),
        STORY(limits_and_user_are_as_the_file_says),
        STORY(no_descriptor_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
