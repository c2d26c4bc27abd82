/* SPDX-License-Identifier: MIT
 *
 * Kills a process of daruma at one of its system calls: on the way into it, or on the way out, when it is done but nobody knows.
 *
 *     killat STOP PID              that process, which runs
 *     killat STOP COMMAND…         whoever of daruma the command and its children are that comes to that stop
 *
 * Stops are counted from 1, two for each call. Prints "ready" when it counts, and where it struck: "in NUMBER" or "out NUMBER". Ends
 * with the command's status, or when the process has ended; with 3 when nobody came to that stop within 10 s.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATIENCE_S = 10,
    NOBODY_CAME = 3,
    TRACE = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC,
};

static long wanted, stops;
static bool struck;

/* Instances have other names as soon as they run their program. */
static bool is_of_daruma(pid_t pid)
{
    char path[64], name[32] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool ours = fgets(name, sizeof(name), file) && strncmp(name, "daruma", 6) == 0;
    (void)fclose(file);
    return ours;
}

/* Is this the stop? Then it is killed. */
static bool strike(pid_t pid)
{
    struct __ptrace_syscall_info info;
    static long number;

    if (struck || !is_of_daruma(pid) || ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) < 0 ||
        ++stops != wanted)
        return false;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        number = (long)info.entry.nr;
    printf("%s %ld\n", info.op == PTRACE_SYSCALL_INFO_ENTRY ? "in" : "out", number);
    (void)fflush(stdout);
    struck = true;
    (void)kill(pid, SIGKILL);
    return true;
}

static void go_on(pid_t pid, int status)
{
    int signo = WSTOPSIG(status), event = status >> 16;
    bool group = event == PTRACE_EVENT_STOP && (signo == SIGSTOP || signo == SIGTSTP);
    bool foreign = event == PTRACE_EVENT_EXEC && !is_of_daruma(pid);

    if (foreign)
        (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    else if (group)
        (void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
    else
        (void)ptrace(struck ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL,
                     event || signo == (SIGTRAP | 0x80) ? NULL : (void *)(long)signo);
}

static pid_t begin(char **command)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)raise(SIGSTOP);
        (void)execvp(command[0], command);
        _exit(127);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid || ptrace(PTRACE_SEIZE, pid, NULL, (void *)(long)TRACE) < 0)
        return -1;
    return kill(pid, SIGCONT) < 0 ? -1 : pid;
}

static pid_t attach(pid_t pid)
{
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(long)PTRACE_O_TRACESYSGOOD) < 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
        return -1;
    return pid;
}

static void on_alarm(int signo)
{
    _exit(NOBODY_CAME);
}

int main(int argc, char **argv)
{
    if (argc < 3 || (wanted = strtol(argv[1], NULL, 10)) < 1) {
        (void)fprintf(stderr, "usage: killat STOP PID | COMMAND…\n");
        return 2;
    }
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(PATIENCE_S);
    bool running = isdigit((unsigned char)argv[2][0]);
    pid_t first = running ? attach((pid_t)strtol(argv[2], NULL, 10)) : begin(argv + 2);
    if (first < 0) {
        perror("killat");
        return 1;
    }
    printf("ready\n");
    (void)fflush(stdout);
    for (int status;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno != EINTR)
            return 0;
        if (pid == first && (WIFEXITED(status) || WIFSIGNALED(status)))
            return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        if (pid > 0 && WIFSTOPPED(status) && !(WSTOPSIG(status) == (SIGTRAP | 0x80) && strike(pid)))
            go_on(pid, status);
    }
}
