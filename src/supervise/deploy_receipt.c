/* SPDX-License-Identifier: MIT
 *
 * What a deploy leaves behind.
 */
#include "supervise/supervisor.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* So long answers after a deploy are looked at. */
#define AFTER_NS (10 * NS_PER_S)

static struct traffic_waits waits_now(const struct service *service)
{
    const struct supervisor_peers *peers = &service->supervisor->peers;
    return traffic_waits_of(peers->board, peers->gauges, service->name);
}

void deploy_mark(struct service *service, const char *format, ...)
{
    struct deploy_tally *tally = &service->deploy.tally;
    va_list args;

    if (tally->steps_len == ARRAY_LEN(tally->steps))
        return;
    struct deploy_mark *mark = &tally->steps[tally->steps_len++];
    mark->at_ns = loop_now(service->supervisor->peers.loop) - service->deploy.began_ns;
    va_start(args, format);
    (void)vsnprintf(mark->what, sizeof(mark->what), format, args);
    va_end(args);
}

static void complete(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct supervisor_peers *peers = &service->supervisor->peers;
    const struct traffic_waits now = waits_now(service), since = traffic_waits_since(&now, &deploy->ended);

    deploy->receipt.p99_after_us = traffic_p99_us(&since);
    if (deploy->receipt.p99_after_us > 0)
        peers->deployed(peers->data, &deploy->receipt);
}

static void on_after(struct loop_timer *timer)
{
    complete(timer->data);
}

void deploy_hand_out(struct service *service)
{
    struct deploy *deploy = &service->deploy;
    const struct deploy_tally *tally = &deploy->tally;
    const struct supervisor_peers *peers = &service->supervisor->peers;
    struct deploy_receipt *receipt = &deploy->receipt;
    const struct traffic now = traffic_of(peers->board, peers->gauges, service->name);
    const struct traffic_waits ended = waits_now(service), since = traffic_waits_since(&ended, &tally->waits);

    deploy->ended = ended;
    *receipt = (struct deploy_receipt){
        .from = deploy->from.number,
        .to = deploy->to,
        .outcome = deploy->phase,
        .strategy = service->version.spec->deploy.strategy,
        .stop_first = service->version.spec->deploy.update.stop_first,
        .began_wall_ns = deploy->began_wall_ns,
        .took_ns = deploy->ended_ns - deploy->began_ns,
        .started = deploy->started,
        .failed = deploy->failed,
        .traffic = traffic_since(&now, &tally->before),
        .gap_us = traffic_gap_us(&since),
        .p99_us = traffic_p99_us(&since),
        .p99_before_us = tally->p99_before_us,
        .steps_len = tally->steps_len,
        .answers = { tally->seen[0], tally->seen[1] },
        .probes = { tally->probes_all[0], tally->probes_all[1] },
    };
    memcpy(receipt->steps, tally->steps, sizeof(receipt->steps));
    memcpy(receipt->reason, deploy->reason, sizeof(receipt->reason));
    memcpy(receipt->last_words, deploy->last_words, sizeof(receipt->last_words));
    memcpy(receipt->failed_instance, deploy->failed_instance, sizeof(receipt->failed_instance));
    (void)snprintf(receipt->service, sizeof(receipt->service), "%s", service->name);
    peers->deployed(peers->data, receipt);
    loop_timer_cancel(peers->loop,
                      &deploy->after); /* one that paused has gone back, and this receipt takes its place */
    deploy->after = (struct loop_timer){ .fn = on_after, .data = service };
    loop_timer_set(peers->loop, &deploy->after, deploy->ended_ns + AFTER_NS);
}

void deploy_close_receipt(struct service *service)
{
    struct deploy *deploy = &service->deploy;

    if (!loop_timer_armed(&deploy->after))
        return;
    loop_timer_cancel(service->supervisor->peers.loop, &deploy->after);
    complete(service);
}
