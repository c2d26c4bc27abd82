/* SPDX-License-Identifier: MIT */
#include "compose/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_name(const void *name, const void *service)
{
    return strcmp(name, ((const struct spec_service *)service)->name);
}

const struct spec_service *spec_find_service(const struct spec *spec, const char *name)
{
    if (spec->services_len == 0)
        return NULL;
    return bsearch(name, spec->services, spec->services_len, sizeof(spec->services[0]), compare_name);
}

const struct spec_service *spec_target_service(const struct spec *spec, const char *target, uint16_t *ret_port)
{
    for (size_t i = 0; i < spec->outside_len; i++)
        if (strcmp(spec->outside[i].name, target) == 0)
            return NULL;
    for (size_t i = 0; i < spec->services_len; i++) {
        size_t len = strlen(spec->services[i].name);
        if (strncmp(spec->services[i].name, target, len) != 0 || (target[len] && target[len] != ':'))
            continue;
        *ret_port = target[len] ? (uint16_t)atoi(target + len + 1) : 0;
        return &spec->services[i];
    }
    return NULL;
}

static bool same_host(const char *a, const char *b)
{
    const char *x = *a ? a : "0.0.0.0", *y = *b ? b : "0.0.0.0";
    return strcmp(x, y) == 0;
}

const struct spec_listener *spec_find_listener(const struct spec *spec, const char *host, uint16_t port)
{
    for (size_t i = 0; port != 0 && i < spec->listeners_len; i++)
        if (spec->listeners[i].port == port && same_host(spec->listeners[i].host, host))
            return &spec->listeners[i];
    return NULL;
}

bool spec_service_is_process(const struct spec_service *service)
{
    if (service->process_command)
        return true;
    bool says_what = (service->command && service->command[0]) || (service->entrypoint && service->entrypoint[0]);
    return says_what && !*service->image && !service->has_build;
}

int spec_choose_runtime(const struct spec *spec, const char *wanted, enum spec_runtime *ret, struct err *err)
{
    if (wanted && *wanted) {
        if (strcmp(wanted, "process") != 0 && strcmp(wanted, "docker") != 0)
            return err_set(err, -EINVAL, "there is no runtime `%s`; it is process or docker", wanted);
        *ret = strcmp(wanted, "process") == 0 ? SPEC_RUNTIME_PROCESS : SPEC_RUNTIME_DOCKER;
        return 0;
    }
    if (spec->runtime != SPEC_RUNTIME_UNSET) {
        *ret = spec->runtime;
        return 0;
    }
    *ret = SPEC_RUNTIME_PROCESS;
    for (size_t i = 0; i < spec->services_len; i++)
        if (!spec_service_is_process(&spec->services[i]))
            *ret = SPEC_RUNTIME_DOCKER;
    return 0;
}

static bool source_differs(const struct spec_stamp *before, const struct spec_stamp *after)
{
    return before->source && after->source && before->source != after->source;
}

static bool image_differs(const struct spec_stamp *before, const struct spec_stamp *after)
{
    return before->image[0] && after->image[0] && strcmp(before->image, after->image) != 0;
}

enum spec_change spec_service_change(const struct spec_service *before, const struct spec_service *after)
{
    if (!before || !after)
        return before ? SPEC_REMOVED : after ? SPEC_ADDED : SPEC_SAME;
    if (strcmp(before->config_hash, after->config_hash) != 0 || after->build ||
        source_differs(&before->stamp, &after->stamp) || image_differs(&before->stamp, &after->stamp))
        return SPEC_CHANGED;
    return json_equal(before->model, after->model) ? SPEC_SAME : SPEC_RESCALED;
}

void spec_service_follow(const struct spec_service *before, struct spec_service *after)
{
    enum spec_change change = spec_service_change(before, after);

    if (after->has_build && source_differs(&before->stamp, &after->stamp))
        after->build = true;
    if (change == SPEC_SAME || change == SPEC_RESCALED) {
        after->build = before->build; /* it is not there yet */
        if (!after->stamp.source)
            after->stamp.source = before->stamp.source;
        if (!after->stamp.image[0])
            memcpy(after->stamp.image, before->stamp.image, sizeof(after->stamp.image));
    }
    if (after->build)
        after->stamp.image[0] = '\0';
}
