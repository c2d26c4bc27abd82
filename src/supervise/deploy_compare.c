/* SPDX-License-Identifier: MIT
 *
 * What the two versions of a service answer, and whether the new one is worse.
 */
#include "supervise/supervisor.h"

#include <string.h>

static void add_sample(const struct instance *instance, struct deploy_sample *sum)
{
    const struct supervisor_peers *peers = &instance->service->supervisor->peers;
    for (size_t i = 0; i < instance->endpoints_len; i++)
        deploy_sample_add(sum, peers->gauges, instance->endpoints[i],
                          peers->board->endpoints[instance->endpoints[i]].generation);
}

void deploy_endpoints_go(const struct instance *instance)
{
    struct service *service = instance->service;
    if (deploy_is_active(service))
        add_sample(instance, &service->deploy.gone[instance_is_new(instance)]);
}

void deploy_sum_answers(const struct service *service, struct deploy_sample ret[2])
{
    memcpy(ret, service->deploy.gone, sizeof(service->deploy.gone));
    for (size_t i = 0; i < service->len; i++)
        add_sample(service->instances[i], &ret[instance_is_new(service->instances[i])]);
}

void deploy_begin_comparison(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    deploy_sum_answers(service, deploy->base);
    if (service->version.spec->deploy.strategy == SPEC_BLUE_GREEN)
        memset(deploy->base, 0, sizeof(deploy->base));
}

bool deploy_compare(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct spec_deploy *rules = &service->version.spec->deploy;
    struct deploy_sample now[2], since[2];

    if (deploy->phase != DEPLOY_ROLLING)
        return false;
    deploy_sum_answers(service, now);
    for (int i = 0; i < 2; i++) {
        since[i] = deploy_sample_since(&now[i], &deploy->base[i]);
        deploy->seen[i] = deploy_sample_since(&now[i], &deploy->before_all[i]);
    }
    if (rules->compare == SPEC_COMPARE_NOTHING || deploy->tolerant ||
        !deploy_is_worse(&since[0], &since[1], rules->min_requests, rules->compare == SPEC_COMPARE_LATENCY,
                         deploy->reason, sizeof(deploy->reason)))
        return false;
    for (size_t i = 0; i < service->len; i++) /* any of them: they are all alike */
        if (instance_is_new(service->instances[i]))
            memcpy(deploy->failed_instance, service->instances[i]->name, sizeof(deploy->failed_instance));
    return true;
}
