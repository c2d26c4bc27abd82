/* SPDX-License-Identifier: MIT
 *
 * pre_deploy and post_deploy: instances beside the service's own, which run once.
 */
#include "supervise/supervisor.h"

bool deploy_holds_back(const struct instance *instance)
{
    const struct deploy *deploy = &instance->service->deploy;
    return deploy->phase == DEPLOY_ROLLING && !deploy->pre_done && instance_is_new(instance) && instance != deploy->job;
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

bool deploy_job_done(struct service *service, const struct spec_service *spec, bool *done)
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
    return *done = true;
}

bool deploy_job_failed(const struct service *service)
{
    return service->deploy.job && service->deploy.job->state == INSTANCE_FAILED;
}
