/* SPDX-License-Identifier: MIT
 *
 * compose_load(): the steps in their order.
 */
#include "compose/load.h"

#include "compose/canonical.h"
#include "compose/extends.h"
#include "compose/files.h"
#include "compose/interpolate.h"
#include "compose/merge.h"
#include "compose/nginx_gateway.h"
#include "compose/nginx_service.h"
#include "compose/normalise.h"
#include "compose/spec_build.h"
#include "compose/yaml.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_MAX = 512 << 20, SERVICES_MAX = 10000 };

/* Everything of one load that has to outlive a failing pool. */
struct job {
    struct pool pool;
    jmp_buf failure;
    const struct compose_request *request;
    struct problems *problems;
    struct spec *spec;
    size_t included;
    struct place at;
    int code;
};

struct node *load_documents(struct loading *load, struct place place, const char *path)
{
    size_t len;

    *load->at = (struct place){ .file = path };
    const char *text = load_read(load, place, path, &len);
    return text ? yaml_parse(load->pool, load->problems, path, load->note, text, len) : NULL;
}

void load_interpolate_service(struct loading *load, struct interpolation *with, struct node *service)
{
    static const char *const files[] = { "extends", "env_file", "label_file" };

    if (!load->no_interpolate)
        interpolate_tree(with, service);
    for (size_t i = 0; load->no_interpolate && i < ARRAY_LEN(files); i++)
        interpolate_entry(with, service, files[i]);
}

static void interpolate_document(struct loading *load, struct interpolation *with, struct node *document)
{
    const struct node *services = node_get(document, "services");

    if (!load->no_interpolate) {
        interpolate_tree(with, document);
        return;
    }
    interpolate_entry(with, document, "include");
    for (size_t i = 0; node_is(services, NODE_MAP) && i < services->len; i++)
        load_interpolate_service(load, with, services->entries[i].value);
}

/* One document through all steps before merging. What is wrong in it is told and taken out, so that the following steps
   tell the rest. */
static struct node *prepare(struct loading *load, struct node *document)
{
    struct interpolation with = { .pool = load->pool,
                                  .problems = load->problems,
                                  .lookup = load_lookup,
                                  .origin = load_origin,
                                  .data = load,
                                  .missed = load->missed };

    if (load->variables)
        interpolate_mentions(load->pool, document, load->variables);
    interpolate_document(load, &with, document);
    schema_validate(load->pool, load->problems, &schema_root, document, "");
    document = canonical_tree(load, &schema_root, document);
    extends_resolve(load, document->place.file, document);
    return include_resolve(load, document);
}

static struct node *merge_all(struct loading *load, struct node *documents)
{
    struct node *project = NULL;

    for (size_t i = 0; i < documents->len; i++) {
        struct node *document = prepare(load, node_at(documents, i));
        if (document)
            project = project ? merge_nodes(load, &schema_root, project, document) : document;
    }
    return project;
}

struct node *load_file(struct loading *load, struct place place, const char *path)
{
    struct node *documents = load_documents(load, place, path);
    return documents ? merge_all(load, documents) : NULL;
}

/* The project's name as the files say it; the last one counts. */
static const char *name_in(struct loading *load, const struct node *documents)
{
    struct problems ignored = { 0 }; /* told when the document itself is interpolated */
    struct interpolation with = { .pool = load->pool, .problems = &ignored, .lookup = load_lookup, .data = load };
    const char *name = NULL;

    for (size_t i = 0; i < documents->len; i++) {
        const struct node *node = node_get(node_at(documents, i), "name");
        const char *text = node_str(node) ? interpolate_text(&with, node->place, node_str(node)) : NULL;
        name = text ? text : name;
    }
    problems_free(&ignored);
    return name;
}

static const char *project_name(struct loading *load, const struct compose_request *request,
                                const struct node *documents, const char *directory)
{
    const char *slash = strrchr(directory, '/');
    const char *name = request->project_name, *from = "-p";

    if (!name || !*name) {
        name = load_lookup(load, "COMPOSE_PROJECT_NAME");
        from = "COMPOSE_PROJECT_NAME";
    }
    if (!name || !*name) {
        name = name_in(load, documents);
        name = name ? files_normalise_name(load->pool, name) : NULL;
        from = "`name`";
    }
    if (!name || !*name) {
        name = files_normalise_name(load->pool, slash ? slash + 1 : directory);
        from = "the directory";
    }
    if (!*name)
        problem_error(load->problems, (struct place){ 0 }, "the project has no name; give one with -p or `name:`");
    else if (!files_name_is_valid(name))
        problem_error(
            load->problems, (struct place){ 0 },
            "`%s` (%s) is no project name; use lower-case letters, digits, - and _, beginning with a letter or "
            "digit",
            name, from);
    return name;
}

/* A document of comments only says nothing. */
static void drop_empty(struct node *documents)
{
    for (size_t i = documents ? documents->len : 0; i-- > 0;)
        if (node_at(documents, i)->kind == NODE_NULL)
            node_remove_at(documents, i);
}

/* The documents of all files, in order; what cannot be read is told and left out. */
static struct node *parse_all(struct loading *load, const struct node *files)
{
    struct node *all = node_new(load->pool, NODE_LIST, (struct place){ 0 });

    for (size_t i = 0; i < files->len; i++) {
        struct node *documents = load_documents(load, (struct place){ 0 }, node_str(node_at(files, i)));
        load->incomplete = load->incomplete || !documents;
        drop_empty(documents);
        for (size_t j = 0; documents && j < documents->len; j++)
            node_append(load->pool, all, node_at(documents, j));
    }
    if (all->len == 0 && load->problems->errors == 0)
        problem_error(load->problems, (struct place){ .file = node_str(node_at(files, 0)) },
                      "the file is empty; it needs at least `services:`");
    return all;
}

static struct node *list_of(struct pool *pool, const char *const *strings)
{
    struct node *list = node_new(pool, NODE_LIST, (struct place){ 0 });

    for (; strings && *strings; strings++)
        node_append(pool, list, node_string(pool, (struct place){ 0 }, pool_strdup(pool, *strings)));
    return list;
}

/* --profile, else COMPOSE_PROFILES. */
static struct node *active_profiles(struct loading *load, const struct compose_request *request)
{
    struct node *active = list_of(load->pool, request->profiles);
    const char *rest = active->len == 0 ? load_lookup(load, "COMPOSE_PROFILES") : NULL;

    while (rest && *rest) {
        rest += strspn(rest, " ,");
        size_t len = strcspn(rest, " ,");
        if (len > 0)
            node_append(load->pool, active,
                        node_string(load->pool, (struct place){ 0 }, pool_strndup(load->pool, rest, len)));
        rest += len;
    }
    return active;
}

/* A project without services: its gateway does what a file of nginx's says. */
static void load_nginx(struct job *job, struct loading *load)
{
    const struct compose_request *request = job->request;
    struct node *files = node_new(load->pool, NODE_LIST, (struct place){ 0 });
    const struct node *none = node_new(load->pool, NODE_LIST, (struct place){ 0 });
    const char *path = load_clean(load->pool, load_path(load, request->working_dir, request->nginx_conf));
    const char *directory = load_dirname(load->pool, path);
    struct place place = { .file = path };

    load->base_dir = directory;
    job->code = -EINVAL;
    files_add_environment(load, request->environment);
    const char *name = project_name(load, request, node_new(load->pool, NODE_LIST, place), directory);
    struct node *gateway = nginx_gateway_load(load, (struct place){ 0 }, path, &(struct nginx_surroundings){ 0 });
    if (!gateway || job->problems->errors > 0)
        return;
    struct node *project = node_new(load->pool, NODE_MAP, place);
    node_append(load->pool, files, node_string(load->pool, place, path));
    node_set(load->pool, project, "name", place, node_string(load->pool, place, name));
    node_set(load->pool, project, "services", place, node_new(load->pool, NODE_MAP, place));
    node_set(load->pool, project, "x-gateway", place, gateway);
    job->spec = spec_build(load, project, &(struct spec_origin){ directory, files, none, none });
    job->code = job->problems->errors > 0 ? -EINVAL : 0;
}

static void load_project(struct job *job)
{
    struct loading *load = POOL_NEW(&job->pool, struct loading);
    struct place nowhere = { 0 };
    struct project_files found;

    *load = (struct loading){ .pool = &job->pool,
                              .problems = job->problems,
                              .environment = node_new(&job->pool, NODE_MAP, nowhere),
                              .missed = node_new(&job->pool, NODE_MAP, nowhere),
                              .files = node_new(&job->pool, NODE_MAP, nowhere),
                              .included = &job->included,
                              .at = &job->at,
                              .no_interpolate = job->request->no_interpolate,
                              .stdin_as_dash = job->request->stdin_as_dash };
    if (job->request->nginx_conf) {
        load_nginx(job, load);
        return;
    }
    job->code = files_find(load, job->request, &found);
    if (job->code < 0)
        return;
    load->base_dir = found.directory;
    load->keep_paths = job->request->no_paths ? found.directory : NULL;
    load->variables = job->request->want_variables ? node_new(load->pool, NODE_MAP, nowhere) : NULL;
    load->including = found.files;
    struct node *documents = parse_all(load, found.files);
    const char *name = project_name(load, job->request, documents, found.directory);
    node_set(load->pool, load->environment, "COMPOSE_PROJECT_NAME", nowhere, node_string(load->pool, nowhere, name));
    struct node *project = merge_all(load, documents);
    job->code = -EINVAL;
    if (!project)
        return;
    merge_finish(load, &schema_root, project);
    const struct node *services = node_get(project, "services");
    if (services && services->len > SERVICES_MAX) {
        problem_error(load->problems, services->place, "%zu services are too many; at most %d", services->len,
                      SERVICES_MAX);
        return;
    }
    schema_require(load->pool, load->problems, &schema_root, project, "");
    struct node *active = active_profiles(load, job->request);
    node_set(load->pool, project, "name", project->place, node_string(load->pool, project->place, name));
    normalise_defaults(load, project);
    if (!job->request->no_normalise)
        normalise_project(load, project, name);
    struct node *disabled = normalise_profiles(load, project, active, job->request->services);
    if (!job->request->no_consistency) {
        normalise_check(load, project, disabled);
        normalise_check_services(load, project);
    }
    normalise_check_rules(load, project);
    normalise_select(load, project, job->request->services, disabled);
    if (!job->request->no_consistency)
        normalise_check_names(load, project);
    if (job->request->prune)
        normalise_prune(load, project);
    normalise_nulls(load, project);
    if (!job->request->no_env_files)
        normalise_environment(load, project);
    if (job->request->origins)
        found.files = list_of(load->pool, job->request->origins);
    if (job->request->replace_nginx && job->problems->errors == 0)
        nginx_service_replace(load, project, job->request->services);
    job->spec = spec_build(load, project, &(struct spec_origin){ found.directory, found.files, active, disabled });
    if (job->spec)
        job->spec->variables = load->variables;
    job->code = job->problems->errors > 0 ? -EINVAL : 0;
}

int compose_load(const struct compose_request *request, struct spec **ret, struct problems *problems)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    job->request = request;
    job->problems = problems;
    job->pool.limit = MEMORY_MAX;
    job->pool.failure = &job->failure;
    if (setjmp(job->failure) == 0) {
        load_project(job);
    } else {
        problem_error(problems, job->at, "not enough memory to load the project; at most %d MiB are used for it",
                      MEMORY_MAX >> 20);
        job->code = -ENOMEM;
    }
    int code = job->code;
    if (job->spec)
        job->spec->memory = job;
    if (code == 0) {
        *ret = job->spec;
        return 0;
    }
    if (job->spec) {
        spec_free(job->spec);
    } else {
        pool_free(&job->pool);
        free(job);
    }
    return code;
}

void spec_free(struct spec *spec)
{
    if (!spec)
        return;
    struct job *job = spec->memory;
    json_decref(spec->model);
    json_decref(spec->jobs);
    pool_free(&job->pool);
    free(job);
}
