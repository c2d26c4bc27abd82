/* SPDX-License-Identifier: MIT
 *
 * .dockerignore: each row a file, a path, and whether it is left out.
 */
#include "base/cleanup.h"
#include "runtime/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_last_pattern_that_matches_counts(void **unused)
{
    (void)unused;
    static const struct {
        const char *file, *path;
        bool ignored;
    } rows[] = {
        { "", "a", false },
        { "a", "a", true },
        { "a", "a/b/c", true },
        { "a", "b/a", false },
        { "/a/\r\n", "a", true },
        { "./a", "a", true },
        { "  a  ", "a", true },
        { "# a\na#", "a", false },
        { "#a", "#a", false },
        { "*.log", "x.log", true },
        { "*.log", "d/x.log", false },
        { "**/*.log", "x.log", true },
        { "**/*.log", "d/e/x.log", true },
        { "d/**", "d/e/f", true },
        { "d/**", "e", false },
        { "?.c", "a.c", true },
        { "[ab].c", "c.c", false },
        { "*\n!keep", "keep", false },
        { "*\n!keep", "other", true },
        { "*\n!d/keep", "d/keep", false },
        { "*\n!d/keep", "d/other", true },
        { "!a\na", "a", true },
        { ".", "a", false },
        { "a\n\n\nb", "b", true },
        { "a", "ab", false },
        { "a/b", "a", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ignore ignore = { 0 };
        assert_int_equal(ignore_parse(rows[i].file, &ignore), 0);
        if (ignore_matches(&ignore, rows[i].path) != rows[i].ignored)
            fail_msg("row %zu: %s", i, rows[i].path);
        ignore_free(&ignore);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_pattern_that_matches_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
