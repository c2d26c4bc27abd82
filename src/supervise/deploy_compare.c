/* SPDX-License-Identifier: MIT
 *
 * What the two versions of a service answer, and whether the new one is worse.
 */
#include "supervise/supervisor.h"

#include <stdio.h>
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
    if (service->deploy.phase == DEPLOY_ROLLING)
        add_sample(instance, &service->deploy.tally.gone[instance_is_new(instance)]);
}

void deploy_sum_answers(const struct service *service, struct deploy_sample ret[2])
{
    memcpy(ret, service->deploy.tally.gone, sizeof(service->deploy.tally.gone));
    for (size_t i = 0; i < service->len; i++)
        add_sample(service->instances[i], &ret[instance_is_new(service->instances[i])]);
}

void deploy_begin_comparison(struct service *service)
{
    struct deploy_tally *tally = &service->deploy.tally;

    deploy_sum_answers(service, tally->base);
    deploy_probe_begin(service);
    if (service->version.spec->deploy.strategy == SPEC_BLUE_GREEN)
        memset(tally->base, 0, sizeof(tally->base));
}

void deploy_begin_counts(struct service *service)
{
    const struct supervisor_peers *peers = &service->supervisor->peers;
    struct deploy_tally *tally = &service->deploy.tally;

    tally->before = traffic_of(peers->board, peers->gauges, service->name);
    tally->waits = traffic_waits_of(peers->board, peers->gauges, service->name);
    deploy_sum_answers(service, tally->before_all);
    tally->doubted = false;
    deploy_begin_comparison(service);
}

/* Counters only grow, so those that are smaller now are others'. */
static bool has_counted(const struct deploy_sample now[2], const struct deploy_sample before[2])
{
    for (int i = 0; i < 2; i++) {
        if (now[i].failures < before[i].failures)
            return false;
        for (unsigned cell = 0; cell < GAUGES_LATENCY; cell++)
            if (now[i].latency[cell] < before[i].latency[cell])
                return false;
    }
    return true;
}

void deploy_resume_counts(struct service *service)
{
    const struct supervisor_peers *peers = &service->supervisor->peers;
    const struct deploy_tally *tally = &service->deploy.tally;
    const struct traffic traffic = traffic_of(peers->board, peers->gauges, service->name);
    struct deploy_sample now[2];

    deploy_sum_answers(service, now);
    if (!service_has_tally(service) || traffic.requests < tally->before.requests ||
        !has_counted(now, tally->before_all) || !has_counted(now, tally->base))
        deploy_begin_counts(service);
}

/*
 * Slower has to be seen twice, the second time in what was answered after the first: a machine that stands still for a moment
 * makes all slow that were in flight, so that answers do not differ by chance alone, as the test takes for granted.
 */
static bool is_slower(struct deploy_tally *tally, const struct spec_deploy *rules,
                      const struct deploy_sample clients[2], const struct deploy_sample *now, char *why,
                      size_t why_size)
{
    struct deploy_sample fresh = deploy_sample_since(now, &tally->doubt);
    bool slower = deploy_is_slower(&clients[0], &clients[1], rules->min_requests, why, why_size);

    if (slower && tally->doubted && deploy_is_slower(&clients[0], &fresh, rules->min_requests, why, why_size))
        return true;
    if (!slower || !tally->doubted || fresh.answers >= rules->min_requests) {
        tally->doubted = slower;
        tally->doubt = *now;
    }
    return false;
}

/* By what clients asked for (`now`: all answers of the new version so far), or by what it was asked by ourselves. */
static bool is_worse(struct deploy *deploy, const struct spec_deploy *rules, const struct deploy_sample clients[2],
                     const struct deploy_sample *now)
{
    const struct deploy_sample *probes[] = { &deploy->tally.probes[0], &deploy->tally.probes[1] };
    bool latency = rules->compare == SPEC_COMPARE_LATENCY;
    char why[EVENT_TEXT];

    if (deploy_fails_more(&clients[0], &clients[1], why, sizeof(why)) ||
        (latency && is_slower(&deploy->tally, rules, clients, now, why, sizeof(why)))) {
        memcpy(deploy->reason, why, sizeof(why));
        return true;
    }
    if (!deploy_fails_more(probes[0], probes[1], why, sizeof(why)) &&
        !(latency && deploy_is_slower(probes[0], probes[1], rules->min_requests, why, sizeof(why))))
        return false;
    (void)snprintf(deploy->reason, sizeof(deploy->reason), "%.150s (probes of %.60s)", why, rules->probe);
    return true;
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
        since[i] = deploy_sample_since(&now[i], &deploy->tally.base[i]);
        deploy->tally.seen[i] = deploy_sample_since(&now[i], &deploy->tally.before_all[i]);
    }
    if (rules->compare == SPEC_COMPARE_NOTHING || deploy->tolerant)
        return false;
    deploy_probe(service, since[1].answers);
    if (!is_worse(deploy, rules, since, &now[1]))
        return false;
    for (size_t i = 0; i < service->len; i++) /* any of them: they are all alike */
        if (instance_is_new(service->instances[i]))
            memcpy(deploy->failed_instance, service->instances[i]->name, sizeof(deploy->failed_instance));
    return true;
}
