/* SPDX-License-Identifier: MIT
 *
 * Reading the command line. Messages go to standard error and are not looked at; exit codes are.
 */
#include "cli/cli.h"
#include "cli/scale.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct cli_command command = { .name = "test", .usage = "[THING…]", .help = "nothing" };

struct values {
    bool follow, quiet;
    const char *tail;
    struct cli_list names;
    int64_t count, span;
    double rate;
};

static struct cli cli;
static struct values values;

/* Parses a space-separated command line. The words live until the next call. */
static bool parse(const char *line, size_t min_args, size_t max_args)
{
    static char words[512];
    static char *argv[64];
    int argc = 0;
    const struct cli_option options[] = {
        { "follow", 'f', NULL, "", .flag = &values.follow }, { "quiet", 'q', NULL, "", .flag = &values.quiet },
        { "tail", 'n', "N", "", .text = &values.tail },      { "name", 0, "NAME", "", .list = &values.names },
        { "count", 'c', "N", "", .integer = &values.count }, { "span", 0, "TIME", "", .duration_ns = &values.span },
        { "rate", 'r', "N", "", .number = &values.rate },    { 0 },
    };

    free(values.names.items);
    free(cli.files.items);
    values = (struct values){ 0 };
    cli = (struct cli){ .command = &command };
    (void)snprintf(words, sizeof(words), "test %s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return cli_parse(&cli, options, argc, argv, min_args, max_args);
}

static void options_and_arguments_may_be_mixed(void **state)
{
    assert_true(parse("a -f b --tail 5 c", 0, SIZE_MAX));
    assert_true(values.follow);
    assert_string_equal(values.tail, "5");
    assert_int_equal(cli.args_len, 3);
    assert_string_equal(cli.args[0], "a");
    assert_string_equal(cli.args[2], "c");
    assert_null(cli.args[3]);
}

static void values_come_in_all_usual_forms(void **state)
{
    assert_true(parse("--tail=7 -c12 -r 2.5 --span 250ms --name x --name=y", 0, 0));
    assert_string_equal(values.tail, "7");
    assert_int_equal(values.count, 12);
    assert_true(values.rate == 2.5);
    assert_int_equal(values.span, 250 * NS_PER_MS);
    assert_int_equal(values.names.len, 2);
    assert_string_equal(values.names.items[1], "y");
    assert_null(values.names.items[2]);
    assert_true(parse("-qfn3", 0, 0));
    assert_true(values.quiet && values.follow);
    assert_string_equal(values.tail, "3");
}

static void behind_two_dashes_everything_is_an_argument(void **state)
{
    assert_true(parse("-q -- -f --tail", 0, SIZE_MAX));
    assert_false(values.follow);
    assert_int_equal(cli.args_len, 2);
}

static void global_options_work_behind_the_command_unless_the_letter_is_taken(void **state)
{
    assert_true(parse("-p shop --file one -f", 0, 0));
    assert_string_equal(cli.project_name, "shop");
    assert_int_equal(cli.files.len, 1);
    assert_true(values.follow);
}

static void help_is_shown_by_name_and_letter(void **state)
{
    assert_false(parse("-h", 0, 0));
    assert_int_equal(cli.status, CLI_DONE);
    assert_false(parse("-q --help", 0, 0));
    assert_int_equal(cli.status, CLI_DONE);
}

static void mistakes_are_usage_errors(void **state)
{
    static const char *const wrong[] = {
        "--no-such-option",
        "-z",
        "--tail",
        "-n",
        "--follow=yes",
        "--count ten",
        "--count 1x",
        "--span never",
        "--span 5d5",
        "--rate fast",
        "--span -1s",
        "--span 1e999999s",
        "--count 99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (parse(wrong[i], 0, SIZE_MAX))
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(cli.status, CLI_USAGE);
    }
    assert_false(parse("", 1, 1));
    assert_int_equal(cli.status, CLI_USAGE);
    assert_false(parse("a b", 1, 1));
    assert_int_equal(cli.status, CLI_USAGE);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } right[] = {
        { "2", 2 * NS_PER_S },
        { "0", 0 },
        { "0.5", NS_PER_S / 2 },
        { "10s", 10 * NS_PER_S },
        { "250ms", 250 * NS_PER_MS },
        { "5us", 5000 },
        { "7ns", 7 },
        { "1.5m", 90 * NS_PER_S },
        { "1h30m", 5400 * NS_PER_S },
        { "1m0.5s", 60500 * NS_PER_MS },
    };
    static const char *const wrong[] = { "",    "s",   "-1s", "1x",   "1s2",         "0x10s",
                                         "inf", "nan", "1 s", "1h30", "99999999999h" };
    int64_t ns;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        if (cli_duration(right[i].text, &ns) < 0 || ns != right[i].ns)
            fail_msg("%s", right[i].text);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (cli_duration(wrong[i], &ns) == 0)
            fail_msg("accepted: \"%s\"", wrong[i]);
}

static void the_nearest_word_is_one_that_was_probably_meant(void **state)
{
    const char *const names[] = { "up", "down", "restart", "scale", "events", NULL };
    assert_string_equal(cli_nearest("upp", names), "up");
    assert_string_equal(cli_nearest("donw", names), "down");
    assert_string_equal(cli_nearest("retsart", names), "restart");
    assert_string_equal(cli_nearest("event", names), "events");
    assert_null(cli_nearest("xylophone", names));
    assert_null(cli_nearest("a-word-that-is-much-longer-than-any-option-or-command-can-ever-be-here", names));
}

static void scaling_words(void **state)
{
    json_t *scale = json_object();
    assert_int_equal(scale_add(scale, "app=3"), 0);
    assert_int_equal(scale_add(scale, "job=0"), 0);
    assert_int_equal(json_integer_value(json_object_get(scale, "app")), 3);
    static const char *const wrong[] = { "app", "=3", "app=", "app=-1", "app=x", "app=3x", "app=10001", "app= 3" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(scale_add(scale, wrong[i]), -EINVAL);
    assert_int_equal(json_object_size(scale), 2);
    json_decref(scale);
}

static int forget(void **state)
{
    free(values.names.items);
    free(cli.files.items);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_may_be_mixed),
        cmocka_unit_test(values_come_in_all_usual_forms),
        cmocka_unit_test(behind_two_dashes_everything_is_an_argument),
        cmocka_unit_test(global_options_work_behind_the_command_unless_the_letter_is_taken),
        cmocka_unit_test(help_is_shown_by_name_and_letter),
        cmocka_unit_test(mistakes_are_usage_errors),
        cmocka_unit_test(durations),
        cmocka_unit_test(the_nearest_word_is_one_that_was_probably_meant),
        cmocka_unit_test(scaling_words),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
