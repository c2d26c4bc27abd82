/* SPDX-License-Identifier: MIT
 *
 * From services and instances to records, for the next supervisor (restore.c).
 */
#include "supervise/supervisor.h"

#include <stdio.h>
#include <string.h>

void instance_trace(struct instance *instance, pid_t pid, uint64_t birth, const struct runtime_port *ports,
                    size_t ports_len)
{
    struct instance_record *record = &instance->record;

    record->pid = pid;
    record->birth = birth;
    record->ports_len = ports_len < RUNTIME_PORTS ? (uint32_t)ports_len : RUNTIME_PORTS;
    for (size_t i = 0; i < record->ports_len; i++)
        record->ports[i] = (struct record_port){ .target = ports[i].target, .address = ports[i].address };
}

static enum record_job job_of(const struct instance *instance)
{
    const struct deploy *deploy = &instance->service->deploy;
    if (instance != deploy->job)
        return RECORD_NO_JOB;
    if (!deploy->prepared)
        return RECORD_PREPARE;
    return deploy->pre_done ? RECORD_POST_DEPLOY : RECORD_PRE_DEPLOY;
}

void instance_keep(struct instance *instance)
{
    struct supervisor *supervisor = instance->service->supervisor;
    struct instance_record *record = &instance->record;

    if (!supervisor->records.arena)
        return;
    record->kind = RECORD_INSTANCE;
    record->number = (uint32_t)instance->number;
    (void)snprintf(record->service, sizeof(record->service), "%s", instance->service->name);
    (void)snprintf(record->config_hash, sizeof(record->config_hash), "%s", instance->spec->config_hash);
    record->state = instance->state;
    record->stale_cause = instance->stale_cause;
    record->ending = instance->ending;
    record->last_cause = instance->last_cause;
    record->chaos_signal = instance->chaos_signal;
    record->last_status = instance->last_status;
    record->wanted = instance->wanted;
    record->stale = instance->stale;
    record->due = instance->due;
    record->last_by_signal = instance->last_by_signal;
    record->served = instance->served;
    record->hooked = instance->hooked;
    record->at_fault = instance->at_fault;
    record->job = (uint8_t)job_of(instance);
    record->version = instance->version;
    record->starts = instance->starts;
    record->started_ns = instance->started_ns;
    record->ready_ns = instance->ready_ns;
    record->exited_ns = instance->exited_ns;
    record->deadline_ns = instance->deadline_ns;
    record->paid_ns = instance->backoff.paid_ns;
    record->paused_until_ns = instance->paused_until_ns;
    record->attempts = instance->backoff.attempts;
    if (!instance->restored) { /* until then the record says more than we do */
        record->health = instance->health.count.state;
        record->failed = instance->health.count.failed;
        record->probes = instance->health.count.probes;
    }
    int r = records_put(&supervisor->records, &instance->slot, record, instance_record_length(record));
    if (r < 0)
        supervisor_not_kept(supervisor, r);
}

static struct record_version version_record(const struct version *version)
{
    const struct spec_stamp *stamp = version->spec ? &version->spec->stamp : &version->stamp;
    struct record_version record = {
        .number = version->number,
        .spec = version->ref ? version->ref->id : 0,
        .source = stamp->source,
        .build = version->spec ? version->spec->build : version->build,
    };
    (void)snprintf(record.image, sizeof(record.image), "%s", stamp->image);
    return record;
}

static struct deploy_record deploy_record(const struct deploy *deploy)
{
    struct deploy_record record = {
        .from = version_record(&deploy->from),
        .to = deploy->to,
        .phase = deploy->phase,
        .step = deploy->step == SIZE_MAX ? UINT32_MAX : (uint32_t)deploy->step,
        .started = deploy->started,
        .failed = deploy->failed,
        .prepared = deploy->prepared,
        .pre_done = deploy->pre_done,
        .post_done = deploy->post_done,
        .tolerant = deploy->tolerant,
        .began_ns = deploy->began_ns,
        .began_wall_ns = deploy->began_wall_ns,
        .batch_ns = deploy->batch_ns,
        .step_ns = deploy->step_ns,
        .killed = { deploy->killed[0], deploy->killed[1] },
    };
    (void)snprintf(record.reason, sizeof(record.reason), "%s", deploy->reason);
    (void)snprintf(record.last_words, sizeof(record.last_words), "%s", deploy->last_words);
    memcpy(record.failed_instance, deploy->failed_instance, sizeof(record.failed_instance));
    return record;
}

bool service_has_tally(const struct service *service)
{
    for (size_t i = 0; i < TALLY_PIECES; i++)
        if (service->tally_slots[i] < 0)
            return false;
    return true;
}

void service_drop_tally(struct service *service)
{
    for (size_t i = 0; i < TALLY_PIECES; i++)
        records_drop(&service->supervisor->records, &service->tally_slots[i]);
}

/* Pieces that changed. */
static void keep_tally(struct service *service)
{
    struct records *records = &service->supervisor->records;
    struct tally_record record = { .kind = RECORD_TALLY, .began_ns = service->deploy.began_ns };
    const void *kept;

    (void)snprintf(record.service, sizeof(record.service), "%s", service->name);
    for (size_t i = 0, left = sizeof(struct deploy_tally); records->arena && i < TALLY_PIECES;
         i++, left -= TALLY_PIECE) {
        int *slot = &service->tally_slots[i];
        size_t len = left < TALLY_PIECE ? left : TALLY_PIECE;
        record.piece = (uint32_t)i;
        memcpy(record.bytes, (const char *)&service->deploy.tally + i * TALLY_PIECE, len);
        memset(record.bytes + len, 0, TALLY_PIECE - len);
        if (*slot >= 0 && arena_load(records->arena, (uint32_t)*slot, &kept) == sizeof(record) &&
            memcmp(kept, &record, sizeof(record)) == 0)
            continue;
        int r = records_put(records, slot, &record, sizeof(record));
        if (r < 0)
            supervisor_not_kept(service->supervisor, r);
    }
}

void service_keep(struct service *service)
{
    struct supervisor *supervisor = service->supervisor;
    struct service_record record = {
        .kind = RECORD_SERVICE,
        .state = service->state,
        .replicas = service->replicas,
        .file_replicas = service->version.spec->replicas,
        .last_version = service->last_version,
        .version = version_record(&service->version),
        .pending = version_record(&service->pending),
        .wanted = service->wanted,
        .was_ready = service->was_ready,
        .came_back = service->came_back,
        .deploy = deploy_record(&service->deploy),
    };

    /* Before the record that says that there is a deploy. */
    if (deploy_is_active(service) || service->deploy.phase == DEPLOY_PAUSED)
        keep_tally(service);
    else
        service_drop_tally(service);
    for (size_t i = 0; i < SERVICE_HISTORY; i++)
        record.history[i] = version_record(&service->history[i]);
    (void)snprintf(record.name, sizeof(record.name), "%s", service->name);
    /* It is looked at far more often than it changes. */
    if (memcmp(&record, &service->kept, sizeof(record)) == 0)
        return;
    int r = records_put(&supervisor->records, &service->slot, &record, sizeof(record));
    if (r < 0)
        supervisor_not_kept(supervisor, r);
    else
        service->kept = record;
}
