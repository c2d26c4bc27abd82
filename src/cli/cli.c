/* SPDX-License-Identifier: MIT
 *
 * What commands share beside their options: messages, colours and signals.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>

static void print_name(const struct cli *cli)
{
    (void)fprintf(stderr, "%sdaruma%s%s:%s ", cli_sgr(cli->colour_err, CLI_RED), cli->command ? " " : "",
                  cli->command ? cli->command->name : "", cli_sgr(cli->colour_err, CLI_PLAIN));
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    print_name(cli);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\nSee `daruma %s%s--help`.\n", cli->command ? cli->command->name : "",
                  cli->command ? " " : "");
    return CLI_USAGE;
}

int cli_fail(const struct cli *cli, const struct err *err)
{
    print_name(cli);
    (void)fprintf(stderr, "%s\n", err->message[0] ? err->message : strerror(-err->code));
    return CLI_FAILED;
}

int cli_refused(const struct cli *cli, const struct err *err)
{
    (void)cli_fail(cli, err);
    return err->code == -ENOENT || err->code == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

sigset_t cli_hold_signals(const int *signals)
{
    sigset_t set;

    (void)sigemptyset(&set);
    while (*signals)
        (void)sigaddset(&set, *signals++);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return set;
}

int cli_take_signals(const int *signals)
{
    sigset_t set = cli_hold_signals(signals);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

const char *cli_sgr(bool on, enum cli_colour colour)
{
    static const char *const codes[] = {
        [CLI_PLAIN] = "\033[0m", [CLI_BOLD] = "\033[1m",     [CLI_DIM] = "\033[2m",
        [CLI_RED] = "\033[31m",  [CLI_GREEN] = "\033[32m",   [CLI_YELLOW] = "\033[33m",
        [CLI_BLUE] = "\033[34m", [CLI_MAGENTA] = "\033[35m", [CLI_CYAN] = "\033[36m",
    };
    return on ? codes[colour] : "";
}
