/* SPDX-License-Identifier: MIT
 *
 * A deploy that is asked for: as the files say, or with another image or environment.
 */
#include "cli/client.h"
#include "cli/deploys.h"
#include "cli/printer.h"

#include "base/cleanup.h"
#include "daemon/request.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct wish {
    const char *service, *image;
    struct cli_list env;
    bool build, force, replace, dry_run, detach, json;
};

static json_t *environment_of(const struct cli_list *env, const char **ret_bad)
{
    json_t *map = json_object();

    for (size_t i = 0; i < env->len; i++) {
        const char *equals = strchr(env->items[i], '=');
        if (!equals || equals == env->items[i]) {
            *ret_bad = env->items[i];
            continue;
        }
        json_t *name = json_stringn(env->items[i], (size_t)(equals - env->items[i]));
        (void)json_object_set_new(map, json_string_value(name), json_string(equals + 1));
        json_decref(name);
    }
    return map;
}

/* What --image and --env say, as one more file that overrides the others; JSON is YAML. Dollar signs are doubled: what was
   typed is meant. */
static int write_override(const struct client *client, const struct wish *wish, json_t *environment,
                          char path[PATH_MAX], struct err *err)
{
    char name[128];
    json_t *service = json_object(), *value;
    const char *key;
    int r = 0;

    json_object_foreach(environment, key, value)
    {
        const char *from = json_string_value(value);
        CLEANUP_FREE char *text = calloc(2 * strlen(from) + 1, 1);
        for (char *to = text; to && *from; *to++ = *from++)
            if (*from == '$')
                *to++ = '$';
        r = text && json_object_set_new(environment, key, json_string(text)) == 0 ? r : -ENOMEM;
    }
    if (wish->image)
        (void)json_object_set_new(service, "image", json_string(wish->image));
    if (json_object_size(environment) > 0)
        (void)json_object_set(service, "environment", environment);
    json_t *file = json_pack("{s:{s:o}}", "services", wish->service, service);
    (void)snprintf(name, sizeof(name), "deploy-%.64s.yaml", wish->service);
    (void)rundir_file(&client->dir, name, path);
    if (r < 0 || !file || json_dump_file(file, path, JSON_INDENT(2)) < 0)
        r = err_set(err, -EIO, "cannot write %.300s", path);
    json_decref(file);
    return r;
}

/* POST /v1/up for this service alone. */
static json_t *build_request(const struct cli *cli, const struct client *client, const struct spec *spec,
                             const struct wish *wish, json_t *environment, struct err *err)
{
    struct compose_request compose = cli_compose_request(cli);
    const char *runtime = cli->runtime ? cli->runtime : getenv("DARUMA_RUNTIME");
    const char *services[] = { wish->service, NULL };
    char override[PATH_MAX];

    json_t *request = up_request_json(&compose, services, NULL, runtime && *runtime ? runtime : NULL);
    if (request && (wish->image || json_object_size(environment) > 0)) {
        json_t *files = json_array();
        if (write_override(client, wish, environment, override, err) < 0) {
            json_decref(files);
            json_decref(request);
            return NULL;
        }
        for (char **file = spec->files; *file; file++)
            (void)json_array_append_new(files, json_string(*file));
        (void)json_array_append_new(files, json_string(override));
        (void)json_object_set_new(request, "files", files);
        (void)json_object_set_new(request, "project_dir", json_string(spec->working_dir));
    }
    (void)json_object_del(request, "replace_nginx"); /* as it is */
    json_t *flags =
        json_pack("{s:b, s:b, s:b}", "build", wish->build, "replace", wish->replace, "dry_run", wish->dry_run);
    if (wish->force)
        (void)json_object_set_new(flags, "renew", json_pack("[s]", wish->service));
    if (!request || !flags || json_object_update(request, flags) < 0)
        (void)err_set(err, -ENOMEM, "out of memory");
    json_decref(flags);
    return request;
}

static void print_plan(const json_t *answer, bool json)
{
    const json_t *plan = json_object_get(answer, "plan");

    if (json) {
        printer_json(plan);
        return;
    }
    for (size_t i = 0; i < json_array_size(plan); i++) {
        const json_t *row = json_array_get(plan, i), *steps = json_object_get(row, "steps");
        long long parallelism = (long long)json_integer_value(json_object_get(row, "parallelism"));
        long long replicas = (long long)json_integer_value(json_object_get(row, "replicas"));
        printf("%s: %s; %s, %s, %lld instance%s, ", json_text(row, "service"), json_text(row, "change"),
               json_text(row, "strategy"), json_text(row, "order"), replicas, replicas == 1 ? "" : "s");
        if (parallelism > 0)
            printf("%lld at a time\n", parallelism);
        else
            printf("all at once\n");
        if (json_is_integer(json_object_get(row, "behind")))
            printf("  waits for the end of the deploy to version %lld, which goes on\n",
                   json_integer_value(json_object_get(row, "behind")));
        for (size_t n = 0; n < json_array_size(steps); n++)
            printf("%s%g %%%s", n ? ", then " : "  ", json_number_value(json_array_get(steps, n)),
                   n + 1 == json_array_size(steps) ? " of the requests\n" : "");
    }
}

/* What the supervisor found, compared with the version that runs or is on its way. */
static bool is_same(const json_t *answer, const char *service)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "plan"), i, row)
    {
        if (strcmp(json_text(row, "service"), service) == 0)
            return strcmp(json_text(row, "change"), "same") == 0;
    }
    return false;
}

/* With -d: that it begins later, and behind whom, or not at all. */
static void print_queued(const json_t *answer, const struct wish *wish, const char *otherwise)
{
    json_t *row;
    size_t i;

    if (wish->json) {
        print_plan(answer, true);
        return;
    }
    if (otherwise)
        printf("%s: %s\n", wish->service, otherwise);
    json_array_foreach(json_object_get(answer, "plan"), i, row)
    {
        const json_t *behind = json_object_get(row, "behind");
        if (json_is_integer(behind))
            printf(wish->replace
                       ? "%s: begins when the deploy to version %lld has turned round\n"
                       : "%s: waits for the end of the deploy to version %lld; --replace turns that one round\n",
                   json_text(row, "service"), json_integer_value(behind));
    }
}

static int deploy(const struct cli *cli, const struct wish *wish, const struct spec *spec, json_t *environment)
{
    struct client client;
    struct deploys_since since;
    struct err err = { 0 };
    json_t *answer = NULL;

    int status = client_open(cli, &client);
    if (status == CLI_DONE)
        status = deploys_look(cli, &client, &since);
    if (status != CLI_DONE)
        return status;
    json_t *request = build_request(cli, &client, spec, wish, environment, &err);
    int r = err.code ? err.code : client_call(&client, "POST", "/v1/up", request, &answer, &err);
    bool same = r == 0 && !wish->force && is_same(answer, wish->service);
    const char *otherwise = same ? "nothing has changed; --force deploys it all the same" : NULL;
    (void)fputs(json_text(answer, r == 0 ? "warnings" : "problems"), stderr);
    if (r < 0)
        status = cli_refused(cli, &err);
    else if (wish->dry_run)
        print_plan(answer, wish->json);
    else if (wish->detach)
        print_queued(answer, wish, otherwise);
    json_decref(answer);
    json_decref(request);
    if (status != CLI_DONE || wish->dry_run || wish->detach)
        return status;
    const struct deploys_wish what = { .service = wish->service, .json = wish->json, .otherwise = otherwise };
    return deploys_follow(cli, &client, &what, &since);
}

static int show_history(const struct cli *cli, const char *service, bool json)
{
    struct client client;
    struct err err = { 0 };
    json_t *list = NULL, *chosen = json_array(), *receipt;
    size_t i;

    int status = client_open(cli, &client);
    if (status == CLI_DONE && client_call(&client, "GET", "/v1/deploys", NULL, &list, &err) < 0)
        status = cli_fail(cli, &err);
    json_array_foreach(list, i, receipt)
    {
        if (service && strcmp(json_text(receipt, "service"), service) != 0)
            continue;
        (void)json_array_append(chosen, receipt);
        if (!json)
            deploys_print(cli, receipt);
    }
    if (status == CLI_DONE && service && json_array_size(chosen) == 0 && !client_has_service(&client, service, &err))
        status = cli_refused(cli, &err);
    if (json && status == CLI_DONE)
        printer_json(chosen);
    else if (status == CLI_DONE && json_array_size(chosen) == 0)
        printf("no deploy has ended yet\n");
    json_decref(chosen);
    json_decref(list);
    return status;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct wish wish = { 0 };
    bool history = false;
    struct spec *spec = NULL;
    const char *bad = NULL;
    const struct cli_option options[] = {
        { "image", 0, "IMAGE", "with this image, whatever the file says", .text = &wish.image },
        { "env", 'e', "NAME=VALUE", "with this in its environment", .list = &wish.env },
        { "build", 0, NULL, "build its image anew first", .flag = &wish.build },
        { "force", 0, NULL, "also when nothing has changed", .flag = &wish.force },
        { "replace", 0, NULL, "a deploy that goes on turns round first, instead of being waited for",
          .flag = &wish.replace },
        { "dry-run", 0, NULL, "only say what would be done", .flag = &wish.dry_run },
        { "detach", 'd', NULL, "come back at once; says if it has to wait for another deploy", .flag = &wish.detach },
        { "history", 0, NULL, "the receipts of earlier deploys", .flag = &history },
        { "json", 0, NULL, "the receipt, plan or history as JSON", .flag = &wish.json },
        { 0 },
    };

    if (!cli_parse(cli, options, argc, argv, 0, 1))
        return cli->status;
    wish.service = cli->args_len > 0 ? cli->args[0] : NULL;
    if (history)
        return show_history(cli, wish.service, wish.json);
    if (!wish.service)
        return cli_usage(cli, "which service?");
    json_t *environment = environment_of(&wish.env, &bad);
    int status = bad ? cli_usage(cli, "--env: expected NAME=VALUE, not \"%s\"", bad) : cli_load(cli, true, &spec);
    if (status == CLI_DONE)
        status = deploy(cli, &wish, spec, environment);
    json_decref(environment);
    free(wish.env.items);
    spec_free(spec);
    return status;
}

const struct cli_command cmd_deploy = {
    .name = "deploy",
    .usage = "SERVICE [--image IMAGE] [-e NAME=VALUE…] [--build] [--force] [--replace] [--dry-run] [-d] [--json]\n"
             "       daruma deploy --history [--json] [SERVICE]",
    .help = "go to a new version of a service without anybody noticing, or back by itself",
    .more = "Goes on as deploy.update_config and x-daruma.deploy say (docs/deploy.md). Ends with a receipt.\n"
            "Exit code 3: the new version was worse, and the old one is back.",
    .run = run,
};
