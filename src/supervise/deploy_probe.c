/* SPDX-License-Identifier: MIT */
#include "supervise/supervisor.h"

#include <string.h>

/* An answer that takes longer is none. */
#define ANSWER_NS (5 * NS_PER_S)

static int64_t now_of(const struct service *service)
{
    return loop_now(service->supervisor->peers.loop);
}

/* For how long, and since when, the new version is being watched. */
static bool is_watched(const struct service *service, int64_t *ret_begun_ns, int64_t *ret_length_ns)
{
    const struct deploy *deploy = &service->deploy;
    const struct spec_deploy *rules = &service->version.spec->deploy;
    int64_t begun = INT64_MAX, length = rules->update.monitor_ns;

    if (deploy->step != SIZE_MAX) {
        begun = deploy->step_ns;
        length = rules->strategy == SPEC_CANARY ? rules->dwell_ns : rules->keep_ns;
    }
    for (size_t i = 0; deploy->step == SIZE_MAX && i < service->len; i++) {
        const struct instance *instance = service->instances[i];
        if (instance_is_new(instance) && instance_serves(instance) && instance->ready_ns < begun &&
            instance->ready_ns + length > now_of(service))
            begun = instance->ready_ns;
    }
    *ret_begun_ns = begun;
    *ret_length_ns = length;
    return begun != INT64_MAX && now_of(service) < begun + length;
}

static const struct instance *next_of(const struct service *service, bool new, size_t *turn)
{
    for (size_t n = 0; n < service->len; n++) {
        const struct instance *instance = service->instances[++*turn % service->len];
        if (instance_is_new(instance) == new &&instance_serves(instance) && instance->ports_len > 0)
            return instance;
    }
    return NULL;
}

static void count(struct deploy_sample *sample, bool failed, unsigned cell)
{
    sample->answers++;
    sample->failures += failed;
    sample->latency[cell]++;
}

static void on_answer(struct probe *probe, bool passed, const char *text)
{
    const struct deploy_asking *asking = probe->data;
    struct deploy *deploy = &asking->service->deploy;
    bool new = asking == &deploy->probing.of[1];
    bool failed = probe->status == 0 || probe->status >= 500;
    unsigned cell = gauges_latency_cell((uint64_t)(loop_now(probe->loop) - asking->asked_ns) / NS_PER_US);

    count(&deploy->tally.probes[new], failed, cell);
    count(&deploy->tally.probes_all[new], failed, cell);
}

static void ask(struct service *service, bool new, const struct instance *instance)
{
    struct deploy_asking *asking = &service->deploy.probing.of[new];
    const struct probe_target target = {
        .test = SPEC_TEST_HTTP,
        .url = service->version.spec->deploy.probe,
        .address = instance->ports[0].address,
        .timeout_ns = ANSWER_NS,
        .proxy_protocol = instance->spec->proxy_protocol,
    };

    asking->service = service;
    asking->probe.loop = service->supervisor->peers.loop;
    asking->probe.done = on_answer;
    asking->probe.data = asking;
    asking->asked_ns = now_of(service);
    probe_start(&asking->probe, &target);
}

static void on_timer(struct loop_timer *timer)
{
    struct service *service = timer->data;
    struct deploy_probing *probing = &service->deploy.probing;
    const struct spec_deploy *rules = &service->version.spec->deploy;
    int64_t begun, length, now = now_of(service);

    if (service->deploy.phase != DEPLOY_ROLLING || !is_watched(service, &begun, &length))
        return;
    length = length / 5 * 4; /* the last answers are to be there when the time is over */
    int64_t interval = length / rules->min_requests;
    double due = (double)rules->min_requests * (double)(now + interval - begun) / (double)length;
    bool few = (double)probing->clients < due && service->deploy.tally.probes[1].answers < rules->min_requests;
    const struct instance *old = few ? next_of(service, false, &probing->of[0].turn) : NULL;
    const struct instance *fresh = old ? next_of(service, true, &probing->of[1].turn) : NULL;
    if (fresh && !probing->of[0].probe.busy && !probing->of[1].probe.busy) {
        ask(service, false, old);
        ask(service, true, fresh);
    }
    loop_timer_set(service->supervisor->peers.loop, timer, now + (interval > NS_PER_MS ? interval : NS_PER_MS));
}

void deploy_probe(struct service *service, uint64_t clients)
{
    struct deploy_probing *probing = &service->deploy.probing;
    const struct spec_deploy *rules = &service->version.spec->deploy;

    probing->clients = clients;
    if (!rules->probe || rules->min_requests == 0 || loop_timer_armed(&probing->timer))
        return;
    probing->timer = (struct loop_timer){ .fn = on_timer, .data = service };
    loop_timer_set(service->supervisor->peers.loop, &probing->timer, now_of(service));
}

void deploy_probe_begin(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    deploy->probing.clients = 0;
    memset(deploy->tally.probes, 0, sizeof(deploy->tally.probes));
}

void deploy_probe_end(struct service *service)
{
    struct deploy_probing *probing = &service->deploy.probing;

    loop_timer_cancel(service->supervisor->peers.loop, &probing->timer);
    for (int i = 0; i < 2; i++)
        probe_cancel(&probing->of[i].probe);
}
