/* SPDX-License-Identifier: MIT */
#include "daemon/deploys.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "observe/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A line of the file: a receipt is far smaller. */
enum { LINE = 8192 };

static const char *strategy_name(enum spec_strategy strategy)
{
    switch (strategy) {
    case SPEC_CANARY:
        return "canary";
    case SPEC_BLUE_GREEN:
        return "blue-green";
    case SPEC_ROLLING:
        break;
    }
    return "rolling";
}

static const char *order_name(bool stop_first)
{
    return stop_first ? "stop-first" : "start-first";
}

static json_t *answers_json(const struct deploy_sample *sample)
{
    return json_pack("{s:I, s:I, s:f, s:f}", "answers", (json_int_t)sample->answers, "failures",
                     (json_int_t)sample->failures, "p50_ms", (double)deploy_sample_quantile(sample, 0.5) / 1e3,
                     "p99_ms", (double)deploy_sample_quantile(sample, 0.99) / 1e3);
}

static json_t *receipt_json(const struct deploy_receipt *receipt)
{
    const struct traffic *traffic = &receipt->traffic;

    return json_pack("{s:s, s:i, s:i, s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
                     "service", receipt->service, "from", (int)receipt->from, "to", (int)receipt->to, "outcome",
                     deploy_phase_name(receipt->outcome), "strategy", strategy_name(receipt->strategy), "order",
                     order_name(receipt->stop_first), "began", (double)receipt->began_wall_ns / 1e9, "took_s",
                     (double)(receipt->took_ns / NS_PER_MS) / 1e3, "started", receipt->started, "failed_instances",
                     receipt->failed, "requests", (json_int_t)traffic->requests, "failed", (json_int_t)traffic->failed,
                     "held", (json_int_t)traffic->held, "retried", (json_int_t)traffic->retried, "reason",
                     text_json_or_null(receipt->reason), "last_words", text_json_or_null(receipt->last_words), "old",
                     answers_json(&receipt->answers[0]), "new", answers_json(&receipt->answers[1]));
}

int deploys_write(struct logfile *file, const struct deploy_receipt *receipt)
{
    json_t *json = receipt_json(receipt);
    CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (!text)
        return -ENOMEM;
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the end */
    return logfile_write(file, text, len + 1);
}

/* Who died just when it was written is followed by one that writes it again: the same deploy has the same beginning. */
static bool is_last_of_service(const json_t *list, const json_t *receipt)
{
    for (size_t i = json_array_size(list); i > 0; i--) {
        const json_t *other = json_array_get(list, i - 1);
        if (json_equal(json_object_get(other, "service"), json_object_get(receipt, "service")))
            return json_equal(json_object_get(other, "began"), json_object_get(receipt, "began"));
    }
    return false;
}

static void read_file(const char *path, json_t *list)
{
    char line[LINE];
    FILE *file = fopen(path, "re");

    while (file && fgets(line, sizeof(line), file)) {
        json_t *receipt = json_loads(line, 0, NULL);
        if (receipt && !is_last_of_service(list, receipt))
            (void)json_array_append(list, receipt);
        json_decref(receipt);
    }
    if (file)
        (void)fclose(file);
}

json_t *deploys_read(const struct logfile *file)
{
    char older[PATH_MAX + 2];
    json_t *list = json_array();

    if (!list)
        return NULL;
    (void)snprintf(older, sizeof(older), "%s.1", file->path);
    read_file(older, list);
    read_file(file->path, list);
    return list;
}

static json_t *plan_of(const struct supervisor *supervisor, const struct spec_service *service)
{
    static const char *const words[] = {
        [SPEC_SAME] = "same",         [SPEC_ADDED] = "added",     [SPEC_REMOVED] = "removed",
        [SPEC_RESCALED] = "rescaled", [SPEC_CHANGED] = "changed",
    };
    const struct spec_deploy *deploy = &service->deploy;
    json_t *steps = json_array();

    for (size_t i = 0; deploy->strategy == SPEC_CANARY && i < deploy->steps_len; i++)
        (void)json_array_append_new(steps, json_real(deploy->steps[i] / 10.0));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:o}", "service", service->name, "change",
                     words[supervisor_would_change(supervisor, service)], "strategy", strategy_name(deploy->strategy),
                     "order", order_name(deploy->update.stop_first), "replicas", (int)service->replicas, "parallelism",
                     (int)deploy->update.parallelism, "steps", steps);
}

json_t *deploys_plan(const struct supervisor *supervisor, const struct spec *spec, const char *const *only)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->services_len; i++)
        if (!only || names_have(only, spec->services[i].name))
            (void)json_array_append_new(list, plan_of(supervisor, &spec->services[i]));
    return list;
}
