/* SPDX-License-Identifier: MIT */
#include "compose/extends.h"

#include "compose/canonical.h"
#include "compose/interpolate.h"
#include "compose/merge.h"

#include <string.h>

enum { CHAIN_MAX = 64 };

/* Where a service comes from: a document in its canonical form, or a file of which only this service is wanted. */
struct source {
    const char *file;
    struct node *services;
    bool prepared;        /* canonical already */
    const char *base_dir; /* what its paths are relative to */
};

/* The services on the way to the present one, innermost first. */
struct link {
    const struct link *outer;
    const char *file, *service;
    struct place place;
    size_t length;
};

static struct node *resolve(struct loading *load, const struct source *source, struct entry *entry,
                            const struct link *outer);

static int compare_links(const struct link *a, const struct link *b)
{
    int files = strcmp(a->file, b->file);
    return files ? files : strcmp(a->service, b->service);
}

/* The circle from `last` out to `first`, each of which is the other's neighbour in it. However one got into it, it is told
   in the same way, and so only once: from the member that comes first by name. */
static void tell_circle(struct loading *load, const struct link *last, const struct link *first)
{
    const struct link *members[CHAIN_MAX], *link = last;
    size_t n = last->length - first->length + 1, begin = 0;
    struct text text = { .pool = load->pool };

    for (size_t i = n; i-- > 0; link = link->outer)
        members[i] = link;
    for (size_t i = 1; i < n; i++)
        begin = compare_links(members[i], members[begin]) < 0 ? i : begin;
    for (size_t i = 0; i <= n; i++)
        text_puts(&text, pool_printf(load->pool, "%s%s", i > 0 ? " → " : "", members[(begin + i) % n]->service));
    problem_error(load->problems, members[begin]->place, "services extend each other in a circle: %s", text_str(&text));
}

/* Would the chain not come to an end, or not soon? */
static bool is_endless(struct loading *load, const struct link *chain)
{
    for (const struct link *link = chain->outer; link; link = link->outer)
        if (compare_links(link, chain) == 0) {
            tell_circle(load, chain->outer, link);
            return true;
        }
    if (chain->length <= CHAIN_MAX)
        return false;
    problem_error(load->problems, chain->place, "more than %d services extend each other up to `%s`", CHAIN_MAX,
                  chain->service);
    return true;
}

/* A service of another file: only it is looked at, so that what else that file holds does not matter. */
static void prepare_service(struct loading *load, struct entry *entry)
{
    struct interpolation with = { .pool = load->pool,
                                  .problems = load->problems,
                                  .lookup = load_lookup,
                                  .origin = load_origin,
                                  .data = load,
                                  .missed = load->missed };

    if (entry->value->kind == NODE_NULL)
        return;
    entry->value = node_copy(load->pool, entry->value);
    if (load->variables)
        interpolate_mentions(load->pool, entry->value, load->variables);
    load_interpolate_service(load, &with, entry->value);
    schema_validate(load->pool, load->problems, &schema_service, entry->value,
                    pool_printf(load->pool, "services.%s", entry->key));
    entry->value = canonical_tree(load, &schema_service, entry->value);
}

static void undefined(struct loading *load, const struct node *reference, const char *file, const struct node *services)
{
    const char *name = node_str(reference), *near = schema_nearest_key(load->problems, services, name);

    problem_error(load->problems, reference->place, "there is no service `%s` in %s to extend%s%s%s", name, file,
                  near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

/* The services of a file, as they are written; read once. The last of its documents that has the service counts. */
static struct node *services_of(struct loading *load, struct place place, const char *file, const char *service)
{
    struct node *documents = node_get(load->files, file), *services = NULL;

    if (!documents) {
        const char *outer = load->note;
        load->note = load_note(load, "extended", place);
        documents = load_documents(load, place, file);
        load->note = outer;
        /* One that cannot be had is not tried again. */
        documents = documents ? documents : node_new(load->pool, NODE_NULL, place);
        node_set(load->pool, load->files, file, place, documents);
    }
    if (documents->kind == NODE_NULL)
        return NULL;
    for (size_t i = 0; i < documents->len; i++) {
        struct node *candidates = node_get(node_at(documents, i), "services");
        if (!services || node_get(candidates, service))
            services = candidates;
    }
    return services ? services : node_new(load->pool, NODE_MAP, place);
}

/* What `extends` refers to, itself resolved; NULL after telling why there is none. */
static struct node *find_base(struct loading *load, const struct source *source, const struct node *extends,
                              const struct link *chain)
{
    const struct node *name = node_get(extends, "service"), *file = node_get(extends, "file");
    const char *path = node_str(file) ? load_real_path(load, node_str(file)) : NULL;
    struct source other = *source;

    if (!node_str(name)) {
        if (!extends->faulty)
            problem_error(load->problems, extends->place, "extends needs `service`");
        return NULL;
    }
    if (path && strcmp(path, source->file) != 0) {
        struct node *services = services_of(load, file->place, path, node_str(name));
        if (!services)
            return NULL;
        other = (struct source){ path, services, false, load_dirname(load->pool, path) };
    }
    const struct entry *entry = node_entry(other.services, node_str(name));
    if (!entry) {
        undefined(load, name, other.file, other.services);
        return NULL;
    }
    struct entry copy = *entry;
    return resolve(load, &other, &copy, chain);
}

/* The service laid over what it extends. A copy where it is the base of another. */
static struct node *resolve(struct loading *load, const struct source *source, struct entry *entry,
                            const struct link *outer)
{
    const struct link chain = { outer, source->file, entry->key, entry->place, outer ? outer->length + 1 : 1 };
    const char *base_dir = load->base_dir;

    *load->at = entry->place;
    if (is_endless(load, &chain))
        return NULL;
    load->base_dir = source->base_dir;
    if (!source->prepared)
        prepare_service(load, entry);
    struct node *service = node_copy(load->pool, entry->value);
    const struct node *extends = node_get(service, "extends");
    if (extends) {
        struct node *base = find_base(load, source, extends, &chain);
        /* A base without a body changes nothing; the reference leaves `extends` standing then. */
        if (!base || base->kind != NODE_NULL) {
            node_remove(service, "extends");
            service->faulty = service->faulty || !base;
            service = base ? merge_nodes(load, &schema_service, base, service) : service;
        }
    }
    load->base_dir = base_dir;
    return service;
}

static bool extends_anything(const struct node *services)
{
    for (size_t i = 0; i < services->len; i++)
        if (node_get(services->entries[i].value, "extends"))
            return true;
    return false;
}

void extends_resolve(struct loading *load, const char *file, struct node *document)
{
    struct node *services = node_get(document, "services");

    if (!node_is(services, NODE_MAP))
        return;
    if (!extends_anything(services))
        return;
    /* Services are resolved from what is written, in any order. */
    struct source source = { file, node_copy(load->pool, services), true, load->base_dir };
    for (size_t i = 0; i < services->len; i++) {
        struct entry *entry = &services->entries[i];
        if (!node_get(entry->value, "extends"))
            continue;
        struct node *resolved = resolve(load, &source, entry, NULL);
        if (resolved)
            entry->value = resolved;
    }
}
