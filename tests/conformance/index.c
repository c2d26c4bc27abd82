/* SPDX-License-Identifier: MIT
 *
 * Whole files: those of valid/ with the model that the reference made of them, those of invalid/ with its complaint.
 */
#include "corpus.h"

#include "compose/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 9, FILES_MAX = 8, ENV_MAX = 16 };

/* One row's request, with what it points to. */
struct row {
    char *columns[COLUMNS];
    char directory[PATH_MAX];
    char paths[FILES_MAX][PATH_MAX];
    const char *files[FILES_MAX + 1];
    char environment_text[ENV_MAX][512];
    const char *environment[ENV_MAX + 3];
    const char *profiles[FILES_MAX];
    json_t *options;
};

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
    row->environment[n++] = "COMPOSE_PROFILES="; /* the recorded runs took profiles from their options alone */
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

static int load(struct row *row, struct spec **ret, struct problems *problems)
{
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
    return compose_load(&request, ret, problems);
}

/* An env file that is wrong, beside a project that is right. */
static int try_env_file(struct row *row, struct spec **ret, struct problems *problems)
{
    static const char services[] = "services: {}\n";
    char path[] = "/tmp/daruma-conformance.XXXXXX";
    const char *project[] = { path, NULL };
    struct compose_request request = { .working_dir = row->directory,
                                       .project_name = "p",
                                       .files = project,
                                       .env_files = row->files,
                                       .environment = row->environment };
    int fd CLEANUP_CLOSE = mkstemp(path);
    int r = fd >= 0 && write(fd, services, strlen(services)) > 0 ? compose_load(&request, ret, problems) : 0;
    (void)unlink(path);
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

static void show_row(const char *name, const char *expected, const struct problems *problems)
{
    struct buf text CLEANUP_BUF = { 0 };

    problems_format(problems, false, &text);
    printf("=== %s\n%s%s", name, expected, text.data ? text.data : "");
}

/* Written down and loaded again, as the successor of a supervisor does, its services are the same versions. */
static bool is_same_again(const struct spec *spec)
{
    char path[] = "/tmp/daruma-conformance.XXXXXX";
    const char *const files[] = { path, NULL }, *const everything[] = { "*", NULL };
    const struct compose_request request = { .working_dir = spec->working_dir,
                                             .project_dir = spec->working_dir,
                                             .project_name = spec->name,
                                             .files = files,
                                             .profiles = everything,
                                             .no_normalise = true,
                                             .no_consistency = true };
    struct buf text CLEANUP_BUF = { 0 };
    struct problems problems = { 0 };
    struct spec *again = NULL;
    int fd CLEANUP_CLOSE = mkstemp(path);
    bool same = fd >= 0 && model_print_loadable(spec->model, &text) &&
                write(fd, text.data, text.len) == (ssize_t)text.len && compose_load(&request, &again, &problems) == 0 &&
                again->services_len == spec->services_len;

    for (size_t i = 0; same && i < spec->services_len; i++)
        same = strcmp(again->services[i].config_hash, spec->services[i].config_hash) == 0;
    (void)unlink(path);
    spec_free(again);
    problems_free(&problems);
    return same;
}

static bool check_valid(const struct corpus *corpus, struct row *row)
{
    struct spec *spec = NULL;
    struct problems problems = { 0 };
    json_t *expected = read_expected(corpus, row->columns[6]);
    json_t *loaded = load(row, &spec, &problems) == 0 ? model_from_project(spec->tree, true) : NULL;
    bool ok = expected && loaded && same_json(loaded, expected) && is_same_again(spec);

    if (corpus->only) {
        show_row(row->columns[0], "", &problems);
        show_json("expected", expected);
        show_json("loaded", loaded);
    }
    json_decref(expected);
    json_decref(loaded);
    spec_free(spec);
    problems_free(&problems);
    return ok;
}

/* --- The place of what is wrong --- */

struct lines {
    int first, last;
};

static void widen(struct lines *lines, const struct node *node)
{
    if (node->place.line > lines->last)
        lines->last = node->place.line;
    for (size_t i = 0; i < node->len; i++)
        widen(lines, node->entries[i].value);
}

/* The next step of "services.web.ports[1].target" or "ports.1"; false at the end. */
static bool next_step(const char **path, char step[128])
{
    *path += strspn(*path, ".[]'");
    size_t len = strcspn(*path, ".[]' :,\"\n");
    if (len == 0 || len >= 128)
        return false;
    memcpy(step, *path, len);
    step[len] = '\0';
    *path += len;
    return true;
}

/* As far as the path leads into the tree; the lines of what is found there. How many steps that were. */
static int follow(const struct node *node, const char *path, struct lines *ret)
{
    char step[128];
    int steps = 0;

    while (next_step(&path, step)) {
        const struct entry *entry = node_entry(node, step);
        size_t index = isdigit((unsigned char)*step) ? strtoul(step, NULL, 10) : SIZE_MAX;
        if (!entry && node->kind == NODE_LIST && index < node->len)
            entry = &node->entries[index];
        if (!entry)
            break;
        node = entry->value;
        *ret = (struct lines){ entry->place.line, entry->place.line };
        widen(ret, node);
        steps++;
    }
    return steps;
}

/* Where the reference's words say that it is: "services.a.b: …", "service "a" …", "line 7". False: they do not say. */
static bool said_lines(const char *said, const struct node *document, struct lines *ret)
{
    static const char *const sections[] = { "services", "networks", "volumes", "secrets", "configs" };
    char path[PATH_MAX];
    int best = 0;

    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        for (const char *p = said; (p = strstr(p, sections[i])); p++) {
            struct lines lines;
            int steps =
                (p[strlen(sections[i])] == '.' || p[strlen(sections[i])] == '[') ? follow(document, p, &lines) : 0;
            if (steps > best) {
                best = steps;
                *ret = lines;
            }
        }
    const char *service = strstr(said, "service ");
    if (best < 2 && service) {
        put(path, "services.%s", service + strlen("service ") + (service[strlen("service ")] == '"'));
        best = follow(document, path, ret);
    }
    if (best >= 2)
        return true;
    /* "line 1: line 6: … at line 2": the last one with a colon is where it is. */
    const char *line = NULL;
    for (const char *p = said; (p = strstr(p, "line ")); p++)
        line = p[5 + strspn(p + 5, "0123456789")] == ':' ? p : line;
    ret->first = ret->last = line ? atoi(line + strlen("line ")) : 0;
    return ret->first > 2;
}

/* Was an error told there, or anywhere at all when the reference does not say where? */
static bool is_placed(const char *said, const struct row *row, const struct problems *problems)
{
    struct problems ignored = { 0 };
    jmp_buf failure;
    struct pool pool = { .limit = 64 << 20, .failure = &failure };
    struct lines lines = { 0, INT_MAX };
    char *text CLEANUP_FREE = NULL;
    size_t room = 0;
    FILE *file CLEANUP_FILE = fopen(row->files[0], "re");
    ssize_t len = file ? getdelim(&text, &room, EOF, file) : -1;

    if (setjmp(failure) == 0) {
        const struct node *documents =
            len > 0 ? yaml_parse(&pool, &ignored, row->files[0], NULL, text, (size_t)len) : NULL;
        if (!documents || documents->len == 0 || !said_lines(said, node_at(documents, 0), &lines))
            lines = (struct lines){ 0, INT_MAX };
    }
    bool found = false, nameless = strstr(said, "project name") != NULL;
    for (size_t i = 0; i < problems->len; i++) {
        const struct problem *problem = &problems->list[i];
        bool here = problem->file && strcmp(problem->file, row->files[0]) == 0;
        found = found || (!problem->warning && (nameless || (problem->file && !here) ||
                                                (here && problem->line >= lines.first && problem->line <= lines.last)));
    }
    problems_free(&ignored);
    pool_free(&pool);
    return found;
}

static bool check_invalid(const struct corpus *corpus, struct row *row)
{
    struct spec *spec = NULL;
    struct problems problems = { 0 };
    bool env_file = strcmp(row->columns[1], "env-file") == 0;
    int r = env_file ? try_env_file(row, &spec, &problems) : load(row, &spec, &problems);
    bool ok = r < 0 && is_placed(row->columns[6], row, &problems);

    if (corpus->only)
        show_row(row->columns[0], row->columns[6], &problems);
    spec_free(spec);
    problems_free(&problems);
    return ok;
}

/* --- The tables --- */

struct kind {
    const char *folder;
    int options; /* its column; 0: none */
    int env;
    bool (*check)(const struct corpus *corpus, struct row *row);
};

static bool wants(const struct kind *kind, const struct row *row)
{
    if (kind->check == check_valid)
        return *row->columns[6] && strcmp(row->columns[6], "expected") != 0;
    return strncmp(row->columns[6], "rejected", 8) == 0;
}

static bool run_index(const struct corpus *corpus, const struct kind *kind, struct tally *ret)
{
    char base[PATH_MAX], path[PATH_MAX], *line CLEANUP_FREE = NULL;
    size_t room = 0;

    put(base, "%s/%s", corpus->root, kind->folder);
    put(path, "%s/INDEX.tsv", base);
    FILE *index CLEANUP_FILE = fopen(path, "re");
    if (!index) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    while (getline(&line, &room, index) > 0) {
        struct row row = { 0 };
        split_row(line, row.columns, COLUMNS);
        if (!wants(kind, &row) || (corpus->only && !strstr(row.columns[0], corpus->only)))
            continue;
        find_files(base, &row);
        read_environment(&row, row.columns[kind->env]);
        row.options = kind->options ? json_loads(row.columns[kind->options], 0, NULL) : NULL;
        count(corpus, ret, row.columns[0], chdir(row.directory) == 0 && kind->check(corpus, &row));
        json_decref(row.options);
    }
    return true;
}

bool run_valid(const struct corpus *corpus, struct tally *ret)
{
    return run_index(corpus, &(struct kind){ .folder = "valid", .env = 4, .options = 5, .check = check_valid }, ret);
}

bool run_invalid(const struct corpus *corpus, struct tally *ret)
{
    return run_index(corpus, &(struct kind){ .folder = "invalid", .env = 2, .check = check_invalid }, ret);
}
