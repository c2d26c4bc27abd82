/* SPDX-License-Identifier: MIT
 *
 * The file's restart policy is the container's at the Engine, too: it is what is left of it when nothing of daruma is.
 * While daruma is there it starts containers again itself, and holds the Engine off: a signal makes the Engine forget
 * that it was to restart a container, also when the process has died already and the Engine does not know yet.
 */
#include "runtime/docker.h"

#include <string.h>

static json_t *wanted_policy(const struct runtime_handle *handle)
{
    return json_object_get(json_object_get(handle->body, "HostConfig"), "RestartPolicy");
}

static bool is_no(const json_t *policy)
{
    const char *name = docker_text(policy, "Name");
    return !*name || strcmp(name, "no") == 0;
}

static bool is_same(const json_t *a, const json_t *b)
{
    if (is_no(a) || is_no(b))
        return is_no(a) && is_no(b);
    return strcmp(docker_text(a, "Name"), docker_text(b, "Name")) == 0 &&
           json_integer_value(json_object_get(a, "MaximumRetryCount")) ==
               json_integer_value(json_object_get(b, "MaximumRetryCount"));
}

void docker_policy_choose(struct runtime_handle *handle)
{
    const struct engine *engine = handle->docker->engine;

    if (!engine_is_local(engine) || engine_is_podman(engine))
        (void)json_object_set_new(wanted_policy(handle), "Name", json_string("no"));
    if (is_no(wanted_policy(handle)))
        (void)json_object_del(wanted_policy(handle), "MaximumRetryCount");
}

static void on_held(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;

    handle->policy = NULL;
    if (handle->step != DOCKER_RUN)
        docker_heard(handle);
}

void docker_policy_hold(struct runtime_handle *handle)
{
    char path[DOCKER_ID + 48];
    const struct engine_request request = {
        .method = "POST", .path = path, .timeout_ns = DOCKER_TIMEOUT_NS, .owner = handle, .done = on_held
    };

    if (handle->policy || is_no(wanted_policy(handle)))
        return;
    (void)snprintf(path, sizeof(path), "/containers/%s/kill", handle->id);
    if (engine_begin(handle->docker->engine, &request, &handle->policy) < 0)
        handle->policy = NULL; /* then the Engine starts it again, and it is taken over */
}

static void on_updated(void *owner, int status, const json_t *json, const struct err *err)
{
    struct runtime_handle *handle = owner;
    handle->policy = NULL;
}

void docker_policy_update(struct runtime_handle *handle, const json_t *host)
{
    char path[DOCKER_ID + 48];
    json_t *wanted = wanted_policy(handle);

    if (handle->policy || is_same(wanted, json_object_get(host, "RestartPolicy")))
        return;
    json_t *body = json_pack("{s:O}", "RestartPolicy", wanted);
    const struct engine_request request = { .method = "POST",
                                            .path = path,
                                            .body = body,
                                            .timeout_ns = DOCKER_TIMEOUT_NS,
                                            .owner = handle,
                                            .done = on_updated };
    (void)snprintf(path, sizeof(path), "/containers/%s/update", handle->id);
    if (!body || engine_begin(handle->docker->engine, &request, &handle->policy) < 0)
        handle->policy = NULL;
    json_decref(body);
}
