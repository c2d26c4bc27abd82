/* SPDX-License-Identifier: MIT
 *
 * What every command shares: the table's row, the options, the way to the project's supervisor, and how a command
 * ends. A command is one file cmd_NAME.c that exports one `struct cli_command`, named in main.c's table.
 *
 * Runs in: the command-line process; may block, prints for people, exits by returning from `run`.
 */
#ifndef DARUMA_CLI_CLI_H
#define DARUMA_CLI_CLI_H

#include "base/err.h"
#include "compose/spec.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes: part of the interface, see docs/cli.md. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,      /* it was tried and did not work, or what runs is not well */
    CLI_USAGE = 2,       /* the command line or the files are wrong: nothing was done */
    CLI_ROLLED_BACK = 3, /* a deploy went back to the version before */
    CLI_SLO_MISSED = 4,  /* `watch` measured less than --slo asked for */
};

/* An option that may be given several times; `items` ends with NULL and is NULL while empty. */
struct cli_list {
    const char **items;
    size_t len;
};

struct cli;

struct cli_command {
    const char *name;  /* as it is typed */
    const char *usage; /* behind the name: "[-d] [SERVICE…]" */
    const char *help;  /* one line for `daruma --help` */
    const char *more;  /* further lines for `daruma NAME --help`; NULL: none */
    /* argv[0] is the command's name. Calls cli_parse() first. Returns the exit code. */
    int (*run)(struct cli *cli, int argc, char **argv);
};

/*
 * One option and where its value goes: exactly one of the targets is set. Given as an array that ends with a zeroed
 * entry. `--name value`, `--name=value`, `-n value`, `-nvalue`, and switches in one word (`-qf`) are understood.
 */
struct cli_option {
    const char *name;  /* without dashes */
    char letter;       /* 0: none */
    const char *value; /* what --help calls its value: "FILE"; NULL for a switch */
    const char *help;
    bool *flag;
    const char **text;
    struct cli_list *list;
    int64_t *integer;     /* any decimal number */
    int64_t *duration_ns; /* "10s", "1.5m", "250ms"; a number alone is seconds */
    double *number;
};

/* One run of the program. */
struct cli {
    /* Options that every command takes, before or behind its name. */
    struct cli_list files, env_files, profiles;
    const char *project_name, *project_dir, *runtime;
    bool replace_nginx;     /* of `up`: the gateway does the work of services that are nginx */
    const char *nginx_conf; /* of the command `gateway`; NULL: a compose file is meant */

    const struct cli_command *command; /* the one that runs; NULL before it is known */
    char **args;                       /* cli_parse(): what is no option, NULL-terminated; points into argv */
    size_t args_len;
    int status; /* cli_parse(): the exit code, when it returned false */

    bool colour_out, colour_err; /* that stream is a terminal that knows colours, and NO_COLOR is not set */
    bool live;                   /* standard output is a terminal on which lines may be drawn over */
};

/*
 * Reads a command's options and those that all commands take (the command's own win where letters collide). True: go
 * on, `cli->args` holds the rest. False: return `cli->status` (--help was shown, or a mistake was explained).
 * Fewer than `min_args` or more than `max_args` arguments are a mistake; `max_args` SIZE_MAX: any number.
 */
bool cli_parse(struct cli *cli, const struct cli_option *options, int argc, char **argv, size_t min_args,
               size_t max_args);
/* As above for what stands before the command's name: stops at the first argument that is no option, whose position
   is returned; argc when there is none, -1 when `cli->status` is to be returned. */
int cli_parse_front(struct cli *cli, const struct cli_option *options, int argc, char **argv);

/* The options that all commands take, for the lists above. `ret` has room for CLI_GLOBALS entries. */
enum { CLI_GLOBALS = 7 };
void cli_global_options(struct cli *cli, struct cli_option ret[CLI_GLOBALS]);

/* Prints two lists of options, one below the other, aligned. */
void cli_print_options(FILE *out, const struct cli_option *options, const struct cli_option *more);

/* "10s", "1h30m", "250ms", "2" (seconds) → nanoseconds, not negative. 0 or -EINVAL. */
int cli_duration(const char *text, int64_t *ret_ns);

/* The one of `names` (NULL-terminated) that is so near to `word` that a typing mistake is likely, or NULL. */
const char *cli_nearest(const char *word, const char *const *names);

/* Puts signals off, whose list ends with 0. */
sigset_t cli_hold_signals(const int *signals);
/* The same, and opens a non-blocking descriptor that tells of them (signalfd(2)). It or a negative errno. */
int cli_take_signals(const int *signals);

/* Explains a mistake on the command line and names --help. Returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "daruma COMMAND: message" to standard error. Returns CLI_FAILED. */
int cli_fail(const struct cli *cli, const struct err *err);
/* As cli_fail(), for what a supervisor was asked: CLI_USAGE when it knows no such thing or cannot do it (-ENOENT, -EINVAL). */
int cli_refused(const struct cli *cli, const struct err *err);

/* What compose_load() is to be asked according to the options; borrows from `cli` and the environment. */
struct compose_request cli_compose_request(const struct cli *cli);
/* Loads the project and prints its problems. 0 with `ret`, or the exit code. `quiet`: warnings are not printed. */
int cli_load(const struct cli *cli, bool quiet, struct spec **ret);

/*
 * Colours: "" when `on` is false, so that one format serves both. printf("%sfailed%s", cli_sgr(on, CLI_RED), …)
 */
enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_RED, CLI_GREEN, CLI_YELLOW, CLI_BLUE, CLI_MAGENTA, CLI_CYAN };
const char *cli_sgr(bool on, enum cli_colour colour);

/* The commands. */
extern const struct cli_command cmd_upgrade, cmd_chaos, cmd_config, cmd_deploy, cmd_down, cmd_events, cmd_gateway,
    cmd_kill, cmd_logs, cmd_ps, cmd_restart, cmd_rollback, cmd_scale, cmd_up, cmd_watch;

#endif
