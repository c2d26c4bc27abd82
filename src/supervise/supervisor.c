/* SPDX-License-Identifier: MIT
 *
 * The project as a whole: takes a spec and makes it so, keeps the order of depends_on, takes everything down again.
 *
 * Whatever changes anywhere asks for a settling, which happens once at the end of the loop's turn: a pass over all
 * services that starts what may start, stops what may stop, and frees what is gone. It is idempotent; nothing is freed
 * outside of it, so that no callback finds its instance gone.
 */
#include "supervise/supervisor.h"

#include "base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So long a service's name may be: "-NUMBER" or ":PORT" behind it still fits into BOARD_NAME and EVENT_NAME. */
enum { NAME_MAX_LEN = 52 };

/* How long a service may take to end that is in no file any more: Compose's default. */
#define DEPARTED_GRACE_NS (10 * NS_PER_S)

struct spec_ref *spec_ref_take(struct spec_ref *ref)
{
    ref->refs++;
    return ref;
}

void spec_ref_drop(struct spec_ref **ref)
{
    struct spec_ref *old = *ref;
    *ref = NULL;
    if (!old || --old->refs > 0)
        return;
    spec_free(old->spec);
    free(old);
}

void supervisor_settle_soon(struct supervisor *supervisor)
{
    if (!loop_timer_armed(&supervisor->settle))
        loop_timer_set(supervisor->peers.loop, &supervisor->settle, loop_now(supervisor->peers.loop));
}

bool supervisor_may_start_one(struct supervisor *supervisor)
{
    int64_t turn = loop_now(supervisor->peers.loop);
    if (supervisor->turn_ns != turn) {
        supervisor->turn_ns = turn;
        supervisor->turn_starts = 0;
    }
    if (supervisor->turn_starts >= SUPERVISOR_STARTS_A_TURN) {
        supervisor_settle_soon(supervisor);
        return false;
    }
    supervisor->turn_starts++;
    return true;
}

static void tell_project(struct supervisor *supervisor, const char *text)
{
    struct event event = { .kind = EVENT_PROJECT };
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    event_emit(supervisor->peers.events, &event);
}

void supervisor_not_kept(struct supervisor *supervisor, int error)
{
    struct event event = { .kind = EVENT_WARNING };

    if (supervisor->told_full)
        return;
    supervisor->told_full = true;
    (void)snprintf(event.text, sizeof(event.text),
                   "what is known of some instances cannot be kept where the run directory is (%s): should the "
                   "supervisor die, they would be ended instead of taken over; make room there",
                   strerror(error < 0 ? -error : error));
    event_emit(supervisor->peers.events, &event);
}

/* The lists' places were changed: every service learns its own again. */
static void renumber(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->len; i++) {
        struct service *service = supervisor->services[i];
        service->index = i;
        supervisor->nodes[i].name = service->name;
        supervisor->nodes[i].depends_on = service->version.spec ? service->version.spec->depends_on : NULL;
        supervisor->nodes[i].depends_on_len = service->version.spec ? service->version.spec->depends_on_len : 0;
    }
}

static void free_gone_services(struct supervisor *supervisor)
{
    size_t kept = 0;
    for (size_t i = 0; i < supervisor->len; i++) {
        struct service *service = supervisor->services[i];
        if (service->gone && service->len == 0) {
            service_free(service);
            continue;
        }
        supervisor->nodes[kept] = supervisor->nodes[i];
        supervisor->services[kept++] = service;
    }
    if (kept == supervisor->len)
        return;
    supervisor->len = kept;
    renumber(supervisor);
}

/* Stops what is no longer wanted, as soon as nothing needs it any more. */
static void settle_down(struct supervisor *supervisor)
{
    order_needed(supervisor->nodes, supervisor->len, supervisor->needed);
    for (size_t i = 0; i < supervisor->len; i++) {
        struct service *service = supervisor->services[i];
        bool stop = supervisor->down || service->gone;
        if (stop && service->wanted && !supervisor->needed[i])
            service_stop(service, CAUSE_STOP);
    }
}

static void on_settle(struct loop_timer *timer)
{
    struct supervisor *supervisor = timer->data;

    settle_down(supervisor);
    for (size_t i = 0; i < supervisor->len; i++) {
        service_settle(supervisor->services[i]);
        service_prune(supervisor->services[i]);
        service_share(supervisor->services[i]);
    }
    free_gone_services(supervisor);
    if (supervisor_is_down(supervisor) && !supervisor->told_down) {
        supervisor->told_down = true;
        tell_project(supervisor, "the project is down");
    }
}

struct supervisor *supervisor_new(const struct supervisor_peers *peers)
{
    struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
    if (!supervisor)
        return NULL;
    supervisor->peers = *peers;
    supervisor->settle = (struct loop_timer){ .fn = on_settle, .data = supervisor };
    rng_seed(&supervisor->rng, rng_entropy());
    if (records_open(&supervisor->records, peers->arena) < 0) {
        free(supervisor);
        return NULL;
    }
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    loop_timer_cancel(supervisor->peers.loop, &supervisor->settle);
    for (size_t i = 0; i < supervisor->len; i++)
        service_free(supervisor->services[i]);
    free(supervisor->services);
    free(supervisor->nodes);
    free(supervisor->needed);
    spec_ref_drop(&supervisor->ref);
    records_close(&supervisor->records);
    free(supervisor);
}

const struct spec *supervisor_spec(const struct supervisor *supervisor)
{
    return supervisor->ref ? supervisor->ref->spec : NULL;
}

struct service *supervisor_find(const struct supervisor *supervisor, const char *name)
{
    long at = order_find(supervisor->nodes, supervisor->len, name);
    return at < 0 ? NULL : supervisor->services[at];
}

/* --- apply --- */

/* Which services of `spec` are meant by `only`, with what they depend on. */
static int choose(const struct spec *spec, const char *const *only, bool **ret_chosen, struct err *err)
{
    size_t len = spec->services_len, cycle = 0;
    CLEANUP_FREE bool *chosen = calloc(len + 1, sizeof(*chosen));
    CLEANUP_FREE struct order_node *nodes = calloc(len + 1, sizeof(*nodes));
    if (!chosen || !nodes)
        return err_errno(err, -ENOMEM, "cannot apply the file");
    for (size_t i = 0; i < len; i++) {
        nodes[i] = (struct order_node){ .name = spec->services[i].name,
                                        .depends_on = spec->services[i].depends_on,
                                        .depends_on_len = spec->services[i].depends_on_len };
        chosen[i] = only == NULL;
    }
    for (size_t i = 0; i < len; i++)
        if (strlen(nodes[i].name) > NAME_MAX_LEN)
            return err_set(err, -EINVAL, "the service name \"%s\" is longer than %d characters", nodes[i].name,
                           NAME_MAX_LEN);
    int r = order_check(nodes, len, &cycle);
    if (r == -ELOOP)
        return err_set(err, r, "service \"%s\" depends on itself through depends_on", nodes[cycle].name);
    if (r < 0)
        return err_errno(err, r, "cannot apply the file");
    for (; only && *only; only++) {
        long at = order_find(nodes, len, *only);
        if (at < 0)
            return err_set(err, -ENOENT, "there is no service \"%s\" in the file", *only);
        chosen[at] = true;
    }
    order_select(nodes, len, chosen);
    *ret_chosen = TAKE_PTR(chosen);
    return 0;
}

/* Room for `more` services, in all lists. */
static int make_room(struct supervisor *supervisor, size_t more)
{
    size_t len = supervisor->len + more + 1;
    struct service **services = reallocarray(supervisor->services, len, sizeof(struct service *));
    if (!services)
        return -ENOMEM;
    supervisor->services = services;
    struct order_node *nodes = reallocarray(supervisor->nodes, len, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    supervisor->nodes = nodes;
    bool *needed = reallocarray(supervisor->needed, len, sizeof(*needed));
    if (!needed)
        return -ENOMEM;
    supervisor->needed = needed;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct service *const *)a)->name, (*(struct service *const *)b)->name);
}

/* The list holds `len` services now, the new ones behind the old. */
static void set_services(struct supervisor *supervisor, size_t len)
{
    supervisor->len = len;
    qsort(supervisor->services, len, sizeof(supervisor->services[0]), by_name);
    memset(supervisor->nodes, 0, len * sizeof(supervisor->nodes[0]));
    renumber(supervisor);
    for (size_t i = 0; i < len; i++)
        service_update(supervisor->services[i]);
}

/* Adds the services of `spec` that are not there yet; all of them or none. */
static int add_services(struct supervisor *supervisor, const struct spec *spec, struct spec_ref *ref)
{
    size_t before = supervisor->len, added = before;

    if (make_room(supervisor, spec->services_len) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < spec->services_len; i++) {
        if (supervisor_find(supervisor, spec->services[i].name))
            continue;
        struct service *service = service_new(supervisor, spec->services[i].name);
        if (!service) {
            while (added > before)
                service_free(supervisor->services[--added]);
            return -ENOMEM;
        }
        service->last_version = 1;
        service->version = (struct version){ .number = 1, .ref = spec_ref_take(ref), .spec = &spec->services[i] };
        service->replicas = spec->services[i].replicas;
        supervisor->services[added++] = service;
    }
    set_services(supervisor, added);
    return 0;
}

int supervisor_take_spec(struct supervisor *supervisor, struct spec *spec, uint32_t id)
{
    struct spec_ref *ref = malloc(sizeof(*ref));
    if (!ref)
        return -ENOMEM;
    *ref = (struct spec_ref){ .spec = spec, .id = id, .refs = 1 };
    if (add_services(supervisor, spec, ref) < 0) {
        free(ref); /* the spec stays the caller's */
        return -ENOMEM;
    }
    spec_ref_drop(&supervisor->ref);
    supervisor->ref = ref;
    return 0;
}

struct service *supervisor_add_departed(struct supervisor *supervisor, const char *name)
{
    static char *command[] = { "departed", NULL }, *environment[] = { NULL };
    struct service *service = make_room(supervisor, 1) < 0 ? NULL : service_new(supervisor, name);

    if (service)
        service->departed = malloc(sizeof(*service->departed));
    if (!service || !service->departed) {
        service_free(service);
        return NULL;
    }
    *service->departed = (struct spec_service){
        .name = service->name,
        .image = "",
        .built_as = service->name,
        .process_command = command,
        .environment = environment,
        .working_dir = "",
        .user = "",
        .hostname = "",
        .container_name = "",
        .stop_signal = SIGTERM,
        .stop_grace_period_ns = DEPARTED_GRACE_NS,
    };
    service->last_version = 1;
    service->version =
        (struct version){ .number = 1, .ref = spec_ref_take(supervisor->ref), .spec = service->departed };
    service->gone = service->wanted = true; /* to be stopped when nothing needs it */
    supervisor->services[supervisor->len] = service;
    set_services(supervisor, supervisor->len + 1);
    return service;
}

/* Makes one service be as the new spec says. */
static int configure(struct service *service, struct spec_ref *ref, struct spec_service *spec)
{
    const struct spec_service *before = service->pending.number ? service->pending.spec : service->version.spec;
    /* What `scale` said stays until the file says another number. */
    int replicas = service->wanted && before->replicas == spec->replicas ? service->replicas : spec->replicas;

    service->wanted = true;
    service_configure(service, ref, spec);
    service_revive(service, false);
    return service_resize(service, replicas);
}

/* After everything that can fail without a trace: from here on the new spec is the project's. */
static int apply_chosen(struct supervisor *supervisor, struct spec_ref *ref, const bool *chosen, bool all)
{
    struct spec *spec = ref->spec;
    int result = 0;

    for (size_t i = 0; i < spec->services_len; i++) {
        struct service *service = supervisor_find(supervisor, spec->services[i].name);
        service->told = false; /* there may be routes that lead to it now */
        if (!chosen[i])
            continue;
        int r = configure(service, ref, &spec->services[i]);
        if (r < 0)
            result = r;
    }
    for (size_t i = 0; all && i < supervisor->len; i++)
        if (!spec_find_service(spec, supervisor->services[i]->name))
            supervisor->services[i]->gone = true;
    supervisor_settle_soon(supervisor);
    return result;
}

int supervisor_apply(struct supervisor *supervisor, struct spec *spec, uint32_t id, const char *const *only,
                     struct err *err)
{
    CLEANUP_FREE bool *chosen = NULL;

    if (supervisor->down)
        return err_set(err, -ESHUTDOWN, "the project is going down; try again when it is");
    int r = choose(spec, only, &chosen, err);
    if (r < 0)
        return r;
    bool first = !supervisor->ref;
    if (supervisor_take_spec(supervisor, spec, id) < 0)
        return err_errno(err, -ENOMEM, "cannot apply the file");
    tell_project(supervisor, first ? "the project goes up" : "the file was applied again");
    r = apply_chosen(supervisor, supervisor->ref, chosen, only == NULL);
    if (r < 0)
        tell_project(supervisor, "out of memory: not all instances could be made");
    return 0;
}

int supervisor_apply_again(struct supervisor *supervisor, const char *const *only, struct err *err)
{
    CLEANUP_FREE bool *chosen = NULL;

    int r = choose(supervisor_spec(supervisor), only, &chosen, err);
    return r < 0 ? r : apply_chosen(supervisor, supervisor->ref, chosen, only == NULL);
}

static bool is_of(const struct version *version, uint32_t id)
{
    return version->ref && version->ref->id == id;
}

bool supervisor_uses_spec(const struct supervisor *supervisor, uint32_t id)
{
    if (supervisor->ref && supervisor->ref->id == id)
        return true;
    for (size_t i = 0; i < supervisor->len; i++) {
        const struct service *service = supervisor->services[i];
        bool used = is_of(&service->version, id) || is_of(&service->pending, id) || is_of(&service->deploy.from, id);
        for (size_t n = 0; n < SERVICE_HISTORY; n++)
            used = used || is_of(&service->history[n], id);
        for (size_t n = 0; n < service->len; n++)
            used = used || service->instances[n]->ref->id == id;
        if (used)
            return true;
    }
    return false;
}

/* --- down --- */

void supervisor_down(struct supervisor *supervisor)
{
    if (!supervisor->down) {
        supervisor->down = true;
        tell_project(supervisor, "the project goes down");
        supervisor_settle_soon(supervisor);
        return;
    }
    for (size_t i = 0; i < supervisor->len; i++) {
        struct service *service = supervisor->services[i];
        service_stop(service, CAUSE_STOP);
        for (size_t n = 0; n < service->len; n++)
            instance_kill(service->instances[n]);
    }
}

bool supervisor_is_down(const struct supervisor *supervisor)
{
    if (!supervisor->down)
        return false;
    for (size_t i = 0; i < supervisor->len; i++)
        if (supervisor->services[i]->wanted || supervisor->nodes[i].running)
            return false;
    return true;
}

void supervisor_drained_bell(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->len; i++)
        for (size_t n = 0; n < supervisor->services[i]->len; n++) {
            instance_check_drained(supervisor->services[i]->instances[n]);
            instance_check_hung(supervisor->services[i]->instances[n]);
            instance_check_alive(supervisor->services[i]->instances[n]);
        }
}
