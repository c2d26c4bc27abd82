/* SPDX-License-Identifier: MIT */
#include "daemon/specs.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "compose/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NAME_SIZE = 32, MODEL_PATH = 32 };

static const char *name_of(uint32_t id, char name[NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "spec-%" PRIu32 ".json", id);
    return name;
}

static json_t *files_of(const struct spec *spec)
{
    json_t *files = json_array();
    for (char **file = spec->files; file && *file; file++)
        (void)json_array_append_new(files, json_string(*file));
    return files;
}

static json_t *built_of(const struct spec *spec)
{
    json_t *built = json_array();
    for (size_t i = 0; i < spec->services_len; i++)
        if (spec->services[i].build)
            (void)json_array_append_new(built, json_string(spec->services[i].name));
    return built;
}

static json_t *replicas_of(const struct spec *spec)
{
    json_t *replicas = json_object();
    for (size_t i = 0; i < spec->services_len; i++)
        (void)json_object_set_new(replicas, spec->services[i].name, json_integer(spec->services[i].replicas));
    return replicas;
}

int specs_save(const struct rundir *dir, const struct spec *spec, uint32_t id, struct err *err)
{
    CLEANUP_BUF struct buf model = { 0 };
    char name[NAME_SIZE];

    bool printed = model_print_loadable(spec->model, &model);
    json_t *json = printed ? json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:s}", "version", SPECS_VERSION, "name",
                                       spec->name, "working_dir", spec->working_dir, "files", files_of(spec),
                                       "replicas", replicas_of(spec), "build", built_of(spec), "model", model.data)
                           : NULL;
    CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return err_errno(err, -ENOMEM, "cannot write down what was applied");
    return rundir_replace(dir, name_of(id, name), text, err);
}

/* The loader reads files, so the model becomes one for a moment: in memory, since a full disk must not be what ends the
   project when its supervisor dies. Its descriptor, or a negative errno with `err`. */
static int model_file(const char *model, char path[MODEL_PATH], struct err *err)
{
    size_t len = strlen(model);
    CLEANUP_CLOSE int fd = memfd_create("model", MFD_CLOEXEC);

    if (fd < 0)
        return err_errno(err, -errno, "cannot read what was applied");
    ssize_t n = write(fd, model, len);
    if (n != (ssize_t)len)
        return err_errno(err, n < 0 ? -errno : -ENOMEM, "cannot read what was applied");
    (void)snprintf(path, MODEL_PATH, "/proc/self/fd/%d", fd);
    /* As the loader will: it cannot tell a table that is full from a file that is wrong. */
    CLEANUP_CLOSE int again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0)
        return err_errno(err, -errno, "cannot read what was applied");
    return TAKE_FD(fd);
}

static int load(const json_t *json, struct spec **ret, struct err *err)
{
    char path[MODEL_PATH];
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
        /* Both were done when it was applied, with the services that are switched off. */
        .no_normalise = true,
        .no_consistency = true,
    };

    if (!origins)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        origins[i] = json_string_value(json_array_get(list, i));
    CLEANUP_CLOSE int fd = model_file(json_string_value(json_object_get(json, "model")), path, err);
    if (fd < 0)
        return fd;
    int r = compose_load(&request, ret, &problems);
    for (size_t i = 0; r < 0 && i < problems.len; i++)
        if (!problems.list[i].warning)
            (void)err_set(err, r, "%.300s", problems.list[i].message);
    problems_free(&problems);
    return r;
}

static bool is_sound(const json_t *json)
{
    return json_integer_value(json_object_get(json, "version")) == SPECS_VERSION &&
           json_is_string(json_object_get(json, "name")) && json_is_string(json_object_get(json, "working_dir")) &&
           json_is_string(json_object_get(json, "model"));
}

/* What the request for it has said. */
static void restore_wishes(const json_t *json, struct spec *spec)
{
    const json_t *replicas = json_object_get(json, "replicas");
    json_t *name;
    size_t n;

    for (size_t i = 0; i < spec->services_len; i++) {
        struct spec_service *service = &spec->services[i];
        const json_t *wanted = json_object_get(replicas, service->name);
        if (json_is_integer(wanted))
            service->replicas = (int32_t)json_integer_value(wanted);
        json_array_foreach(json_object_get(json, "build"), n, name)
        {
            service->build =
                service->build || (json_is_string(name) && strcmp(json_string_value(name), service->name) == 0);
        }
    }
}

int specs_load(const struct rundir *dir, uint32_t id, struct spec **ret, struct err *err)
{
    char path[PATH_MAX], name[NAME_SIZE];
    struct spec *spec = NULL;
    struct err why = { 0 };
    json_t *json = NULL;

    (void)rundir_file(dir, name_of(id, name), path);
    int r = rundir_load(dir, name, &json);
    if (r < 0 && r != -EINVAL)
        return err_errno(err, r, "cannot read %.300s", path);
    r = is_sound(json) ? load(json, &spec, &why) : -EINVAL;
    if (r < 0)
        (void)err_set(err, r, "%.300s cannot be used%s%.100s", path, why.message[0] ? ": " : "", why.message);
    else
        restore_wishes(json, spec);
    json_decref(json);
    if (r == 0)
        *ret = spec;
    return r;
}

void specs_prune(const struct rundir *dir, bool (*used)(void *data, uint32_t id), void *data)
{
    DIR *list = opendir(dir->path);
    if (!list)
        return;
    for (struct dirent *entry; (entry = readdir(list));) {
        char name[NAME_SIZE], path[PATH_MAX];
        uint32_t id;
        if (sscanf(entry->d_name, "spec-%" SCNu32, &id) == 1 && strcmp(name_of(id, name), entry->d_name) == 0 &&
            !(used && used(data, id)))
            (void)unlink(rundir_file(dir, name, path));
    }
    (void)closedir(list);
}
