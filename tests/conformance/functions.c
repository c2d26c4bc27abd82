/* SPDX-License-Identifier: MIT
 *
 * The rows of semantics.tsv that name one function of the loader: each is asked directly.
 */
#include "corpus.h"

#include "compose/canonical.h"
#include "compose/envfile.h"
#include "compose/files.h"
#include "compose/interpolate.h"
#include "compose/merge.h"
#include "compose/normalise.h"
#include "compose/value.h"
#include "compose/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the loader's steps need, without a project. */
struct bench {
    struct place at;
    struct pool pool;
    struct problems problems;
    struct loading load;
    const struct rule *rule;
    bool mine; /* the row's area names a function */
};

static const struct place nowhere = { .file = "row", .line = 1, .column = 1 };

static const char *look_up(void *data, const char *name)
{
    const struct bench *bench = data;
    return json_string_value(json_object_get(bench->rule->environment, name));
}

static struct interpolation interpolation(struct bench *bench)
{
    return (
        struct interpolation){ .pool = &bench->pool, .problems = &bench->problems, .lookup = look_up, .data = bench };
}

static bool told_nothing(const struct bench *bench)
{
    return bench->problems.errors == 0;
}

/* A tree as JSON, without any rule of the model. */
static json_t *plain_json(struct bench *bench, const struct node *node)
{
    json_t *json = node->kind == NODE_MAP ? json_object() : json_array();

    if (node->kind & NODE_SCALAR) {
        json_decref(json);
        return node->kind == NODE_INT    ? json_integer(node->u.integer)
               : node->kind == NODE_BOOL ? json_boolean(node->u.boolean)
               : node->kind == NODE_NULL ? json_null()
                                         : json_string(node_text(&bench->pool, node));
    }
    for (size_t i = 0; i < node->len; i++) {
        json_t *value = plain_json(bench, node->entries[i].value);
        if (node->kind == NODE_MAP)
            (void)json_object_set_new(json, node->entries[i].key, value);
        else
            (void)json_array_append_new(json, value);
    }
    return json;
}

static struct node *parse(struct bench *bench, const char *text)
{
    struct node *documents = yaml_parse(&bench->pool, &bench->problems, "row", NULL, text, strlen(text));
    return documents && documents->len > 0 ? node_at(documents, 0) : NULL;
}

/* --- What each area's function gives; NULL: an error --- */

static json_t *env_file(struct bench *bench)
{
    struct interpolation with = interpolation(bench);
    struct node *into = node_new(&bench->pool, NODE_MAP, nowhere);
    bool ok = envfile_parse(&with, "row", NULL, bench->rule->input, false, into);
    return ok && told_nothing(bench) ? plain_json(bench, into) : NULL;
}

/* "base.env: A=1 B="x" ; override.env: …": two files, read one after the other. */
static json_t *env_files(struct bench *bench)
{
    struct interpolation with = interpolation(bench);
    struct node *into = node_new(&bench->pool, NODE_MAP, nowhere);
    char *text = pool_strdup(&bench->pool, bench->rule->input), *override = strstr(text, " ; override.env: ");

    if (!override)
        return env_file(bench);
    *override = '\0';
    for (char *file = text; file; file = file == text ? override + strlen(" ; ") : NULL) {
        file += strcspn(file, ":") + 2;
        *strchr(file, ' ') = '\n';
        if (!envfile_parse(&with, "row", NULL, file, false, into))
            return NULL;
        file = file < override ? text : file;
    }
    return plain_json(bench, into);
}

static json_t *env_line(struct bench *bench)
{
    json_t *values = env_file(bench), *line = NULL;
    if (values)
        line = json_sprintf("RESULT=%s", json_string_value(json_object_get(values, "RESULT")));
    json_decref(values);
    return line;
}

static const char *interpolate(struct bench *bench, const json_t *environment, const char *text)
{
    struct rule rule = *bench->rule;
    struct bench inner = *bench;
    rule.environment = environment;
    inner.rule = &rule;
    struct interpolation with = interpolation(&inner);
    with.pool = &bench->pool;
    const char *result = interpolate_text(&with, nowhere, text);
    bench->pool = inner.pool;
    bench->problems = inner.problems;
    return result;
}

static json_t *interpolation_text(struct bench *bench)
{
    struct interpolation with = interpolation(bench);
    const char *text = interpolate_text(&with, nowhere, bench->rule->input);
    return text ? json_string(text) : NULL;
}

/* Which operator `${NAME…}` was taken to have shows in what it does with a name that is unset, empty and set. */
static json_t *interpolation_operator(struct bench *bench)
{
    static const struct {
        const char *text, *unset, *empty, *set; /* "=": the word; NULL: an error */
    } operators[] = {
        { ":-", "=", "=", "v" }, { "-", "=", "", "v" },     { ":+", "", "", "=" },
        { "+", "", "=", "=" },   { ":?", NULL, NULL, "v" }, { "?", NULL, "", "v" },
    };
    const char *text = pool_printf(&bench->pool, "${%s}", bench->rule->input);
    json_t *unset = json_object(), *empty = json_pack("{ss}", "VARNAME", ""), *set = json_pack("{ss}", "VARNAME", "v");
    const char *got[] = { interpolate(bench, unset, text), interpolate(bench, empty, text),
                          interpolate(bench, set, text) };
    const char *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(operators) && !found; i++) {
        const char *word = bench->rule->input + strlen("VARNAME") + strlen(operators[i].text);
        const char *wanted[] = { operators[i].unset, operators[i].empty, operators[i].set };
        bool fits = true;
        for (size_t j = 0; j < 3; j++) {
            const char *value = wanted[j] && *wanted[j] == '=' ? word : wanted[j];
            fits = fits && (value ? got[j] && strcmp(got[j], value) == 0 : !got[j]);
        }
        found = fits ? operators[i].text : NULL;
    }
    json_decref(unset);
    json_decref(empty);
    json_decref(set);
    return found ? json_string(found) : NULL;
}

/* Some rows also say what two of the values are, as the schema of a file would. */
static json_t *interpolation_tree(struct bench *bench)
{
    static const struct schema number = { .kinds = NODE_SCALAR, .format = FORMAT_INT },
                               truth = { .kinds = NODE_SCALAR, .format = FORMAT_BOOL };
    static const struct attribute fields[] = { { .name = "replicas", .schema = &number },
                                               { .name = "required", .schema = &truth },
                                               { 0 } };
    static const struct schema inner = { .kinds = NODE_MAP, .fields = fields, .others = &schema_anything },
                               outer = { .kinds = NODE_MAP, .others = &inner };
    struct interpolation with = interpolation(bench);
    struct node *tree = parse(bench, bench->rule->input);

    if (!tree)
        return NULL;
    interpolate_tree(&with, tree);
    tree = canonical_tree(&bench->load, &outer, tree);
    return told_nothing(bench) ? plain_json(bench, tree) : NULL;
}

static json_t *duration(struct bench *bench)
{
    int64_t ns;
    if (value_duration(bench->rule->input, &ns) < 0)
        return NULL;
    return json_pack("{sIss}", "ns", (json_int_t)ns, "string", value_format_duration(&bench->pool, ns));
}

static json_t *bytes(struct bench *bench)
{
    int64_t size;
    return value_bytes(bench->rule->input, &size) == 0 ? json_integer(size) : NULL;
}

/* As they are printed, which leaves out a target of 0. */
static json_t *ports(struct bench *bench)
{
    struct node *root = parse(bench, "{services: {a: {ports: []}}}");
    struct node *service = node_get(node_get(root, "services"), "a"), *list = node_get(service, "ports");

    node_append(&bench->pool, list, node_string(&bench->pool, nowhere, bench->rule->input));
    node_set(&bench->pool, service, "ports", nowhere, canonical_ports(&bench->load, list));
    if (!told_nothing(bench))
        return NULL;
    json_t *model = model_from_project(root, true);
    json_t *printed = json_object_get(json_object_get(json_object_get(model, "services"), "a"), "ports");
    printed = json_incref(printed);
    json_decref(model);
    return printed;
}

static json_t *extra_hosts(struct bench *bench)
{
    struct node *list = parse(bench, bench->rule->input);
    struct node *hosts = list ? canonical_extra_hosts(&bench->load, list) : NULL;
    return hosts && told_nothing(bench) ? model_print_pairs(hosts) : NULL;
}

static json_t *command(struct bench *bench)
{
    struct node *words = node_new(&bench->pool, NODE_LIST, nowhere);
    if (value_split(&bench->pool, nowhere, bench->rule->input, words) < 0)
        return NULL;
    return plain_json(bench, words);
}

static json_t *windows_path(struct bench *bench)
{
    return json_boolean(value_is_windows_path(bench->rule->input));
}

static json_t *normal_name(struct bench *bench)
{
    return json_string(files_normalise_name(&bench->pool, bench->rule->input));
}

struct area {
    const char *name;
    json_t *(*evaluate)(struct bench *bench);
};

static const struct area areas[] = {
    { "env_file", env_file },
    { "dotenv-precedence", env_files },
    { "env_file-expansion", env_line },
    { "interpolation", interpolation_text },
    { "interpolation-operator", interpolation_operator },
    { "interpolation-tree", interpolation_tree },
    { "duration", duration },
    { "bytes", bytes },
    { "port-short", ports },
    { "extra_hosts", extra_hosts },
    { "command-split", command },
    { "windows-abs-path", windows_path },
    { "project-name-normalize", normal_name },
};

/* --- Rows about trees: both sides are read, brought into their canonical form and compared --- */

static struct node *canonical(struct bench *bench, const char *text)
{
    struct node *tree = parse(bench, text);
    return tree ? canonical_tree(&bench->load, &schema_root, tree) : NULL;
}

static bool merges(struct bench *bench, const char *override)
{
    struct node *base = canonical(bench, bench->rule->input);
    struct node *over = override ? canonical(bench, override) : NULL;
    struct node *expected = canonical(bench, bench->rule->expected);

    if (!base || (override && !over) || !expected)
        return false;
    struct node *merged = over ? merge_nodes(&bench->load, &schema_root, base, over) : base;
    merge_finish(&bench->load, &schema_root, merged);
    merge_finish(&bench->load, &schema_root, expected);
    return node_equal(merged, expected);
}

static bool normalises(struct bench *bench)
{
    struct node *project = canonical(bench, bench->rule->input);
    struct node *expected = canonical(bench, bench->rule->expected);

    if (!project || !expected)
        return false;
    normalise_defaults(&bench->load, project);
    normalise_project(&bench->load, project, node_str(node_get(project, "name")));
    normalise_nulls(&bench->load, project);
    return node_equal(project, expected);
}

/* The row has the source as it is written; the loader makes it absolute in the same step, here on both sides. */
static bool mounts(struct bench *bench)
{
    struct node *got = canonical_volume(
        &bench->load, node_string(&bench->pool, nowhere, pool_strdup(&bench->pool, bench->rule->input)));

    if (strcmp(bench->rule->kind, "error") == 0)
        return !told_nothing(bench);
    struct node *expected = parse(bench, bench->rule->expected);
    return told_nothing(bench) && expected && node_equal(got, canonical_volume(&bench->load, expected));
}

/* --- One row --- */

static bool evaluate(struct bench *bench, const struct area *area, bool show)
{
    const struct rule *rule = bench->rule;
    json_t *got = area->evaluate(bench), *expected = NULL;

    if (strcmp(rule->kind, "json") == 0 || strcmp(rule->kind, "int") == 0 || strcmp(rule->kind, "bool") == 0)
        expected = json_loads(rule->expected, JSON_DECODE_ANY, NULL);
    else if (strcmp(rule->kind, "string") == 0)
        expected = json_string(rule->expected);
    bool holds = same_json(got, expected) && (expected != NULL) == (strcmp(rule->kind, "error") != 0);
    if (show) {
        show_json("expected", expected);
        show_json("got", got);
    }
    json_decref(got);
    json_decref(expected);
    return holds;
}

static bool run(struct bench *bench, bool show, bool *ret)
{
    const struct rule *rule = bench->rule;

    if (strcmp(rule->area, "normalize") == 0)
        return *ret = normalises(bench), true;
    if (strcmp(rule->area, "volume-short") == 0)
        return *ret = mounts(bench), true;
    if (strcmp(rule->kind, "equals-yaml") == 0)
        return *ret = merges(bench, rule->override), true;
    for (size_t i = 0; i < ARRAY_LEN(areas); i++)
        if (strcmp(areas[i].name, rule->area) == 0) {
            *ret = evaluate(bench, &areas[i], show);
            return true;
        }
    return false;
}

bool run_function(const struct corpus *corpus, const struct rule *rule, bool *ret)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    jmp_buf failure;
    bool mine;

    if (!bench)
        return false;
    bench->rule = rule;
    bench->pool.limit = 64 << 20;
    bench->pool.failure = &failure;
    if (setjmp(failure) == 0) {
        struct node *environment = node_new(&bench->pool, NODE_MAP, nowhere);
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)rule->environment, key, value) node_set(
            &bench->pool, environment, key, nowhere, node_string(&bench->pool, nowhere, json_string_value(value)));
        bench->load = (struct loading){ .pool = &bench->pool,
                                        .problems = &bench->problems,
                                        .environment = environment,
                                        .missed = node_new(&bench->pool, NODE_MAP, nowhere),
                                        .base_dir = "/",
                                        .at = &bench->at };
        bench->mine = run(bench, corpus->only != NULL, ret);
    }
    mine = bench->mine;
    pool_free(&bench->pool);
    problems_free(&bench->problems);
    free(bench);
    return mine;
}
