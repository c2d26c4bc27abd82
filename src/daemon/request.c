/* SPDX-License-Identifier: MIT */
#include "daemon/request.h"

#include "base/cleanup.h"
#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        (void)json_object_set_new(object, key, json_string_nocheck(text));
}

static void set_list(json_t *object, const char *key, const char *const *list)
{
    json_t *array = json_array();

    for (; list && *list; list++) {
        /* An environment may hold what is no UTF-8; JSON cannot carry it, and interpolation hardly means it. */
        json_t *text = json_string(*list);
        if (text)
            (void)json_array_append_new(array, text);
    }
    (void)json_object_set_new(object, key, array);
}

json_t *up_request_json(const struct compose_request *compose, const char *const *services, const json_t *scale,
                        const char *runtime)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    (void)json_object_set_new(object, "id", json_integer((json_int_t)(rng_entropy() >> 11))); /* exact in a double */
    set_text(object, "working_dir", compose->working_dir);
    set_text(object, "project_dir", compose->project_dir);
    set_text(object, "project_name", compose->project_name);
    set_text(object, "nginx_conf", compose->nginx_conf);
    (void)json_object_set_new(object, "replace_nginx", json_boolean(compose->replace_nginx));
    set_text(object, "runtime", runtime);
    set_list(object, "files", compose->files);
    set_list(object, "env_files", compose->env_files);
    set_list(object, "profiles", compose->profiles);
    set_list(object, "environment", compose->environment);
    set_list(object, "services", services);
    if (scale)
        (void)json_object_set(object, "scale", (json_t *)(uintptr_t)scale);
    return object;
}

/* A string or nothing. */
static int take_text(const json_t *json, const char *key, const char **ret, struct err *err)
{
    const json_t *value = json_object_get(json, key);

    *ret = json_string_value(value);
    if (value && !json_is_null(value) && !json_is_string(value))
        return err_set(err, -EINVAL, "\"%s\" has to be a string", key);
    return 0;
}

/* A list of strings, or nothing; empty ones become NULL. */
static int take_list(const json_t *json, const char *key, const char ***ret, struct err *err)
{
    const json_t *list = json_object_get(json, key);
    size_t n = json_array_size(list);

    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(err, -EINVAL, "\"%s\" has to be a list of strings", key);
    if (n == 0)
        return 0;
    *ret = calloc(n + 1, sizeof(**ret));
    if (!*ret)
        return err_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        (*ret)[i] = json_string_value(json_array_get(list, i));
        if (!(*ret)[i])
            return err_set(err, -EINVAL, "\"%s\" has to be a list of strings", key);
    }
    return 0;
}

int up_request_parse(const json_t *json, struct up_request *ret, struct err *err)
{
    static const char *const keys[] = { "files", "env_files", "profiles", "environment", "services", "renew" };
    struct up_request request = { .json = json_deep_copy(json) };

    if (!request.json)
        return err_set(err, -ENOMEM, "out of memory");
    int r = take_text(request.json, "working_dir", &request.compose.working_dir, err);
    if (r == 0 && (!request.compose.working_dir || request.compose.working_dir[0] != '/'))
        r = err_set(err, -EINVAL, "\"working_dir\" has to be an absolute path");
    if (r == 0)
        r = take_text(request.json, "project_dir", &request.compose.project_dir, err);
    if (r == 0)
        r = take_text(request.json, "project_name", &request.compose.project_name, err);
    if (r == 0)
        r = take_text(request.json, "nginx_conf", &request.compose.nginx_conf, err);
    if (r == 0)
        r = take_text(request.json, "runtime", &request.runtime, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(keys); i++)
        r = take_list(request.json, keys[i], &request.lists[i], err);
    if (r < 0) {
        up_request_free(&request);
        return r;
    }
    request.id = json_integer_value(json_object_get(request.json, "id"));
    request.compose.replace_nginx = json_is_true(json_object_get(request.json, "replace_nginx"));
    request.compose.files = request.lists[0];
    request.compose.env_files = request.lists[1];
    request.compose.profiles = request.lists[2];
    request.compose.environment = request.lists[3];
    request.services = request.lists[4];
    request.renew = request.lists[5];
    request.replace = json_is_true(json_object_get(request.json, "replace"));
    request.build = json_is_true(json_object_get(request.json, "build"));
    (void)json_object_del(request.json, "build"); /* it is meant once, the rest is kept */
    request.dry_run = json_is_true(json_object_get(request.json, "dry_run"));
    *ret = request;
    return 0;
}

void up_request_inherit(struct up_request *request, const struct up_request *last)
{
    if (json_object_get(request->json, "replace_nginx"))
        return;
    request->compose.replace_nginx = last->compose.replace_nginx;
    (void)json_object_set_new(request->json, "replace_nginx", json_boolean(last->compose.replace_nginx));
}

void up_request_free(struct up_request *request)
{
    for (size_t i = 0; i < ARRAY_LEN(request->lists); i++)
        free(request->lists[i]);
    json_decref(request->json);
    *request = (struct up_request){ 0 };
}

static int no_such_service(const struct spec *spec, const char *name, struct err *err)
{
    return err_set(err, -ENOENT, "there is no service \"%.100s\" in project \"%s\"", name, spec->name);
}

static bool is_meant(const struct up_request *request, const char *name)
{
    const char *const *service = request->services;
    while (service && *service && strcmp(*service, name) != 0)
        service++;
    return !service || *service;
}

int up_request_apply(const struct up_request *request, struct spec *spec, struct err *err)
{
    const char *name;
    json_t *replicas;

    for (size_t i = 0; i < spec->services_len; i++) {
        struct spec_service *service = &spec->services[i];
        service->build = request->build && service->has_build && is_meant(request, service->name);
    }
    if (spec->services_len == 0 && spec->listeners_len == 0)
        return err_set(err, -EINVAL,
                       "the files define no service to run; if all of them have a profile, name one with --profile");
    for (const char *const *service = request->services; service && *service; service++)
        if (!spec_find_service(spec, *service))
            return no_such_service(spec, *service, err);
    json_object_foreach(json_object_get(request->json, "scale"), name, replicas)
    {
        json_int_t n = json_integer_value(replicas);
        const struct spec_service *service = spec_find_service(spec, name);
        if (!service)
            return no_such_service(spec, name, err);
        if (!json_is_integer(replicas) || n < 0 || n > 10000)
            return err_set(err, -EINVAL, "%s: the number of replicas has to be from 0 to 10000", name);
        if (n > 1 && service->container_name[0])
            return err_set(err, -EINVAL, "%s: there can be only one with the fixed container_name \"%s\"", name,
                           service->container_name);
        /* The spec is still ours alone, and it is the answer to the whole request. */
        spec->services[service - spec->services].replicas = (int32_t)n;
    }
    return 0;
}
