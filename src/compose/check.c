/* SPDX-License-Identifier: MIT
 *
 * What is right by itself and wrong together: references to what is not there, cycles, contradictions.
 */
#include "compose/normalise.h"

#include "compose/schema.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

struct check {
    struct loading *load;
    const struct node *project, *services, *disabled;
};

static void undefined(const struct check *check, struct place place, const char *service, const char *what,
                      const char *name, const struct node *known)
{
    const char *near = schema_nearest_key(check->load->problems, known, name);

    if (check->load->incomplete || (known ? known->faulty : check->project->faulty))
        return; /* it may be where something else is wrong */
    problem_error(check->load->problems, place, "service `%s` refers to the %s `%s`, which is not defined%s%s%s",
                  service, what, name, near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static void check_dependencies(const struct check *check, const struct entry *service)
{
    const struct node *depends_on = node_get(service->value, "depends_on");

    for (size_t i = 0; node_is(depends_on, NODE_MAP) && i < depends_on->len; i++) {
        const struct entry *entry = &depends_on->entries[i];
        const struct node *required = node_get(entry->value, "required");
        if (node_entry(check->services, entry->key))
            continue;
        if (!node_entry(check->disabled, entry->key))
            undefined(check, entry->place, service->key, "service", entry->key, check->services);
        else if (!node_is(required, NODE_BOOL) || required->u.boolean)
            problem_error(check->load->problems, entry->place,
                          "service `%s` depends on `%s`, which its profiles switch off; switch one of them on with "
                          "--profile, or write `required: false`",
                          service->key, entry->key);
    }
}

/* `key` of the service refers to entries of the top-level element of that name. */
static void check_references(const struct check *check, const struct entry *service, const char *key, const char *what)
{
    const struct node *uses = node_get(service->value, key), *known = node_get(check->project, key);

    for (size_t i = 0; uses && i < uses->len; i++) {
        const struct entry *entry = &uses->entries[i];
        const char *name = uses->kind == NODE_MAP ? entry->key : node_str(node_get(entry->value, "source"));
        if (name && !node_entry(known, name))
            undefined(check, entry->place, service->key, what, name, known);
    }
}

static void check_volumes(const struct check *check, const struct entry *service)
{
    const struct node *mounts = node_get(service->value, "volumes"), *known = node_get(check->project, "volumes");

    for (size_t i = 0; node_is(mounts, NODE_LIST) && i < mounts->len; i++) {
        const struct node *mount = node_at(mounts, i);
        const char *type = node_str(node_get(mount, "type")), *source = node_str(node_get(mount, "source"));
        if (type && strcmp(type, "volume") == 0 && source && *source && !node_entry(known, source))
            undefined(check, mount->place, service->key, "volume", source, known);
    }
}

/* What its build takes from elsewhere in the project. */
static void check_build(const struct check *check, const struct entry *service)
{
    const struct node *build = node_get(service->value, "build"), *contexts = node_get(build, "additional_contexts");
    const struct node *secrets = node_get(build, "secrets"), *known = node_get(check->project, "secrets");
    const struct entry *text = node_entry(build, "dockerfile_inline");

    for (size_t i = 0; node_is(secrets, NODE_LIST) && i < secrets->len; i++) {
        const char *name = node_str(node_get(node_at(secrets, i), "source"));
        if (name && !node_entry(known, name))
            undefined(check, node_at(secrets, i)->place, service->key, "secret", name, known);
    }
    for (size_t i = 0; node_is(contexts, NODE_MAP) && i < contexts->len; i++) {
        const struct node *value = contexts->entries[i].value;
        const char *name = node_str(value) && strncmp(node_str(value), "service:", 8) == 0 ? node_str(value) + 8 : NULL;
        if (name && !node_entry(check->services, name) && !node_entry(check->disabled, name))
            undefined(check, value->place, service->key, "service", name, check->services);
    }
    if (text && node_get(build, "dockerfile"))
        problem_error(check->load->problems, text->place,
                      "service `%s` has both `dockerfile` and `dockerfile_inline`; remove one of them", service->key);
}

/* What can be said in two ways is said once, or twice the same. */
static void check_limits(const struct check *check, const struct entry *service)
{
    static const struct {
        const char *own, *part, *name;
    } pairs[] = {
        { "cpus", "limits", "cpus" },
        { "mem_limit", "limits", "memory" },
        { "mem_reservation", "reservations", "memory" },
        { "pids_limit", "limits", "pids" },
    };
    const struct node *resources = node_get(node_get(service->value, "deploy"), "resources");

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct entry *own = node_entry(service->value, pairs[i].own);
        const struct node *other = node_get(node_get(resources, pairs[i].part), pairs[i].name);
        struct pool *pool = check->load->pool;
        bool numbers = own && node_is(own->value, NODE_INT | NODE_FLOAT) && node_is(other, NODE_INT | NODE_FLOAT);
        if (numbers && strcmp(node_text(pool, own->value), node_text(pool, other)) != 0)
            problem_error(check->load->problems, own->place,
                          "service `%s`: `%s` and `deploy.resources.%s.%s` differ; remove one of them", service->key,
                          pairs[i].own, pairs[i].part, pairs[i].name);
    }
}

static void check_contradictions(const struct check *check, const struct entry *service)
{
    struct problems *problems = check->load->problems;
    const struct entry *scale = node_entry(service->value, "scale");
    const struct node *replicas = node_get(node_get(service->value, "deploy"), "replicas");
    const struct entry *mode = node_entry(service->value, "network_mode");
    const struct node *networks = node_get(service->value, "networks");
    const struct entry *name = node_entry(service->value, "container_name");
    const struct node *wanted = scale ? scale->value : replicas;

    if (scale && node_is(replicas, NODE_INT) && node_is(scale->value, NODE_INT) &&
        scale->value->u.integer != replicas->u.integer)
        problem_error(problems, scale->place,
                      "service `%s`: `scale` says %" PRId64 " and `deploy.replicas` %" PRId64 "; remove one of them",
                      service->key, scale->value->u.integer, replicas->u.integer);
    if (name && node_is(wanted, NODE_INT) && wanted->u.integer > 1)
        problem_error(problems, name->place,
                      "service `%s` has a `container_name` and wants %" PRId64 " instances; a name fits only one",
                      service->key, wanted->u.integer);
    if (mode && node_is(networks, NODE_MAP) && networks->len > 0)
        problem_error(problems, mode->place, "service `%s` has both `network_mode` and `networks`; remove one of them",
                      service->key);
    if (node_is(wanted, NODE_INT) && wanted->u.integer < 0)
        problem_error(problems, wanted->place, "service `%s` cannot have %" PRId64 " instances", service->key,
                      wanted->u.integer);
}

/* --- Cycles --- */

enum mark { UNSEEN, ON_THE_WAY, DONE };

struct walk {
    const struct check *check;
    enum mark *marks;    /* of each service */
    size_t *path, depth; /* the services on the way */
};

enum { SHOWN_OF_CYCLE = 10 };

static void tell_cycle(struct walk *walk, size_t back_to, struct place place)
{
    const struct node *services = walk->check->services;
    struct text text = { .pool = walk->check->load->pool };
    size_t first = walk->depth - 1;

    while (walk->path[first] != back_to)
        first--;
    for (size_t i = first; i < walk->depth && i < first + SHOWN_OF_CYCLE; i++) {
        text_puts(&text, services->entries[walk->path[i]].key);
        text_puts(&text, " → ");
    }
    if (walk->depth - first > SHOWN_OF_CYCLE)
        text_puts(&text, "… → ");
    text_puts(&text, services->entries[back_to].key);
    problem_error(walk->check->load->problems, place, "services depend on each other in a circle: %s", text_str(&text));
}

static void visit(struct walk *walk, size_t index)
{
    const struct node *services = walk->check->services;
    const struct node *depends_on = node_get(services->entries[index].value, "depends_on");

    walk->marks[index] = ON_THE_WAY;
    walk->path[walk->depth++] = index;
    for (size_t i = 0; node_is(depends_on, NODE_MAP) && i < depends_on->len; i++) {
        const struct entry *on = node_entry(services, depends_on->entries[i].key);
        if (!on)
            continue;
        size_t next = (size_t)(on - services->entries);
        if (walk->marks[next] == ON_THE_WAY)
            tell_cycle(walk, next, depends_on->entries[i].place);
        else if (walk->marks[next] == UNSEEN)
            visit(walk, next);
    }
    walk->depth--;
    walk->marks[index] = DONE;
}

static void check_cycles(const struct check *check)
{
    size_t n = check->services->len;
    struct walk walk = { .check = check,
                         .marks = POOL_ARRAY(check->load->pool, enum mark, n),
                         .path = POOL_ARRAY(check->load->pool, size_t, n) };

    for (size_t i = 0; i < n; i++)
        if (walk.marks[i] == UNSEEN)
            visit(&walk, i);
}

void normalise_check(struct loading *load, const struct node *project, const struct node *disabled)
{
    struct check check = { load, project, node_get(project, "services"), disabled };

    if (!node_is(check.services, NODE_MAP))
        return;
    for (size_t i = 0; i < check.services->len; i++) {
        const struct entry *service = &check.services->entries[i];
        check_dependencies(&check, service);
        check_references(&check, service, "networks", "network");
        check_references(&check, service, "secrets", "secret");
        check_references(&check, service, "configs", "config");
        check_references(&check, service, "models", "model");
        check_volumes(&check, service);
        check_build(&check, service);
        check_limits(&check, service);
        check_contradictions(&check, service);
    }
    check_cycles(&check);
}

void normalise_check_names(struct loading *load, const struct node *project)
{
    const struct node *services = node_get(project, "services");
    struct node *names = node_new(load->pool, NODE_MAP, project->place); /* name → the service that has it */

    for (size_t i = 0; node_is(services, NODE_MAP) && i < services->len; i++) {
        const struct entry *service = &services->entries[i];
        const struct node *name = node_get(service->value, "container_name");
        const struct node *other = node_str(name) ? node_get(names, node_str(name)) : NULL;
        if (other)
            problem_error(load->problems, name->place,
                          "service `%s` already has the container_name `%s`; no two containers have the same",
                          node_str(other), node_str(name));
        else if (node_str(name))
            node_set(load->pool, names, node_str(name), name->place,
                     node_string(load->pool, name->place, service->key));
    }
}
