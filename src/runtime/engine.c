/* SPDX-License-Identifier: MIT */
#include "runtime/engine.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_HOST    "unix:///var/run/docker.sock"
#define CONNECT_TIMEOUT (10 * NS_PER_S)
#define VERSION_TIMEOUT (10 * NS_PER_S)
#define KEEP_IDLE_S     20L

enum { ANSWER_MAX = 64 << 20 }; /* an answer that is collected is never longer */

struct engine {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer;
    struct engine_call *calls;
    struct curl_slist *headers, *tar_headers;
    char *host;        /* as given */
    char *socket_path; /* NULL: TCP */
    char *base;        /* "http://host:port" */
    char version[8];   /* "1.41"; "" while it is not known */
    bool podman;
};

struct engine_call {
    struct engine_call *next, **link;
    struct engine *engine;
    struct engine_request request; /* path is our own copy, body is not kept */
    char *body;
    CURL *easy;
    bool asks_version;        /* the exchange that runs now only asks for the Engine's version */
    struct loop_io upload_io; /* added while the archive is waited for */
    struct buf answer;
    char error[CURL_ERROR_SIZE];
};

/* A socket that libcurl wants to be watched. */
struct engine_socket {
    struct loop_io io;
    struct engine *engine;
};

static void finish_calls(struct engine *engine);

/* ---- libcurl in the loop ---- */

static void on_socket_ready(struct loop_io *io, uint32_t events)
{
    struct engine_socket *sock = io->data;
    struct engine *engine = sock->engine;
    int running, ready = 0;

    ready |= events & EPOLLIN ? CURL_CSELECT_IN : 0;
    ready |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    ready |= events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
    (void)curl_multi_socket_action(engine->multi, io->fd, ready, &running); /* `sock` may be gone after it */
    finish_calls(engine);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *own)
{
    struct engine *engine = data;
    struct engine_socket *sock = own;

    if (what == CURL_POLL_REMOVE) {
        if (sock)
            loop_io_remove(engine->loop, &sock->io);
        free(sock);
        (void)curl_multi_assign(engine->multi, fd, NULL);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (sock)
        return loop_io_change(engine->loop, &sock->io, events) < 0 ? -1 : 0;
    sock = calloc(1, sizeof(*sock));
    if (!sock)
        return -1;
    sock->engine = engine;
    sock->io = (struct loop_io){ .fn = on_socket_ready, .data = sock };
    if (loop_io_add(engine->loop, &sock->io, fd, events) < 0) {
        free(sock);
        return -1;
    }
    (void)curl_multi_assign(engine->multi, fd, sock);
    return 0;
}

static void on_timer(struct loop_timer *timer)
{
    struct engine *engine = timer->data;
    int running;

    (void)curl_multi_socket_action(engine->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_calls(engine);
}

static int set_timer(CURLM *multi, long timeout_ms, void *data)
{
    struct engine *engine = data;

    if (timeout_ms < 0)
        loop_timer_cancel(engine->loop, &engine->timer);
    else
        loop_timer_set(engine->loop, &engine->timer, clock_now() + timeout_ms * NS_PER_MS);
    return 0;
}

/* ---- one exchange ---- */

static size_t on_body(char *data, size_t size, size_t n, void *owner)
{
    struct engine_call *call = owner;
    long status = 0;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->request.data && status < 300 && !call->asks_version) {
        call->request.data(call->request.owner, data, n);
        return n;
    }
    if (call->answer.len + n > ANSWER_MAX)
        return 0; /* fails the exchange */
    buf_add(&call->answer, data, n);
    return call->answer.failed ? 0 : n;
}

/* Called for each line of the head; the empty one ends it. */
static size_t on_head(char *line, size_t size, size_t n, void *owner)
{
    struct engine_call *call = owner;
    long status = 0;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (n == 2 && status >= 200 && status < 300 && call->request.opened && !call->asks_version)
        call->request.opened(call->request.owner);
    return n;
}

static void on_upload_ready(struct loop_io *io, uint32_t events)
{
    struct engine_call *call = io->data;
    struct engine *engine = call->engine;

    loop_io_remove(engine->loop, io);
    (void)curl_easy_pause(call->easy, CURLPAUSE_CONT);
    loop_timer_set(engine->loop, &engine->timer, clock_now());
}

static size_t on_upload(char *data, size_t size, size_t n, void *owner)
{
    struct engine_call *call = owner;
    ssize_t got = read(call->request.upload_fd, data, size * n);

    if (got >= 0)
        return (size_t)got;
    if (errno != EAGAIN && errno != EINTR)
        return CURL_READFUNC_ABORT;
    /* Nothing yet: curl stops asking, the loop looks at the descriptor. */
    call->upload_io = (struct loop_io){ .fn = on_upload_ready, .data = call };
    if (loop_io_add(call->engine->loop, &call->upload_io, call->request.upload_fd, EPOLLIN) < 0)
        return CURL_READFUNC_ABORT;
    return CURL_READFUNC_PAUSE;
}

static bool set_method(struct engine_call *call)
{
    const struct engine_request *request = &call->request;
    CURL *easy = call->easy;
    CURLcode r = CURLE_OK;

    if (call->asks_version || strcmp(request->method, "GET") == 0) {
        r = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    } else if (request->upload_fd) {
        r = curl_easy_setopt(easy, strcmp(request->method, "PUT") == 0 ? CURLOPT_UPLOAD : CURLOPT_POST, 1L);
        r |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
        r |= curl_easy_setopt(easy, CURLOPT_READDATA, call);
        r |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->engine->tar_headers);
    } else if (strcmp(request->method, "POST") == 0) {
        r = curl_easy_setopt(easy, CURLOPT_POST, 1L);
        r |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
        r |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, call->body ? (long)strlen(call->body) : 0L);
        r |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->engine->headers);
    } else {
        r = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    return r == CURLE_OK;
}

/* Sends what is next: the question for the version, or the request itself. */
static int begin_exchange(struct engine_call *call)
{
    struct engine *engine = call->engine;
    const struct engine_request *request = &call->request;
    CLEANUP_FREE char *url = NULL;

    call->asks_version = engine->version[0] == '\0';
    int n = call->asks_version ? asprintf(&url, "%s/version", engine->base)
                               : asprintf(&url, "%s/v%s%s", engine->base, engine->version, request->path);
    if (n < 0) {
        url = NULL;
        return -ENOMEM;
    }
    CURL *easy = call->easy;
    int64_t timeout = call->asks_version ? VERSION_TIMEOUT : request->timeout_ns;
    buf_consume(&call->answer, call->answer.len);
    call->error[0] = '\0';
    curl_easy_reset(easy);
    CURLcode r = curl_easy_setopt(easy, CURLOPT_URL, url);
    if (engine->socket_path)
        r |= curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, engine->socket_path);
    r |= curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    r |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    r |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    r |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    r |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    r |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(CONNECT_TIMEOUT / NS_PER_MS));
    r |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout / NS_PER_MS));
    r |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    /* A stream that says nothing for hours is not to outlive its Engine. */
    r |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, engine->socket_path ? 0L : 1L);
    r |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEP_IDLE_S);
    r |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    r |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    r |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    r |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    if (r != CURLE_OK || !set_method(call))
        return -ENOMEM;
    return curl_multi_add_handle(engine->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

static void call_free(struct engine_call *call)
{
    loop_io_remove(call->engine->loop, &call->upload_io);
    (void)curl_multi_remove_handle(call->engine->multi, call->easy);
    curl_easy_cleanup(call->easy);
    if (call->link) {
        *call->link = call->next;
        if (call->next)
            call->next->link = call->link;
    }
    free((char *)call->request.path);
    free(call->body);
    buf_free(&call->answer);
    free(call);
}

int engine_begin(struct engine *engine, const struct engine_request *request, struct engine_call **ret)
{
    struct engine_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->engine = engine;
    call->request = *request;
    call->request.path = strdup(request->path);
    call->request.body = NULL;
    call->body = request->body ? json_dumps(request->body, JSON_COMPACT) : NULL;
    call->easy = curl_easy_init();
    bool whole = call->request.path && call->easy && (!request->body || call->body);
    int r = whole ? begin_exchange(call) : -ENOMEM;
    if (r < 0) {
        call_free(call);
        return r;
    }
    call->next = engine->calls;
    call->link = &engine->calls;
    if (call->next)
        call->next->link = &call->next;
    engine->calls = call;
    *ret = call;
    return 0;
}

void engine_cancel(struct engine_call *call)
{
    if (call)
        call_free(call);
}

/* ---- how it ended ---- */

/* Why there was no whole answer. */
static int judge_failure(struct engine_call *call, CURLcode code, struct err *err)
{
    struct engine *engine = call->engine;
    long os_error = 0;

    engine->version[0] = '\0';
    (void)curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_OUT_OF_MEMORY)
        return err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, -ETIMEDOUT, "the Docker Engine at %s does not answer", engine->host);
    if (code != CURLE_COULDNT_CONNECT)
        return err_set(err, -EIO, "the Docker Engine at %s broke off: %s", engine->host,
                       call->error[0] ? call->error : curl_easy_strerror(code));
    if (os_error == EACCES || os_error == EPERM)
        return err_set(
            err, -EACCES,
            "no permission for the Docker Engine's socket %s; add your user to its group (usually \"docker\") "
            "and log in again, or run daruma as root",
            engine->socket_path ? engine->socket_path : engine->host);
    return err_set(err, os_error == ENOENT ? -ENOENT : -ECONNREFUSED,
                   "no Docker Engine at %s; start it, or say with DOCKER_HOST where it is", engine->host);
}

/* The Engine's own words: {"message": "…"}. */
static void take_message(struct engine_call *call, const json_t *json, int status, struct err *err)
{
    const char *message = json_string_value(json_object_get(json, "message"));
    const char *text = message ? message : call->answer.len ? call->answer.data : "";

    (void)err_set(err, -EREMOTEIO, "%.*s", (int)strcspn(text, "\n"), text);
    if (err->message[0] == '\0')
        (void)err_set(err, -EREMOTEIO, "the Docker Engine answered %d", status);
}

const char *engine_choose_version(const char *theirs)
{
    unsigned major, minor, oldest, newest;

    if (!theirs || sscanf(theirs, "%u.%u", &major, &minor) != 2)
        return NULL;
    (void)sscanf(ENGINE_OLDEST, "1.%u", &oldest);
    (void)sscanf(ENGINE_NEWEST, "1.%u", &newest);
    if (major == 1 && minor < newest)
        return minor >= oldest ? theirs : NULL;
    return major >= 1 ? ENGINE_NEWEST : NULL;
}

/* The Engine said which versions it speaks: now the request itself. 0 when it is on its way. */
static int take_version(struct engine_call *call, int status, const json_t *json, struct err *err)
{
    struct engine *engine = call->engine;
    const char *theirs = json_string_value(json_object_get(json, "ApiVersion"));
    const char *version = engine_choose_version(theirs);

    if (status != 200 || !theirs)
        return err_set(err, -EPROTO, "what answers at %s is no Docker Engine", engine->host);
    if (!version || strlen(version) >= sizeof(engine->version))
        return err_set(err, -EPROTO,
                       "the Docker Engine at %s is too old: it speaks version %s of the API, %s is needed",
                       engine->host, theirs, ENGINE_OLDEST);
    (void)snprintf(engine->version, sizeof(engine->version), "%s", version);
    const json_t *component = json_array_get(json_object_get(json, "Components"), 0);
    const char *name = json_string_value(json_object_get(component, "Name"));
    engine->podman = name && strcmp(name, "Podman Engine") == 0;
    int r = begin_exchange(call);
    return r < 0 ? err_errno(err, r, "cannot talk to the Docker Engine") : 0;
}

static void finish(struct engine_call *call, CURLcode code)
{
    struct engine *engine = call->engine;
    struct err err = { 0 };
    long http = 0;
    int status;
    json_t *json = NULL;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http);
    status = code == CURLE_OK ? (int)http : judge_failure(call, code, &err);
    (void)curl_multi_remove_handle(engine->multi, call->easy);
    if (status > 0 && call->answer.len > 0)
        json = json_loadb(call->answer.data, call->answer.len, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
    if (status > 0 && call->asks_version) {
        int r = take_version(call, status, json, &err);
        if (r == 0) {
            json_decref(json);
            return;
        }
        status = r;
    }
    if (status >= 400)
        take_message(call, json, status, &err);
    const struct engine_request request = call->request;
    call_free(call);
    request.done(request.owner, status, json, &err);
    json_decref(json);
}

static void finish_calls(struct engine *engine)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(engine->multi, &left))) {
        struct engine_call *call = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish(call, code);
    }
}

/* ---- --- ---- */

static int parse_host(struct engine *engine, struct err *err)
{
    const char *host = engine->host;

    if (strncmp(host, "unix://", 7) == 0 && host[7] == '/') {
        engine->socket_path = strdup(host + 7);
        engine->base = strdup("http://docker");
        return engine->socket_path && engine->base ? 0 : err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
    }
    if (strncmp(host, "tcp://", 6) == 0 || strncmp(host, "http://", 7) == 0) {
        const char *rest = strstr(host, "://") + 3;
        int n = asprintf(&engine->base, "http://%.*s", (int)strcspn(rest, "/"), rest);
        if (n < 0)
            engine->base = NULL;
        return n < 0 ? err_errno(err, -ENOMEM, "cannot talk to the Docker Engine") : 0;
    }
    return err_set(err, -EINVAL, "DOCKER_HOST is \"%s\"; it has to be unix:///path or tcp://host:port", host);
}

static bool set_up_multi(struct engine *engine)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return false;
    engine->multi = curl_multi_init();
    engine->headers = curl_slist_append(NULL, "Content-Type: application/json");
    engine->tar_headers = curl_slist_append(NULL, "Content-Type: application/x-tar");
    if (!engine->multi || !engine->headers || !engine->tar_headers)
        return false;
    struct curl_slist *more = curl_slist_append(engine->tar_headers, "Transfer-Encoding: chunked");
    struct curl_slist *last = more ? curl_slist_append(engine->tar_headers, "Expect:") : NULL;
    CURLMcode r = curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    r |= curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
    r |= curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    r |= curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
    return last && r == CURLM_OK;
}

struct engine *engine_new(struct loop *loop, const char *host, struct err *err)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        (void)err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
        return NULL;
    }
    engine->loop = loop;
    engine->timer = (struct loop_timer){ .fn = on_timer, .data = engine };
    engine->host = strdup(host && *host ? host : DEFAULT_HOST);
    int r = engine->host ? parse_host(engine, err) : err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
    if (r == 0 && !set_up_multi(engine))
        r = err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
    if (r < 0) {
        engine_free(engine);
        return NULL;
    }
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    while (engine->calls)
        call_free(engine->calls);
    if (engine->multi)
        (void)curl_multi_cleanup(engine->multi);
    loop_timer_cancel(engine->loop, &engine->timer);
    curl_slist_free_all(engine->headers);
    curl_slist_free_all(engine->tar_headers);
    free(engine->host);
    free(engine->socket_path);
    free(engine->base);
    free(engine);
}

const char *engine_host(const struct engine *engine)
{
    return engine->host;
}

bool engine_is_local(const struct engine *engine)
{
    return engine->socket_path != NULL;
}

bool engine_is_remote(const struct engine *engine)
{
    const char *host = engine->base + strlen("http://");
    bool here =
        strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost:", 10) == 0 || strncmp(host, "[::1]:", 6) == 0;
    return !engine->socket_path && !here;
}

bool engine_is_rootless(const struct engine *engine)
{
    struct stat st;
    return engine->socket_path && stat(engine->socket_path, &st) == 0 && st.st_uid != 0;
}

bool engine_is_podman(const struct engine *engine)
{
    return engine->podman;
}

char *engine_path(const char *format, const char *text)
{
    CURL *easy = curl_easy_init();
    char *escaped = easy ? curl_easy_escape(easy, text, 0) : NULL;
    char *path = NULL;

    if (!escaped || asprintf(&path, format, escaped) < 0)
        path = NULL;
    curl_free(escaped);
    if (easy)
        curl_easy_cleanup(easy);
    return path;
}
