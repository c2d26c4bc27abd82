/* SPDX-License-Identifier: MIT */
#include "daemon/applied.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "compose/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const runtimes[] = { [SPEC_RUNTIME_PROCESS] = "process", [SPEC_RUNTIME_DOCKER] = "docker" };

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Readers see the old file or the new one, whenever we die. */
static int replace_file(const struct rundir *dir, const char *name, const char *text, struct err *err)
{
    char path[PATH_MAX], fresh[PATH_MAX + 8];

    (void)snprintf(fresh, sizeof(fresh), "%s.new", rundir_file(dir, name, path));
    CLEANUP_CLOSE int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(fresh);
        return err_errno(err, r, "cannot write %.300s; make room there, or set DARUMA_RUN_DIR", path);
    }
    return 0;
}

static json_t *files_of(const struct spec *spec)
{
    json_t *files = json_array();
    for (char **file = spec->files; file && *file; file++)
        (void)json_array_append_new(files, json_string(*file));
    return files;
}

int applied_save(const struct rundir *dir, const struct applied *applied, const json_t *model, struct err *err)
{
    CLEANUP_BUF struct buf text_of_model = { 0 };
    const struct spec *spec = applied->spec;

    if (!model || !model_print_loadable(model, &text_of_model))
        return err_errno(err, -ENOMEM, "cannot write down what was applied");
    json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:O, s:s}", "version", APPLIED_VERSION, "name", spec->name,
                             "working_dir", spec->working_dir, "runtime", runtimes[applied->runtime], "ports",
                             json_incref(applied->ports), "files", files_of(spec), "request", applied->request.json,
                             "model", text_of_model.data);
    CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return err_errno(err, -ENOMEM, "cannot write down what was applied");
    return replace_file(dir, "applied.json", text, err);
}

/* The loader reads files, so the model becomes one for a moment. */
static int load_spec(const struct rundir *dir, const json_t *json, struct applied *applied, struct err *err)
{
    char path[PATH_MAX];
    const char *const everything[] = { "*", NULL }, *const files[] = { path, NULL };
    const json_t *list = json_object_get(json, "files");
    size_t n = json_array_size(list);
    CLEANUP_FREE const char **origins = calloc(n + 1, sizeof(*origins));
    struct problems problems = { 0 };
    struct compose_request request = {
        .working_dir = json_string_value(json_object_get(json, "working_dir")),
        .project_dir = json_string_value(json_object_get(json, "working_dir")),
        .project_name = json_string_value(json_object_get(json, "name")),
        .files = files,
        .profiles = everything, /* those that were switched off are not in the model */
        .origins = origins,
    };

    if (!origins)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        origins[i] = json_string_value(json_array_get(list, i));
    (void)rundir_file(dir, "applied.yaml", path);
    int r = replace_file(dir, "applied.yaml", json_string_value(json_object_get(json, "model")), err);
    if (r == 0)
        r = compose_load(&request, &applied->spec, &problems);
    for (size_t i = 0; r < 0 && i < problems.len; i++)
        if (!problems.list[i].warning)
            (void)err_set(err, r, "%.300s", problems.list[i].message);
    (void)unlink(path);
    problems_free(&problems);
    return r;
}

static bool is_sound(const json_t *json)
{
    return json_integer_value(json_object_get(json, "version")) == APPLIED_VERSION &&
           json_is_string(json_object_get(json, "name")) && json_is_string(json_object_get(json, "working_dir")) &&
           json_is_string(json_object_get(json, "runtime")) && json_is_string(json_object_get(json, "model")) &&
           json_is_object(json_object_get(json, "ports"));
}

int applied_load(const struct rundir *dir, struct applied *ret, struct err *err)
{
    char path[PATH_MAX];
    json_error_t error;
    struct applied applied = { 0 };
    struct err why = { 0 };

    if (access(rundir_file(dir, "applied.json", path), F_OK) < 0)
        return -ENOENT;
    json_t *json = json_load_file(path, 0, &error);
    int r = is_sound(json) ? 0 : -EINVAL;
    if (r == 0)
        r = up_request_parse(json_object_get(json, "request"), &applied.request, &why);
    if (r == 0)
        r = load_spec(dir, json, &applied, &why);
    if (r == 0)
        r = up_request_apply(&applied.request, applied.spec, &why);
    if (r == 0) {
        bool docker = strcmp(json_string_value(json_object_get(json, "runtime")), "docker") == 0;
        applied.runtime = docker ? SPEC_RUNTIME_DOCKER : SPEC_RUNTIME_PROCESS;
        applied.ports = json_incref(json_object_get(json, "ports"));
        *ret = applied;
    } else {
        applied_free(&applied);
        (void)err_set(err, r, "%.300s cannot be used%s%.100s", path, why.message[0] ? ": " : "", why.message);
    }
    json_decref(json);
    return r;
}

void applied_free(struct applied *applied)
{
    up_request_free(&applied->request);
    spec_free(applied->spec);
    json_decref(applied->ports);
    *applied = (struct applied){ 0 };
}

void applied_forget(const struct rundir *dir)
{
    char path[PATH_MAX];
    (void)unlink(rundir_file(dir, "applied.json", path));
}
