/* SPDX-License-Identifier: MIT
 *
 * The end of a project: what was made for it goes, containers first, then what they used. The supervisor's loop has
 * ended by then, so this has one of its own, and waits.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/engine_wait.h"

#include <errno.h>
#include <string.h>

#define PATIENCE_NS (30 * NS_PER_S)

/* Anonymous volumes go with their container, as in Compose only with the named ones. */
static void remove_containers(struct engine_wait *wait, const struct docker *docker)
{
    char path[DOCKER_ID + 32];

    for (const struct docker_kept *kept = docker->kept; kept; kept = kept->next) {
        (void)snprintf(path, sizeof(path), "/containers/%s?force=1%s", kept->id,
                       docker->runtime.remove_volumes ? "&v=1" : "");
        if (kept->forgotten)
            engine_wait_begin(wait, "DELETE", path, PATIENCE_NS);
    }
    engine_wait_all(wait);
}

/* Those that the file defines; external ones are not ours. */
static void remove_needs(struct engine_wait *wait, const struct docker *docker, enum docker_kind kind,
                         const char *format)
{
    for (const struct docker_job *job = docker->jobs; job; job = job->next) {
        if (job->need.kind != kind || !job->need.body)
            continue;
        CLEANUP_FREE char *path = engine_path(format, job->need.name);
        engine_wait_begin(wait, "DELETE", path, PATIENCE_NS);
    }
    engine_wait_all(wait);
}

void docker_remove_all(struct docker *docker)
{
    struct err err;
    struct engine_wait *wait = docker->kept ? engine_wait_new(docker->host, ENGINE_WAIT_NS, &err) : NULL;

    if (!wait)
        return; /* out of memory: what is left the next `down` removes */
    remove_containers(wait, docker);
    remove_needs(wait, docker, DOCKER_NETWORK, "/networks/%s");
    if (docker->runtime.remove_volumes)
        remove_needs(wait, docker, DOCKER_VOLUME, "/volumes/%s");
    engine_wait_free(wait);
}

/* The names of a project's volumes. NULL with `err`, whose code is set. */
static json_t *list_volumes(struct engine_wait *wait, const char *project, struct err *err)
{
    json_t *answer = NULL, *volume, *names;
    size_t i;

    if (docker_list(wait, "/volumes?filters=%s", project, &answer, err) < 0)
        return NULL;
    names = json_array();
    if (!names)
        (void)err_errno(err, -ENOMEM, "cannot list the volumes");
    json_array_foreach(json_object_get(answer, "Volumes"), i, volume)
    {
        (void)json_array_append(names, json_object_get(volume, "Name"));
    }
    json_decref(answer);
    return names;
}

int runtime_docker_remove_volumes(const char *host, const char *project, json_t **ret, struct err *err)
{
    struct engine_wait *wait = engine_wait_new(host, ENGINE_WAIT_NS, err);
    json_t *name, *left = NULL;
    size_t i;

    *ret = wait ? list_volumes(wait, project, err) : NULL;
    json_array_foreach(*ret, i, name)
    {
        CLEANUP_FREE char *path = engine_path("/volumes/%s", json_string_value(name));
        engine_wait_begin(wait, "DELETE", path, PATIENCE_NS);
    }
    if (*ret) {
        engine_wait_all(wait);
        left = list_volumes(wait, project, err);
    }
    engine_wait_free(wait);
    int r = left ? 0 : err->code;
    const char *used = json_string_value(json_array_get(left, 0));
    if (used)
        r = err_set(err, -EBUSY,
                    "the volume %s is used by a container; `docker ps -a --filter volume=%s` shows by which", used,
                    used);
    json_decref(left);
    return r;
}
