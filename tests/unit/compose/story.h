/* SPDX-License-Identifier: MIT
 *
 * For the loader's tests: files in a folder of their own, what was made of them, and what was told.
 */
#ifndef DARUMA_TESTS_STORY_H
#define DARUMA_TESTS_STORY_H

#include "base/cleanup.h"
#include "compose/spec.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* One load. Zeroed but for what the story is about; story_end() releases it. */
struct story {
    struct compose_request request;
    char folder[64];
    struct spec *spec; /* NULL: refused */
    char *told;        /* the problems' text, "" when there were none */
    int result;
};

static inline int story_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(path);
}

static inline void story_end(struct story *story)
{
    spec_free(story->spec);
    free(story->told);
    if (*story->folder)
        (void)nftw(story->folder, story_remove, 8, FTW_DEPTH | FTW_PHYS);
}
#define STORY __attribute__((cleanup(story_end))) struct story

/* Puts a file into the story's folder; folders in its name are made. */
static inline void story_file(struct story *story, const char *name, const char *text)
{
    char path[PATH_MAX];

    if (!*story->folder) {
        (void)snprintf(story->folder, sizeof(story->folder), "/tmp/compose-test-XXXXXX");
        assert_non_null(mkdtemp(story->folder));
    }
    (void)snprintf(path, sizeof(path), "%s/%s", story->folder, name);
    for (char *slash = strchr(path + strlen(story->folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void story_load(struct story *story)
{
    static const char *const nothing[] = { "HOME=/root", NULL };
    struct problems problems = { 0 };
    struct buf text = { 0 };

    if (!story->request.working_dir)
        story->request.working_dir = story->folder;
    if (!story->request.environment)
        story->request.environment = nothing;
    story->result = compose_load(&story->request, &story->spec, &problems);
    problems_format(&problems, false, &text);
    story->told = buf_take(&text);
    assert_int_equal(story->result == 0, problems.errors == 0);
    problems_free(&problems);
}

/* compose.yaml with this text, loaded as the project "p". */
static inline void story_of(struct story *story, const char *text)
{
    story->request.project_name = "p";
    story_file(story, "compose.yaml", text);
    story_load(story);
}

static inline void must_load(const struct story *story)
{
    if (!story->spec)
        fail_msg("refused: %s", story->told);
}

/* It was refused, and this was told; `part` without the file's folder. */
static inline void must_tell(const struct story *story, const char *part)
{
    if (!strstr(story->told, part))
        fail_msg("expected \"%s\", told was: %s", part, story->told);
}

static inline void must_refuse(const struct story *story, const char *part)
{
    if (story->spec)
        fail_msg("accepted, though expected: %s", part);
    must_tell(story, part);
}

/* What stands at "services.web.ports" in the model; NULL when nothing does. */
static inline const json_t *story_at(const struct story *story, const char *path)
{
    char copy[256], *rest = copy, *key;
    const json_t *json = story->spec->model;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    while (json && (key = strsep(&rest, ".")))
        json = json_object_get(json, key);
    return json;
}

/* The model says this there; `expected` in JSON, NULL: nothing. @DIR@ in it is the story's folder. */
static inline void must_say(const struct story *story, const char *path, const char *expected)
{
    char text[4096] = "";

    must_load(story);
    for (const char *p = expected; p && *p;) {
        size_t len = strlen(text), folder = strncmp(p, "@DIR@", 5) == 0 ? 5 : 1;
        (void)snprintf(text + len, sizeof(text) - len, "%.*s", folder == 5 ? 64 : 1, folder == 5 ? story->folder : p);
        p += folder;
    }
    json_t *wanted = expected ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    const json_t *there = story_at(story, path);
    bool same = expected ? wanted && there && json_equal(wanted, there) : !there;
    json_decref(wanted);
    if (!same) {
        char *got CLEANUP_FREE = there ? json_dumps(there, JSON_ENCODE_ANY | JSON_SORT_KEYS) : strdup("nothing");
        fail_msg("%s: expected %s, it is %s", path, expected ? text : "nothing", got);
    }
}

static inline const struct spec_service *story_service(const struct story *story, const char *name)
{
    must_load(story);
    const struct spec_service *service = spec_find_service(story->spec, name);
    assert_non_null(service);
    return service;
}

#endif
