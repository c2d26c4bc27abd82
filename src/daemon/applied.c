/* SPDX-License-Identifier: MIT */
#include "daemon/applied.h"

#include "base/cleanup.h"
#include "daemon/specs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const runtimes[] = { [SPEC_RUNTIME_PROCESS] = "process", [SPEC_RUNTIME_DOCKER] = "docker" };

int applied_save(const struct rundir *dir, const struct applied *applied, struct err *err)
{
    json_t *json = json_pack("{s:i, s:I, s:b, s:s, s:O, s:O}", "version", APPLIED_VERSION, "spec",
                             (json_int_t)applied->id, "whole", applied->whole, "runtime", runtimes[applied->runtime],
                             "ports", applied->ports, "request", applied->request.json);
    CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (!text)
        return err_errno(err, -ENOMEM, "cannot write down what was applied");
    return rundir_replace(dir, "applied.json", text, err);
}

static bool is_sound(const json_t *json)
{
    return json_integer_value(json_object_get(json, "version")) == APPLIED_VERSION &&
           json_is_integer(json_object_get(json, "spec")) && json_is_boolean(json_object_get(json, "whole")) &&
           json_is_string(json_object_get(json, "runtime")) && json_is_object(json_object_get(json, "ports"));
}

int applied_load(const struct rundir *dir, struct applied *ret, struct err *err)
{
    char path[PATH_MAX];
    struct applied applied = { 0 };
    struct err why = { 0 };
    json_t *json = NULL;

    int r = rundir_load(dir, "applied.json", &json);
    if (r == -ENOENT)
        return r;
    if (r == 0 && !is_sound(json))
        r = -EINVAL;
    if (r == 0)
        r = up_request_parse(json_object_get(json, "request"), &applied.request, &why);
    if (r == 0)
        r = specs_load(dir, (uint32_t)json_integer_value(json_object_get(json, "spec")), &applied.spec, &why);
    if (r == 0) {
        bool docker = strcmp(json_string_value(json_object_get(json, "runtime")), "docker") == 0;
        applied.runtime = docker ? SPEC_RUNTIME_DOCKER : SPEC_RUNTIME_PROCESS;
        applied.id = (uint32_t)json_integer_value(json_object_get(json, "spec"));
        applied.whole = json_is_true(json_object_get(json, "whole"));
        applied.ports = json_incref(json_object_get(json, "ports"));
        *ret = applied;
    } else {
        applied_free(&applied);
        (void)err_set(err, r, "%.300s cannot be used%s%.100s", rundir_file(dir, "applied.json", path),
                      why.message[0] ? ": " : "", why.message);
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
    specs_prune(dir, NULL, NULL);
}
