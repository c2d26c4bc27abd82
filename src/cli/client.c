/* SPDX-License-Identifier: MIT
 *
 * The admin API's client (see client.h) and how a command finds its project.
 */
#include "cli/client.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Loads the files only for the project's name. `text` gets the problems when that does not work. */
static int name_from_files(const struct cli *cli, struct rundir *ret, struct buf *text, struct err *err)
{
    struct compose_request request = cli_compose_request(cli);
    struct problems problems = { 0 };
    struct spec *spec = NULL;

    int r = compose_load(&request, &spec, &problems);
    if (r == 0)
        r = rundir_name(ret, spec->name, err);
    else
        problems_format(&problems, cli->colour_err, text);
    spec_free(spec);
    problems_free(&problems);
    return r;
}

static int find_name(const struct cli *cli, struct client *ret)
{
    const char *name = cli->project_name ? cli->project_name : getenv("COMPOSE_PROJECT_NAME");
    CLEANUP_BUF struct buf text = { 0 };
    struct err err = { 0 };

    if (name && *name) {
        int r = rundir_name(&ret->dir, name, &err);
        return r == 0 ? 0 : (cli_fail(cli, &err), CLI_USAGE);
    }
    int r = name_from_files(cli, &ret->dir, &text, &err);
    if (r == 0)
        return 0;
    /* What runs must stay reachable although its file is broken or gone meanwhile. */
    int found = cli->files.len == 0 ? rundir_find(cli_compose_request(cli).working_dir, &ret->dir) : -ENOENT;
    if (found == 0)
        return 0;
    if (text.len > 0)
        (void)fputs(text.data, stderr);
    else
        (void)cli_fail(cli, err.code ? &err : &(struct err){ .code = r });
    (void)fprintf(stderr, "%s\n",
                  found == -ENOTUNIQ
                      ? "Several projects were started from here; name the one that is meant with -p NAME."
                      : "A project that runs can be named with -p NAME.");
    return CLI_USAGE;
}

int client_find(const struct cli *cli, struct client *ret)
{
    struct err err = { 0 };
    int status = find_name(cli, ret);

    if (status == 0 && rundir_check(&ret->dir, &err) < 0)
        status = cli_fail(cli, &err);
    return status;
}

int client_open(const struct cli *cli, struct client *ret)
{
    int status = client_find(cli, ret);

    if (status == 0 && !rundir_busy(&ret->dir)) {
        struct err err = { 0 };
        (void)err_set(&err, -ENOTCONN, "project \"%s\" is not running; `daruma up` starts it", ret->dir.project);
        status = cli_fail(cli, &err);
    }
    return status;
}

static size_t add_to_buf(char *data, size_t size, size_t n, void *target)
{
    struct buf *buf = target;
    buf_add(buf, data, size * n);
    return buf->failed ? 0 : size * n;
}

/* A handle that talks to the project's socket, whatever proxies the environment names. */
static CURL *easy_new(const struct client *client, const char *path, char **ret_url)
{
    char socket_path[PATH_MAX];
    CURL *easy = curl_easy_init();

    if (!easy)
        return NULL;
    if (asprintf(ret_url, "http://daruma%s", path) < 0) {
        *ret_url = NULL;
        curl_easy_cleanup(easy);
        return NULL;
    }
    (void)curl_easy_setopt(easy, CURLOPT_URL, *ret_url);
    (void)curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, rundir_file(&client->dir, "admin.sock", socket_path));
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    return easy;
}

/* What the answer's status means, with the supervisor's own words. */
static int explain_status(long status, const json_t *answer, struct err *err)
{
    const char *text = json_string_value(json_object_get(answer, "error"));
    int code = -EREMOTEIO;

    if (status == 400 || status == 422)
        code = -EINVAL;
    else if (status == 404)
        code = -ENOENT;
    else if (status == 409)
        code = -EBUSY;
    if (!text)
        return err_set(err, code, "the supervisor answered with status %ld", status);
    return err_set(err, code, "%s", text);
}

static int explain_curl(CURLcode code, const struct client *client, struct err *err)
{
    if (code == CURLE_COULDNT_CONNECT)
        return err_set(err, -ENOTCONN, "the supervisor of project \"%s\" does not answer: it starts or ends just now",
                       client->dir.project);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, -ETIMEDOUT, "the supervisor of project \"%s\" does not answer", client->dir.project);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, -ETIMEDOUT, "the supervisor of project \"%s\" has said nothing for %d s",
                       client->dir.project, CLIENT_SILENCE_S);
    if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR)
        return err_set(err, -EREMOTEIO,
                       "the supervisor died while it was asked; `daruma events` shows whether it was done");
    return err_set(err, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EREMOTEIO, "talking to the supervisor failed: %s",
                   curl_easy_strerror(code));
}

/* Between two looks for the next supervisor. */
#define AGAIN_NS (10 * NS_PER_MS)

/* As often as one likes with the same result. */
static bool is_repeatable(const char *method, const char *path)
{
    static const char *const paths[] = { "/v1/up", "/v1/down", "/v1/scale", "/v1/restart" };

    if (strcmp(method, "GET") == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (strncmp(path, paths[i], strcspn(path, "?")) == 0 && strlen(paths[i]) == strcspn(path, "?"))
            return true;
    return false;
}

/* The supervisor died, and somebody is there who puts it back: asked again, its successor answers. */
static bool ask_again(const struct client *client, CURLcode code, bool repeatable)
{
    bool broke =
        code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE;

    if (code != CURLE_COULDNT_CONNECT && !(broke && repeatable))
        return false;
    clock_sleep(AGAIN_NS);
    return rundir_busy(&client->dir);
}

/* One try. */
static CURLcode exchange(CURL *easy, const char *method, const char *text, struct buf *answer, long *ret_status)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

    answer->len = 0;
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "GET") != 0) {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(text));
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, text);
    }
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)CLIENT_ANSWER_S);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, add_to_buf);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, ret_status);
    curl_slist_free_all(headers);
    return code;
}

int client_call(const struct client *client, const char *method, const char *path, const json_t *body, json_t **ret,
                struct err *err)
{
    CLEANUP_BUF struct buf answer = { 0 };
    CLEANUP_FREE char *url = NULL;
    CLEANUP_FREE char *text = strcmp(method, "GET") == 0 ? strdup("") : json_dumps(body, JSON_COMPACT);
    CURL *easy = easy_new(client, path, &url);
    int64_t until = clock_now() + CLIENT_ANSWER_S * NS_PER_S;
    long status = 0;
    CURLcode code;

    if (!easy || !text) {
        curl_easy_cleanup(easy);
        return err_set(err, -ENOMEM, "out of memory");
    }
    do
        code = exchange(easy, method, text, &answer, &status);
    while (code != CURLE_OK && clock_now() < until && ask_again(client, code, is_repeatable(method, path)));
    curl_easy_cleanup(easy);
    if (code != CURLE_OK)
        return explain_curl(code, client, err);

    json_t *json = answer.len > 0 ? json_loadb(answer.data, answer.len, JSON_DECODE_ANY, NULL) : NULL;
    int r = status >= 400 ? explain_status(status, json, err) : 0;
    if (r == 0 && ret && !json)
        r = err_set(err, -EBADMSG, "the supervisor's answer is no JSON");
    if (ret)
        *ret = json;
    else
        json_decref(json);
    return r;
}

bool client_has_service(const struct client *client, const char *name, struct err *err)
{
    json_t *project = NULL, *service;
    bool found = false;
    size_t i;

    if (client_call(client, "GET", "/v1/project", NULL, &project, err) < 0)
        return false;
    json_array_foreach(json_object_get(project, "services"), i, service)
    {
        found = found || strcmp(json_string_value(service), name) == 0;
    }
    json_decref(project);
    if (!found)
        (void)err_set(err, -ENOENT, "there is no service or instance \"%.100s\"; \"daruma ps\" shows those that are",
                      name);
    return found;
}

json_t *client_names(const struct cli *cli, size_t first)
{
    json_t *names = json_array();

    for (size_t i = first; names && i < cli->args_len; i++)
        if (json_array_append_new(names, json_string(cli->args[i])) < 0) {
            json_decref(names);
            names = NULL;
        }
    return names;
}

int client_streams_init(struct client_streams *streams, struct err *err)
{
    streams->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    return streams->multi ? 0 : err_set(err, -ENOMEM, "out of memory");
}

void client_streams_free(struct client_streams *streams)
{
    if (streams->multi)
        (void)curl_multi_cleanup(streams->multi);
    streams->multi = NULL;
}

static void take_line(struct client_stream *stream, const char *line, size_t len)
{
    /* Empty lines keep the connection alive. */
    json_t *object = len > 0 ? json_loadb(line, len, 0, NULL) : NULL;
    if (object)
        stream->line(stream, object);
    json_decref(object);
}

static size_t take_bytes(char *data, size_t size, size_t n, void *target)
{
    struct client_stream *stream = target;
    size_t len = size * n, from = 0;

    stream->silent_ns = 0;
    buf_add(&stream->rest, data, len);
    if (stream->rest.failed)
        return 0;
    for (char *end; (end = memchr(stream->rest.data + from, '\n', stream->rest.len - from));) {
        size_t line = (size_t)(end - stream->rest.data) - from;
        take_line(stream, stream->rest.data + from, line);
        from += line + 1;
    }
    buf_consume(&stream->rest, from);
    return len;
}

/* Called about once a second, and ends the stream by not returning 0. Silence is summed up in short steps: who was stopped
   himself for a while (Ctrl-Z) has not listened. */
static int on_progress(void *target, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    struct client_stream *stream = target;
    int64_t time = clock_now(), step = time - stream->looked_ns;

    stream->looked_ns = time;
    stream->silent_ns += step < 2 * NS_PER_S ? step : 2 * NS_PER_S;
    return stream->silent_ns > CLIENT_SILENCE_S * NS_PER_S;
}

int client_stream_open(struct client_streams *streams, const struct client *client, const char *path,
                       struct client_stream *stream, struct err *err)
{
    stream->easy = easy_new(client, path, &stream->url);
    if (!stream->easy)
        return err_set(err, -ENOMEM, "out of memory");
    stream->client = client;
    stream->looked_ns = clock_now();
    (void)curl_easy_setopt(stream->easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(stream->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(stream->easy, CURLOPT_XFERINFODATA, stream);
    (void)curl_easy_setopt(stream->easy, CURLOPT_WRITEFUNCTION, take_bytes);
    (void)curl_easy_setopt(stream->easy, CURLOPT_WRITEDATA, stream);
    (void)curl_easy_setopt(stream->easy, CURLOPT_PRIVATE, stream);
    if (curl_multi_add_handle(streams->multi, stream->easy) != CURLM_OK) {
        client_stream_close(streams, stream);
        return err_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

const char *client_events_path(int64_t seen, char path[CLIENT_EVENTS_PATH])
{
    (void)snprintf(path, CLIENT_EVENTS_PATH, "/v1/events?follow=1&since=%lld", (long long)seen);
    return path;
}

bool client_stream_again(struct client_streams *streams, const char *path, struct client_stream *stream,
                         struct err *err)
{
    const struct client *client = stream->client;
    const struct client_stream fresh = { .line = stream->line, .data = stream->data, .rest_path = stream->rest_path };

    if (!rundir_busy(&client->dir))
        return false;
    clock_sleep(AGAIN_NS);
    client_stream_close(streams, stream);
    *stream = fresh;
    return client_stream_open(streams, client, path, stream, err) == 0;
}

void client_stream_close(struct client_streams *streams, struct client_stream *stream)
{
    if (stream->easy) {
        (void)curl_multi_remove_handle(streams->multi, stream->easy);
        curl_easy_cleanup(stream->easy);
    }
    stream->easy = NULL;
    free(stream->url);
    stream->url = NULL;
    buf_free(&stream->rest);
}

/* A stream is over: properly, with an error status (whose text is in `rest`), or because the supervisor is gone. */
static void finish(struct client_stream *stream, CURLcode code)
{
    long status = 0;

    stream->ended = true;
    (void)curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        (void)explain_curl(code, stream->client, &stream->err);
        stream->broke = stream->err.code != -ETIMEDOUT;
    } else if (status >= 400) {
        json_t *answer = stream->rest.len > 0 ? json_loadb(stream->rest.data, stream->rest.len, 0, NULL) : NULL;
        (void)explain_status(status, answer, &stream->err);
        json_decref(answer);
    }
}

int client_streams_wait(struct client_streams *streams, int fd, int timeout_ms, struct err *err)
{
    struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
    int running = 0, left;

    CURLMcode code = curl_multi_perform(streams->multi, &running);
    if (code == CURLM_OK && running > 0)
        code = curl_multi_poll(streams->multi, &extra, fd >= 0 ? 1 : 0, timeout_ms, NULL);
    if (code == CURLM_OK)
        code = curl_multi_perform(streams->multi, &running);
    for (CURLMsg *message; (message = curl_multi_info_read(streams->multi, &left));) {
        struct client_stream *stream = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&stream);
        finish(stream, message->data.result);
    }
    if (code != CURLM_OK)
        return err_set(err, -EREMOTEIO, "talking to the supervisor failed: %s", curl_multi_strerror(code));
    return 0;
}

bool client_nobody_reads(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    return poll(&out, 1, 0) > 0 && (out.revents & POLLERR);
}

int client_follow(const struct client *client, const char *path, struct client_stream *stream, struct err *err)
{
    struct client_streams streams = { 0 };

    int r = client_streams_init(&streams, err);
    if (r == 0)
        r = client_stream_open(&streams, client, path, stream, err);
    while (r == 0 && !client_nobody_reads()) {
        bool goes_on = !stream->ended || (stream->broke && stream->rest_path &&
                                          client_stream_again(&streams, stream->rest_path(stream), stream, err));
        if (!goes_on)
            break;
        r = client_streams_wait(&streams, -1, 1000, err);
    }
    if (r == 0 && stream->err.code)
        r = err_set(err, stream->err.code, "%s", stream->err.message);
    client_stream_close(&streams, stream);
    client_streams_free(&streams);
    return r;
}
