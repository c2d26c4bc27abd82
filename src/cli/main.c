/* SPDX-License-Identifier: MIT
 *
 * daruma: the table of commands. Each is a file cmd_NAME.c beside this one.
 */
#include "cli/cli.h"

#include "base/handover.h"
#include "base/table.h"
#include "base/version.h"
#include "compose/utf8.h"
#include "daemon/daemon.h"
#include "daemon/selfcheck.h"
#include "gateway/gateway.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In the order in which `daruma --help` shows them. */
static const struct cli_command *const commands[] = {
    &cmd_config, &cmd_up,   &cmd_down,   &cmd_ps,    &cmd_logs,  &cmd_restart, &cmd_deploy,  &cmd_rollback,
    &cmd_scale,  &cmd_kill, &cmd_events, &cmd_chaos, &cmd_watch, &cmd_gateway, &cmd_upgrade, NULL,
};

static void print_help(const struct cli_option *options)
{
    printf("daruma makes the services of a compose file indestructible: it runs them,\n"
           "stands in front of them, replaces them, and proves that nobody noticed.\n\n"
           "Usage: daruma [OPTIONS] COMMAND\n\nCommands:\n");
    for (const struct cli_command *const *command = commands; *command; command++)
        printf("  %-9s %s\n", (*command)->name, (*command)->help);
    printf("\nOptions, before or behind the command:\n");
    cli_print_options(stdout, options,
                      (const struct cli_option[]){
                          { .name = "help", .letter = 'h', .help = "this text, or a command's: daruma COMMAND --help" },
                          { .name = "version", .help = "the version" },
                          { 0 } });
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage or files, 3 rolled back, 4 SLO missed.\n");
}

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static int unknown_command(const struct cli *cli, const char *name)
{
    const char *names[sizeof(commands) / sizeof(commands[0])];

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        names[i] = commands[i] ? commands[i]->name : NULL;
    const char *meant = cli_nearest(name, names);
    if (meant)
        return cli_usage(cli, "there is no command \"%s\"; did you mean \"%s\"?", name, meant);
    return cli_usage(cli, "there is no command \"%s\"", name);
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool help = false, version = false;
    const struct cli_option front[] = {
        { .name = "help", .letter = 'h', .flag = &help },
        { .name = "version", .flag = &version },
        { 0 },
    };
    struct cli_option globals[CLI_GLOBALS];

    int at = cli_parse_front(cli, front, argc, argv);
    if (at < 0)
        return cli->status;
    cli_global_options(cli, globals);
    if (version) {
        printf("daruma %s\n", DARUMA_VERSION);
        return CLI_DONE;
    }
    /* `daruma help up` is what many fingers type. */
    if (help || at == argc || strcmp(argv[at], "help") == 0) {
        bool asked = help || at < argc;
        if (at + 1 >= argc) {
            print_help(globals);
            return asked ? CLI_DONE : CLI_USAGE;
        }
        if (!help)
            at++;
        help = true;
    }
    cli->command = find_command(argv[at]);
    if (!cli->command)
        return unknown_command(cli, argv[at]);
    if (help)
        return cli->command->run(cli, 2, (char *[]){ argv[at], (char[]){ "--help" }, NULL });
    return cli->command->run(cli, argc - at, argv + at);
}

/* Somebody may have closed 0, 1 or 2. What is opened later must not get these numbers: it would be taken for a standard
   stream, and the supervisor would put its own in the place of a socket or of the lock. Reading gives the end of the
   file, writing fails. */
static bool fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
    return fd >= 0;
}

/* All that is said to a supervisor is JSON. False after telling which word is the first that cannot be. */
static bool is_text(const struct cli *cli, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!utf8_is_valid(argv[i])) {
            (void)cli_usage(cli, "\"%s\" is no UTF-8", argv[i]);
            return false;
        }
    return true;
}

/* This program takes the place of another one, which was asked to upgrade: no command, but a part of what runs. */
static int take_over(int argc, char **argv)
{
    handover_take(argc - 1, argv + 1);
    if (table_keep_over_exec(false) < 0)
        return CLI_FAILED;
    if (strcmp(argv[0], "worker") == 0)
        return gateway_worker_resume();
    /* Before there is a guard, so that no supervisor has to do it anew. */
    if (strcmp(argv[0], "supervisor") == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
        return daemon_resume();
    return CLI_FAILED;
}

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (argc == 2 && strcmp(argv[1], "--self-check") == 0)
        return daemon_self_check();
    if (argc > 2 && strcmp(argv[1], HANDOVER_OPTION) == 0)
        return take_over(argc - 2, argv + 2);
    /* Ignored, as some leave it to us over execve(2), children would be gone before anybody can ask how they ended. */
    (void)signal(SIGCHLD, SIG_DFL);
    if (!fill_standard_descriptors()) {
        (void)fprintf(stderr, "daruma: cannot open /dev/null: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool able = !terminal || strcmp(terminal, "dumb") != 0, colour = able && (!no_colour || !*no_colour);
    struct cli cli = {
        .colour_out = colour && isatty(STDOUT_FILENO),
        .colour_err = colour && isatty(STDERR_FILENO),
        .live = able && isatty(STDOUT_FILENO),
    };

    int status = is_text(&cli, argc, argv) ? run(&cli, argc, argv) : CLI_USAGE;
    /* What could not be written (disk full, closed pipe) was not done. */
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (!written && status == CLI_DONE) {
        (void)fprintf(stderr, "daruma: standard output did not take all that there was to say\n");
        status = CLI_FAILED;
    }
    free(cli.files.items);
    free(cli.env_files.items);
    free(cli.profiles.items);
    return status;
}
