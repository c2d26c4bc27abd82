/* SPDX-License-Identifier: MIT
 *
 * The end of a project: what was made for it goes, containers first, then what they used. The supervisor's loop has
 * ended by then, so this has one of its own, and waits.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <string.h>

#define PATIENCE_NS (30 * NS_PER_S)

struct removal {
    struct loop *loop;
    struct engine *engine;
    int open; /* calls that have not ended */
};

static void on_gone(void *owner, int status, const json_t *json, const struct err *err)
{
    struct removal *removal = owner;
    removal->open--; /* what is still in use by others stays; there is nobody left to be told */
}

static void begin(struct removal *removal, const char *path)
{
    const struct engine_request request = {
        .method = "DELETE", .path = path, .timeout_ns = PATIENCE_NS, .owner = removal, .done = on_gone
    };
    struct engine_call *call;

    if (path && engine_begin(removal->engine, &request, &call) == 0)
        removal->open++;
}

static void wait_all(struct removal *removal)
{
    while (removal->open > 0 && loop_turn(removal->loop, -1) == 0)
        ;
    removal->open = 0;
}

/* Anonymous volumes go with their container, as in Compose only with the named ones. */
static void remove_containers(struct removal *removal, const struct docker *docker)
{
    char path[DOCKER_ID + 32];

    for (const struct docker_kept *kept = docker->kept; kept; kept = kept->next) {
        (void)snprintf(path, sizeof(path), "/containers/%s?force=1%s", kept->id,
                       docker->runtime.remove_volumes ? "&v=1" : "");
        if (kept->forgotten)
            begin(removal, path);
    }
    wait_all(removal);
}

/* Those that the file defines; external ones are not ours. */
static void remove_needs(struct removal *removal, const struct docker *docker, enum docker_kind kind,
                         const char *format)
{
    for (const struct docker_job *job = docker->jobs; job; job = job->next) {
        if (job->need.kind != kind || !job->need.body)
            continue;
        CLEANUP_FREE char *path = engine_path(format, job->need.name);
        begin(removal, path);
    }
    wait_all(removal);
}

void docker_remove_all(struct docker *docker)
{
    struct removal removal = { .loop = docker->kept ? loop_new() : NULL };

    if (!removal.loop)
        return;
    removal.engine = engine_new(removal.loop, docker->host, NULL);
    if (removal.engine) {
        remove_containers(&removal, docker);
        remove_needs(&removal, docker, DOCKER_NETWORK, "/networks/%s");
        if (docker->runtime.remove_volumes)
            remove_needs(&removal, docker, DOCKER_VOLUME, "/volumes/%s");
    }
    engine_free(removal.engine);
    loop_free(removal.loop);
}
