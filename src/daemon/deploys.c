/* SPDX-License-Identifier: MIT */
#include "daemon/deploys.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "observe/logs.h"
#include "observe/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of what the instance that failed wrote last: so many lines, and characters of each. */
enum { LOG_LINES = 10, LOG_LINE = 500 };

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

static double ms_of(uint64_t us)
{
    return (double)us / 1e3;
}

static json_t *steps_json(const struct deploy_receipt *receipt)
{
    json_t *list = json_array();

    for (size_t i = 0; i < receipt->steps_len; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:f}", "what", receipt->steps[i].what, "at_s",
                                                    (double)(receipt->steps[i].at_ns / NS_PER_MS) / 1e3));
    return list;
}

/* The last lines of the instance that failed. */
static json_t *log_json(const struct deploy_receipt *receipt, const char *logs_dir)
{
    const char *const names[] = { receipt->failed_instance, NULL };
    const struct logs_query query = { .names = names, .tail = LOG_LINES };
    struct logs_reader *reader = receipt->failed_instance[0] ? logs_reader_new(logs_dir, &query) : NULL;
    json_t *list = json_array();
    struct logs_line line;

    while (reader && logs_reader_next(reader, &line))
        (void)json_array_append_new(list, text_json(line.text, line.len < LOG_LINE ? line.len : LOG_LINE));
    logs_reader_free(reader);
    return list;
}

static json_t *receipt_json(const struct deploy_receipt *receipt, const char *logs_dir)
{
    const struct traffic *traffic = &receipt->traffic;
    json_t *json = json_pack("{s:s, s:i, s:i, s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:I, s:I, s:I, s:I, s:f}", "service",
                             receipt->service, "from", (int)receipt->from, "to", (int)receipt->to, "outcome",
                             deploy_phase_name(receipt->outcome), "strategy", strategy_name(receipt->strategy), "order",
                             order_name(receipt->stop_first), "began", (double)receipt->began_wall_ns / 1e9, "took_s",
                             (double)(receipt->took_ns / NS_PER_MS) / 1e3, "started", receipt->started,
                             "failed_instances", receipt->failed, "requests", (json_int_t)traffic->requests, "failed",
                             (json_int_t)traffic->failed, "held", (json_int_t)traffic->held, "retried",
                             (json_int_t)traffic->retried, "longest_gap_ms", ms_of(receipt->gap_us));
    json_t *more = json_pack("{s:{s:f, s:f, s:f}, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:o}", "p99_ms", "before",
                             ms_of(receipt->p99_before_us), "meanwhile", ms_of(receipt->p99_us), "after",
                             ms_of(receipt->p99_after_us), "old", answers_json(&receipt->answers[0]), "new",
                             answers_json(&receipt->answers[1]), "probes", "old", answers_json(&receipt->probes[0]),
                             "new", answers_json(&receipt->probes[1]), "steps", steps_json(receipt), "reason",
                             text_json_or_null(receipt->reason), "last_words", text_json_or_null(receipt->last_words),
                             "log", log_json(receipt, logs_dir));

    if (!json || !more || json_object_update_missing(json, more) < 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(more);
    return json;
}

int deploys_write(struct logfile *file, const struct deploy_receipt *receipt, const char *logs_dir)
{
    json_t *json = receipt_json(receipt, logs_dir);
    CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (!text)
        return -ENOMEM;
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the end */
    return logfile_write(file, text, len + 1);
}

/* A receipt that says more replaces the one that was written before it; so does that of a supervisor that follows one who died
   just when it was written. The same deploy has the same beginning. */
static void take_receipt(json_t *list, json_t *receipt)
{
    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *earlier = json_array_get(list, i);
        if (!json_equal(json_object_get(earlier, "began"), json_object_get(receipt, "began")) ||
            !json_equal(json_object_get(earlier, "service"), json_object_get(receipt, "service")))
            continue;
        (void)json_array_set_new(list, i, receipt);
        return;
    }
    (void)json_array_append_new(list, receipt);
}

static void read_file(const char *path, json_t *list)
{
    CLEANUP_FREE char *line = NULL;
    FILE *file = fopen(path, "re");
    size_t size = 0;

    while (file && getline(&line, &size, file) > 0) {
        json_t *receipt = json_loads(line, 0, NULL);
        if (receipt)
            take_receipt(list, receipt);
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
    enum spec_change change = supervisor_would_change(supervisor, service);
    uint32_t behind = change == SPEC_CHANGED ? supervisor_deploys_to(supervisor, service->name) : 0;
    json_t *steps = json_array();

    for (size_t i = 0; deploy->strategy == SPEC_CANARY && i < deploy->steps_len; i++)
        (void)json_array_append_new(steps, json_real(deploy->steps[i] / 10.0));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "service", service->name, "change", words[change],
                     "strategy", strategy_name(deploy->strategy), "order", order_name(deploy->update.stop_first),
                     "replicas", (int)service->replicas, "parallelism", (int)deploy->update.parallelism, "steps", steps,
                     "behind", behind ? json_integer(behind) : json_null());
}

json_t *deploys_plan(const struct supervisor *supervisor, const struct spec *spec, const char *const *only)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->services_len; i++)
        if (!only || names_have(only, spec->services[i].name))
            (void)json_array_append_new(list, plan_of(supervisor, &spec->services[i]));
    return list;
}
