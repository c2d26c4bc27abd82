/* SPDX-License-Identifier: MIT
 *
 * Variables in texts and in env files.
 */
#include "compose/envfile.h"
#include "compose/interpolate.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *look_up(void *data, const char *name)
{
    return strcmp(name, "FOO") == 0     ? "first"
           : strcmp(name, "EMPTY") == 0 ? ""
           : strcmp(name, "JSON") == 0  ? "{\"json\":2}"
                                        : NULL;
}

struct fixture {
    jmp_buf failure;
    struct pool pool;
    struct problems problems;
    struct interpolation with;
};

static void begin(struct fixture *fixture)
{
    *fixture = (struct fixture){ .pool = { .limit = 1 << 24 } };
    fixture->pool.failure = &fixture->failure;
    fixture->with = (struct interpolation){ .pool = &fixture->pool, .problems = &fixture->problems, .lookup = look_up };
}

static void end(struct fixture *fixture)
{
    pool_free(&fixture->pool);
    problems_free(&fixture->problems);
}

static void variables_are_replaced(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *result;
    } rows[] = {
        { "$${foo}", "${foo}" },
        { "$$$$FOO", "$$FOO" },
        { "a $ string", "a $ string" },
        { "^REGEX$", "^REGEX$" },
        { "$1 $( $- $}", "$1 $( $- $}" },
        { "$FOO-bar", "first-bar" },
        { "$FOO_BAR", "" },
        { "${FOO}${EMPTY}${MISSING}", "first" },
        { "${MISSING:-x}${EMPTY:-y}${EMPTY-z}", "xy" },
        { "${FOO:+set}${EMPTY:+no}${EMPTY+yes}${MISSING+no}", "setyes" },
        { "${EMPTY:-${MISSING:-${FOO}}}", "first" },
        { "${MISSING:-{\"json\":1}}", "{\"json\":1}" },
        { "${JSON:-{\"json\":1}}", "{\"json\":2}" },
        { "${MISSING:-a}b}", "ab}" },
        { "${MISSING:-a$$b}", "a$b" },
        { "${MISSING-myerror?msg}", "myerror?msg" },
        { "${FOO?bar-baz}", "first" },
        { "${EMPTY?unset only}", "" },
        { "${MISSING:-:-}", ":-" },
    };
    struct fixture fixture;

    begin(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *result = interpolate_text(&fixture.with, (struct place){ 0 }, rows[i].text);
        assert_non_null(result);
        assert_string_equal(result, rows[i].result);
    }
    assert_int_equal(fixture.problems.len, 0);
    end(&fixture);
}

static void what_is_no_variable_is_told_with_its_place(void **unused)
{
    (void)unused;
    static const char *const bad[] = { "${",      "${}",      "${ }",     "${ foo}",    "${foo }",
                                       "${foo!}", "${FOO/a}", "${FOO=x}", "${U:-a\nb}", "${U" };
    struct fixture fixture;

    begin(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_null(
            interpolate_text(&fixture.with, (struct place){ .file = "f", .line = 3, .column = (int)i + 1 }, bad[i]));
        assert_int_equal(fixture.problems.errors, i + 1);
        assert_int_equal(fixture.problems.list[i].line, 3);
        assert_int_equal(fixture.problems.list[i].column, i + 1);
    }
    end(&fixture);
}

static void a_required_variable_tells_its_message(void **unused)
{
    (void)unused;
    struct fixture fixture;

    begin(&fixture);
    assert_null(interpolate_text(&fixture.with, (struct place){ 0 }, "${MISSING:?say ${FOO}}"));
    assert_non_null(strstr(fixture.problems.list[0].message, "MISSING is required and not set: say first"));
    assert_null(interpolate_text(&fixture.with, (struct place){ 0 }, "${EMPTY:?}"));
    assert_non_null(strstr(fixture.problems.list[1].message, "EMPTY is required and empty"));
    end(&fixture);
}

static void an_unset_variable_is_remarked_once(void **unused)
{
    (void)unused;
    struct fixture fixture;

    begin(&fixture);
    fixture.with.missed = node_new(&fixture.pool, NODE_MAP, (struct place){ 0 });
    assert_non_null(interpolate_text(&fixture.with, (struct place){ 0 }, "$U ${U} ${U:-x}"));
    assert_int_equal(fixture.problems.len, 1);
    assert_int_equal(fixture.problems.errors, 0);
    end(&fixture);
}

static void deep_nesting_is_refused(void **unused)
{
    (void)unused;
    struct fixture fixture;
    char text[2000] = "";

    begin(&fixture);
    for (int i = 0; i < 200; i++)
        strcat(text, "${A:-");
    for (int i = 0; i < 200; i++)
        strcat(text, "}");
    assert_null(interpolate_text(&fixture.with, (struct place){ 0 }, text));
    end(&fixture);
}

/* What the file sets, as "A=1;B=2;". */
static const char *parsed(struct fixture *fixture, const char *text, bool raw)
{
    struct node *map = node_new(&fixture->pool, NODE_MAP, (struct place){ 0 });
    struct text out = { .pool = &fixture->pool };

    if (!envfile_parse(&fixture->with, "f.env", NULL, text, raw, map))
        return "!";
    for (size_t i = 0; i < map->len; i++) {
        text_puts(&out, map->entries[i].key);
        text_puts(&out, "=");
        text_puts(&out, node_str(map->entries[i].value));
        text_puts(&out, ";");
    }
    return text_str(&out);
}

static void env_files_are_read_as_compose_reads_them(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *result;
    } rows[] = {
        { "A=1\nB= 2\nC =3\nD = 4 # five\n456 = x\n", "A=1;B=2;C=3;D=4;456=x;" },
        { "\xef\xbb\xbf"
          "A=1\r\nB=2\r\n",
          "A=1;B=2;" },
        { "export A=1\nexport\tB=2\n  export C=3\nexportD=4\n", "A=1;B=2;C=3;exportD=4;" },
        { "# comment\n\nA=a#b\nB=a #b\nC=\"a#b\" # c\nD='a # b'\n", "A=a#b;B=a;C=a#b;D=a # b;" },
        { "A: 1\nB: Foo=bar\nC=1:B\n", "A=1;B=Foo=bar;C=1:B;" },
        { "A='1'\nB=\"2\"\nC=''\nD='\\n'\nE=\"\\n\"\n", "A=1;B=2;C=;D=\\n;E=\n;" },
        { "A='Let\\'s go'\nB=\"say \\\"hi\\\"\"\n", "A=Let's go;B=say \"hi\";" },
        { "A='one\ntwo'\nB=3\n", "A=one\ntwo;B=3;" },
        { "A=x\nB=$A\nC=${A}_${NOT}\nD='$A'\nE=\"$A\"\nF=\"\\$A\"\n", "A=x;B=x;C=x_;D=$A;E=x;F=$A;" },
        { "FOO=mine\nA=$FOO\n", "FOO=mine;A=first;" },
        { "FOO\nNOT_THERE\nA=1\n", "FOO=first;A=1;" },
        { "A.B-C_D[0]=1\n", "A.B-C_D[0]=1;" },
        { "A=1\nA=2\n", "A=2;" },
        { "A==b\nB=foobar=\n", "A==b;B=foobar=;" },
        { "A=\"\\0123 \\x07\"\n", "A=S \\x07;" },
        { "A=${NOT:-Default Value}\n", "A=Default Value;" },
    };
    struct fixture fixture;

    begin(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(parsed(&fixture, rows[i].text, false), rows[i].result);
    assert_string_equal(parsed(&fixture, "A=\"$FOO\" # x\nB='\n", true), "A=\"$FOO\" # x;B=';");
    end(&fixture);
}

static void wrong_lines_of_env_files_are_told_with_their_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int line, column;
    } rows[] = {
        { "A=1\nlol$wut\n", 2, 4 }, { "A B=1\n", 1, 2 }, { "A=\"open\n\n", 1, 3 },
        { "A='open", 1, 3 },        { "A\\=1", 1, 2 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture fixture;
        begin(&fixture);
        assert_string_equal(parsed(&fixture, rows[i].text, false), "!");
        assert_int_equal(fixture.problems.list[0].line, rows[i].line);
        assert_int_equal(fixture.problems.list[0].column, rows[i].column);
        end(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(what_is_no_variable_is_told_with_its_place),
        cmocka_unit_test(a_required_variable_tells_its_message),
        cmocka_unit_test(an_unset_variable_is_remarked_once),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(env_files_are_read_as_compose_reads_them),
        cmocka_unit_test(wrong_lines_of_env_files_are_told_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
