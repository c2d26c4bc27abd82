/* SPDX-License-Identifier: MIT
 *
 * One service: as many instances as wanted, replaced one after the other, and its node in the graph of dependencies.
 */
#include "supervise/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct service *service_new(struct supervisor *supervisor, const char *name)
{
    struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return NULL;
    service->supervisor = supervisor;
    service->slot = -1;
    for (size_t i = 0; i < TALLY_PIECES; i++)
        service->tally_slots[i] = -1;
    service->name = strdup(name);
    if (!service->name) {
        free(service);
        return NULL;
    }
    return service;
}

void version_drop(struct version *version)
{
    spec_ref_drop(&version->ref);
    *version = (struct version){ 0 };
}

void service_free(struct service *service)
{
    if (!service)
        return;
    deploy_free(service);
    for (size_t i = 0; i < service->len; i++)
        instance_free(service->instances[i]);
    free(service->instances);
    records_drop(&service->supervisor->records, &service->slot);
    service_drop_tally(service);
    version_drop(&service->version);
    version_drop(&service->pending);
    for (size_t i = 0; i < SERVICE_HISTORY; i++)
        version_drop(&service->history[i]);
    free(service->departed);
    free(service->name);
    free(service);
}

static void update_node(struct service *service)
{
    struct order_node *node = &service->supervisor->nodes[service->index];
    node->depends_on = service->version.spec->depends_on;
    node->depends_on_len = service->version.spec->depends_on_len;
}

/* What stands there without running has nothing to lose. */
void service_use_version(struct service *service)
{
    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (instance->handle && instance->version != service->version.number)
            continue;
        if (instance->version != service->version.number) {
            instance->due = true; /* whatever it was: it starts with the new configuration */
            instance->backoff = (struct backoff){ 0 };
        }
        instance_take_version(instance, &service->version);
    }
    update_node(service);
    supervisor_settle_soon(service->supervisor);
}

static void remember(struct service *service, const struct version *version)
{
    struct version *history = service->history;

    version_drop(&history[SERVICE_HISTORY - 1]);
    memmove(history + 1, history, (SERVICE_HISTORY - 1) * sizeof(*history));
    history[0] = *version;
    spec_ref_take(version->ref);
}

void service_forget_last(struct service *service)
{
    struct version *history = service->history;

    version_drop(&history[0]);
    memmove(history, history + 1, (SERVICE_HISTORY - 1) * sizeof(*history));
    history[SERVICE_HISTORY - 1] = (struct version){ 0 };
}

/* Goes from the present version to `next`, whose reference becomes the service's. */
static void change_version(struct service *service, struct version next)
{
    struct version from = service->version;

    remember(service, &from);
    service->version = next;
    service_use_version(service);
    deploy_begin(service, &from);
}

void service_take_pending(struct service *service)
{
    struct version next = service->pending;

    service->pending = (struct version){ 0 };
    if (next.number)
        change_version(service, next);
}

static bool is_same(const struct version *version, const struct spec_service *spec)
{
    if (version->number == 0)
        return false;
    enum spec_change change = spec_service_change(version->spec, spec);
    return version->spec == spec || change == SPEC_SAME || change == SPEC_RESCALED;
}

void service_configure(struct service *service, struct spec_ref *ref, struct spec_service *spec)
{
    struct version next = { .ref = spec_ref_take(ref), .spec = spec };

    if (service->version.spec != spec)
        spec_service_follow(service->pending.number ? service->pending.spec : service->version.spec, spec);
    bool waits_already = is_same(&service->pending, spec);

    service->gone = false;
    if (is_same(&service->version, spec)) {
        next.number = service->version.number;
        version_drop(&service->pending);
        spec_ref_drop(&service->version.ref);
        service->version = next;
        service_use_version(service);
        return;
    }
    next.number = waits_already ? service->pending.number : ++service->last_version;
    version_drop(&service->pending);
    if (!deploy_is_active(service)) {
        change_version(service, next);
        return;
    }
    service->pending = next;
    deploy_tell_pending(service);
}

void service_renew(struct service *service)
{
    struct version next = service->version;

    if (deploy_is_active(service) || service->pending.number)
        return;
    next.number = ++service->last_version;
    spec_ref_take(next.ref);
    change_version(service, next);
}

int service_go_back(struct service *service, uint32_t number)
{
    struct version *history = service->history;

    for (size_t i = 0; i < SERVICE_HISTORY; i++) {
        if (history[i].number == 0 ||
            (number ? history[i].number != number : history[i].number == service->version.number))
            continue;
        if (!version_load(service, &history[i]))
            return -ENOENT;
        struct version next = history[i];
        spec_ref_take(next.ref);
        change_version(service, next);
        return 0;
    }
    return -ENOENT;
}

static int make_room(struct service *service)
{
    if (service->len < service->cap)
        return 0;
    size_t cap = service->cap ? service->cap * 2 : 4;
    struct instance **instances = reallocarray(service->instances, cap, sizeof(struct instance *));
    if (!instances)
        return -ENOMEM;
    service->instances = instances;
    service->cap = cap;
    return 0;
}

static struct instance *insert(struct service *service, size_t at, int number)
{
    struct instance *instance = make_room(service) < 0 ? NULL : instance_new(service, &service->version, number);
    if (!instance)
        return NULL;
    memmove(service->instances + at + 1, service->instances + at, (service->len - at) * sizeof(service->instances[0]));
    service->instances[at] = instance;
    service->len++;
    return instance;
}

struct instance *service_add_instance(struct service *service)
{
    size_t at = 0;
    while (at < service->len && service->instances[at]->number == (int)at + 1)
        at++;
    return insert(service, at, (int)at + 1);
}

struct instance *service_take_instance(struct service *service, int number)
{
    size_t at = 0;
    while (at < service->len && service->instances[at]->number < number)
        at++;
    bool found = at < service->len && service->instances[at]->number == number;
    return found ? service->instances[at] : insert(service, at, number);
}

int service_resize(struct service *service, int replicas)
{
    service->replicas = replicas;
    if (deploy_is_active(service) || service->deploy.phase == DEPLOY_PAUSED) { /* both versions stay as they are */
        supervisor_settle_soon(service->supervisor);
        return 0;
    }
    while (service->len < (size_t)replicas)
        if (!service_add_instance(service))
            return -ENOMEM;
    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        bool wanted = service->wanted && i < (size_t)replicas;
        if (wanted)
            instance->wanted = true;
        else if (instance->wanted || instance->handle)
            instance_stop(instance, CAUSE_SCALE, false);
    }
    service_update(service);
    service_keep(service);
    supervisor_settle_soon(service->supervisor);
    return 0;
}

void service_stop(struct service *service, enum cause cause)
{
    service->wanted = false;
    deploy_end(service);
    service->was_ready = service->came_back = false;
    for (size_t i = 0; i < service->len; i++)
        instance_stop(service->instances[i], cause, false);
    service_update(service);
    service_keep(service);
    supervisor_settle_soon(service->supervisor);
}

void service_replace(struct service *service, enum cause cause)
{
    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (!instance->handle) {
            instance->due = true;
            instance->backoff = (struct backoff){ 0 };
            continue;
        }
        instance->stale = true;
        instance->stale_cause = cause;
        instance_keep(instance);
    }
    supervisor_settle_soon(service->supervisor);
}

void service_revive(struct service *service, bool also_done)
{
    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (instance->state == INSTANCE_FAILED || (also_done && instance->state == INSTANCE_DONE)) {
            instance->due = true;
            instance->backoff = (struct backoff){ 0 };
        }
    }
    supervisor_settle_soon(service->supervisor);
}

/* The next one to be restarted, when the one before is ready again. What is stale and not ready goes first, without
   waiting: nobody loses by it. */
static void go_on_restarting(struct service *service)
{
    struct instance *next = NULL;

    for (size_t i = 0; i < service->len; i++) {
        struct instance *instance = service->instances[i];
        if (!instance->wanted)
            continue;
        if (instance->stale && instance->state == INSTANCE_STARTING) {
            instance_stop(instance, instance->stale_cause, true);
            return;
        }
        bool settled = instance->state == INSTANCE_SERVING || instance->state == INSTANCE_DONE;
        if (!settled)
            return; /* one is on its way, or has failed: the others must not follow it */
        if (instance->stale && !next)
            next = instance;
    }
    if (next)
        instance_stop(next, next->stale_cause, true);
}

void service_settle(struct service *service)
{
    if (!service->wanted)
        return;
    for (size_t i = 0; i < service->len; i++)
        instance_try_start(service->instances[i]);
    if (deploy_is_active(service)) {
        service_prune(service); /* their numbers are free again */
        deploy_settle(service);
    } else {
        go_on_restarting(service);
    }
}

size_t service_ready_count(const struct service *service)
{
    size_t ready = 0;
    for (size_t i = 0; i < service->len; i++)
        ready += instance_serves(service->instances[i]);
    return ready;
}

struct tally {
    size_t wanted, running, ready, done, failed, there;
    size_t ended;      /* done or failed, and nobody has asked for more */
    size_t candidates; /* of a new version, and not ready: they are not missed yet */
    bool started;
};

static struct tally count(const struct service *service)
{
    struct tally tally = { 0 };
    bool deploying = deploy_is_active(service);
    for (size_t i = 0; i < service->len; i++) {
        const struct instance *instance = service->instances[i];
        tally.there += instance->handle != NULL;
        tally.started = tally.started || instance->starts > 0;
        if (!instance->wanted)
            continue;
        tally.wanted++;
        tally.running += instance->pid != 0;
        tally.ready += instance->state == INSTANCE_SERVING;
        tally.done += instance->state == INSTANCE_DONE;
        tally.failed += instance->state == INSTANCE_FAILED;
        tally.ended += (instance->state == INSTANCE_DONE || instance->state == INSTANCE_FAILED) && !instance->due;
        tally.candidates += deploying && !instance->served && instance_is_new(instance);
    }
    tally.there += deploy_job_runs(service);
    size_t beyond = tally.wanted > (size_t)service->replicas ? tally.wanted - (size_t)service->replicas : 0;
    tally.wanted -= beyond < tally.candidates ? beyond : tally.candidates;
    return tally;
}

/* At first all replicas must be there; later one is enough: a dead replica must not keep others down. */
static enum order_status status_of(const struct service *service, const struct tally *tally)
{
    if (tally->wanted == 0)
        return ORDER_ABSENT;
    if (tally->done == tally->wanted)
        return ORDER_COMPLETED;
    if (tally->failed > 0 && tally->failed + tally->done == tally->wanted)
        return ORDER_FAILED;
    if (tally->ready > 0 && (service->was_ready || tally->ready + tally->done == tally->wanted))
        return ORDER_READY;
    if (tally->running > 0 && (service->was_ready || tally->running + tally->done == tally->wanted))
        return ORDER_STARTED;
    return ORDER_PENDING;
}

static enum service_state state_of(const struct service *service, const struct tally *tally)
{
    if (tally->wanted == 0)
        return SERVICE_DOWN;
    if (tally->ready + tally->done == tally->wanted)
        return SERVICE_READY;
    if (tally->failed == tally->wanted)
        return SERVICE_FAILED;
    if (tally->failed > 0 || (tally->ready > 0 && service->was_ready))
        return SERVICE_DEGRADED;
    return SERVICE_STARTING;
}

static void set_state(struct service *service, enum service_state state)
{
    static const char *const names[] = {
        [SERVICE_DOWN] = "down",         [SERVICE_STARTING] = "starting", [SERVICE_READY] = "ready",
        [SERVICE_DEGRADED] = "degraded", [SERVICE_FAILED] = "failed",
    };
    if (service->state == state)
        return;
    struct event event = { .kind = EVENT_SERVICE_STATE };
    (void)snprintf(event.service, sizeof(event.service), "%s", service->name);
    (void)snprintf(event.from, sizeof(event.from), "%s", names[service->state]);
    (void)snprintf(event.to, sizeof(event.to), "%s", names[state]);
    service->state = state;
    event_emit(service->supervisor->peers.events, &event);
}

/* Those who asked for it with `restart: true` follow a dependency that was started again, once it is ready. */
static void restart_dependents(struct service *service)
{
    struct supervisor *supervisor = service->supervisor;

    service->came_back = false;
    for (size_t i = 0; i < supervisor->len; i++) {
        const struct order_node *node = &supervisor->nodes[i];
        for (size_t d = 0; d < node->depends_on_len; d++)
            if (node->depends_on[d].restart && strcmp(node->depends_on[d].service, service->name) == 0)
                service_replace(supervisor->services[i], CAUSE_STOP);
    }
}

void service_update(struct service *service)
{
    struct order_node *node = &service->supervisor->nodes[service->index];
    struct tally tally = count(service);

    node->status = status_of(service, &tally);
    node->running = tally.there > 0;
    node->started_once = service->wanted && tally.started;
    if (node->status == ORDER_READY)
        service->was_ready = true;
    set_state(service, state_of(service, &tally));
    if (service->came_back && service->wanted && service->state == SERVICE_READY)
        restart_dependents(service);
    service_keep(service);
}

bool service_is_blocked(const struct service *service)
{
    const struct supervisor *supervisor = service->supervisor;
    const char *waits_for;
    return supervisor->nodes[service->index].status == ORDER_PENDING &&
           order_may_start(supervisor->nodes, supervisor->len, service->index, &waits_for) == ORDER_NEVER;
}

void service_share(struct service *service)
{
    struct supervisor_peers *peers = &service->supervisor->peers;
    const struct spec_service *spec = service->version.spec;
    struct tally tally = count(service);
    bool vacant = !deploy_is_active(service) && (tally.ended == tally.wanted || service_is_blocked(service));
    char name[BOARD_NAME];

    if (service->told && service->vacant == vacant)
        return;
    board_write_begin(peers->board);
    board_service_vacate(peers->board, supervisor_board_name(spec, 0, name), vacant);
    for (size_t i = 0; i < spec->ports_len; i++)
        board_service_vacate(peers->board, supervisor_board_name(spec, spec->ports[i].target, name), vacant);
    board_write_end(peers->board);
    peers->ring(peers->data);
    service->vacant = vacant;
    service->told = true;
}

void service_prune(struct service *service)
{
    deploy_prune(service);
    size_t kept = 0, len = service->len;

    for (size_t i = 0; i < len; i++) {
        struct instance *instance = service->instances[i];
        bool old = instance->version != service->version.number;
        bool superfluous = service->gone || old || kept + (len - i) > (size_t)service->replicas;
        if (superfluous && !instance->wanted && !instance->handle && instance->state == INSTANCE_IDLE)
            instance_free(instance);
        else
            service->instances[kept++] = instance;
    }
    service->len = kept;
}
