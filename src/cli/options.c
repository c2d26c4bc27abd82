/* SPDX-License-Identifier: MIT
 *
 * Reading the command line: options from tables, with a hint for what was probably meant.
 */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *cli_nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;

    for (; *names; names++)
        nearest = nearest_name(word, nearest, *names);
    return nearest;
}

int cli_duration(const char *text, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 } };
    double total = 0;

    if (!*text)
        return -EINVAL;
    for (bool first = true; *text; first = false) {
        char *end;
        /* strtod(3) would also take signs, hexadecimal numbers and "inf". */
        if (!isdigit((unsigned char)*text) || (text[0] == '0' && (text[1] | 32) == 'x'))
            return -EINVAL;
        double value = strtod(text, &end);
        size_t unit_len = strcspn(end, "0123456789.");
        double unit = 0;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (strlen(units[i].name) == unit_len && strncmp(end, units[i].name, unit_len) == 0)
                unit = units[i].ns;
        if (unit_len == 0 && first)
            unit = 1e9;
        if (unit == 0)
            return -EINVAL;
        total += value * unit;
        text = end + unit_len;
    }
    if (!isfinite(total) || total > 9e18)
        return -EINVAL;
    *ret_ns = (int64_t)total;
    return 0;
}

static int list_add(struct cli_list *list, const char *item)
{
    const char **items = reallocarray(list->items, list->len + 2, sizeof(*items));
    if (!items)
        return -ENOMEM;
    list->items = items;
    items[list->len++] = item;
    items[list->len] = NULL;
    return 0;
}

static int parse_integer(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!*text || *end || errno)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int parse_number(const char *text, double *ret)
{
    char *end;
    double value = strtod(text, &end);
    if (!*text || *end || !isfinite(value))
        return -EINVAL;
    *ret = value;
    return 0;
}

/* Puts the value where the option wants it; complains itself. */
static bool store(struct cli *cli, const struct cli_option *option, const char *value)
{
    const char *expected = NULL;

    if (option->flag)
        *option->flag = true;
    else if (option->text)
        *option->text = value;
    else if (option->list && list_add(option->list, value) < 0)
        expected = "less: out of memory";
    else if (option->integer && parse_integer(value, option->integer) < 0)
        expected = "a whole number";
    else if (option->duration_ns && cli_duration(value, option->duration_ns) < 0)
        expected = "a duration such as 10s or 250ms";
    else if (option->number && parse_number(value, option->number) < 0)
        expected = "a number";
    if (expected)
        cli->status = cli_usage(cli, "--%s: expected %s, not \"%s\"", option->name, expected, value);
    return !expected;
}

static const struct cli_option *find_long(const struct cli_option *options, const char *name, size_t len)
{
    for (; options->name; options++)
        if (strlen(options->name) == len && strncmp(options->name, name, len) == 0)
            return options;
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *options, char letter)
{
    for (; options->name; options++)
        if (options->letter == letter)
            return options;
    return NULL;
}

/* The tables that are searched, the command's own first. */
struct tables {
    const struct cli_option *own, *global;
};

static void unknown_option(struct cli *cli, const struct tables *tables, const char *name)
{
    const char *names[64];
    size_t n = 0;

    for (const struct cli_option *option = tables->own; option->name && n < 40; option++)
        names[n++] = option->name;
    for (const struct cli_option *option = tables->global; option->name && n < 63; option++)
        names[n++] = option->name;
    names[n] = NULL;
    const char *meant = cli_nearest(name, names);
    if (meant)
        cli->status = cli_usage(cli, "unknown option --%s; did you mean --%s?", name, meant);
    else
        cli->status = cli_usage(cli, "unknown option --%s", name);
}

/* "--name", "--name=value" or "--name value". How many words were used, 0 after a mistake. */
static int take_long(struct cli *cli, const struct tables *tables, char **argv)
{
    char *name = argv[0] + 2;
    size_t len = strcspn(name, "=");
    bool has_value = name[len] == '=';
    const struct cli_option *option = find_long(tables->own, name, len);

    if (!option)
        option = find_long(tables->global, name, len);
    if (!option) {
        name[len] = '\0';
        unknown_option(cli, tables, name);
        return 0;
    }
    if (option->flag) {
        if (has_value) {
            cli->status = cli_usage(cli, "--%s takes no value", option->name);
            return 0;
        }
        return store(cli, option, NULL) ? 1 : 0;
    }
    if (!has_value && !argv[1]) {
        cli->status = cli_usage(cli, "--%s needs a value: --%s %s", option->name, option->name, option->value);
        return 0;
    }
    if (!store(cli, option, has_value ? name + len + 1 : argv[1]))
        return 0;
    return has_value ? 1 : 2;
}

/* "-qf", "-p name" or "-pname". As take_long(). */
static int take_letters(struct cli *cli, const struct tables *tables, char **argv)
{
    for (const char *letter = argv[0] + 1; *letter; letter++) {
        const struct cli_option *option = find_letter(tables->own, *letter);
        if (!option)
            option = find_letter(tables->global, *letter);
        if (!option) {
            cli->status = cli_usage(cli, "unknown option -%c", *letter);
            return 0;
        }
        if (option->flag) {
            if (!store(cli, option, NULL))
                return 0;
            continue;
        }
        if (!letter[1] && !argv[1]) {
            cli->status = cli_usage(cli, "-%c needs a value: -%c %s", *letter, *letter, option->value);
            return 0;
        }
        if (!store(cli, option, letter[1] ? letter + 1 : argv[1]))
            return 0;
        return letter[1] ? 1 : 2;
    }
    return 1;
}

int cli_parse_front(struct cli *cli, const struct cli_option *options, int argc, char **argv)
{
    struct cli_option globals[CLI_GLOBALS];
    struct tables tables = { .own = options, .global = globals };
    int at = 1;

    cli_global_options(cli, globals);
    while (at < argc && argv[at][0] == '-' && argv[at][1]) {
        int used = argv[at][1] == '-' ? take_long(cli, &tables, argv + at) : take_letters(cli, &tables, argv + at);
        if (used == 0)
            return -1;
        at += used;
    }
    return at;
}

static void print_help(const struct cli *cli, const struct cli_option *options)
{
    printf("Usage: daruma %s %s\n\n%s\n", cli->command->name, cli->command->usage, cli->command->help);
    if (cli->command->more)
        printf("\n%s\n", cli->command->more);
    printf("\nOptions:\n");
    cli_print_options(stdout, options,
                      (const struct cli_option[]){ { .name = "help", .letter = 'h', .help = "this text" }, { 0 } });
    printf("\nThe options of `daruma --help` may also stand here.\n");
}

bool cli_parse(struct cli *cli, const struct cli_option *options, int argc, char **argv, size_t min_args,
               size_t max_args)
{
    struct cli_option globals[CLI_GLOBALS];
    struct tables tables = { .own = options, .global = globals };
    bool only_args = false;

    cli_global_options(cli, globals);
    cli->args = argv + 1;
    cli->args_len = 0;
    for (int at = 1; at < argc;) {
        char *word = argv[at];
        if (only_args || word[0] != '-' || !word[1]) {
            cli->args[cli->args_len++] = word;
            at++;
        } else if (strcmp(word, "--") == 0) {
            only_args = true;
            at++;
        } else if (strcmp(word, "--help") == 0 || (strcmp(word, "-h") == 0 && !find_letter(options, 'h'))) {
            print_help(cli, options);
            cli->status = CLI_DONE;
            return false;
        } else {
            int used = word[1] == '-' ? take_long(cli, &tables, argv + at) : take_letters(cli, &tables, argv + at);
            if (used == 0)
                return false;
            at += used;
        }
    }
    cli->args[cli->args_len] = NULL;
    if (cli->args_len < min_args)
        cli->status = cli_usage(cli, "an argument is missing: daruma %s %s", cli->command->name, cli->command->usage);
    else if (cli->args_len > max_args)
        cli->status = cli_usage(cli, "unexpected argument \"%s\"", cli->args[max_args]);
    else
        return true;
    return false;
}

void cli_global_options(struct cli *cli, struct cli_option ret[CLI_GLOBALS])
{
    const struct cli_option options[CLI_GLOBALS] = {
        { "file", 'f', "FILE", "compose file; may be given several times, later ones win", .list = &cli->files },
        { "project-name", 'p', "NAME", "project name; else the file's, else the directory's",
          .text = &cli->project_name },
        { "env-file", 0, "FILE", "variables for the compose file; else .env beside it", .list = &cli->env_files },
        { "profile", 0, "NAME", "also the services of this profile; may be given several times",
          .list = &cli->profiles },
        { "project-directory", 0, "DIR", "what relative paths are relative to; else the first file's directory",
          .text = &cli->project_dir },
        { "runtime", 0, "NAME", "process or docker; else DARUMA_RUNTIME, else what the file says",
          .text = &cli->runtime },
    };
    memcpy(ret, options, sizeof(options));
}

static int width_of(const struct cli_option *options)
{
    int width = 0;

    for (; options->name; options++) {
        int len = (int)strlen(options->name) + (options->value ? 1 + (int)strlen(options->value) : 0);
        width = len > width ? len : width;
    }
    return width;
}

static void print_options(FILE *out, const struct cli_option *options, int width)
{
    for (; options->name; options++) {
        char words[80], letter[5] = "    ";
        (void)snprintf(words, sizeof(words), "%s%s%s", options->name, options->value ? " " : "",
                       options->value ? options->value : "");
        if (options->letter)
            (void)snprintf(letter, sizeof(letter), "-%c, ", options->letter);
        (void)fprintf(out, "  %s--%-*s  %s\n", letter, width, words, options->help);
    }
}

void cli_print_options(FILE *out, const struct cli_option *options, const struct cli_option *more)
{
    int width = width_of(options), wider = width_of(more);

    width = wider > width ? wider : width;
    print_options(out, options, width);
    print_options(out, more, width);
}
