/* SPDX-License-Identifier: MIT
 *
 * From records to services and instances, in the next supervisor: what was there is set as it was, without events, and its
 * timers and watches are armed anew.
 */
#include "supervise/supervisor.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one of them ---- */

static void stamp(struct version *version)
{
    version->spec->stamp = version->stamp;
    version->spec->build = version->build;
}

bool version_load(const struct service *service, struct version *version)
{
    const struct supervisor_peers *peers = &service->supervisor->peers;
    struct spec_ref *ref = version->ref;

    if (version->spec || !ref)
        return version->spec != NULL;
    if (!ref->spec && peers->load_spec)
        ref->spec = peers->load_spec(peers->data, ref->id);
    const struct spec_service *found = ref->spec ? spec_find_service(ref->spec, service->name) : NULL;
    if (!found)
        return false;
    version->spec = &ref->spec->services[found - ref->spec->services];
    /* One that goes on may have the same spec, and know better by now. */
    if (version->spec != service->version.spec && version->spec != service->deploy.from.spec)
        stamp(version);
    return true;
}

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

static struct version *find_version(struct service *service, uint32_t number)
{
    if (service->version.number == number)
        return &service->version;
    if (service->deploy.from.number == number)
        return &service->deploy.from;
    for (size_t i = 0; i < SERVICE_HISTORY; i++)
        if (service->history[i].number == number)
            return &service->history[i];
    return NULL;
}

/* It goes on with the configuration that it has. If nobody knows that any more, the present one is used to end it: then the
   number may be that of a version that was not written down. */
static void restore_version(struct instance *instance, const struct instance_record *record)
{
    struct version *version = record->job ? NULL : find_version(instance->service, record->version);

    if (version && version_load(instance->service, version))
        instance_take_version(instance, version);
    bool same = strcmp(record->config_hash, instance->spec->config_hash) == 0;
    instance->version = same || record->version != instance->version ? record->version : 0;
}

bool instance_restore(struct instance *instance, const struct instance_record *record)
{
    instance->record = *record;
    instance->state = (enum instance_state)record->state;
    instance->wanted = record->wanted;
    instance->stale = record->stale;
    instance->stale_cause = (enum cause)record->stale_cause;
    instance->served = record->served;
    instance->hooked = record->hooked;
    instance->at_fault = record->at_fault;
    restore_version(instance, record);
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
    instance->paused_until_ns = record->paused_until_ns;
    if (is_up(instance->state))
        return adopt(instance);
    instance->stale = false;
    if (instance->state == INSTANCE_WAITING)
        instance_wait(instance);
    return false;
}

/* ---- the whole ---- */

/* Copies of all records of one kind. The arena's own change as soon as they are kept anew. */
struct found {
    int slot;
    union {
        uint32_t kind;
        struct service_record service;
        struct tally_record tally;
        struct instance_record instance;
    } record;
};

/* Are they records as we write them, whatever their bytes are? */
static bool is_text(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

static bool is_sound_service(const struct service_record *service)
{
    bool sound = is_text(service->name, sizeof(service->name)) && service->name[0] && service->replicas >= 0 &&
                 service->state <= SERVICE_FAILED && service->deploy.phase <= DEPLOY_FAILED &&
                 is_text(service->deploy.reason, EVENT_TEXT) && is_text(service->deploy.last_words, EVENT_TEXT) &&
                 is_text(service->deploy.failed_instance, EVENT_NAME) &&
                 is_text(service->version.image, sizeof(service->version.image)) &&
                 is_text(service->pending.image, sizeof(service->pending.image)) &&
                 is_text(service->deploy.from.image, sizeof(service->deploy.from.image));

    for (size_t i = 0; i < SERVICE_HISTORY; i++)
        sound = sound && is_text(service->history[i].image, sizeof(service->history[i].image));
    return sound;
}

static bool is_sound_instance(const struct instance_record *instance)
{
    return is_text(instance->service, sizeof(instance->service)) && instance->service[0] &&
           is_text(instance->config_hash, sizeof(instance->config_hash)) && instance->state < INSTANCE_STATES &&
           instance->number > 0 && instance->number <= RECORD_SLOTS && instance->last_cause < CAUSES &&
           instance->ending < CAUSES && instance->stale_cause < CAUSES;
}

static bool is_sound(const struct found *found, uint32_t len)
{
    const struct instance_record *instance = &found->record.instance;

    if (len < sizeof(uint32_t))
        return false;
    if (found->record.kind == RECORD_SERVICE)
        return len == sizeof(found->record.service) && is_sound_service(&found->record.service);
    if (found->record.kind == RECORD_TALLY)
        return len == sizeof(found->record.tally) && found->record.tally.piece < TALLY_PIECES &&
               is_text(found->record.tally.service, EVENT_NAME);
    return found->record.kind == RECORD_INSTANCE && len >= offsetof(struct instance_record, ports) &&
           instance->ports_len <= RUNTIME_PORTS && len == instance_record_length(instance) &&
           is_sound_instance(instance);
}

static int by_service_and_number(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->record.kind != y->record.kind)
        return x->record.kind < y->record.kind ? -1 : 1;
    if (x->record.kind == RECORD_SERVICE)
        return strcmp(x->record.service.name, y->record.service.name);
    if (x->record.kind == RECORD_TALLY)
        return (x->slot > y->slot) - (x->slot < y->slot);
    if (x->record.instance.job != y->record.instance.job) /* jobs last: the numbers are those of the others */
        return x->record.instance.job < y->record.instance.job ? -1 : 1;
    int names = strcmp(x->record.instance.service, y->record.instance.service);
    if (names)
        return names;
    return (x->record.instance.number > y->record.instance.number) -
           (x->record.instance.number < y->record.instance.number);
}

/* Services first, then tallies, then instances in order. What is not sound is emptied: its process, if there is one, is a stray. */
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

/* What is made again, and the specs that records have named so far. */
struct restoring {
    struct supervisor *supervisor;
    struct spec_ref **refs;
    size_t refs_len;
    int adopted;
};

/* Borrowed; NULL when out of memory. */
static struct spec_ref *find_ref(struct restoring *restoring, uint32_t id)
{
    for (size_t i = 0; i < restoring->refs_len; i++)
        if (restoring->refs[i]->id == id)
            return restoring->refs[i];
    struct spec_ref **refs = reallocarray(restoring->refs, restoring->refs_len + 1, sizeof(struct spec_ref *));
    if (refs)
        restoring->refs = refs;
    struct spec_ref *ref = refs ? calloc(1, sizeof(*ref)) : NULL;
    if (!ref)
        return NULL;
    *ref = (struct spec_ref){ .id = id, .refs = 1 };
    return restoring->refs[restoring->refs_len++] = ref;
}

/* Without its spec: that is loaded when somebody needs it. */
static void take_version(struct restoring *restoring, const struct record_version *record, struct version *ret)
{
    struct spec_ref *ref = record->spec ? find_ref(restoring, record->spec) : NULL;

    version_drop(ret);
    *ret = (struct version){ .number = record->number,
                             .ref = ref ? spec_ref_take(ref) : NULL,
                             .stamp.source = record->source,
                             .build = record->build };
    memcpy(ret->stamp.image, record->image, sizeof(record->image));
}

static void restore_deploy(struct restoring *restoring, struct service *service, const struct deploy_record *record)
{
    struct deploy *deploy = &service->deploy;

    take_version(restoring, &record->from, &deploy->from);
    deploy->phase = (enum deploy_phase)record->phase;
    if (deploy_is_active(service) || deploy->phase == DEPLOY_PAUSED)
        (void)version_load(service, &deploy->from);
    deploy->to = record->to;
    deploy->step = record->step == UINT32_MAX ? SIZE_MAX : record->step;
    deploy->started = record->started;
    deploy->failed = record->failed;
    deploy->prepared = record->prepared;
    deploy->pre_done = record->pre_done;
    deploy->post_done = record->post_done;
    deploy->tolerant = record->tolerant;
    deploy->began_ns = record->began_ns;
    deploy->began_wall_ns = record->began_wall_ns;
    deploy->batch_ns = record->batch_ns;
    deploy->step_ns = record->step_ns;
    deploy->killed[0] = record->killed[0];
    deploy->killed[1] = record->killed[1];
    memcpy(deploy->reason, record->reason, sizeof(deploy->reason));
    memcpy(deploy->last_words, record->last_words, sizeof(deploy->last_words));
    memcpy(deploy->failed_instance, record->failed_instance, sizeof(deploy->failed_instance));
}

/* That of the spec that was applied last, if its own cannot be had. */
static void restore_present_version(struct restoring *restoring, struct service *service,
                                    const struct record_version *record)
{
    struct version version = { 0 };

    take_version(restoring, record, &version);
    if (version_load(service, &version)) {
        version_drop(&service->version);
        service->version = version;
        stamp(&service->version);
    } else {
        service->version.number = record->number ? record->number : 1;
        service->version.stamp = version.stamp;
        service->version.build = version.build;
        stamp(&service->version);
        version_drop(&version);
    }
}

static int restore_service(struct restoring *restoring, const struct found *found)
{
    const struct service_record *record = &found->record.service;
    struct service *service = find_or_add(restoring->supervisor, record->name);

    if (!service)
        return -ENOMEM;
    if (service->slot >= 0)
        records_drop(&restoring->supervisor->records, &service->slot); /* the one that it got when it was made */
    service->slot = found->slot;
    restore_present_version(restoring, service, &record->version);
    if (service->departed)
        return 0;
    service->wanted = record->wanted;
    service->was_ready = record->was_ready;
    service->came_back = record->came_back;
    service->state = (enum service_state)record->state;
    service->last_version = record->last_version;
    for (size_t i = 0; i < SERVICE_HISTORY; i++)
        take_version(restoring, &record->history[i], &service->history[i]);
    take_version(restoring, &record->pending, &service->pending);
    if (!version_load(service, &service->pending))
        version_drop(&service->pending);
    restore_deploy(restoring, service, &record->deploy);
    if (record->file_replicas == service->version.spec->replicas)
        service->replicas = record->replicas;
    return 0;
}

/* One of the deploy that goes on; any other is left from before. */
static void restore_tally(struct restoring *restoring, const struct found *found)
{
    const struct tally_record *record = &found->record.tally;
    struct service *service = supervisor_find(restoring->supervisor, record->service);
    size_t at = (size_t)record->piece * TALLY_PIECE, left = sizeof(struct deploy_tally) - at;
    int slot = found->slot;

    if (!service || service->tally_slots[record->piece] >= 0 || service->deploy.began_ns != record->began_ns) {
        records_drop(&restoring->supervisor->records, &slot);
        return;
    }
    service->tally_slots[record->piece] = slot;
    memcpy((char *)&service->deploy.tally + at, record->bytes, left < TALLY_PIECE ? left : TALLY_PIECE);
}

/* Its numbers do no harm, whatever they are; its texts could. */
static void check_tally(struct deploy_tally *tally)
{
    if (tally->steps_len > DEPLOY_STEPS)
        tally->steps_len = 0;
    for (size_t i = 0; i < DEPLOY_STEPS; i++)
        tally->steps[i].what[DEPLOY_STEP - 1] = '\0';
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

static int restore_instance(struct restoring *restoring, const struct found *found)
{
    const struct instance_record *record = &found->record.instance;
    struct service *service = find_or_add(restoring->supervisor, record->service);
    struct instance *instance = NULL;

    if (record->job == RECORD_PREPARE) { /* of which nothing outlives a supervisor: it begins again */
        int done = found->slot;
        records_drop(&restoring->supervisor->records, &done);
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
        records_drop(&restoring->supervisor->records, &spare);
        return 0;
    }
    instance->slot = found->slot;
    restoring->adopted += instance_restore(instance, record);
    return 0;
}

static int restore_record(struct restoring *restoring, const struct found *found)
{
    switch ((enum record_kind)found->record.kind) {
    case RECORD_SERVICE:
        return restore_service(restoring, found);
    case RECORD_TALLY:
        restore_tally(restoring, found);
        return 0;
    case RECORD_INSTANCE:
        return restore_instance(restoring, found);
    }
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
        bool ours = !board->services[board->endpoints[i].service].outside;
        if (ours && !claimed[i] && (state == BOARD_ENDPOINT_UP || state == BOARD_ENDPOINT_DRAINING))
            board_endpoint_set(board, (int)i, BOARD_ENDPOINT_GONE, CAUSE_UNKNOWN, 0, clock_now());
    }
    supervisor->peers.ring(supervisor->peers.data);
}

/* A deploy goes on from where the instances are; killed while instances were being made, the rest is made now. */
static int complete(struct service *service)
{
    service_use_version(service);
    check_tally(&service->deploy.tally);
    deploy_resume(service);
    service_update(service);
    return service->wanted && !service->gone ? service_resize(service, service->replicas) : 0;
}

/* All that was found. What it has of specs it shares with whoever took a version of them. */
static int restore_all(struct restoring *restoring, const struct found *list, size_t len)
{
    struct spec_ref *present = restoring->supervisor->ref;
    int r = 0;

    restoring->refs = calloc(1, sizeof(struct spec_ref *));
    if (!restoring->refs)
        return -ENOMEM;
    restoring->refs[restoring->refs_len++] = spec_ref_take(present);
    for (size_t i = 0; r == 0 && i < len; i++)
        r = restore_record(restoring, &list[i]);
    for (size_t i = 0; i < restoring->refs_len; i++)
        spec_ref_drop(&restoring->refs[i]);
    free(restoring->refs);
    return r;
}

int supervisor_restore(struct supervisor *supervisor, struct spec *spec, uint32_t id, struct err *err)
{
    CLEANUP_FREE struct found *list = NULL;
    struct restoring restoring = { .supervisor = supervisor };
    size_t len = 0;

    int r = supervisor->records.arena ? find_all(supervisor, &list, &len) : 0;
    if (r == 0)
        r = supervisor_take_spec(supervisor, spec, id);
    if (r < 0)
        return err_errno(err, r, "cannot take over what runs");
    r = restore_all(&restoring, list, len);
    clear_board(supervisor);
    for (size_t i = 0; r == 0 && i < supervisor->len; i++)
        r = complete(supervisor->services[i]);
    supervisor_settle_soon(supervisor);
    return r < 0 ? err_errno(err, r, "cannot take over all that runs") : restoring.adopted;
}
