/* SPDX-License-Identifier: MIT
 *
 * deploy.update_config, deploy.rollback_config and x-daruma.deploy: how a service goes from one version to the next.
 */
#include "compose/spec_build.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <string.h>

static double read_number(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    if (node_is(node, NODE_INT))
        return (double)node->u.integer;
    return node_is(node, NODE_FLOAT) ? node->u.number : 0;
}

/* Two copies at a time are for those who only wait to be asked; whoever works by itself, or keeps what it knows in a
   place of its own, is not asked to share it with a copy. */
static bool works_alone(const struct spec_service *service)
{
    return service->ports_len == 0 || service->ports[0].protocol != SPEC_PROTOCOL_HTTP;
}

static void read_failure(struct loading *load, const struct node *config, bool back, struct spec_update *ret)
{
    static const struct {
        const char *word;
        enum spec_on_failure action;
    } words[] = { { "rollback", SPEC_GO_BACK }, { "pause", SPEC_PAUSE }, { "continue", SPEC_GO_ON } };
    size_t usual = back ? 1 : 0, known = usual; /* whoever goes back has nowhere to go back to */
    const char *text = read_text(config, "failure_action", words[usual].word);

    while (known < ARRAY_LEN(words) && strcmp(words[known].word, text) != 0)
        known++;
    if (known == ARRAY_LEN(words)) {
        /* Compose takes any word. */
        problem_warning(load->problems, place_of(config, "failure_action"),
                        "`%s` is no failure_action, so it is `%s`; it is one of: %s", text, words[usual].word,
                        back ? "pause, continue" : "rollback, pause, continue");
        known = usual;
    }
    ret->on_failure = words[known].action;
}

static void read_update(struct loading *load, const struct node *config, const struct spec_service *service, bool back,
                        struct spec_update *ret)
{
    const char *order = read_text(config, "order", works_alone(service) ? "stop-first" : "start-first");
    int64_t parallelism = read_int(config, "parallelism", back ? 0 : 1);

    *ret = (struct spec_update){
        .parallelism = (int32_t)parallelism,
        .delay_ns = read_duration(config, "delay", 0),
        .monitor_ns = read_duration(config, "monitor", back ? 0 : 2 * NS_PER_S),
        .max_failure_ratio = read_number(config, "max_failure_ratio"),
        .stop_first = strcmp(order, "stop-first") == 0,
    };
    read_failure(load, config, back, ret);
    if (parallelism < 0 || parallelism > 10000)
        problem_error(load->problems, place_of(config, "parallelism"),
                      "%lld instances at once: expected 0 (all) to 10000", (long long)parallelism);
    if (ret->max_failure_ratio < 0)
        problem_error(load->problems, place_of(config, "max_failure_ratio"), "expected a ratio from 0 to 1");
}

/* Two copies cannot be where they would be in each other's way. Compose never looked at the order, so a file that asks for
   what cannot be is not refused for that. */
static void check_order(struct loading *load, const struct node *config, const char *alone,
                        const struct spec_service *service, struct spec_update *update)
{
    if (!alone)
        return;
    if (strcmp(read_text(config, "order", ""), "start-first") == 0)
        problem_warning(load->problems, place_of(config, "order"),
                        "service `%s` is updated stop-first: there can be only one at a time (%s)", service->name,
                        alone);
    update->stop_first = true;
}

/* Side by side for a while, a slower version shows; an instance that has just started may well be slow at first. */
static enum spec_compare read_compare(const struct node *own, enum spec_strategy strategy)
{
    const char *word = read_text(own, "compare", strategy == SPEC_ROLLING ? "failures" : "latency");
    return strcmp(word, "latency") == 0    ? SPEC_COMPARE_LATENCY
           : strcmp(word, "failures") == 0 ? SPEC_COMPARE_FAILURES
                                           : SPEC_COMPARE_NOTHING;
}

static char *read_probe(struct loading *load, const struct node *own, const struct spec_service *service)
{
    const struct spec_healthcheck *check = &service->healthcheck;
    const char *usual = check->test == SPEC_TEST_HTTP && !check->host && check->url[0] ? check->url : "/";
    const char *path = read_text(own, "probe", usual);

    if (works_alone(service) || !*path)
        return NULL;
    if (*path != '/')
        problem_error(load->problems, place_of(own, "probe"),
                      "the path of a probe begins with \"/\"; \"\": none is sent");
    return pool_strdup(load->pool, path);
}

/* "steps: [1, 10, 50]" in percent, rising; the last one, 100, need not be said. */
static void read_steps(struct loading *load, const struct node *list, struct spec_deploy *ret)
{
    static const uint32_t usual[] = { 10, 100, 500, 1000 };
    size_t len = list ? list->len : 0;

    ret->steps = POOL_ARRAY(load->pool, uint32_t, len + ARRAY_LEN(usual));
    if (len == 0) {
        memcpy(ret->steps, usual, sizeof(usual));
        ret->steps_len = ARRAY_LEN(usual);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        const struct node *item = node_at(list, i);
        double percent = node_is(item, NODE_INT) ? (double)item->u.integer : item->u.number;
        uint32_t share = percent > 0 && percent <= 100 ? (uint32_t)(percent * 10 + 0.5) : 0;
        if (share == 0 || (ret->steps_len > 0 && share <= ret->steps[ret->steps_len - 1])) {
            problem_error(load->problems, item->place,
                          "the steps of a canary are percentages that rise, 0.1 to 100: [1, 10, 50, 100]");
            return;
        }
        ret->steps[ret->steps_len++] = share;
    }
    if (ret->steps[ret->steps_len - 1] < 1000)
        ret->steps[ret->steps_len++] = 1000;
}

/* A job is the service itself, but for what it runs, and that it runs once: nobody waits for its ports or its health. */
static struct spec_service *read_job(struct loading *load, const struct node *own, const char *key,
                                     const struct spec_service *service)
{
    const struct node *command = node_get(own, key);
    struct spec_service *job = command ? POOL_NEW(load->pool, struct spec_service) : NULL;

    if (!job)
        return NULL;
    job->name = pool_printf(load->pool, "%s-%s", service->name, key);
    job->place = command->place;
    job->process_command = read_argv(load->pool, command);
    if (!job->process_command || !job->process_command[0])
        problem_error(load->problems, command->place, "x-daruma.deploy.%s is empty; write what to run", key);
    return job;
}

static void run_once(struct spec_service *job, const struct spec_service *service)
{
    const struct spec_service given = *job;

    *job = *service;
    job->name = given.name;
    job->place = given.place;
    job->process_command = given.process_command;
    job->container_name = job->name + strlen(job->name); /* "" */
    job->process_socket = false;
    job->process_port = 0;
    job->ports_len = job->depends_on_len = 0;
    job->replicas = 1;
    job->restart = (struct spec_restart_policy){ .condition = SPEC_RESTART_NO };
    job->healthcheck = (struct spec_healthcheck){ .test = SPEC_TEST_NONE };
    job->deploy = (struct spec_deploy){ 0 };
}

static bool complete_job(struct spec *spec, const struct spec_service *service, struct spec_service *job)
{
    static const char *const none[] = { "entrypoint", "ports",  "expose", "healthcheck", "container_name",
                                        "restart",    "deploy", "scale",  "depends_on",  "x-daruma" };

    run_once(job, service);
    json_t *model = json_deep_copy(service->model), *argv = json_array();
    for (char **word = job->process_command; word && *word; word++)
        (void)json_array_append_new(argv, json_string(*word));
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        (void)json_object_del(model, none[i]);
    bool ok = json_object_set_new(model, "entrypoint", json_array()) == 0 &&
              json_object_set_new(model, "command", argv) == 0 && spec_hash(model, job->config_hash);
    job->model = model;
    if (!spec->jobs)
        spec->jobs = json_array();
    return json_array_append_new(spec->jobs, model) == 0 && ok;
}

bool spec_complete_jobs(struct spec *spec, struct spec_service *service)
{
    struct spec_deploy *deploy = &service->deploy;

    run_once(deploy->prepare, service);
    return (!deploy->pre_deploy || complete_job(spec, service, deploy->pre_deploy)) &&
           (!deploy->post_deploy || complete_job(spec, service, deploy->post_deploy));
}

void spec_build_deploy(struct loading *load, const struct node *node, struct spec_service *service)
{
    const struct node *deploy = node_get(node, "deploy"), *own = node_get(node_get(node, "x-daruma"), "deploy");
    const struct node *update = node_get(deploy, "update_config"), *rollback = node_get(deploy, "rollback_config");
    const char *strategy = read_text(own, "strategy", "rolling");
    const char *alone = read_bool(own, "exclusive", false) ? "x-daruma.deploy.exclusive"
                        : service->container_name[0]       ? "container_name"
                                                           : NULL;
    struct spec_deploy *ret = &service->deploy;

    *ret = (struct spec_deploy){
        .strategy = strcmp(strategy, "canary") == 0       ? SPEC_CANARY
                    : strcmp(strategy, "blue-green") == 0 ? SPEC_BLUE_GREEN
                                                          : SPEC_ROLLING,
        .dwell_ns = read_duration(own, "dwell", 30 * NS_PER_S),
        .keep_ns = read_duration(own, "keep", 30 * NS_PER_S),
        .ready_timeout_ns = read_duration(own, "ready_timeout", 60 * NS_PER_S),
        .min_requests = (uint32_t)read_int(own, "min_requests", 50),
    };
    ret->compare = read_compare(own, ret->strategy);
    ret->probe = read_probe(load, own, service);
    ret->prepare = POOL_NEW(load->pool, struct spec_service);
    ret->prepare->name = pool_printf(load->pool, "%s-prepare", service->name);
    ret->prepare->place = service->place;
    ret->pre_deploy = read_job(load, own, "pre_deploy", service);
    ret->post_deploy = read_job(load, own, "post_deploy", service);
    read_update(load, update, service, false, &ret->update);
    read_update(load, rollback, service, true, &ret->rollback);
    read_steps(load, node_get(own, "steps"), ret);
    check_order(load, update, alone, service, &ret->update);
    check_order(load, rollback, alone, service, &ret->rollback);
    if (ret->strategy != SPEC_ROLLING && ret->update.stop_first)
        problem_error(load->problems, place_of(own, "strategy"),
                      "service `%s`: %s needs both versions side by side, and this service is updated stop-first (%s)",
                      service->name, strategy, alone ? alone : "order, or its first port is no http port");
}
