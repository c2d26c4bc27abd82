/* SPDX-License-Identifier: MIT
 *
 * From the command to the supervisor: all checks while a person still reads, then the fork.
 */
#include "daemon/daemon.h"

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/table.h"
#include "supervise/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What the runtime knows before anything starts. It needs a loop to exist, but does not use it for this. What it does
   to the process that runs it is taken back: the supervisor's own one is to find things as they were. */
static int check_runtime(const struct rundir *dir, struct spec *spec, enum spec_runtime kind, struct problems *problems,
                         struct err *err)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    struct loop *loop = loop_new();
    if (!loop)
        return err_errno(err, -errno, "cannot prepare the checks");
    struct runtime *runtime = daemon_runtime_new(loop, dir, kind, err);
    int r = runtime ? 0 : err->code < 0 ? err->code : -EAGAIN;

    if (runtime) {
        runtime->check(runtime, spec, problems);
        if (problems->errors == 0)
            runtime->stamp(runtime, spec);
        runtime->destroy(runtime);
    }
    if (limited)
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    loop_free(loop);
    return r;
}

/* Standard input is nothing, output and error are the supervisor's own log. */
static void redirect(const struct rundir *dir)
{
    char path[PATH_MAX];
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = open(rundir_file(dir, "daruma.log", path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (null >= 0)
        (void)dup2(null, STDIN_FILENO);
    if (log >= 0) {
        (void)dup2(log, STDOUT_FILENO);
        (void)dup2(log, STDERR_FILENO);
    }
    if (null > STDERR_FILENO)
        (void)close(null);
    if (log > STDERR_FILENO)
        (void)close(log);
}

static void __attribute__((noreturn)) run_supervisor(struct daemon_setup *setup, int ready_fd)
{
    struct err err = { 0 };
    sigset_t none;

    /* The first child led the new session; the second can never get a terminal again. */
    pid_t pid = fork();
    if (pid < 0) {
        (void)err_fork(&err, -errno, "the supervisor");
        (void)!write(ready_fd, err.message, strlen(err.message));
    }
    if (pid != 0)
        _exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    (void)prctl(PR_SET_NAME, "daruma");
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* A limit on files' sizes is an error of a write, no reason to end. Instances get it back as it was. */
    (void)signal(SIGXFSZ, SIG_IGN);
    redirect(&setup->dir);
    if (table_close_strangers() < 0 || chdir("/") < 0)
        _exit(EXIT_FAILURE);
    _exit(daemon_main(setup, ready_fd));
}

/* Waits for the supervisor's word. It ends with a NUL: the pipe's end alone would depend on every process that was forked meanwhile
   having closed its copy. */
static int wait_ready(int fd, const struct rundir *dir, struct err *err)
{
    char text[sizeof(err->message)] = "";
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(text) - 1 && strlen(text) == len && (n = read(fd, text + len, sizeof(text) - 1 - len)) != 0) {
        if (n < 0 && errno != EINTR)
            return err_errno(err, -errno, "cannot hear from the supervisor");
        len += n > 0 ? (size_t)n : 0;
    }
    if (strcmp(text, "ok") == 0)
        return 0;
    if (len == 0)
        return err_set(err, -ECHILD, "the supervisor ended while it started; %.300s/daruma.log may say why", dir->path);
    return err_set(err, -ECHILD, "%s", text);
}

static int fork_off(struct daemon_setup *setup, struct err *err)
{
    int ready[2];

    if (pipe2(ready, O_CLOEXEC) < 0)
        return err_errno(err, -errno, "cannot open a pipe");
    /* What was printed must not be printed twice. */
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ready[0]);
        (void)setsid();
        run_supervisor(setup, ready[1]);
    }
    int r = pid < 0 ? -errno : 0;
    (void)close(ready[1]);
    if (r < 0)
        (void)err_fork(err, r, "the supervisor");
    else
        r = wait_ready(ready[0], &setup->dir, err);
    (void)close(ready[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}

static void setup_free(struct daemon_setup *setup)
{
    listeners_free(&setup->listeners);
    applied_free(&setup->before);
    up_request_free(&setup->request);
    spec_free(setup->spec);
}

/* What a supervisor that died has left. That it cannot be used is no reason not to start: what runs is found all the
   same, and ended before it could be doubled. */
static void find_before(struct daemon_setup *setup)
{
    struct err why = { 0 };

    int r = applied_load(&setup->dir, &setup->before, &why);
    if (r < 0 && r != -ENOENT)
        setup->refused = why;
    setup->listeners.ports = setup->before.ports;
}

static int check_kind(const struct daemon_setup *setup, struct err *err)
{
    if (!setup->before.spec || setup->before.runtime == setup->runtime)
        return 0;
    return err_set(err, -EINVAL,
                   "instances of project \"%s\" still run with the %s runtime, and the files ask for the other one; "
                   "end them first with `daruma -p %s down`",
                   setup->dir.project, setup->before.runtime == SPEC_RUNTIME_DOCKER ? "docker" : "process",
                   setup->dir.project);
}

static void tell_taken_over(const struct runtime_published *published, struct problems *problems)
{
    json_t *container;
    size_t i;

    json_array_foreach(published->containers, i, container)
    {
        const char *name = json_string_value(json_array_get(json_object_get(container, "Names"), 0));
        problem_warning(
            problems, (struct place){ 0 },
            "the container %s, which Compose had started, was stopped: its ports are the gateway's now, and "
            "its service starts anew with its volumes",
            name ? name + 1 : "?");
    }
}

/* Opens the ports. Those that containers of this very project hold are taken over, if nothing else is wrong. */
static int open_ports(struct daemon_setup *setup, struct problems *problems, struct err *err)
{
    const char *host = getenv("DOCKER_HOST");
    struct listeners *listeners = &setup->listeners;
    struct runtime_published published = { 0 };
    int r = 0;

    if (problems->errors == 0 && setup->runtime == SPEC_RUNTIME_DOCKER)
        r = runtime_docker_published(host, setup->spec->name, &published, err);
    if (r < 0)
        return r;
    listeners->spared = published.ports;
    listeners->spared_len = published.len;
    listeners_open(listeners, setup->spec, problems);
    listeners->spared_len = 0;
    if (published.len > 0 && problems->errors == 0) {
        r = runtime_docker_make_way(host, &published, err);
        if (r == 0) {
            tell_taken_over(&published, problems);
            listeners_open(listeners, setup->spec, problems);
        }
    }
    runtime_docker_published_free(&published);
    return r;
}

int daemon_start(const struct rundir *dir, struct up_request *request, struct spec *spec, struct problems *problems,
                 struct err *err)
{
    struct daemon_setup setup = { .dir = *dir, .request = *request, .spec = spec };

    *request = (struct up_request){ 0 };
    find_before(&setup);
    int r = spec_choose_runtime(spec, setup.request.runtime, &setup.runtime, err);
    if (r == 0)
        r = check_kind(&setup, err);
    if (r == 0)
        r = check_runtime(dir, spec, setup.runtime, problems, err);
    if (r == 0)
        r = open_ports(&setup, problems, err);
    if (r == 0 && problems->errors > 0)
        r = -EINVAL;
    if (r == 0)
        rundir_clear_logs(dir);
    if (r == 0)
        r = rundir_set_origin(dir, spec->working_dir, err);
    if (r == 0)
        r = fork_off(&setup, err);
    if (r < 0)
        listeners_discard(&setup.listeners);
    setup_free(&setup);
    return r;
}

int daemon_revive(const struct rundir *dir, struct err *err)
{
    struct daemon_setup setup = { .dir = *dir };
    struct problems problems = { 0 };

    int r = applied_load(dir, &setup.before, err);
    if (r < 0)
        return r;
    setup.runtime = setup.before.runtime;
    setup.listeners.ports = setup.before.ports;
    listeners_open(&setup.listeners, setup.before.spec, &problems); /* a port that is taken now is no reason not to */
    problems_free(&problems);
    r = fork_off(&setup, err);
    setup_free(&setup);
    return r;
}
