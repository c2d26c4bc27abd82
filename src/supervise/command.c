/* SPDX-License-Identifier: MIT
 *
 * What people, chaos and `ps` ask of a running project.
 */
#include "supervise/supervisor.h"

#include "base/cleanup.h"
#include "base/names.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int no_such_service(const char *name, struct err *err)
{
    return err_set(err, -ENOENT, "there is no service \"%s\"; \"daruma ps\" shows those that are", name);
}

int supervisor_restart(struct supervisor *supervisor, const char *name, struct err *err)
{
    if (name) {
        struct service *service = supervisor_find(supervisor, name);
        if (!service)
            return no_such_service(name, err);
        service_replace(service, CAUSE_STOP);
        return 0;
    }
    for (size_t i = 0; i < supervisor->len; i++)
        service_replace(supervisor->services[i], CAUSE_STOP);
    return 0;
}

void supervisor_turn_round(struct supervisor *supervisor, const char *const *services)
{
    for (size_t i = 0; i < supervisor->len; i++)
        if (!services || names_have(services, supervisor->services[i]->name))
            (void)deploy_turn_round(supervisor->services[i], "another deploy takes its place");
}

void supervisor_renew(struct supervisor *supervisor, const char *name)
{
    struct service *service = supervisor_find(supervisor, name);
    if (service)
        service_renew(service);
}

bool supervisor_is_deploying(const struct supervisor *supervisor, const char *name)
{
    const struct service *service = supervisor_find(supervisor, name);
    return service && (deploy_is_active(service) || service->pending.number);
}

uint32_t supervisor_deploys_to(const struct supervisor *supervisor, const char *name)
{
    const struct service *service = supervisor_find(supervisor, name);
    return service && deploy_is_active(service) ? service->version.number : 0;
}

enum spec_change supervisor_would_change(const struct supervisor *supervisor, const struct spec_service *spec)
{
    const struct service *service = supervisor_find(supervisor, spec->name);
    return service ? spec_service_change(service->version.spec, spec) : SPEC_ADDED;
}

int supervisor_rollback(struct supervisor *supervisor, const char *name, uint32_t number, struct err *err)
{
    struct service *service = supervisor_find(supervisor, name);

    if (!service)
        return no_such_service(name, err);
    if (number && deploy_is_active(service) && number != service->deploy.from.number)
        return err_set(err, -EBUSY, "a deploy of \"%s\" goes on, and can only go back to version %u", name,
                       service->deploy.from.number);
    int r = number == 0 || deploy_is_active(service) ? deploy_turn_round(service, "asked to go back") : -ENOENT;
    if (r == -ENOENT && !deploy_is_active(service))
        r = service_go_back(service, number);
    if (r == -EALREADY)
        return err_set(err, r, "service \"%s\" is going back already", name);
    if (r < 0 && number)
        return err_set(err, r,
                       "service \"%s\" has no version %u to go back to; \"daruma deploy --history\" shows those it has",
                       name, number);
    return r < 0 ? err_set(err, -EBUSY, "service \"%s\" has no version before this one", name) : 0;
}

int supervisor_scale(struct supervisor *supervisor, const char *name, int replicas, struct err *err)
{
    struct service *service = supervisor_find(supervisor, name);

    if (!service)
        return no_such_service(name, err);
    if (replicas < 0)
        return err_set(err, -EINVAL, "the number of replicas cannot be negative");
    if (replicas > 1 && service->version.spec->container_name[0])
        return err_set(err, -EINVAL, "service \"%s\" has a container_name, so there can be only one of it", name);
    if (supervisor->down)
        return err_set(err, -ESHUTDOWN, "the project is going down");
    if (service->deploy.phase == DEPLOY_PAUSED)
        return err_set(err, -EBUSY, "a deploy of \"%s\" paused between two versions; \"daruma rollback %s\" goes back",
                       name, name);
    service->wanted = true;
    int r = service_resize(service, replicas);
    return r < 0 ? err_errno(err, r, "cannot scale service \"%s\"", name) : 0;
}

int supervisor_kill(struct supervisor *supervisor, const char *name, int signo, struct err *err)
{
    struct runtime *runtime = supervisor->peers.runtime;
    bool found = false;

    for (size_t i = 0; i < supervisor->len; i++) {
        struct service *service = supervisor->services[i];
        bool whole = strcmp(service->name, name) == 0;
        found = found || whole;
        for (size_t n = 0; n < service->len; n++) {
            struct instance *instance = service->instances[n];
            if (!whole && strcmp(instance->name, name) != 0)
                continue;
            found = true;
            int r = instance->handle ? runtime->signal(runtime, instance->handle, signo) : 0;
            if (r < 0 && r != -ESRCH)
                return err_errno(err, r, "cannot send a signal to %s", instance->name);
        }
    }
    return found ? 0
                 : err_set(err, -ENOENT, "there is no service or instance \"%s\"; \"daruma ps\" shows those that are",
                           name);
}

static bool leads_to(const struct spec *spec, const struct spec_route *route, const char *service)
{
    uint16_t port;
    for (size_t t = 0; t < route->to_len; t++) {
        const struct spec_service *target = spec_target_service(spec, route->to[t].name, &port);
        if (target && strcmp(target->name, service) == 0)
            return true;
    }
    return false;
}

bool supervisor_share_route(const struct supervisor *supervisor, const char *a, const char *b)
{
    const struct spec *spec = supervisor_spec(supervisor);

    for (size_t l = 0; l < spec->listeners_len; l++)
        for (size_t r = 0; r < spec->listeners[l].routes_len; r++) {
            const struct spec_route *route = &spec->listeners[l].routes[r];
            if (leads_to(spec, route, a) && leads_to(spec, route, b))
                return true;
        }
    return false;
}

static size_t count_well(const struct service *service)
{
    size_t well = 0;
    for (size_t i = 0; i < service->len; i++)
        well += instance_is_well(service->instances[i]);
    return well;
}

/* Would the death of one instance leave a route, or a service that is on no route, without any that is ready? */
static bool is_last(const struct supervisor *supervisor, const struct service *service)
{
    const struct spec *spec = supervisor_spec(supervisor);
    bool routed = false;

    for (size_t l = 0; l < spec->listeners_len; l++)
        for (size_t r = 0; r < spec->listeners[l].routes_len; r++) {
            const struct spec_route *route = &spec->listeners[l].routes[r];
            if (!leads_to(spec, route, service->name))
                continue;
            routed = true;
            size_t ready = 0;
            for (size_t s = 0; s < supervisor->len; s++)
                ready += leads_to(spec, route, supervisor->services[s]->name) ? count_well(supervisor->services[s]) : 0;
            if (ready <= 1)
                return true;
        }
    return !routed && count_well(service) <= 1;
}

/* The `wanted`-th possible victim, or NULL; their number to `ret_count`, and how many were spared as the last ones. */
static struct instance *find_victim(const struct supervisor *supervisor, const char *const *services, bool allow_last,
                                    size_t wanted, size_t *ret_count, size_t *ret_spared)
{
    struct instance *victim = NULL;
    *ret_count = *ret_spared = 0;
    for (size_t i = 0; i < supervisor->len; i++) {
        const struct service *service = supervisor->services[i];
        if (services && services[0] && !names_have(services, service->name))
            continue;
        size_t ready = count_well(service);
        if (ready > 0 && !allow_last && is_last(supervisor, service)) {
            *ret_spared += ready;
            continue;
        }
        for (size_t n = 0; n < service->len; n++)
            if (instance_is_well(service->instances[n]) && (*ret_count)++ == wanted)
                victim = service->instances[n];
    }
    return victim;
}

int supervisor_chaos_kill(struct supervisor *supervisor, const char *const *services, uint64_t pick, int signo,
                          bool allow_last, char ret[EVENT_NAME], struct err *err)
{
    struct runtime *runtime = supervisor->peers.runtime;
    size_t count, spared;

    for (const char *const *name = services; name && *name; name++)
        if (!supervisor_find(supervisor, *name))
            return no_such_service(*name, err);
    (void)find_victim(supervisor, services, allow_last, SIZE_MAX, &count, &spared);
    if (count == 0 && spared > 0)
        return err_set(err, -EBUSY, "the victim would be the last one that is ready; --allow-last permits it");
    if (count == 0)
        return err_set(err, -EBUSY, "no instance is ready");
    struct instance *victim = find_victim(supervisor, services, allow_last, pick % count, &count, &spared);

    /* First the record: whoever hears of the death shall know who it was, even if it is not us. */
    victim->chaos_signal = signo;
    instance_keep(victim);
    int r = signo && victim->handle ? runtime->signal(runtime, victim->handle, signo) : 0;
    if (r < 0)
        return err_errno(err, r, "cannot send a signal to %s", victim->name);
    memcpy(ret, victim->name, EVENT_NAME);
    return 0;
}

static struct instance *find_instance(const struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < supervisor->len; i++)
        for (size_t n = 0; n < supervisor->services[i]->len; n++)
            if (strcmp(supervisor->services[i]->instances[n]->name, name) == 0)
                return supervisor->services[i]->instances[n];
    return NULL;
}

int supervisor_pause(struct supervisor *supervisor, const char *name, int64_t ns, struct err *err)
{
    struct instance *instance = find_instance(supervisor, name);

    if (!instance)
        return err_set(err, -ENOENT, "there is no instance \"%s\"", name);
    int r = instance_pause(instance, ns);
    return r < 0 ? err_errno(err, r, "cannot stop %s", name) : 0;
}

static void describe(const struct instance *instance, struct instance_info *info)
{
    *info = (struct instance_info){
        .state = instance->paused_until_ns ? "paused" : instance_state_name(instance->state),
        .health = instance->handle ? health_state_name(instance->health.count.state) : "",
        .pid = instance->pid,
        .restarts = instance->starts ? instance->starts - 1 : 0,
        .since_ns = instance->pid ? instance->started_ns : 0,
        .retry_at_ns = instance->state == INSTANCE_WAITING ? instance->deadline_ns : 0,
        .last_cause = instance->last_cause,
        .last_status = instance->last_status,
        .last_by_signal = instance->last_by_signal,
        .inflight = endpoint_inflight(instance),
    };
    (void)snprintf(info->service, sizeof(info->service), "%s", instance->service->name);
    (void)snprintf(info->instance, sizeof(info->instance), "%s", instance->name);
    const char *waits_for = instance_waits_for(instance);
    (void)snprintf(info->waits_for, sizeof(info->waits_for), "%s", waits_for ? waits_for : "");
    if (instance->ports_len > 0)
        info->address = instance->ports[0].address;
}

void supervisor_each(const struct supervisor *supervisor, void (*fn)(void *data, const struct instance_info *info),
                     void *data)
{
    for (size_t i = 0; i < supervisor->len; i++)
        for (size_t n = 0; n < supervisor->services[i]->len; n++) {
            struct instance_info info;
            describe(supervisor->services[i]->instances[n], &info);
            fn(data, &info);
        }
}

enum supervisor_state supervisor_state(const struct supervisor *supervisor)
{
    bool starting = false, degraded = false;

    if (supervisor->down)
        return supervisor_is_down(supervisor) ? SUPERVISOR_DOWN : SUPERVISOR_STOPPING;
    for (size_t i = 0; i < supervisor->len; i++) {
        const struct service *service = supervisor->services[i];
        if (deploy_is_active(service)) {
            starting = true;
            continue;
        }
        if (!service->wanted || service->state == SERVICE_READY || service->state == SERVICE_DOWN)
            continue;
        bool failed = service_is_blocked(service);
        for (size_t n = 0; n < service->len; n++)
            failed = failed || service->instances[n]->state == INSTANCE_FAILED;
        degraded = degraded || failed;
        starting = starting || !failed;
    }
    return degraded ? SUPERVISOR_DEGRADED : starting ? SUPERVISOR_STARTING : SUPERVISOR_READY;
}
