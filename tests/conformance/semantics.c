/* SPDX-License-Identifier: MIT
 *
 * The single rules of semantics.tsv. Those about a whole file are written into a folder of their own and loaded with the
 * options of their row; what stands there as a project in YAML is loaded too, and both models have to be the same.
 */
#include "corpus.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COLUMNS = 7, FILES_MAX = 8, WORDS_MAX = 8, ENV_MAX = 16 };

/* What a row's context asks for. */
struct context {
    json_t *environment;
    char *override; /* the second file's text */
    bool no_normalise, no_consistency;
    const char *profiles[WORDS_MAX], *services[WORDS_MAX]; /* ended by NULL */
    json_t *profile_list, *service_list;
    bool prune;  /* what nobody uses is left out */
    char *files; /* "NAME: text\n; NAME: text", NULL: none */
};

struct job {
    const struct corpus *corpus;
    char *columns[COLUMNS]; /* id, area, input, context, kind, expected, source; unescaped */
    struct context context;
    char folder[PATH_MAX];                                  /* where its own files are written */
    char directory[PATH_MAX], expected_directory[PATH_MAX]; /* what their paths are relative to */
    char paths[FILES_MAX][PATH_MAX];
    const char *files[FILES_MAX + 1];
};
enum { ID, AREA, INPUT, CONTEXT, KIND, EXPECTED, SOURCE };

/* --- Reading a row --- */

static void unescape(char *text)
{
    static const char letters[] = "ntr\\", values[] = "\n\t\r\\";
    char *to = text;

    for (const char *from = text; *from; from++) {
        const char *letter = from[0] == '\\' && from[1] ? strchr(letters, from[1]) : NULL;
        *to++ = letter ? values[letter - letters] : *from;
        from += letter != NULL;
    }
    *to = '\0';
}

/* The JSON that begins here; `ret_end` is behind it. */
static json_t *json_prefix(char *text, char **ret_end)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, &error);
    *ret_end = json ? text + error.position : text;
    return json;
}

static void words(const json_t *list, const char **ret)
{
    for (size_t i = 0; i < json_array_size(list) && i + 1 < WORDS_MAX; i++)
        ret[i] = json_string_value(json_array_get(list, i));
}

static void read_context(char *text, struct context *ret)
{
    static const char *const told[] = { "process env ", "os env ", "env ", "lookup " };

    if (*text == '{') {
        ret->environment = json_prefix(text, &text);
        return;
    }
    if (strncmp(text, "override: ", 10) == 0 || strncmp(text, "override.yaml: ", 15) == 0) {
        ret->override = strchr(text, ' ') + 1;
        return;
    }
    while (*text) {
        text += strspn(text, "; ");
        size_t len = strcspn(text, ";");
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(told) && !known; i++)
            if ((known = strncmp(text, told[i], strlen(told[i])) == 0)) {
                ret->environment = json_prefix(text + strlen(told[i]), &text);
                len = strcspn(text, ";");
            }
        if (strncmp(text, "opts ", 5) == 0) {
            ret->no_normalise = memmem(text, len, "SkipNormalization", 17) != NULL;
            ret->no_consistency = memmem(text, len, "SkipConsistencyCheck", 20) != NULL;
        } else if (strncmp(text, "profiles ", 9) == 0) {
            ret->profile_list = json_prefix(text + 9, &text);
            words(ret->profile_list, ret->profiles);
            len = 0;
        } else if (strncmp(text, "selected ", 9) == 0) {
            ret->service_list = json_prefix(text + 9, &text);
            words(ret->service_list, ret->services);
            len = 0;
        } else if (!known && strcspn(text, ": ") < len && text[strcspn(text, ": ")] == ':') {
            ret->files = text;
            return;
        }
        text += len;
    }
}

/* --- Its folder --- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static bool write_file(const struct job *job, const char *name, const char *text, size_t len)
{
    char path[PATH_MAX];

    put(path, "%s/%s", job->folder, name);
    for (char *slash = strchr(path + strlen(job->folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    bool ok = fwrite(text, 1, len, file) == len;
    return fclose(file) == 0 && ok;
}

/* Some tests have more files, which lie in the corpus; their project directory is that folder then. */
static void find_directory(struct job *job)
{
    static const struct {
        const char *id, *directory, *expected; /* below the corpus; what relative paths are relative to in both texts */
    } elsewhere[] = {
#define TESTDATA "valid/compose-spec+compose-go/loader/testdata"
        { "S0452", TESTDATA "/combined", "valid/compose-spec+compose-go/loader" },
        { "S0455", TESTDATA "/include", TESTDATA "/include" },
        { "S0457", TESTDATA "/include", "valid/compose-spec+compose-go/loader" },
        { "S0521", TESTDATA, "valid/compose-spec+compose-go/loader" },
        { "S0522", TESTDATA, "valid/compose-spec+compose-go/loader" },
        { "S0540", "invalid/files/compose-spec+compose-go/loader/testdata", "." },
#undef TESTDATA
    };
    char package[32], file[64], test[128], path[PATH_MAX];

    put(job->directory, "%s", job->folder);
    put(job->expected_directory, "%s", job->folder);
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        if (strcmp(job->columns[ID], elsewhere[i].id) == 0) {
            put(job->directory, "%s/%s", job->corpus->root, elsewhere[i].directory);
            put(job->expected_directory, "%s/%s", job->corpus->root, elsewhere[i].expected);
            return;
        }
    if (sscanf(job->columns[SOURCE], "%31[^/]/%63[^.].go:%*d %127[A-Za-z0-9_]", package, file, test) != 3)
        return;
    char *suffix = strstr(file, "_test");
    if (suffix)
        *suffix = '\0';
    put(path, "%s/compose-go-inline/%s_%s__%s", job->corpus->valid, package, file, test);
    bool more = strstr(job->columns[CONTEXT], "more files") || strstr(job->columns[INPUT], "env_file");
    if (more && access(path, R_OK | X_OK) == 0) {
        put(job->directory, "%s", path);
        put(job->expected_directory, "%s", path);
    }
}

/* The texts of `input` become compose.yaml, 1.yaml, …; what the context lists lies beside them. */
static bool write_files(struct job *job)
{
    static const char mark[] = "---FILE---", gap[] = "\n; ";
    const char *text = job->columns[INPUT];
    char name[64];
    size_t n = 0;
    bool ok = true;

    while (ok && text && n < FILES_MAX - 1) {
        const char *end = strstr(text, mark);
        (void)snprintf(name, sizeof(name), n ? "%zu.yaml" : "compose.yaml", n);
        put(job->paths[n], "%s/%s", job->folder, name);
        job->files[n] = job->paths[n];
        ok = write_file(job, name, text, end ? (size_t)(end - text) : strlen(text));
        text = end ? end + strlen(mark) : NULL;
        n++;
    }
    if (job->context.override) {
        put(job->paths[n], "%s/override.yaml", job->folder);
        job->files[n] = job->paths[n];
        ok = ok && write_file(job, "override.yaml", job->context.override, strlen(job->context.override));
    }
    for (char *file = job->context.files; ok && file;) {
        char *end = strstr(file, gap);
        size_t len = strcspn(file, ":");
        (void)snprintf(name, sizeof(name), "%.*s", (int)len, file);
        const char *content = file + len + 2;
        ok = write_file(job, name, content, end ? (size_t)(end + 1 - content) : strlen(content));
        file = end ? end + strlen(gap) : NULL;
    }
    return ok;
}

/* A folder of its own, below which the reference's test data can be reached. */
static bool make_folder(struct job *job)
{
    char testdata[PATH_MAX], link[PATH_MAX];

    put(job->folder, "%s/daruma-conformance.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(job->folder))
        return false;
    put(testdata, "%s/compose-spec+compose-go/loader/testdata", job->corpus->valid);
    put(link, "%s/testdata", job->folder);
    return symlink(testdata, link) == 0;
}

/* --- Loading --- */

static struct compose_request request_of(const struct job *job, const char **environment)
{
    static char texts[ENV_MAX][1024];
    const char *key;
    json_t *value;
    size_t n = 0;

    environment[n++] = "HOME=/root";
    json_object_foreach(job->context.environment, key, value) if (n <= ENV_MAX)
    {
        (void)snprintf(texts[n - 1], sizeof(texts[0]), "%s=%s", key, json_string_value(value));
        environment[n] = texts[n - 1];
        n++;
    }
    return (struct compose_request){
        .working_dir = job->folder,
        .project_dir = job->directory,
        .files = job->files,
        .environment = environment,
        .profiles = job->context.profiles,
        .services = job->context.services,
        .prune = job->context.prune,
        .no_normalise = job->context.no_normalise,
        .no_consistency = job->context.no_consistency,
    };
}

/* The model; NULL: refused. */
static json_t *load(const struct compose_request *request, bool show, size_t *ret_warnings)
{
    struct problems problems = { 0 };
    struct buf text CLEANUP_BUF = { 0 };
    struct spec *spec = NULL;

    int r = compose_load(request, &spec, &problems);
    problems_format(&problems, false, &text);
    if (show)
        printf("%s", text.data ? text.data : "");
    *ret_warnings = problems.len - problems.errors;
    json_t *model = r == 0 ? model_from_project(spec->tree, true) : NULL;
    spec_free(spec);
    problems_free(&problems);
    return model;
}

/* `text` with the row's directories in place of @CWD@, @TMP@ and @DIR@; the caller's. */
static char *with_directories(const struct job *job, const char *text)
{
    struct buf out CLEANUP_BUF = { 0 };

    while (*text) {
        bool directory =
            strncmp(text, "@CWD@", 5) == 0 || strncmp(text, "@TMP@", 5) == 0 || strncmp(text, "@DIR@", 5) == 0;
        buf_add(&out, directory ? job->directory : text, directory ? strlen(job->directory) : 1);
        text += directory ? 5 : 1;
    }
    return buf_take(&out);
}

/* The project that the row expects, as a file beside the others, taken as it stands. */
static json_t *load_expected(const struct job *job, const struct compose_request *like)
{
    char path[PATH_MAX], *text CLEANUP_FREE = with_directories(job, job->columns[EXPECTED]);
    const char *files[] = { path, NULL }, *all[] = { "*", NULL };
    struct compose_request request = *like;
    size_t ignored;

    put(path, "%s/expected.yaml", job->folder);
    if (!text || !write_file(job, "expected.yaml", text, strlen(text)))
        return NULL;
    request.project_dir = job->expected_directory;
    request.files = files;
    request.profiles = all;
    request.services = NULL;
    request.prune = false;
    request.no_interpolate = request.no_normalise = request.no_consistency = true;
    return load(&request, false, &ignored);
}

/* --- Whether it holds --- */

static bool has_name(const struct job *job)
{
    const char *input = job->columns[INPUT];
    return strncmp(input, "name:", 5) == 0 || strstr(input, "\nname:") || strstr(input, "\n name:");
}

/* The option to leave env_file out, once its values are in the environment; `daruma config` prints it so. */
static void drop_env_files(const struct job *job, json_t *model)
{
    json_t *service;
    const char *name;

    if (!strstr(job->columns[SOURCE], "TestDiscardEnvFileOption") || strstr(job->columns[EXPECTED], "env_file:"))
        return;
    json_object_foreach(json_object_get(model, "services"), name, service)(void) json_object_del(service, "env_file");
}

static bool same_project(struct job *job, struct compose_request *request)
{
    size_t warnings;
    json_t *expected = load_expected(job, request);

    /* Some tests gave the name as an option. */
    if (!has_name(job))
        request->project_name = json_string_value(json_object_get(expected, "name"));
    json_t *got = load(request, job->corpus->only != NULL, &warnings);
    drop_env_files(job, got);
    bool holds = expected && got && same_json(expected, got);
    if (job->corpus->only) {
        show_json("expected", expected);
        show_json("got", got);
    }
    json_decref(expected);
    json_decref(got);
    return holds;
}

/* "VALUE", "VALUE | warning: …" or "VALUE | disabled: [names]". */
static bool same_part(struct job *job, struct compose_request *request)
{
    size_t warnings, n = 0;
    char *path = job->columns[KIND] + strlen("json@"), *key;

    request->project_name = has_name(job) ? NULL : "proj";
    json_t *got = load(request, job->corpus->only != NULL, &warnings);
    const json_t *there = got;
    for (char *rest = strcmp(path, "(model)") == 0 ? NULL : path; there && (key = strsep(&rest, ".")); n++)
        there = json_object_get(there, key);
    char *text CLEANUP_FREE = with_directories(job, job->columns[EXPECTED]), *more;
    json_error_t error;
    json_t *expected = json_loads(text, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
    bool holds = got && (same_json(expected, there) || (!there && json_is_null(expected)));
    if ((more = strstr(text, " | warning: ")))
        holds = holds && warnings > 0;
    if ((more = strstr(text, " | disabled: "))) {
        /* With all profiles they are there. */
        json_t *names = json_loads(more + strlen(" | disabled: "), 0, NULL), *name;
        request->profiles = (const char *const[]){ "*", NULL };
        json_t *all = load(request, false, &warnings);
        json_array_foreach(names, n, name) holds =
            holds && json_object_get(json_object_get(all, "services"), json_string_value(name));
        json_decref(all);
        json_decref(names);
    }
    if (job->corpus->only) {
        show_json("expected", expected);
        show_json("got", there);
    }
    json_decref(expected);
    json_decref(got);
    return holds;
}

static bool holds_file(struct job *job)
{
    const char *environment[ENV_MAX + 2] = { NULL };
    struct compose_request request = request_of(job, environment);
    size_t warnings;

    if (strcmp(job->columns[KIND], "project-yaml") == 0)
        return same_project(job, &request);
    if (strncmp(job->columns[KIND], "json@", 5) == 0)
        return same_part(job, &request);
    request.project_name = has_name(job) ? NULL : "proj";
    if (strstr(job->columns[EXPECTED], "project name must not be empty")) {
        request.project_name = NULL;
        request.project_dir = "/";
    }
    json_t *model = load(&request, job->corpus->only != NULL, &warnings);
    json_decref(model);
    return strcmp(job->columns[KIND], "error") == 0 && !model;
}

/* Rows about the name take it from what the context says. */
static bool holds_name(struct job *job)
{
    const char *environment[ENV_MAX + 2] = { NULL }, *files[] = { job->paths[0], NULL };
    struct compose_request request = request_of(job, environment);
    size_t warnings;

    request.files = files;
    put(job->paths[0], "%s/compose.yaml", job->folder);
    if (strncmp(job->columns[CONTEXT], "explicit", 8) == 0)
        request.project_name = job->columns[INPUT];
    request.project_dir = strcmp(job->columns[CONTEXT], "no name anywhere") == 0 ? "/" : NULL;
    if (strncmp(job->columns[INPUT], "testdata/", 9) == 0)
        put(job->paths[0], "%s/compose-spec+compose-go/cli/%s", job->corpus->valid, job->columns[INPUT]);
    else if (!write_file(job, "compose.yaml", job->columns[INPUT],
                         strncmp(job->columns[INPUT], "name:", 5) == 0 ? strlen(job->columns[INPUT]) : 0) ||
             !write_file(job, "services.yaml", "services: {}\n", 13))
        return false;
    char services[PATH_MAX];
    put(services, "%s/services.yaml", job->folder);
    const char *both[] = { job->paths[0], services, NULL };
    request.files = *job->columns[INPUT] == 't' ? files : both;
    json_t *model = load(&request, job->corpus->only != NULL, &warnings);
    const char *name = json_string_value(json_object_get(model, "name"));
    bool holds = strcmp(job->columns[KIND], "error") == 0 ? !model : name && strcmp(name, job->columns[EXPECTED]) == 0;
    json_decref(model);
    return holds;
}

/* The environment of the process over .env, as a service sees it. */
static bool holds_dot_env(struct job *job)
{
    static const char text[] = "services: {a: {image: i, environment: [FOO, BAR]}}\n";
    const char *environment[ENV_MAX + 2] = { NULL }, *files[] = { job->paths[0], NULL };
    struct compose_request request = request_of(job, environment);
    size_t warnings;

    put(job->paths[0], "%s/compose.yaml", job->folder);
    if (!write_file(job, "compose.yaml", text, strlen(text)) ||
        !write_file(job, ".env", job->columns[INPUT], strlen(job->columns[INPUT])))
        return false;
    request.files = files;
    json_t *model = load(&request, job->corpus->only != NULL, &warnings);
    json_t *expected = json_loads(job->columns[EXPECTED], 0, NULL);
    const json_t *service = json_object_get(json_object_get(model, "services"), "a");
    bool result = expected && same_json(json_object_get(service, "environment"), expected);
    json_decref(expected);
    json_decref(model);
    return result;
}

static bool holds(struct job *job)
{
    struct rule rule = {
        .id = job->columns[ID],
        .area = job->columns[AREA],
        .input = job->columns[INPUT],
        .kind = job->columns[KIND],
        .expected = job->columns[EXPECTED],
        .override = job->context.override,
        .environment = job->context.environment,
    };
    bool result = false;

    bool whole = strncmp(job->columns[SOURCE], "cli/", 4) == 0;
    if (!whole && run_function(job->corpus, &rule, &result))
        return result;
    if (!make_folder(job))
        return false;
    find_directory(job);
    if (strcmp(job->columns[AREA], "project-name") == 0)
        result = holds_name(job);
    else if (strcmp(job->columns[AREA], "dotenv-precedence") == 0)
        result = holds_dot_env(job);
    else
        result = write_files(job) && holds_file(job);
    (void)nftw(job->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return result;
}

bool run_semantics(const struct corpus *corpus, struct tally *ret)
{
    char path[PATH_MAX], *line CLEANUP_FREE = NULL, name[128];
    size_t room = 0;

    put(path, "%s/semantics.tsv", corpus->root);
    FILE *table CLEANUP_FILE = fopen(path, "re");
    if (!table) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    while (getline(&line, &room, table) > 0) {
        struct job job = { .corpus = corpus };
        split_row(line, job.columns, COLUMNS);
        (void)snprintf(name, sizeof(name), "%s %s", job.columns[ID], job.columns[AREA]);
        if (*name != 'S' || (corpus->only && !strstr(name, corpus->only)))
            continue;
        for (int i = 0; i < COLUMNS; i++)
            unescape(job.columns[i]);
        read_context(job.columns[CONTEXT], &job.context);
        job.context.prune = strcmp(job.columns[ID], "S0568") == 0 || strcmp(job.columns[ID], "S0569") == 0;
        count(corpus, ret, name, holds(&job));
        json_decref(job.context.environment);
        json_decref(job.context.profile_list);
        json_decref(job.context.service_list);
    }
    return true;
}
