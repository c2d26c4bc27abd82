/* SPDX-License-Identifier: MIT
 *
 * Another container in an instance's place (see docker.h): it is taken over when it is what ours would be, as the Engine
 * tells of both, and replaced by ours otherwise.
 */
#include "runtime/docker.h"

#include "runtime/container.h"

#include <string.h>

/* An anonymous volume is known by the container alone: the successor gets it, as with Compose. The Engine's names for
   such are 64 hexadecimal digits. */
void docker_inherit(struct runtime_handle *handle, const json_t *found)
{
    json_t *mount;
    size_t i;

    json_array_foreach(json_object_get(found, "Mounts"), i, mount)
    {
        const char *name = docker_text(mount, "Name");
        if (strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64)
            container_inherit(handle->body, name, docker_text(mount, "Destination"));
    }
}

/* What is asked for in each of its networks. */
static json_t *endpoints_of(const struct runtime_handle *handle)
{
    json_t *first = json_object_get(json_object_get(handle->body, "NetworkingConfig"), "EndpointsConfig");
    json_t *ret = first ? json_copy(first) : json_object();

    for (size_t i = 0; i < handle->networks_len; i++)
        (void)json_object_set(ret, handle->networks[i].name,
                              json_object_get(handle->networks[i].body, "EndpointConfig"));
    return ret;
}

/* The container `id`, theirs or ours, is the one from now on. `name` is what it is called. */
static void decide(struct runtime_handle *handle, const char *id, const char *name)
{
    bool named = strcmp(name, handle->name) == 0;

    (void)snprintf(handle->id, sizeof(handle->id), "%s", id);
    handle->old_id[0] = '\0';
    handle->new_id[0] = '\0';
    if (docker_keep(handle) < 0)
        docker_fail_memory(handle);
    else if (named)
        docker_renamed(handle);
    else
        docker_go(handle, DOCKER_RENAME);
}

void docker_saw_ours(struct runtime_handle *handle, const json_t *json)
{
    json_decref(handle->ours);
    handle->ours = json_incref((json_t *)json);
    docker_go(handle, DOCKER_SEE_OLD);
}

void docker_saw_old(struct runtime_handle *handle, const json_t *json)
{
    json_t *endpoints = endpoints_of(handle);
    bool same = container_same(json, handle->ours, endpoints, handle->name);

    json_decref(endpoints);
    if (!same) {
        docker_go(handle, DOCKER_STOP_OLD);
        return;
    }
    handle->docker->events->progress(handle->owner, "its container is as the file says, though daruma did not make it");
    docker_discard(handle);
    handle->taken_over = docker_is_running(json_object_get(json, "State"));
    decide(handle, handle->old_id, docker_text(json, "Name") + 1);
}

void docker_removed_old(struct runtime_handle *handle, int status)
{
    if (!handle->new_id[0] || status == 409) { /* half made, or somebody else removes it just now */
        handle->old_id[0] = '\0';
        if (handle->new_id[0])
            docker_discard(handle);
        docker_go(handle, DOCKER_LOOK);
        return;
    }
    handle->fresh = true;
    decide(handle, handle->new_id, "");
}
