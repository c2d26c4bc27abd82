/* SPDX-License-Identifier: MIT
 *
 * A project that Compose started: its containers publish ports, which are to be the gateway's. Those are stopped; the
 * start of their instances then finds and replaces them, with their volumes. Runs in `daruma up`, before the fork.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/container.h"
#include "runtime/engine_wait.h"

#include <errno.h>
#include <string.h>

#define STOP_NS (120 * NS_PER_S) /* each has its own grace period, which the Engine knows */

void runtime_docker_published_free(struct runtime_published *published)
{
    json_decref(published->containers);
    free(published->ports);
    *published = (struct runtime_published){ 0 };
}

static int add_port(struct runtime_published *published, uint16_t port)
{
    uint16_t *ports = reallocarray(published->ports, published->len + 1, sizeof(*ports));
    if (!ports)
        return -ENOMEM;
    ports[published->len] = port;
    published->ports = ports;
    published->len++;
    return 0;
}

/* Keeps those that publish something. */
static int take_containers(struct runtime_published *published, const json_t *list)
{
    json_t *container, *port;
    size_t i, n;
    int r = 0;

    json_array_foreach((json_t *)list, i, container)
    {
        bool publishes = false;
        json_array_foreach(json_object_get(container, "Ports"), n, port)
        {
            json_int_t number = json_integer_value(json_object_get(port, "PublicPort"));
            if (number > 0 && r == 0)
                r = add_port(published, (uint16_t)number);
            publishes = publishes || number > 0;
        }
        if (publishes && r == 0)
            r = json_array_append(published->containers, container) < 0 ? -ENOMEM : 0;
    }
    return r;
}

int docker_list(struct engine_wait *wait, const char *format, const char *project, json_t **ret, struct err *err)
{
    json_t *filter = json_pack("{s:[s+]}", "label", CONTAINER_LABEL "project=", project);
    CLEANUP_FREE char *filters = filter ? json_dumps(filter, JSON_COMPACT) : NULL;
    CLEANUP_FREE char *path = filters ? engine_path(format, filters) : NULL;

    json_decref(filter);
    return path ? engine_wait_get(wait, path, ret, err) : err_errno(err, -ENOMEM, "cannot ask the Docker Engine");
}

int runtime_docker_published(const char *host, const char *project, struct runtime_published *ret, struct err *err)
{
    struct engine_wait *wait = engine_wait_new(host, ENGINE_WAIT_NS, err);
    json_t *list = NULL;

    *ret = (struct runtime_published){ 0 };
    if (!wait)
        return err->code;
    int r = docker_list(wait, "/containers/json?filters=%s", project, &list, err);
    engine_wait_free(wait);
    if (r == 0) {
        ret->containers = json_array();
        r = ret->containers ? take_containers(ret, list) : -ENOMEM;
        json_decref(list);
    }
    if (r == -ENOMEM && !err->code)
        (void)err_errno(err, r, "cannot look for the project's containers");
    if (r < 0)
        runtime_docker_published_free(ret);
    return r;
}

int runtime_docker_make_way(const char *host, const struct runtime_published *published, struct err *err)
{
    struct engine_wait *wait = engine_wait_new(host, ENGINE_WAIT_NS, err);
    json_t *container;
    size_t i;

    if (!wait)
        return err->code;
    json_array_foreach(published->containers, i, container)
    {
        CLEANUP_FREE char *path = engine_path("/containers/%s/stop", docker_text(container, "Id"));
        engine_wait_begin(wait, "POST", path, STOP_NS);
    }
    engine_wait_all(wait);
    engine_wait_free(wait);
    return 0;
}
