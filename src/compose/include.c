/* SPDX-License-Identifier: MIT */
#include "compose/extends.h"

#include "compose/envfile.h"
#include "compose/merge.h"
#include "compose/normalise.h"

#include "base/names.h"

#include <string.h>

enum { DEPTH_MAX = 32, FILES_MAX = 1000 };

/* Only what a project is made of comes in. */
static void keep_resources(struct node *document)
{
    static const char *const kept[] = { "services", "networks", "volumes", "secrets", "configs", "models", NULL };

    for (size_t i = document->len; i-- > 0;)
        if (!names_have(kept, document->entries[i].key))
            node_remove_at(document, i);
}

/* What the including project does not set itself comes from the entry's env files, or from the .env beside what it includes. */
static void read_environment(struct loading *load, const struct node *entry, const char *base_dir)
{
    struct interpolation with = { .pool = load->pool, .problems = load->problems, .lookup = load_lookup, .data = load };
    struct node *values = node_new(load->pool, NODE_MAP, entry->place);
    const struct node *files = node_get(entry, "env_file");
    const char *usual = files ? NULL : load_usual_env_file(load, load->base_dir);

    if (usual)
        load_env_file(load, &with, entry->place, usual, false, values);
    for (size_t i = 0; files && i < files->len; i++) {
        const struct node *file = node_at(files, i);
        load_env_file(load, &with, file->place, load_path(load, base_dir, node_str(file)), false, values);
    }
    load->environment = node_copy(load->pool, load->environment);
    for (size_t i = 0; i < values->len; i++)
        if (!node_entry(load->environment, values->entries[i].key))
            node_set(load->pool, load->environment, values->entries[i].key, values->entries[i].place,
                     values->entries[i].value);
}

/* Would it not come to an end, or not soon? */
static bool is_endless(const struct loading *load, const char *path, struct place place)
{
    for (size_t i = 0; i < load->including->len; i++)
        if (strcmp(node_str(node_at(load->including, i)), path) == 0) {
            problem_error(load->problems, place, "%s includes itself", path);
            return true;
        }
    if (load->including->len >= DEPTH_MAX)
        problem_error(load->problems, place, "includes are nested too deeply");
    else if (*load->included >= FILES_MAX)
        problem_error(load->problems, place, "more than %d files are included", FILES_MAX);
    else
        return false;
    return true;
}

/* The files of one entry, merged over each other; NULL when none can be had. What is missing makes the load incomplete. */
static struct node *load_entry(struct loading *load, struct node *entry)
{
    merge_finish(load, &schema_anything, entry);
    const struct node *paths = node_get(entry, "path"), *directory = node_get(entry, "project_directory");
    struct loading inner = *load;
    struct node *project = NULL;

    bool faulty = entry->faulty || (paths && paths->faulty);
    load->incomplete = load->incomplete || faulty;
    if (!node_is(paths, NODE_LIST) || paths->len == 0) {
        if (!faulty)
            problem_error(load->problems, entry->place, "include needs `path`");
        load->incomplete = true;
        return NULL;
    }
    const char *first = load_path(load, load->base_dir, node_str(node_at(paths, 0)));
    inner.base_dir =
        node_str(directory) ? load_path(load, load->base_dir, node_str(directory)) : load_dirname(load->pool, first);
    inner.including = node_copy(load->pool, load->including);
    read_environment(&inner, entry, load->base_dir);
    for (size_t i = 0; i < paths->len; i++) {
        struct node *path = node_at(paths, i);
        const char *file = load_path(load, load->base_dir, node_str(path));
        if (is_endless(load, file, path->place)) {
            load->incomplete = true;
            continue;
        }
        ++*load->included;
        node_append(load->pool, inner.including, node_string(load->pool, path->place, file));
        inner.note = load_note(load, "included", path->place);
        struct node *document = load_file(&inner, path->place, file);
        load->incomplete = load->incomplete || inner.incomplete || !document;
        if (document)
            project = project ? merge_nodes(load, &schema_root, project, document) : document;
    }
    if (project) {
        normalise_defaults(&inner, project);
        normalise_nulls(&inner, project);
        keep_resources(project);
    }
    return project;
}

struct node *include_resolve(struct loading *load, struct node *document)
{
    const struct node *includes = node_get(document, "include");
    struct node *included = NULL;

    /* Of two includes the first wins, the including document over both. */
    for (size_t i = 0; node_is(includes, NODE_LIST) && i < includes->len; i++) {
        struct node *one = load_entry(load, node_at(includes, i));
        if (one)
            included = included ? merge_nodes(load, &schema_root, one, included) : one;
    }
    node_remove(document, "include");
    return included ? merge_nodes(load, &schema_root, included, document) : document;
}
