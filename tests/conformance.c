/* SPDX-License-Identifier: MIT
 *
 * Holds the loader against the reference corpus of Compose files: how many load to the model that the reference made
 * of them, how many wrong ones are refused, and the names of those that are not.
 *
 *     conformance CORPUS [NAME]     with a part of a name: shows what was made of those
 */
#include "base/cleanup.h"
#include "compose/model.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 9, FILES_MAX = 8, ENV_MAX = 16 };

struct corpus {
    char valid[PATH_MAX]; /* absolute path of valid/, which the models name @VALID@ */
    const char *only;
};

/* One row's request, with what it points to. */
struct row {
    char *columns[COLUMNS];
    char directory[PATH_MAX];
    char paths[FILES_MAX][PATH_MAX];
    const char *files[FILES_MAX + 1];
    char environment_text[ENV_MAX][512];
    const char *environment[ENV_MAX + 2];
    const char *profiles[FILES_MAX];
    json_t *options;
};

/* A path; too long a one ends the program, the corpus has none. */
static void put(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(char path[PATH_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, PATH_MAX, format, args);
    va_end(args);
    if (n < 0 || n >= PATH_MAX) {
        (void)fprintf(stderr, "a path is too long\n");
        exit(2);
    }
}

static void split(char *line, struct row *row)
{
    static char nothing[] = "";
    for (int i = 0; i < COLUMNS; i++)
        row->columns[i] = line ? strsep(&line, "\t") : nothing;
    for (int i = 0; i < COLUMNS; i++)
        row->columns[i][strcspn(row->columns[i], "\n")] = '\0';
}

/* "folder/ [a.yaml, b.yaml]" or "folder/a.yaml". */
static void find_files(const char *base, struct row *row)
{
    char name[PATH_MAX];
    put(name, "%s", row->columns[0]);
    char *list = strstr(name, "/ [");
    size_t n = 0;

    if (!list) {
        put(row->paths[0], "%s/%s", base, name);
        row->files[n++] = row->paths[0];
        put(row->directory, "%s", row->paths[0]);
        *strrchr(row->directory, '/') = '\0';
    } else {
        *list = '\0';
        put(row->directory, "%s/%s", base, name);
        char *rest = list + 3, *file;
        while (n < FILES_MAX && (file = strsep(&rest, ", ]"))) {
            if (!*file)
                continue;
            put(row->paths[n], "%s/%s/%s", base, name, file);
            row->files[n] = row->paths[n];
            n++;
        }
    }
    row->files[n] = NULL;
}

static void read_environment(struct row *row, const char *text)
{
    json_t *env = json_loads(text, 0, NULL), *value;
    const char *key;
    size_t n = 0;

    row->environment[n++] = "HOME=/root";
    json_object_foreach(env, key, value)
    {
        (void)snprintf(row->environment_text[n], sizeof(row->environment_text[n]), "%s=%s", key,
                       json_string_value(value));
        row->environment[n] = row->environment_text[n];
        n++;
    }
    row->environment[n] = NULL;
    json_decref(env);
}

static int load(struct row *row, struct spec **ret, struct buf *problems_text)
{
    struct problems problems = { 0 };
    const json_t *profiles = json_object_get(row->options, "Profiles");

    for (size_t i = 0; i < json_array_size(profiles) && i + 1 < FILES_MAX; i++)
        row->profiles[i] = json_string_value(json_array_get(profiles, i));
    /* Some rows are about a name that was given with -p; only what they were told names it. */
    static const char name_is[] = "rejected: invalid project name \"";
    char name[256] = "";
    if (strncmp(row->columns[6], name_is, sizeof(name_is) - 1) == 0)
        (void)sscanf(row->columns[6] + sizeof(name_is) - 1, "%255[^\"]", name);
    struct compose_request request = {
        .working_dir = row->directory,
        .project_name = *name ? name : json_string_value(json_object_get(row->options, "ProjectName")),
        .files = row->files,
        .environment = row->environment,
        .profiles = row->profiles,
        .no_normalise = json_is_true(json_object_get(row->options, "SkipNormalization")),
        .no_consistency = json_is_true(json_object_get(row->options, "SkipConsistencyCheck")),
    };
    int r = compose_load(&request, ret, &problems);
    problems_format(&problems, false, problems_text);
    problems_free(&problems);
    return r;
}

static json_t *read_expected(const struct corpus *corpus, const char *name)
{
    char path[PATH_MAX];
    struct buf text CLEANUP_BUF = { 0 };
    int c;

    put(path, "%s/%s", corpus->valid, name);
    FILE *file CLEANUP_FILE = fopen(path, "re");
    while (file && (c = getc(file)) != EOF) {
        buf_add(&text, &(char){ (char)c }, 1);
        if (text.len >= 7 && memcmp(text.data + text.len - 7, "@VALID@", 7) == 0) {
            text.len -= 7;
            buf_puts(&text, corpus->valid);
        }
    }
    json_t *whole = json_loads(text.data ? text.data : "", 0, NULL);
    json_t *model = json_deep_copy(json_object_get(whole, "model"));
    json_decref(whole);
    return model;
}

/* Numbers that are the same number. */
static bool same(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;

    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b) || json_object_size(a) != json_object_size(b) ||
        json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    json_object_foreach((json_t *)a, key,
                        value) if (!json_object_get(b, key) || !same(value, json_object_get(b, key))) return false;
    return json_is_object(a) || json_is_array(a) || json_equal(a, b);
}

static void show(const char *title, const json_t *json)
{
    printf("--- %s\n", title);
    (void)json_dumpf(json, stdout, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    printf("\n");
}

static bool check_valid(const struct corpus *corpus, struct row *row)
{
    struct spec *spec = NULL;
    struct buf problems CLEANUP_BUF = { 0 };
    json_t *expected = read_expected(corpus, row->columns[6]);
    json_t *loaded = load(row, &spec, &problems) == 0 ? model_from_project(spec->tree, true) : NULL;
    bool ok = expected && loaded && same(loaded, expected);

    if (corpus->only) {
        printf("=== %s\n%s", row->columns[0], problems.data ? problems.data : "");
        show("expected", expected);
        if (loaded)
            show("loaded", loaded);
    }
    json_decref(expected);
    json_decref(loaded);
    spec_free(spec);
    return ok;
}

static bool check_invalid(const struct corpus *corpus, struct row *row)
{
    struct spec *spec = NULL;
    struct buf problems CLEANUP_BUF = { 0 };
    bool ok = load(row, &spec, &problems) < 0;

    if (corpus->only)
        printf("=== %s\nexpected: %s\n%s", row->columns[0], row->columns[6], problems.data ? problems.data : "");
    spec_free(spec);
    return ok;
}

struct kind {
    const char *folder;
    int options; /* its column */
    int env;
    bool (*check)(const struct corpus *corpus, struct row *row);
};

static bool wants(const struct kind *kind, const struct row *row)
{
    if (kind->check == check_valid)
        return *row->columns[6] && strcmp(row->columns[6], "expected") != 0;
    return strncmp(row->columns[6], "rejected", 8) == 0;
}

/* Every row of the folder's index; how many of them hold. */
static int run_index(const struct corpus *corpus, const char *root, const struct kind *kind)
{
    char base[PATH_MAX], path[PATH_MAX], *line CLEANUP_FREE = NULL;
    size_t room = 0;
    int good = 0, all = 0;

    put(base, "%s/%s", root, kind->folder);
    put(path, "%s/INDEX.tsv", base);
    FILE *index CLEANUP_FILE = fopen(path, "re");
    if (!index) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    while (getline(&line, &room, index) > 0) {
        struct row row = { 0 };
        split(line, &row);
        if (!wants(kind, &row) || (corpus->only && !strstr(row.columns[0], corpus->only)))
            continue;
        find_files(base, &row);
        read_environment(&row, row.columns[kind->env]);
        row.options = kind->check == check_valid ? json_loads(row.columns[kind->options], 0, NULL) : NULL;
        bool ok = chdir(row.directory) == 0 && kind->check(corpus, &row);
        json_decref(row.options);
        all++;
        good += ok;
        if (!ok && !corpus->only)
            printf("  %s: %s\n", kind->folder, row.columns[0]);
    }
    printf("%s: %d of %d\n", kind->folder, good, all);
    return good == all ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = {
        { .folder = "valid", .env = 4, .options = 5, .check = check_valid },
        { .folder = "invalid", .env = 2, .options = 3, .check = check_invalid },
    };
    struct corpus corpus = { .only = argc > 2 ? argv[2] : NULL };
    char root[PATH_MAX];
    int status = 0;

    if (argc < 2 || !realpath(argv[1], root)) {
        (void)fprintf(stderr, "usage: conformance CORPUS [NAME]\n");
        return 2;
    }
    put(corpus.valid, "%s/valid", root);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        status |= run_index(&corpus, root, &kinds[i]) != 0;
    return status;
}
