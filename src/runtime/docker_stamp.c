/* SPDX-License-Identifier: MIT
 *
 * What containers are made from: the image that has the name now, and the folder that it is built from.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container.h"
#include "runtime/engine_wait.h"

#include <errno.h>
#include <string.h>

/* An Engine that answers later than that is not asked any further: nothing is known then, and nothing counts as changed. */
#define PATIENCE_NS (2 * NS_PER_S)

static uint64_t digest_context(const json_t *build)
{
    CLEANUP_FREE char *outside = NULL;
    struct context_source source;
    uint64_t digest = 0;
    struct err err;

    /* What cannot be read now is told when it is to be built. */
    if (docker_build_source(build, &source, &outside) == 0)
        (void)context_digest(&source, &digest, &err);
    return digest;
}

/* 0, also when there is none; a negative errno when the Engine does not answer. */
static int find_image(struct engine_wait *wait, const struct spec *spec, struct spec_service *service)
{
    CLEANUP_FREE char *name = container_image(spec, service), *path = NULL;
    json_t *image = NULL;
    struct err err;

    if (!name || asprintf(&path, "/images/%s/json", name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    int r = engine_wait_get(wait, path, &image, &err);
    if (r == 0)
        (void)snprintf(service->stamp.image, sizeof(service->stamp.image), "%s", docker_text(image, "Id"));
    json_decref(image);
    return r == -EREMOTEIO ? 0 : r;
}

void docker_stamp(struct runtime *runtime, struct spec *spec)
{
    const struct docker *docker = (const struct docker *)runtime;
    struct err err;
    struct engine_wait *wait = engine_wait_new(docker->host, PATIENCE_NS, &err);
    int r = wait ? 0 : -ENOMEM;

    for (size_t i = 0; i < spec->services_len; i++) {
        struct spec_service *service = &spec->services[i];
        const char *policy = docker_text(service->model, "pull_policy");
        bool fetched = service->build || strcmp(policy, "always") == 0 || strcmp(policy, "build") == 0;
        if (service->has_build)
            service->stamp.source = digest_context(json_object_get(service->model, "build"));
        if (r == 0 && !fetched)
            r = find_image(wait, spec, service);
    }
    engine_wait_free(wait);
}
