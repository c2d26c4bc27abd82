/* SPDX-License-Identifier: MIT
 *
 * Files that mean harm, or that harm has come to: each is refused with a reason, quickly and in bounded memory.
 */
#include "story.h"

#include "base/clock.h"

#include <sys/resource.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
enum { MEGABYTE = 1 << 20, MEMORY_MAX_MB = 600, NOBODY = 65534 };

/* Refused with these words, within five seconds; under sanitizers, which are slow, within twenty. */
static void must_refuse_soon(struct story *story, const char *part)
{
    int64_t before = clock_now();
    struct rusage usage;

    story_load(story);
    must_refuse(story, part);
    int64_t limit = (SANITIZED ? 20 : 5) * NS_PER_S;
    assert_true(clock_now() - before < limit);
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    assert_true(SANITIZED || usage.ru_maxrss / 1024 < MEMORY_MAX_MB);
}

static void a_name(struct story *story)
{
    story->request.project_name = "p";
}

static void in_folder(const struct story *story, const char *name, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/%s", story->folder, name);
}

/* A file with any bytes in it. */
static void story_bytes(struct story *story, const char *name, const char *bytes, size_t len)
{
    char path[PATH_MAX];

    story_file(story, name, "");
    in_folder(story, name, path);
    FILE *file CLEANUP_FILE = fopen(path, "we");
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fflush(file), 0);
}

/* --- Content --- */

static void a_hundred_megabytes_are_not_even_read(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    char path[PATH_MAX];

    a_name(&story);
    story_file(&story, "compose.yaml", "[");
    in_folder(&story, "compose.yaml", path);
    assert_int_equal(truncate(path, 100 * MEGABYTE), 0);
    must_refuse_soon(&story, "it is larger than 16 MiB");
}

static void nesting_is_limited_however_it_is_written(void **unused)
{
    static const char *const openings[] = { "[", "{a: ", "- ", "? " };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        STORY story = { 0 };
        struct buf text CLEANUP_BUF = { 0 };
        while (text.len < 4 * MEGABYTE)
            buf_puts(&text, openings[i]);
        a_name(&story);
        story_file(&story, "compose.yaml", text.data);
        must_refuse_soon(&story, "compose.yaml:1:");
    }
}

static void brackets_that_never_end_are_not_kept(void **unused)
{
    static const char *const items[] = { "[],", "a,", "{a: b}," };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        STORY story = { 0 };
        struct buf text CLEANUP_BUF = { 0 };
        buf_puts(&text, "x-a: [");
        while (text.len < 8 * MEGABYTE)
            buf_puts(&text, items[i]);
        a_name(&story);
        story_file(&story, "compose.yaml", text.data);
        must_refuse_soon(&story, "more brackets and commas than any compose file has");
    }
}

static void variables_that_nest_and_multiply_are_limited(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    struct buf text CLEANUP_BUF = { 0 };

    buf_puts(&text, "services: {a: {image: \"");
    for (int i = 0; i < 100000; i++)
        buf_puts(&text, "${A:-");
    for (int i = 0; i < 100000; i++)
        buf_puts(&text, "}");
    buf_puts(&text, "\"}}\n");
    a_name(&story);
    story_file(&story, "compose.yaml", text.data);
    must_refuse_soon(&story, "nested deeper than any compose file");
}

static void bytes_that_are_no_text_are_told_with_their_place(void **unused)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *told;
    } rows[] = {
        { "services:\n  a\0: {}\n", 19, "compose.yaml:2:4: a NUL byte" },
        { "services:\n  \xff: {}\n", 18, "compose.yaml:2:3: not UTF-8" },
        { "a: \xc0\xaf\n", 6, "compose.yaml:1:4: not UTF-8" },         /* a slash in too many bytes */
        { "a: \xed\xa0\x80\n", 7, "compose.yaml:1:4: not UTF-8" },     /* half of a surrogate pair */
        { "a: \xf4\x90\x80\x80\n", 8, "compose.yaml:1:4: not UTF-8" }, /* beyond Unicode */
        { "a: \xe2\x82", 5, "compose.yaml:1:4: not UTF-8" },           /* cut off */
    };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        a_name(&story);
        story_bytes(&story, "compose.yaml", rows[i].bytes, rows[i].len);
        must_refuse_soon(&story, rows[i].told);
    }
}

static void env_files_are_text_as_well(void **unused)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *told;
    } rows[] = {
        { "A=1\nB=\0\nC=2\n", 12, "a.env:2:3: a NUL byte" },
        { "A=1\nB=\xff\n", 8, "a.env:2:3: not UTF-8" },
    };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        a_name(&story);
        story_file(&story, "compose.yaml", "services: {a: {image: i, env_file: a.env}}\n");
        story_bytes(&story, "a.env", rows[i].bytes, rows[i].len);
        must_refuse_soon(&story, rows[i].told);
    }
}

static void a_variable_that_is_no_text_is_told_where_it_is_used(void **unused)
{
    static const char *const environment[] = { "HOME=/root", "A=\xff", NULL };
    (void)unused;
    STORY story = { 0 };

    a_name(&story);
    story.request.environment = environment;
    story_file(&story, "compose.yaml", "services:\n  a:\n    image: i\n    environment: [A]\n    hostname: h${A}\n");
    must_refuse_soon(&story, "compose.yaml:4:19: the value is not UTF-8");
    must_tell(&story, "compose.yaml:5:15: the value is not UTF-8");
    must_tell(&story, "= A comes from the environment");
}

static void integers_beyond_reason_are_refused_where_they_stand(void **unused)
{
    static const struct {
        const char *attribute, *told;
    } rows[] = {
        { "scale: 99999999999999999999", "services.a.scale must be" },
        { "ports: [99999999999999999999]", "is no port" },
        { "ports: [\"4294967376:80\"]", "is no port" },
        { "mem_limit: 99999999999999999999g", "is no size" },
        { "stop_grace_period: 99999999999999999999s", "is no duration" },
        { "healthcheck: {test: x, retries: 99999999999999999999999}", "is no whole number" },
        { "cpus: .inf", "`+Inf` is no number" },
        { "cpus: 1e999", "`1e999` is no number" },
        { "ports: [{target: 99999, published: -1}]", "99999 is no port" },
        { "ports: [{target: 99999, published: -1}]", "`-1` is no port" },
    };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        char text[256];
        (void)snprintf(text, sizeof(text), "services:\n  a:\n    image: i\n    %s\n", rows[i].attribute);
        a_name(&story);
        story_file(&story, "compose.yaml", text);
        must_refuse_soon(&story, rows[i].told);
        must_tell(&story, "compose.yaml:4:");
    }
}

/* --- Circles --- */

static void files_that_lead_to_each_other_are_told(void **unused)
{
    (void)unused;
    STORY include = { 0 }, extends = { 0 };

    a_name(&include);
    story_file(&include, "compose.yaml", "include: [b.yaml]\nservices: {a: {image: i}}\n");
    story_file(&include, "b.yaml", "include: [c.yaml]\n");
    story_file(&include, "c.yaml", "include: [b.yaml]\n");
    must_refuse_soon(&include, "c.yaml:1:11: ");
    must_tell(&include, "includes itself");

    a_name(&extends);
    story_file(&extends, "compose.yaml", "services: {a: {extends: {file: b.yaml, service: b}}}\n");
    story_file(&extends, "b.yaml", "services: {b: {extends: {file: c.yaml, service: c}}}\n");
    story_file(&extends, "c.yaml", "services: {c: {extends: {file: b.yaml, service: b}}}\n");
    must_refuse_soon(&extends, "b.yaml:1:12: services extend each other in a circle: b → c → b");
}

/* 2^30 files, were they followed. */
static void includes_that_multiply_come_to_an_end(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    char name[32], text[128];

    a_name(&story);
    story_file(&story, "compose.yaml", "include: [1.yaml, {path: 1.yaml}]\n");
    for (int i = 1; i < 30; i++) {
        (void)snprintf(name, sizeof(name), "%d.yaml", i);
        (void)snprintf(text, sizeof(text), "include: [%d.yaml, {path: %d.yaml}]\n", i + 1, i + 1);
        story_file(&story, name, text);
    }
    story_file(&story, "30.yaml", "services: {a: {image: i}}\n");
    must_refuse_soon(&story, ".yaml:1:11: more than 1000 files are included");
}

static void more_memory_than_is_granted_is_told_where_it_is_wanted(void **unused)
{
    (void)unused;
    STORY ports = { 0 }, values = { 0 };
    struct buf text CLEANUP_BUF = { 0 };

    buf_puts(&text, "services:\n  a:\n    image: i\n    ports:\n");
    for (int i = 0; i < 1000; i++)
        buf_puts(&text, "      - \"1-65535:1-65535\"\n");
    a_name(&ports);
    story_file(&ports, "compose.yaml", text.data);
    must_refuse_soon(&ports, ":9: not enough memory to load the project; at most 512 MiB are used for it");
    must_tell(&ports, "/compose.yaml:");

    buf_consume(&text, text.len);
    buf_puts(&text, "A=xxxxxxxxxx\n");
    for (int i = 0; i < 40; i++)
        buf_puts(&text, "A=$A$A\n");
    a_name(&values);
    story_file(&values, "compose.yaml", "services: {a: {image: i, env_file: a.env}}\n");
    story_file(&values, "a.env", text.data);
    must_refuse_soon(&values, "a.env: not enough memory to load the project");
    must_tell(&values, "compose.yaml:1:36");
}

static void as_many_services_as_no_project_has_are_refused(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    struct buf text CLEANUP_BUF = { 0 };

    buf_puts(&text, "services:\n");
    for (int i = 0; i < 10001; i++)
        buf_printf(&text, "  s%d: {image: i, depends_on: [s%d]}\n", i, i + 1);
    a_name(&story);
    story_file(&story, "compose.yaml", text.data);
    must_refuse_soon(&story, "compose.yaml:2:3: 10001 services are too many; at most 10000");
}

static void a_long_circle_is_told_in_short(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    struct buf text CLEANUP_BUF = { 0 };

    buf_puts(&text, "services:\n");
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "  s%d: {image: i, depends_on: [s%d]}\n", i, (i + 1) % 5000);
    a_name(&story);
    story_file(&story, "compose.yaml", text.data);
    must_refuse_soon(&story, "compose.yaml:5001:34: services depend on each other in a circle: s0 → s1 → s2");
    must_tell(&story, "s9 → … → s0\n");
}

static void links_that_lead_in_a_circle_or_nowhere_are_told(void **unused)
{
    static const char *const targets[] = { "b.yaml", "nowhere.yaml" };
    static const char *const told[] = { "Too many levels of symbolic links", "No such file or directory" };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        STORY story = { 0 };
        char path[PATH_MAX];
        a_name(&story);
        story_file(&story, "compose.yaml", "include: [b.yaml]\nservices: {a: {image: i}}\n");
        in_folder(&story, "b.yaml", path);
        assert_int_equal(symlink(targets[i], path), 0);
        must_refuse_soon(&story, told[i]);
        must_tell(&story, "compose.yaml:1:11: cannot read");
    }
}

/* --- What is no file --- */

/* Every attribute that names a file is given one that would block, or never end. */
static void devices_and_fifos_are_not_waited_for(void **unused)
{
    static const char *const forms[] = {
        "include: [%s]\nservices: {a: {image: i}}\n",
        "services: {a: {extends: {file: %s, service: b}}}\n",
        "services: {a: {image: i, env_file: %s}}\n",
        "services: {a: {image: i, label_file: %s}}\n",
        "include: [{path: [c.yaml], env_file: %s}]\nservices: {a: {image: i}}\n",
    };
    static const char *const files[] = { "/dev/zero", "/dev/stdin", "fifo", "/proc/self/fd" };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        for (size_t j = 0; j < ARRAY_LEN(files); j++) {
            STORY story = { 0 };
            char text[256], path[PATH_MAX];
            int pipes[2], stdin_before = dup(STDIN_FILENO);
            (void)snprintf(text, sizeof(text), forms[i], files[j]);
            a_name(&story);
            story_file(&story, "compose.yaml", text);
            story_file(&story, "c.yaml", "services: {c: {image: i}}\n");
            in_folder(&story, "fifo", path);
            assert_int_equal(mkfifo(path, 0600), 0);
            assert_int_equal(pipe(pipes), 0);
            assert_return_code(dup2(pipes[0], STDIN_FILENO), 0);
            must_refuse_soon(&story, "cannot read");
            (void)dup2(stdin_before, STDIN_FILENO);
            (void)close(stdin_before);
            (void)close(pipes[0]);
            (void)close(pipes[1]);
        }
}

/* A folder called .env is a Python environment of somebody's; all else that is no file would not be missed in silence. */
static void an_env_file_that_cannot_be_read_is_no_missing_one(void **unused)
{
    (void)unused;
    STORY fifo = { 0 }, circle = { 0 }, folder = { 0 };
    char path[PATH_MAX];

    a_name(&fifo);
    story_file(&fifo, "compose.yaml", "include: [sub/b.yaml]\nservices: {a: {image: i}}\n");
    story_file(&fifo, "sub/b.yaml", "services: {b: {image: i}}\n");
    in_folder(&fifo, "sub/.env", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    must_refuse_soon(&fifo, "compose.yaml:1:11: cannot read /tmp/");
    must_tell(&fifo, "/sub/.env: it is no regular file");

    a_name(&circle);
    story_file(&circle, "compose.yaml", "services: {a: {image: i}}\n");
    in_folder(&circle, ".env", path);
    assert_int_equal(symlink(".env", path), 0);
    must_refuse_soon(&circle, "/.env: Too many levels of symbolic links");

    a_name(&folder);
    story_file(&folder, ".env/bin/python", "");
    story_file(&folder, "compose.yaml", "services: {a: {image: i}}\n");
    story_load(&folder);
    must_load(&folder);
}

static void a_file_that_may_not_be_read_says_so(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    char path[PATH_MAX];

    a_name(&story);
    story_file(&story, "compose.yaml", "services: {a: {image: i}}\n");
    in_folder(&story, "compose.yaml", path);
    assert_int_equal(chmod(path, 0), 0);
    uid_t before = geteuid();
    if (before == 0)
        assert_return_code(seteuid(NOBODY), 0); /* root may read everything */
    must_refuse_soon(&story, "Permission denied");
    assert_return_code(seteuid(before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_megabytes_are_not_even_read),
        cmocka_unit_test(nesting_is_limited_however_it_is_written),
        cmocka_unit_test(brackets_that_never_end_are_not_kept),
        cmocka_unit_test(variables_that_nest_and_multiply_are_limited),
        cmocka_unit_test(bytes_that_are_no_text_are_told_with_their_place),
        cmocka_unit_test(env_files_are_text_as_well),
        cmocka_unit_test(a_variable_that_is_no_text_is_told_where_it_is_used),
        cmocka_unit_test(integers_beyond_reason_are_refused_where_they_stand),
        cmocka_unit_test(files_that_lead_to_each_other_are_told),
        cmocka_unit_test(includes_that_multiply_come_to_an_end),
        cmocka_unit_test(more_memory_than_is_granted_is_told_where_it_is_wanted),
        cmocka_unit_test(as_many_services_as_no_project_has_are_refused),
        cmocka_unit_test(a_long_circle_is_told_in_short),
        cmocka_unit_test(links_that_lead_in_a_circle_or_nowhere_are_told),
        cmocka_unit_test(devices_and_fifos_are_not_waited_for),
        cmocka_unit_test(an_env_file_that_cannot_be_read_is_no_missing_one),
        cmocka_unit_test(a_file_that_may_not_be_read_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
