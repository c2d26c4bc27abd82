/* SPDX-License-Identifier: MIT
 *
 * daruma config: the project as it was understood, or one aspect of it.
 */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "compose/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct wanted {
    bool services, images, volumes, networks, models, profiles, environment, variables, quiet;
    bool no_interpolate, no_normalise, no_consistency, no_env_files, no_paths, image_digests;
    const char *format, *hash, *output;
    const char *const *only; /* services that were named; with what they need, nothing else is shown */
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One key of an object a line, sorted. */
static int print_keys(const struct cli *cli, const json_t *object)
{
    const char **keys CLEANUP_FREE = calloc(json_object_size(object) + 1, sizeof(*keys)), *key;
    json_t *value;
    size_t n = 0;

    if (!keys)
        return cli_fail(cli, &(struct err){ .code = -ENOMEM });
    json_object_foreach((json_t *)object, key, value) keys[n++] = key;
    qsort(keys, n, sizeof(*keys), compare_texts);
    for (size_t i = 0; i < n; i++)
        printf("%s\n", keys[i]);
    return CLI_DONE;
}

static int print_images(const struct spec *spec)
{
    for (size_t i = 0; i < spec->services_len; i++) {
        const struct spec_service *service = &spec->services[i];
        if (*service->image)
            printf("%s\n", service->image);
        else if (service->has_build)
            printf("%s-%s\n", spec->name, service->name);
    }
    return CLI_DONE;
}

static int print_models(const struct spec *spec)
{
    const struct node *models = node_get(spec->tree, "models");

    for (size_t i = 0; models && i < models->len; i++) {
        const char *model = node_str(node_get(models->entries[i].value, "model"));
        if (model)
            printf("%s\n", model);
    }
    return CLI_DONE;
}

static int print_lines(char *const *lines)
{
    for (; *lines; lines++)
        printf("%s\n", *lines);
    return CLI_DONE;
}

/* Frees `document`, which may be NULL for want of memory. With `escaped` a dollar sign is written twice. */
static int print_document(const struct cli *cli, json_t *document, bool as_json, bool escape)
{
    struct buf out CLEANUP_BUF = { 0 };
    bool ok = document && (!escape || model_escape(document));

    if (ok && as_json) {
        char *text CLEANUP_FREE = json_dumps(document, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
        buf_puts(&out, text ? text : "");
        buf_puts(&out, "\n");
        out.failed = out.failed || !text;
    } else if (ok) {
        model_print_yaml(document, &out);
    }
    json_decref(document);
    if (!ok || out.failed)
        return cli_fail(cli, &(struct err){ .code = -ENOMEM, .message = "not enough memory" });
    (void)fputs(out.data, stdout);
    return CLI_DONE;
}

static const char *said(const struct node *variable, const char *key)
{
    const char *text = node_str(node_get(variable, key));
    return text ? text : "";
}

/* A table for people; with --format what Compose writes. */
static int print_variables(const struct cli *cli, const struct spec *spec, const char *format)
{
    json_t *document = format ? json_object() : NULL;

    node_sort(spec->variables);
    for (size_t i = 0; document && i < spec->variables->len; i++) {
        const struct entry *entry = &spec->variables->entries[i];
        (void)json_object_set_new(document, entry->key,
                                  json_pack("{s:s, s:s, s:s, s:b}", "Name", entry->key, "DefaultValue",
                                            said(entry->value, "default"), "PresenceValue",
                                            said(entry->value, "alternate"), "Required",
                                            node_get(entry->value, "required") != NULL));
    }
    if (format)
        return print_document(cli, document, strcmp(format, "json") == 0, false);
    printf("%-24s %-8s %-24s %s\n", "NAME", "REQUIRED", "DEFAULT", "ALTERNATE");
    for (size_t i = 0; i < spec->variables->len; i++) {
        const struct entry *entry = &spec->variables->entries[i];
        printf("%-24s %-8s %-24s %s\n", entry->key, node_get(entry->value, "required") ? "true" : "false",
               said(entry->value, "default"), said(entry->value, "alternate"));
    }
    return CLI_DONE;
}

/* `*`, or names with commas between them. */
static int print_hashes(const struct cli *cli, const struct spec *spec, const char *names)
{
    if (strcmp(names, "*") == 0) {
        for (size_t i = 0; i < spec->services_len; i++)
            printf("%s %s\n", spec->services[i].name, spec->services[i].config_hash);
        return CLI_DONE;
    }
    while (*names) {
        char name[256];
        size_t len = strcspn(names, ",");
        (void)snprintf(name, sizeof(name), "%.*s", (int)len, names);
        const struct spec_service *service = spec_find_service(spec, name);
        if (!service)
            return cli_usage(cli, "there is no service \"%s\"", name);
        printf("%s %s\n", service->name, service->config_hash);
        names += len + (names[len] == ',');
    }
    return CLI_DONE;
}

/* What is printed can be loaded again: a dollar sign is written twice, and what env files said is in environment. */
static int print_model(const struct cli *cli, const struct spec *spec, const struct wanted *wanted)
{
    bool as_json = wanted->format && strcmp(wanted->format, "json") == 0;
    json_t *model =
        wanted->no_env_files ? model_from_project(spec->tree, as_json) : model_loadable(spec->tree, as_json);

    return print_document(cli, model, as_json, !wanted->no_interpolate);
}

static int print_wanted(const struct cli *cli, const struct spec *spec, const struct wanted *wanted)
{
    if (wanted->services)
        return print_keys(cli, json_object_get(spec->model, "services"));
    if (wanted->volumes)
        return print_keys(cli, json_object_get(spec->model, "volumes"));
    if (wanted->networks)
        return print_keys(cli, json_object_get(spec->model, "networks"));
    if (wanted->images)
        return print_images(spec);
    if (wanted->models)
        return print_models(spec);
    if (wanted->profiles)
        return print_lines(spec->all_profiles);
    if (wanted->environment)
        return print_lines(spec->environment);
    if (wanted->variables)
        return print_variables(cli, spec, wanted->format);
    if (wanted->hash)
        return print_hashes(cli, spec, wanted->hash);
    return print_model(cli, spec, wanted);
}

static int load(const struct cli *cli, const struct wanted *wanted, struct spec **ret)
{
    struct compose_request request = cli_compose_request(cli);
    struct problems problems = { 0 };
    struct buf text CLEANUP_BUF = { 0 };

    request.stdin_as_dash = true;
    request.services = wanted->only;
    request.prune = wanted->only && *wanted->only;
    request.want_variables = wanted->variables;
    request.no_interpolate = wanted->no_interpolate || wanted->variables;
    request.no_normalise = wanted->no_normalise;
    request.no_consistency = wanted->no_consistency;
    request.no_paths = wanted->no_paths;
    request.no_env_files = wanted->no_env_files || wanted->variables;
    int r = compose_load(&request, ret, &problems);
    problems_format(&problems, cli->colour_err, &text);
    if (text.len > 0)
        (void)fputs(text.data, stderr);
    problems_free(&problems);
    return r;
}

/* Prints into --output when there is one; a full disk is told. With --quiet nothing is touched. */
static int print_somewhere(const struct cli *cli, const struct spec *spec, const struct wanted *wanted)
{
    struct err err = { 0 };

    if (wanted->quiet)
        return CLI_DONE;
    if (wanted->output && !freopen(wanted->output, "we", stdout)) {
        (void)err_errno(&err, -errno, "cannot open %s", wanted->output);
        return cli_fail(cli, &err);
    }
    int status = print_wanted(cli, spec, wanted);
    if (fflush(stdout) == 0)
        return status;
    (void)err_errno(&err, -errno, "cannot write what was asked for");
    return cli_fail(cli, &err);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct wanted wanted = { 0 };
    const struct cli_option options[] = {
        { .name = "format", .value = "FORMAT", .help = "yaml or json", .text = &wanted.format },
        { .name = "services", .help = "only the services' names", .flag = &wanted.services },
        { .name = "images", .help = "only the images' names", .flag = &wanted.images },
        { .name = "volumes", .help = "only the volumes' names", .flag = &wanted.volumes },
        { .name = "networks", .help = "only the networks' names", .flag = &wanted.networks },
        { .name = "models", .help = "only the models' names", .flag = &wanted.models },
        { .name = "profiles", .help = "only the profiles' names", .flag = &wanted.profiles },
        { .name = "environment", .help = "only what variables were replaced from", .flag = &wanted.environment },
        { .name = "variables", .help = "only the variables that the files mention", .flag = &wanted.variables },
        { .name = "hash", .value = "SERVICES", .help = "only the services' hashes; * for all", .text = &wanted.hash },
        { .name = "no-interpolate", .help = "variables stay as they are", .flag = &wanted.no_interpolate },
        { .name = "no-normalize", .help = "add nothing that the files do not say", .flag = &wanted.no_normalise },
        { .name = "no-consistency", .help = "do not check what refers to what", .flag = &wanted.no_consistency },
        { .name = "no-env-resolution", .help = "leave env_file and label_file unread", .flag = &wanted.no_env_files },
        { .name = "no-path-resolution", .help = "paths stay relative", .flag = &wanted.no_paths },
        { .name = "resolve-image-digests", .help = "refused: it needs a registry", .flag = &wanted.image_digests },
        { .name = "lock-image-digests", .help = "refused as well", .flag = &wanted.image_digests },
        { .name = "output", .letter = 'o', .value = "FILE", .help = "write there", .text = &wanted.output },
        { .name = "quiet", .letter = 'q', .help = "only check the files", .flag = &wanted.quiet },
        { 0 },
    };
    struct spec *spec = NULL;

    if (!cli_parse(cli, options, argc, argv, 0, SIZE_MAX))
        return cli->status;
    if (wanted.format && strcmp(wanted.format, "yaml") != 0 && strcmp(wanted.format, "json") != 0)
        return cli_usage(cli, "--format is yaml or json, not \"%s\"", wanted.format);
    if (wanted.image_digests)
        return cli_usage(cli, "daruma asks no registry for digests; where one matters, write image: NAME@sha256:…");
    wanted.only = (const char *const *)cli->args;
    int r = load(cli, &wanted, &spec);
    if (r < 0)
        return r == -ENOMEM ? CLI_FAILED : CLI_USAGE;
    int status = print_somewhere(cli, spec, &wanted);
    spec_free(spec);
    return status;
}

const struct cli_command cmd_config = {
    .name = "config",
    .usage = "[OPTIONS] [SERVICE…]",
    .help = "check the compose files and show the project as it was understood",
    .run = run,
};
