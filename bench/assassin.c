/* SPDX-License-Identifier: MIT
 *
 * Kills processes of one session at random, one after the other.
 *
 *     assassin SESSION NAMES COUNT EVERY_MS [SIGNAL]
 *
 * SESSION is a session's id, NAMES a pattern of glob(7) for the processes' names. The next one is struck EVERY_MS after the one
 * before, but not before there are as many of them as there were at first and the victim has a successor. SIGNAL is a number, 9 if
 * not given. Prints how many were struck; ends early when nobody is left, or nobody comes back for 10 s.
 */
#include "base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 256 };

/* Those that live, and are not stopped. */
static unsigned find(int session, const char *names, pid_t pids[MOST])
{
    unsigned count = 0;
    DIR *proc = opendir("/proc");

    for (const struct dirent *entry; proc && (entry = readdir(proc)) && count < MOST;) {
        char path[64], line[512];
        int of_session = 0;
        char state = '?';
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%.16s/stat", entry->d_name);
        FILE *file = fopen(path, "re");
        const char *text = file ? fgets(line, sizeof(line), file) : NULL;
        if (file)
            (void)fclose(file);
        const char *begin = text ? strchr(text, '(') : NULL;
        char *end = text ? strrchr(text, ')') : NULL;
        if (!begin || !end)
            continue;
        *end = '\0';
        if (fnmatch(names, begin + 1, 0) == 0 && sscanf(end + 1, " %c %*d %*d %d", &state, &of_session) == 2 &&
            of_session == session && !strchr("ZXT", state))
            pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    if (proc)
        (void)closedir(proc);
    return count;
}

static bool is_among(pid_t pid, const pid_t *pids, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    pid_t pids[MOST];
    int struck = 0;

    if (argc < 5) {
        (void)fprintf(stderr, "usage: assassin SESSION NAMES COUNT EVERY_MS [SIGNAL]\n");
        return 2;
    }
    int session = atoi(argv[1]), wanted = atoi(argv[3]), signo = argc > 5 ? atoi(argv[5]) : SIGKILL;
    int64_t every = atoi(argv[4]) * NS_PER_MS;
    unsigned whole = find(session, argv[2], pids), there = whole;
    srandom((unsigned)clock_now());
    while (struck < wanted && there > 0) {
        pid_t victim = pids[(unsigned)random() % there];
        int64_t begun = clock_now();
        if (kill(victim, signo) < 0)
            break;
        struck++;
        do {
            clock_sleep(NS_PER_MS);
            there = find(session, argv[2], pids);
        } while ((there < whole || is_among(victim, pids, there)) && clock_now() < begun + 10 * NS_PER_S);
        if (there < whole)
            break;
        int64_t left = begun + every - clock_now();
        if (left > 0)
            clock_sleep(left);
        there = find(session, argv[2], pids);
    }
    printf("%d\n", struck);
    return struck == wanted ? 0 : 1;
}
