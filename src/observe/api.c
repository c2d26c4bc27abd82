/* SPDX-License-Identifier: MIT
 *
 * The routes of docs/admin-api.md.
 */
#include "observe/api.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "compose/value.h"
#include "observe/text.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The longest list of names in a request; more is a mistake, not a use. */
enum { NAMES = 1024 };

/* Of numbers in a query: a double counts exactly so far, and nanoseconds fit 63 bits. */
#define COUNT_END  1e15
#define TIME_END_S 9e9

static void __attribute__((format(printf, 3, 4)))
refuse(struct api_answer *answer, unsigned status, const char *format, ...)
{
    struct err err;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(err.message, sizeof(err.message), format, args);
    va_end(args);
    json_decref(answer->json);
    answer->status = status;
    answer->json = json_pack("{s:o}", "error", text_json(err.message, strlen(err.message)));
}

static void refuse_err(struct api_answer *answer, const struct err *err)
{
    unsigned status = 500;
    if (err->code == -EINVAL)
        status = 400;
    else if (err->code == -ENOENT || err->code == -ESRCH)
        status = 404;
    else if (err->code == -EBUSY || err->code == -EALREADY)
        status = 409;
    refuse(answer, status, "%s", err->message[0] ? err->message : strerror(-err->code));
}

static void answer_json(struct api_answer *answer, unsigned status, json_t *json)
{
    if (!json) {
        refuse(answer, 500, "out of memory");
        return;
    }
    answer->status = status;
    answer->json = json;
}

static void get_project(const struct api *api, const struct api_request *request, json_t *body,
                        struct api_answer *answer)
{
    answer_json(answer, 200, api->calls.project(api->calls.data));
}

static void get_instances(const struct api *api, const struct api_request *request, json_t *body,
                          struct api_answer *answer)
{
    answer_json(answer, 200, api->calls.instances(api->calls.data));
}

static void get_gateway(const struct api *api, const struct api_request *request, json_t *body,
                        struct api_answer *answer)
{
    answer_json(answer, 200, api->calls.gateway(api->calls.data));
}

static void get_metrics(const struct api *api, const struct api_request *request, json_t *body,
                        struct api_answer *answer)
{
    CLEANUP_BUF struct buf text = { 0 };

    api->calls.metrics(api->calls.data, &text);
    answer->text = buf_take(&text);
    if (answer->text)
        answer->status = 200;
    else
        refuse(answer, 500, "out of memory");
}

static void get_deploys(const struct api *api, const struct api_request *request, json_t *body,
                        struct api_answer *answer)
{
    answer_json(answer, 200, api->calls.deploys(api->calls.data));
}

static void post_up(const struct api *api, const struct api_request *request, json_t *body, struct api_answer *answer)
{
    struct err err = { 0 };
    json_t *json = NULL;

    int r = api->calls.up(api->calls.data, body, &json, &err);
    if (r == 0 || json)
        answer_json(answer, r == 0 ? 200 : 422, json);
    else
        refuse_err(answer, &err);
}

static void post_down(const struct api *api, const struct api_request *request, json_t *body, struct api_answer *answer)
{
    api->calls.down(api->calls.data, json_is_true(json_object_get(body, "kill")),
                    json_is_true(json_object_get(body, "volumes")));
    answer_json(answer, 202, json_object());
}

/* The list of strings under `key` as a NULL-terminated array that borrows the strings; NULL when there is none. */
static const char **take_names(json_t *body, const char *key, struct api_answer *answer)
{
    json_t *list = json_object_get(body, key), *item;
    size_t i;

    if (list && !json_is_null(list) && !json_is_array(list)) {
        refuse(answer, 400, "\"%s\" has to be a list of names", key);
        return NULL;
    }
    if (json_array_size(list) == 0)
        return NULL;
    if (json_array_size(list) > NAMES) {
        refuse(answer, 400, "\"%s\" has more than %d names", key, NAMES);
        return NULL;
    }
    const char **names = calloc(json_array_size(list) + 1, sizeof(*names));
    if (!names)
        refuse(answer, 500, "out of memory");
    json_array_foreach(list, i, item)
    {
        if (!names)
            break;
        names[i] = json_string_value(item);
        if (!names[i]) {
            refuse(answer, 400, "\"%s\" has to be a list of names", key);
            free(names);
            return NULL;
        }
    }
    return names;
}

/* What names of a request may mean. */
enum who { A_SERVICE, AN_INSTANCE, WHO_WROTE };

static bool has_text(const json_t *list, const char *key, const char *text)
{
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const char *found = json_string_value(key ? json_object_get(item, key) : item);
        if (found && strcmp(found, text) == 0)
            return true;
    }
    return false;
}

/*
 * Refuses a name that means nobody, before anything is done for those beside it; of logs, silence would look like an instance
 * that says nothing. Wider meanings include the narrower ones; logs are also of those that are gone.
 */
static bool known_names(const struct api *api, const char *const *names, enum who who, struct api_answer *answer)
{
    json_t *project = api->calls.project(api->calls.data);
    json_t *instances = who > A_SERVICE ? api->calls.instances(api->calls.data) : NULL;

    for (; names && *names; names++) {
        if (has_text(json_object_get(project, "services"), NULL, *names) || has_text(instances, "instance", *names) ||
            (who == WHO_WROTE && logs_exist(api->logs_dir, *names)))
            continue;
        refuse(answer, 404, "there is no service%s \"%.100s\"; \"daruma ps\" shows those that are",
               who == A_SERVICE ? "" : " or instance", *names);
        break;
    }
    json_decref(project);
    json_decref(instances);
    return answer->status < 400;
}

static void post_restart(const struct api *api, const struct api_request *request, json_t *body,
                         struct api_answer *answer)
{
    CLEANUP_FREE const char **names = take_names(body, "services", answer);
    struct err err = { 0 };
    int r = 0;

    if (answer->status >= 400 || !known_names(api, names, A_SERVICE, answer))
        return;
    for (size_t i = 0; r == 0 && (i == 0 || (names && names[i])); i++)
        r = api->calls.restart(api->calls.data, names ? names[i] : NULL, &err);
    if (r < 0)
        refuse_err(answer, &err);
    else
        answer_json(answer, 202, json_object());
}

static void post_rollback(const struct api *api, const struct api_request *request, json_t *body,
                          struct api_answer *answer)
{
    const char *service = json_string_value(json_object_get(body, "service"));
    const json_t *to = json_object_get(body, "to");
    struct err err = { 0 };

    if (!service || (to && (!json_is_integer(to) || json_integer_value(to) < 0 || json_integer_value(to) > INT32_MAX)))
        refuse(answer, 400, "expected {\"service\": NAME, \"to\": VERSION}");
    else if (api->calls.rollback(api->calls.data, service, (uint32_t)json_integer_value(to), &err) < 0)
        refuse_err(answer, &err);
    else
        answer_json(answer, 202, json_object());
}

static void get_upgrade(const struct api *api, const struct api_request *request, json_t *body,
                        struct api_answer *answer)
{
    answer_json(answer, 200, api->calls.upgrading(api->calls.data));
}

static void post_upgrade(const struct api *api, const struct api_request *request, json_t *body,
                         struct api_answer *answer)
{
    const json_t *path = json_object_get(body, "path");
    struct err err = { 0 };
    json_t *json = NULL;

    if (path && !json_is_null(path) && !json_is_string(path))
        refuse(answer, 400, "expected {\"path\": FILE}");
    else if (api->calls.upgrade(api->calls.data, json_string_value(path), &json, &err) < 0)
        refuse_err(answer, &err);
    else
        answer_json(answer, 202, json);
}

static void post_scale(const struct api *api, const struct api_request *request, json_t *body,
                       struct api_answer *answer)
{
    const char *service;
    json_t *replicas;
    struct err err = { 0 };

    json_object_foreach(body, service, replicas)
    {
        if (!json_is_integer(replicas) || json_integer_value(replicas) < 0 || json_integer_value(replicas) > 10000) {
            refuse(answer, 400, "%s: the number of replicas has to be a number from 0 to 10000", service);
            return;
        }
        if (!known_names(api, (const char *const[]){ service, NULL }, A_SERVICE, answer))
            return;
    }
    json_object_foreach(body, service, replicas)
    {
        if (api->calls.scale(api->calls.data, service, (int)json_integer_value(replicas), &err) < 0) {
            refuse_err(answer, &err);
            return;
        }
    }
    answer_json(answer, 202, json_object());
}

/* A name or a number. 0 for null; -EINVAL with the refusal. */
static int take_signal(json_t *body, int fallback, struct api_answer *answer)
{
    json_t *value = json_object_get(body, "signal");
    json_int_t number = json_integer_value(value);
    int signo = -EINVAL;

    if (!value)
        return fallback;
    if (json_is_null(value))
        return 0;
    if (json_is_string(value))
        signo = value_signal(json_string_value(value));
    else if (number > 0 && number < NSIG)
        signo = (int)number;
    if (signo < 0)
        refuse(answer, 400, "\"signal\" has to be a signal's name or number");
    return signo;
}

static void post_kill(const struct api *api, const struct api_request *request, json_t *body, struct api_answer *answer)
{
    int signo = take_signal(body, SIGKILL, answer);
    CLEANUP_FREE const char **names = answer->status < 400 ? take_names(body, "targets", answer) : NULL;
    struct err err = { 0 };
    int r = 0;

    if (answer->status >= 400 || !known_names(api, names, AN_INSTANCE, answer))
        return;
    for (size_t i = 0; r == 0 && (i == 0 || (names && names[i])); i++)
        r = api->calls.kill(api->calls.data, names ? names[i] : NULL, signo ? signo : SIGKILL, &err);
    if (r < 0)
        refuse_err(answer, &err);
    else
        answer_json(answer, 200, json_object());
}

static void post_chaos_kill(const struct api *api, const struct api_request *request, json_t *body,
                            struct api_answer *answer)
{
    int signo = take_signal(body, SIGKILL, answer);
    CLEANUP_FREE const char **names = answer->status < 400 ? take_names(body, "services", answer) : NULL;
    uint64_t pick = (uint64_t)json_integer_value(json_object_get(body, "pick"));
    bool allow_last = json_is_true(json_object_get(body, "allow_last"));
    struct err err = { 0 };
    json_t *json = NULL;

    if (answer->status >= 400)
        return;
    if (signo == SIGSTOP)
        refuse(answer, 400, "SIGSTOP has no end of its own; POST /v1/chaos/pause stops for some time");
    else if (api->calls.chaos_kill(api->calls.data, names, pick, signo, allow_last, &json, &err) < 0)
        refuse_err(answer, &err);
    else
        answer_json(answer, 200, json);
}

static void post_chaos_pause(const struct api *api, const struct api_request *request, json_t *body,
                             struct api_answer *answer)
{
    CLEANUP_FREE const char **names = take_names(body, "services", answer);
    uint64_t pick = (uint64_t)json_integer_value(json_object_get(body, "pick"));
    bool allow_last = json_is_true(json_object_get(body, "allow_last"));
    double seconds = json_number_value(json_object_get(body, "for"));
    struct err err = { 0 };
    json_t *json = NULL;

    if (answer->status >= 400)
        return;
    if (!(seconds > 0 && seconds <= API_PAUSE_MAX_S))
        refuse(answer, 400, "\"for\" has to be a number of seconds, more than 0 and at most %d", API_PAUSE_MAX_S);
    else if (api->calls.chaos_pause(api->calls.data, names, pick, (int64_t)(seconds * 1e9), allow_last, &json, &err) <
             0)
        refuse_err(answer, &err);
    else
        answer_json(answer, 200, json);
}

/* A number in the query, less than `end`; `fallback` when it is not there. False after a refusal. */
static bool query_number(const struct api_request *request, const char *name, double fallback, double end, double *ret,
                         struct api_answer *answer)
{
    const char *text = request->query(request, name, 0);
    char *behind;

    *ret = fallback;
    if (!text || !*text)
        return true;
    *ret = strtod(text, &behind);
    if (!*behind && *ret >= 0 && *ret < end)
        return true;
    refuse(answer, 400, "%s=%.100s: expected a number that is not negative, and less than %.0e", name, text, end);
    return false;
}

static bool query_flag(const struct api_request *request, const char *name)
{
    const char *text = request->query(request, name, 0);
    return text && strcmp(text, "0") != 0 && strcmp(text, "false") != 0;
}

static void get_events(const struct api *api, const struct api_request *request, json_t *body,
                       struct api_answer *answer)
{
    double since;

    if (!query_number(request, "since", 0, COUNT_END, &since, answer))
        return;
    answer->status = 200;
    answer->is_feed = true;
    answer->feed = (struct feed){
        .journal = api->journal,
        .seq = (uint64_t)since,
        .follow = query_flag(request, "follow"),
    };
}

static void get_logs(const struct api *api, const struct api_request *request, json_t *body, struct api_answer *answer)
{
    const char *names[NAMES + 1] = { 0 };
    double tail, since, after;

    for (size_t i = 0; i < NAMES && (names[i] = request->query(request, "service", i)); i++)
        ;
    if (!known_names(api, names, WHO_WROTE, answer) || !query_number(request, "tail", -1, COUNT_END, &tail, answer) ||
        !query_number(request, "since", 0, TIME_END_S, &since, answer) ||
        !query_number(request, "after", 0, COUNT_END, &after, answer))
        return;
    const struct logs_query query = {
        .names = names,
        .tail = (int64_t)tail,
        .since_ns = (int64_t)(since * 1e9),
        .after = (uint64_t)after,
        .writer = api->logs,
    };
    struct logs_reader *reader = logs_reader_new(api->logs_dir, &query);
    if (!reader) {
        refuse(answer, 500, "out of memory");
        return;
    }
    answer->status = 200;
    answer->is_feed = true;
    answer->feed = (struct feed){ .reader = reader, .follow = query_flag(request, "follow") };
}

static const struct route {
    const char *method, *path;
    void (*fn)(const struct api *api, const struct api_request *request, json_t *body, struct api_answer *answer);
} routes[] = {
    { "GET", "/v1/project", get_project },
    { "GET", "/v1/instances", get_instances },
    { "GET", "/v1/gateway", get_gateway },
    { "GET", "/v1/deploys", get_deploys },
    { "GET", "/metrics", get_metrics },
    { "GET", "/v1/upgrade", get_upgrade },
    { "GET", "/v1/events", get_events },
    { "GET", "/v1/logs", get_logs },
    { "POST", "/v1/up", post_up },
    { "POST", "/v1/down", post_down },
    { "POST", "/v1/restart", post_restart },
    { "POST", "/v1/rollback", post_rollback },
    { "POST", "/v1/upgrade", post_upgrade },
    { "POST", "/v1/scale", post_scale },
    { "POST", "/v1/kill", post_kill },
    { "POST", "/v1/chaos/kill", post_chaos_kill },
    { "POST", "/v1/chaos/pause", post_chaos_pause },
};

/* The body as an object; an empty one counts as {}. NULL after a refusal. */
static json_t *parse_body(const struct api_request *request, struct api_answer *answer)
{
    json_error_t error;

    if (request->body_len == 0)
        return json_object();
    json_t *body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, &error);
    if (!body)
        refuse(answer, 400, "the body is no JSON: %s (line %d, column %d)", error.text, error.line, error.column);
    else if (!json_is_object(body))
        refuse(answer, 400, "the body has to be a JSON object");
    else
        return body;
    json_decref(body);
    return NULL;
}

void api_handle(const struct api *api, const struct api_request *request, struct api_answer *ret)
{
    const struct route *found = NULL;

    *ret = (struct api_answer){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(routes) && !found; i++) {
        if (strcmp(routes[i].path, request->path) != 0)
            continue;
        if (strcmp(routes[i].method, request->method) == 0)
            found = &routes[i];
        else
            ret->allow = routes[i].method;
    }
    if (!found) {
        if (ret->allow)
            refuse(ret, 405, "%s works here, not %.20s", ret->allow, request->method);
        else
            refuse(ret, 404, "there is no %.100s; docs/admin-api.md lists what there is", request->path);
        return;
    }
    json_t *body = parse_body(request, ret);
    if (body)
        found->fn(api, request, body, ret);
    json_decref(body);
}
