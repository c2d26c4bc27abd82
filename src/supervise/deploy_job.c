/* SPDX-License-Identifier: MIT
 *
 * pre_deploy and post_deploy: instances beside the service's own, which run once. And before them the one that only sees
 * to it that what the new version needs is there, so that a missing image or a failed build touches nothing.
 */
#include "supervise/supervisor.h"

#include <stdio.h>
#include <string.h>

/* What it takes to make a container is felt by those that serve, so the next one waits until the process of the one before
   runs. */
static bool is_another_being_made(const struct instance *instance)
{
    const struct service *service = instance->service;

    for (size_t i = 0; i < service->len; i++) {
        const struct instance *other = service->instances[i];
        if (other != instance && instance_is_new(other) && other->handle && !other->started_ns)
            return true;
    }
    return false;
}

bool deploy_holds_back(const struct instance *instance)
{
    const struct deploy *deploy = &instance->service->deploy;

    if (deploy->phase != DEPLOY_ROLLING || !instance_is_new(instance) || instance == deploy->job)
        return false;
    return !(deploy->prepared && deploy->pre_done) || (instance->starts == 0 && is_another_being_made(instance));
}

bool deploy_job_runs(const struct service *service)
{
    return service->deploy.job && service->deploy.job->handle;
}

void deploy_prune(struct service *service)
{
    struct instance *job = service->deploy.job;
    if (!job || job->wanted || job->handle)
        return;
    instance_free(job);
    service->deploy.job = NULL;
}

bool deploy_job_done(struct service *service, struct spec_service *spec, bool *done)
{
    struct deploy *deploy = &service->deploy;
    struct version version = { .number = service->version.number, .ref = service->version.ref, .spec = spec };

    if (!spec || *done)
        return *done = true;
    /* One of an earlier deploy may still be on its way out. */
    if (deploy->job && (!deploy->job->wanted || deploy->job->version != version.number)) {
        deploy_prune(service);
        if (deploy->job)
            return false;
    }
    if (!deploy->job) {
        deploy->job = instance_new(service, &version, 1);
        if (!deploy->job)
            return false; /* the next settling tries again */
        deploy->job->wanted = true;
    }
    if (deploy->job->state != INSTANCE_DONE) {
        instance_try_start(deploy->job);
        return false;
    }
    deploy->job->wanted = false;
    deploy_prune(service);
    deploy_mark(service, "%s", spec->name + strlen(service->name) + 1); /* "SERVICE-pre_deploy" */
    return *done = true;
}

bool deploy_job_failed(const struct service *service)
{
    return service->deploy.job && service->deploy.job->state == INSTANCE_FAILED;
}

/* Its image was built anew, and came out as it was. */
static bool is_as_before(const struct version *from, const struct version *to)
{
    return from->spec && from->spec != to->spec && to->spec->stamp.image[0] &&
           strcmp(from->spec->config_hash, to->spec->config_hash) == 0 &&
           strcmp(from->spec->stamp.image, to->spec->stamp.image) == 0;
}

bool deploy_prepare(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    struct spec_service *spec = service->version.spec, *job = spec->deploy.prepare;

    if (deploy->prepared)
        return true;
    if (!service->supervisor->peers.runtime->prepares)
        return deploy->prepared = true;
    job->stamp = spec->stamp;
    job->build = spec->build;
    if (!deploy_job_done(service, job, &deploy->prepared))
        return false;
    if (is_as_before(&deploy->from, &service->version)) {
        for (size_t i = 0; i < service->len; i++)
            instance_take_version(service->instances[i], &service->version);
        service_forget_last(service);
        (void)snprintf(deploy->reason, sizeof(deploy->reason), "its image came out as it was, and stays");
    }
    service_keep(service);
    return true;
}
