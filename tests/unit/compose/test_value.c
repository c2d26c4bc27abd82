/* SPDX-License-Identifier: MIT
 *
 * Durations, sizes, truth, command lines, signals.
 */
#include "compose/value.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct pool *new_pool(struct pool *pool)
{
    static jmp_buf failure; /* never reached: the tests need little */
    *pool = (struct pool){ .limit = 1 << 20, .failure = &failure };
    return pool;
}

static void durations_are_read_as_compose_reads_them(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        { "10s", 10 * NS_PER_S },       { "1m30s", 90 * NS_PER_S },
        { "1h2m3s", 3723 * NS_PER_S },  { "500ms", NS_PER_S / 2 },
        { "100µs", 100 * NS_PER_US },   { "100us", 100 * NS_PER_US },
        { ".5s", NS_PER_S / 2 },        { "1d12h", 36 * 3600 * NS_PER_S },
        { "1w", 7 * 86400 * NS_PER_S }, { "0", 0 },
        { "-1s", -NS_PER_S },           { "1.5h", 5400 * NS_PER_S },
    };
    static const char *const bad[] = { "", "10", "1m 30s", "1h-5m", "1m30", "s", ".s", "1x", "99999999999h", "inf" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ns = -7;
        if (value_duration(good[i].text, &ns) < 0 || ns != good[i].ns)
            fail_msg("%s is %" PRId64, good[i].text, ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ns = -7;
        if (value_duration(bad[i], &ns) != -EINVAL || ns != -7)
            fail_msg("\"%s\" was accepted", bad[i]);
    }
}

static void durations_are_printed_as_go_prints_them(void **unused)
{
    (void)unused;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        { 0, "0s" },
        { 90 * NS_PER_S, "1m30s" },
        { 86400 * NS_PER_S, "24h0m0s" },
        { NS_PER_S / 2, "500ms" },
        { 100 * NS_PER_US, "100µs" },
        { 7, "7ns" },
        { 1500 * NS_PER_MS, "1.5s" },
        { -NS_PER_S, "-1s" },
    };
    struct pool pool;

    new_pool(&pool);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(value_format_duration(&pool, rows[i].ns), rows[i].text);
    pool_free(&pool);
}

static void sizes_are_read_as_compose_reads_them(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {
        { "64m", 64 << 20 }, { "64mb", 64 << 20 }, { "64MiB", 64 << 20 },  { "64 m", 64 << 20 },
        { "2b", 2 },         { "2048k", 2 << 20 }, { "1.5g", 1610612736 }, { "1t", INT64_C(1) << 40 },
        { "1e3", 1000 },     { "1.5b", 1 },        { "-1", -1 },           { "0", 0 },
    };
    static const char *const bad[] = { "", "1e", "1x", "1,5g", "1kbb", " 5", "-1m", "invalid", "m", "9e99" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t bytes = -7;
        if (value_bytes(good[i].text, &bytes) < 0 || bytes != good[i].bytes)
            fail_msg("%s is %" PRId64, good[i].text, bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t bytes;
        if (value_bytes(bad[i], &bytes) != -EINVAL)
            fail_msg("\"%s\" was accepted", bad[i]);
    }
}

static void truth_has_old_words_that_are_remarked(void **unused)
{
    (void)unused;
    bool truth = false, old = true;

    assert_int_equal(value_bool("true", &truth, &old), 0);
    assert_true(truth && !old);
    assert_int_equal(value_bool("Yes", &truth, &old), 0);
    assert_true(truth && old);
    assert_int_equal(value_bool("off", &truth, &old), 0);
    assert_true(!truth && old);
    assert_int_equal(value_bool("maybe", &truth, &old), -EINVAL);
}

/* The words joined by "|", with " …" when there was more, or "!" when the line is refused. */
static const char *split(struct pool *pool, const char *line)
{
    struct node *words = node_new(pool, NODE_LIST, (struct place){ 0 });
    struct text text = { .pool = pool };

    int result = value_split(pool, (struct place){ 0 }, line, words);
    if (result < 0)
        return "!";
    for (size_t i = 0; i < words->len; i++) {
        text_puts(&text, i > 0 ? "|" : "");
        text_puts(&text, node_str(node_at(words, i)));
    }
    text_puts(&text, result > 0 ? " …" : "");
    return text_str(&text);
}

static void a_command_line_is_split_without_a_shell(void **unused)
{
    (void)unused;
    static const struct {
        const char *line, *words;
    } rows[] = {
        { "echo hello", "echo|hello" },
        { "echo 'a b' c", "echo|a b|c" },
        { "echo \"a\\\"b\"", "echo|a\"b" },
        { "echo \"a\\nb\"", "echo|anb" },
        { "echo $HOME `date`", "echo|$HOME|`date`" },
        { "echo a; echo b", "echo|a …" },
        { "echo a ; ", "echo|a" },
        { "echo a > f", "echo|a …" },
        { "a 2>&1", "a …" },
        { "", "" },
        { "\"unterminated", "!" },
        { "a (b)", "!" },
        { "a \"\" b", "a||b" },
        { "a\tb\nc", "a|b|c" },
        { "a\"b\"c", "abc" },
        { "#c", "#c" },
        { "é \"ü x\"", "é|ü x" },
    };
    struct pool pool;

    new_pool(&pool);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(split(&pool, rows[i].line), rows[i].words);
    pool_free(&pool);
}

static void signals_have_names_and_numbers(void **unused)
{
    (void)unused;
    assert_int_equal(value_signal("SIGTERM"), SIGTERM);
    assert_int_equal(value_signal("int"), SIGINT);
    assert_int_equal(value_signal("9"), SIGKILL);
    assert_int_equal(value_signal("SIGNOTHING"), -EINVAL);
    assert_int_equal(value_signal("0"), -EINVAL);
    assert_int_equal(value_signal("-9"), -EINVAL);
    assert_int_equal(value_signal(""), -EINVAL);
    assert_int_equal(value_signal("KILLL"), -EINVAL);
    assert_int_equal(value_signal("4711"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_as_compose_reads_them),
        cmocka_unit_test(durations_are_printed_as_go_prints_them),
        cmocka_unit_test(sizes_are_read_as_compose_reads_them),
        cmocka_unit_test(truth_has_old_words_that_are_remarked),
        cmocka_unit_test(a_command_line_is_split_without_a_shell),
        cmocka_unit_test(signals_have_names_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
