/* SPDX-License-Identifier: MIT
 *
 * From services and instances to records, and back again in the next supervisor: what was there is set as it was, without
 * events, and its timers and watches are armed anew.
 */
#include "supervise/supervisor.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keeping ---- */

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

static uint32_t record_length(const struct instance_record *record)
{
    return (uint32_t)(offsetof(struct instance_record, ports) + record->ports_len * sizeof(record->ports[0]));
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
    record->at_fault = instance->at_fault;
    record->job = (uint8_t)job_of(instance);
    record->version = instance->version;
    record->starts = instance->starts;
    record->started_ns = instance->started_ns;
    record->ready_ns = instance->ready_ns;
    record->exited_ns = instance->exited_ns;
    record->deadline_ns = instance->deadline_ns;
    record->paid_ns = instance->backoff.paid_ns;
    record->attempts = instance->backoff.attempts;
    if (!instance->restored) { /* until then the record says more than we do */
        record->health = instance->health.count.state;
        record->failed = instance->health.count.failed;
        record->probes = instance->health.count.probes;
    }
    int r = records_put(&supervisor->records, &instance->slot, record, record_length(record));
    if (r < 0)
        supervisor_not_kept(supervisor, r);
}

/* ---- restoring ---- */

static bool is_up(enum instance_state state)
{
    return state == INSTANCE_STARTING || state == INSTANCE_SERVING || state == INSTANCE_DRAINING ||
           state == INSTANCE_STOPPING;
}

static bool adopt(struct instance *instance)
{
    struct service *service = instance->service;
    struct supervisor_peers *peers = &service->supervisor->peers;
    struct runtime_trace trace = { .pid = instance->record.pid,
                                   .birth = instance->record.birth,
                                   .ports_len = instance->record.ports_len };
    struct runtime_start start = {
        .spec = instance->ref->spec,
        .service = instance->spec,
        .instance = instance->name,
        .number = instance->number,
        .peers = peers->peer_environment(peers->data),
        .owner = instance,
    };
    struct err err = { 0 };

    for (size_t i = 0; i < trace.ports_len; i++)
        trace.ports[i] = (struct runtime_port){ .target = instance->record.ports[i].target,
                                                .address = instance->record.ports[i].address };
    endpoint_adopt(instance, instance->record.ports, instance->record.ports_len);
    instance->restored = true;
    if (peers->runtime->adopt(peers->runtime, &start, &trace, &instance->handle, &err) == 0)
        return true;
    instance->handle = NULL;
    instance_lost(instance, &err);
    return false;
}

bool instance_restore(struct instance *instance, const struct instance_record *record)
{
    instance->record = *record;
    instance->state = (enum instance_state)record->state;
    instance->wanted = record->wanted;
    instance->stale = record->stale;
    instance->stale_cause = (enum cause)record->stale_cause;
    instance->served = record->served;
    instance->at_fault = record->at_fault;
    /* What its version was is known by its number alone: the present one is used to end it. The same configuration may be
       another version (service_renew), and the number be that of a version that was not written down any more. */
    bool same = strcmp(record->config_hash, instance->spec->config_hash) == 0;
    instance->version = same || record->version != instance->version ? record->version : 0;
    instance->due = record->due;
    instance->ending = (enum cause)record->ending;
    instance->chaos_signal = record->chaos_signal;
    instance->started_ns = record->started_ns;
    instance->ready_ns = record->ready_ns;
    instance->starts = record->starts;
    instance->exited_ns = record->exited_ns;
    instance->last_cause = (enum cause)record->last_cause;
    instance->last_status = record->last_status;
    instance->last_by_signal = record->last_by_signal;
    instance->backoff = (struct backoff){ .attempts = record->attempts, .paid_ns = record->paid_ns };
    instance->deadline_ns = record->deadline_ns;
    if (is_up(instance->state))
        return adopt(instance);
    instance->stale = false;
    if (instance->state == INSTANCE_WAITING)
        instance_wait(instance);
    return false;
}

json_t *supervisor_model(const struct supervisor *supervisor)
{
    json_t *model = json_copy(supervisor->ref->spec->model);
    json_t *services = json_copy(json_object_get(model, "services"));

    for (size_t i = 0; i < supervisor->len; i++) {
        const struct service *service = supervisor->services[i];
        const struct version *version = service->pending.number ? &service->pending : &service->version;
        if (json_object_get(services, service->name) && version->spec->model)
            (void)json_object_set(services, service->name, (json_t *)version->spec->model);
    }
    (void)json_object_set_new(model, "services", services);
    return model;
}

/* ---- the whole ---- */

/* Copies of all records of one kind. The arena's own change as soon as they are kept anew. */
struct found {
    int slot;
    union {
        uint32_t kind;
        struct service_record service;
        struct instance_record instance;
    } record;
};

/* Is it a record as we write them, whatever its bytes are? */
static bool is_sound(const struct found *found, uint32_t len)
{
    const struct service_record *service = &found->record.service;
    const struct instance_record *instance = &found->record.instance;

    if (len < sizeof(uint32_t))
        return false;
    if (found->record.kind == RECORD_SERVICE)
        return len == sizeof(*service) && memchr(service->name, 0, sizeof(service->name)) && service->name[0] &&
               service->replicas >= 0 && service->state <= SERVICE_FAILED && service->phase <= DEPLOY_FAILED;
    return found->record.kind == RECORD_INSTANCE && len >= offsetof(struct instance_record, ports) &&
           instance->ports_len <= RUNTIME_PORTS && len == record_length(instance) &&
           memchr(instance->service, 0, sizeof(instance->service)) && instance->service[0] &&
           memchr(instance->config_hash, 0, sizeof(instance->config_hash)) && instance->state < INSTANCE_STATES &&
           instance->number > 0 && instance->number <= RECORD_SLOTS && instance->last_cause < CAUSES &&
           instance->ending < CAUSES && instance->stale_cause < CAUSES;
}

static int by_service_and_number(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->record.kind != y->record.kind)
        return x->record.kind < y->record.kind ? -1 : 1;
    if (x->record.kind == RECORD_SERVICE)
        return strcmp(x->record.service.name, y->record.service.name);
    if (x->record.instance.job != y->record.instance.job) /* jobs last: the numbers are those of the others */
        return x->record.instance.job < y->record.instance.job ? -1 : 1;
    int names = strcmp(x->record.instance.service, y->record.instance.service);
    if (names)
        return names;
    return (x->record.instance.number > y->record.instance.number) -
           (x->record.instance.number < y->record.instance.number);
}

/* Services first, then instances in order. What is not sound is emptied: its process, if there is one, is a stray. */
static int find_all(struct supervisor *supervisor, struct found **ret, size_t *ret_len)
{
    struct records *records = &supervisor->records;
    size_t len = 0, count = 0;

    for (uint32_t slot = RECORD_FIRST; slot < records->arena->slots; slot++)
        count += records->used[slot];
    struct found *list = calloc(count + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (uint32_t slot = RECORD_FIRST; slot < records->arena->slots; slot++) {
        const void *record;
        struct found *found = &list[len];
        uint32_t size = records->used[slot] ? arena_load(records->arena, slot, &record) : 0;
        if (size == 0)
            continue;
        *found = (struct found){ .slot = (int)slot };
        memcpy(&found->record, record, size <= sizeof(found->record) ? size : 0);
        int unsound = (int)slot;
        if (is_sound(found, size))
            len++;
        else
            records_drop(records, &unsound);
    }
    qsort(list, len, sizeof(*list), by_service_and_number);
    *ret = list;
    *ret_len = len;
    return 0;
}

static struct service *find_or_add(struct supervisor *supervisor, const char *name)
{
    struct service *service = supervisor_find(supervisor, name);
    return service ? service : supervisor_add_departed(supervisor, name);
}

static int restore_service(struct supervisor *supervisor, const struct found *found)
{
    const struct service_record *record = &found->record.service;
    struct service *service = find_or_add(supervisor, record->name);

    if (!service)
        return -ENOMEM;
    if (service->slot >= 0)
        records_drop(&supervisor->records, &service->slot); /* the one that it got when it was made */
    service->slot = found->slot;
    if (service->departed)
        return 0;
    service->wanted = record->wanted;
    service->was_ready = record->was_ready;
    service->came_back = record->came_back;
    service->state = (enum service_state)record->state;
    service->version.number = record->version ? record->version : 1;
    service->last_version = record->last_version;
    service->deploy.phase = (enum deploy_phase)record->phase;
    service->deploy.from.number = record->from;
    service->deploy.to = record->to;
    service->deploy.pre_done = record->pre_done;
    service->deploy.post_done = record->post_done;
    service->deploy.prepared = record->prepared;
    service->version.spec->build = record->build;
    service->version.spec->stamp.source = record->source;
    memcpy(service->version.spec->stamp.image, record->image, sizeof(record->image));
    if (record->file_replicas == service->version.spec->replicas)
        service->replicas = record->replicas;
    return 0;
}

/* A job runs beside the service's own instances, and once: it is waited for, not begun again. */
static struct instance *take_job(struct service *service, enum record_job job)
{
    const struct spec_deploy *rules = &service->version.spec->deploy;
    const struct version version = {
        .number = service->version.number,
        .ref = service->version.ref,
        .spec = job == RECORD_PRE_DEPLOY ? rules->pre_deploy : rules->post_deploy,
    };

    if (!version.spec) /* of a version that is not wanted any more: ended as one of the service's own */
        return service_add_instance(service);
    if (!service->deploy.job)
        service->deploy.job = instance_new(service, &version, 1);
    return service->deploy.job;
}

static int restore_instance(struct supervisor *supervisor, const struct found *found, int *adopted)
{
    const struct instance_record *record = &found->record.instance;
    struct service *service = find_or_add(supervisor, record->service);
    struct instance *instance = NULL;

    if (record->job == RECORD_PREPARE) { /* of which nothing outlives a supervisor: it begins again */
        int done = found->slot;
        records_drop(&supervisor->records, &done);
        return service ? 0 : -ENOMEM;
    }
    if (service && record->job)
        instance = take_job(service, (enum record_job)record->job);
    else if (service)
        instance = service_take_instance(service, (int)record->number);
    if (!instance)
        return -ENOMEM;
    if (instance->slot >= 0) { /* two records of one instance: a torn change, and one of them is enough */
        int spare = found->slot;
        records_drop(&supervisor->records, &spare);
        return 0;
    }
    instance->slot = found->slot;
    *adopted += instance_restore(instance, record);
    return 0;
}

/* What the board still says of instances that are no more. */
static void clear_board(struct supervisor *supervisor)
{
    struct board *board = supervisor->peers.board;
    CLEANUP_FREE bool *claimed = calloc(BOARD_ENDPOINTS, sizeof(bool));

    if (!claimed)
        return;
    for (size_t i = 0; i < supervisor->len; i++)
        for (size_t n = 0; n < supervisor->services[i]->len; n++) {
            const struct instance *instance = supervisor->services[i]->instances[n];
            for (size_t e = 0; e < instance->endpoints_len; e++)
                claimed[instance->endpoints[e]] = true;
        }
    for (uint32_t i = 0; i < board->used_endpoints; i++) {
        uint8_t state = board->endpoints[i].state;
        if (!claimed[i] && (state == BOARD_ENDPOINT_UP || state == BOARD_ENDPOINT_DRAINING))
            board_endpoint_set(board, (int)i, BOARD_ENDPOINT_GONE, CAUSE_UNKNOWN, 0, clock_now());
    }
    supervisor->peers.ring(supervisor->peers.data);
}

/* A deploy goes on from where the instances are; killed while instances were being made, the rest is made now. */
static int complete(struct service *service)
{
    service_use_version(service);
    deploy_resume(service);
    service_update(service);
    return service->wanted && !service->gone ? service_resize(service, service->replicas) : 0;
}

int supervisor_restore(struct supervisor *supervisor, struct spec *spec, struct err *err)
{
    CLEANUP_FREE struct found *list = NULL;
    size_t len = 0;
    int adopted = 0;

    int r = supervisor->records.arena ? find_all(supervisor, &list, &len) : 0;
    if (r == 0)
        r = supervisor_take_spec(supervisor, spec);
    if (r < 0)
        return err_errno(err, r, "cannot take over what runs");
    for (size_t i = 0; r == 0 && i < len; i++)
        r = list[i].record.kind == RECORD_SERVICE ? restore_service(supervisor, &list[i])
                                                  : restore_instance(supervisor, &list[i], &adopted);
    clear_board(supervisor);
    for (size_t i = 0; r == 0 && i < supervisor->len; i++)
        r = complete(supervisor->services[i]);
    supervisor_settle_soon(supervisor);
    return r < 0 ? err_errno(err, r, "cannot take over all that runs") : adopted;
}
