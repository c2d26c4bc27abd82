/* SPDX-License-Identifier: MIT
 *
 * The web application of the demonstrations and scenario tests: a page that says which instance answers and counts
 * visits in Redis, and a handful of switches that break it on purpose.
 *
 *     GET  /             who answers, visits of this session (cookie `session`) and of all; JSON when ANSWER=json
 *     GET  /health       200, or 503 once /sick was asked for; never touches Redis
 *     GET  /crash        the process ends at once, without an answer
 *     GET  /kill         says so in the log, flushes it, exits 1, without an answer
 *     GET  /sick /well   makes /health fail, and well again
 *     GET  /fail         every second answer is 500 from now on, but those of /health; until /well
 *     GET  /slow?ms=N    answers after N milliseconds (60,000 at most)
 *     POST /orders/ID    counts how often it was executed for ID (Redis: order:ID)
 *
 * Environment: HOST and PORT, or a handed-over listening socket (LISTEN_FDS); REDIS_HOST and REDIS_PORT; HOSTNAME,
 * VERSION and ANSWER. SIGTERM ends it after the requests that are in flight.
 *
 * Every connection has a thread with a Redis connection of its own, so that a slow Redis delays a request by
 * REDIS_TIMEOUT_MS at most and never another one. While Redis is away it is asked again every REDIS_RETRY_MS by one
 * request only; all others are answered at once, without counters.
 */
#include <ctype.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    REDIS_TIMEOUT_MS = 150,
    REDIS_RETRY_MS = 250,
    SESSION_LIFE_S = 24 * 3600,
    SESSION_ID = 32, /* hexadecimal digits */
    DRAIN_S = 5,
    SLOW_LIMIT_MS = 60000,
    THREAD_STACK = 256 * 1024,
};

struct app {
    char name[64], version[32];
    bool json;
    const char *redis_host;
    int redis_port;
    pthread_key_t redis_key;        /* the thread's struct redis */
    _Atomic int64_t redis_retry_ms; /* 0: Redis is well; else when one request may ask it again */
    _Atomic unsigned redis_losses;  /* connections made before the last loss are not used again */
    _Atomic bool sick, failing;
    _Atomic unsigned answers; /* since it fails */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned inflight; /* under lock */
};

struct redis {
    redisContext *context;
    unsigned losses; /* app.redis_losses when it was made */
};

struct visits {
    bool counted; /* false: Redis is away */
    long long session, all;
};

/* Lines are whole even when threads log at once, and are out before the process may die. */
__attribute__((format(printf, 2, 3))) static void say(const struct app *app, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    (void)printf("%s: %s\n", app->name, line);
    (void)fflush(stdout);
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- Redis ---- */

static void redis_close(void *data)
{
    struct redis *redis = data;
    if (!redis)
        return;
    if (redis->context)
        redisFree(redis->context);
    free(redis);
}

static void redis_lost(struct app *app, struct redis *redis)
{
    bool was_well = atomic_exchange(&app->redis_retry_ms, now_ms() + REDIS_RETRY_MS) == 0;
    atomic_fetch_add(&app->redis_losses, 1);
    if (was_well)
        say(app, "redis is away: %s", redis->context ? redis->context->errstr : "out of memory");
    if (redis->context)
        redisFree(redis->context);
    redis->context = NULL;
}

static void redis_well(struct app *app)
{
    if (atomic_load(&app->redis_retry_ms) != 0 && atomic_exchange(&app->redis_retry_ms, 0) != 0)
        say(app, "redis is back");
}

/* May this request ask Redis? When it is away, one request per REDIS_RETRY_MS may. */
static bool redis_may_ask(struct app *app)
{
    int64_t at = atomic_load(&app->redis_retry_ms);
    int64_t now = now_ms();
    return at == 0 || (now >= at && atomic_compare_exchange_strong(&app->redis_retry_ms, &at, now + REDIS_RETRY_MS));
}

/* The thread's connection, made if need be. NULL: Redis is away. */
static struct redis *redis_take(struct app *app)
{
    if (!app->redis_host || !redis_may_ask(app))
        return NULL;
    struct redis *redis = pthread_getspecific(app->redis_key);
    if (!redis) {
        redis = calloc(1, sizeof(*redis));
        if (!redis || pthread_setspecific(app->redis_key, redis) != 0) {
            free(redis);
            return NULL;
        }
    }
    unsigned losses = atomic_load(&app->redis_losses);
    if (redis->context && redis->losses == losses)
        return redis;
    if (redis->context)
        redisFree(redis->context);
    const struct timeval timeout = { .tv_usec = REDIS_TIMEOUT_MS * 1000 };
    redis->losses = losses;
    redis->context = redisConnectWithTimeout(app->redis_host, app->redis_port, timeout);
    if (!redis->context || redis->context->err || redisSetTimeout(redis->context, timeout) != REDIS_OK) {
        redis_lost(app, redis);
        return NULL;
    }
    return redis;
}

/* The integers that Redis answers to the `n` commands appended before. */
static bool redis_integers(struct app *app, struct redis *redis, size_t n, long long *ret)
{
    for (size_t i = 0; i < n; i++) {
        void *answer = NULL;
        if (redisGetReply(redis->context, &answer) != REDIS_OK) {
            redis_lost(app, redis);
            return false;
        }
        redisReply *reply = answer;
        bool is_integer = reply->type == REDIS_REPLY_INTEGER;
        ret[i] = reply->integer;
        if (!is_integer) /* it is loading its data, or out of memory */
            (void)snprintf(redis->context->errstr, sizeof(redis->context->errstr), "%s",
                           reply->str ? reply->str : "unexpected answer");
        freeReplyObject(reply);
        if (!is_integer) {
            redis_lost(app, redis);
            return false;
        }
    }
    redis_well(app);
    return true;
}

static struct visits count_visit(struct app *app, const char *session)
{
    struct redis *redis = redis_take(app);
    if (!redis)
        return (struct visits){ 0 };
    (void)redisAppendCommand(redis->context, "INCR hits");
    (void)redisAppendCommand(redis->context, "INCR session:%s", session);
    (void)redisAppendCommand(redis->context, "EXPIRE session:%s %d", session, SESSION_LIFE_S);
    long long counts[3];
    if (!redis_integers(app, redis, 3, counts))
        return (struct visits){ 0 };
    return (struct visits){ .counted = true, .all = counts[0], .session = counts[1] };
}

/* ---- answers ---- */

static enum MHD_Result answer_with(const struct app *app, struct MHD_Connection *connection, unsigned status,
                                   const char *type, const char *cookie, const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
        MHD_add_response_header(response, "X-Instance", app->name) == MHD_YES &&
        MHD_add_response_header(response, "X-Version", app->version) == MHD_YES &&
        (!cookie || MHD_add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, cookie) == MHD_YES))
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_json(const struct app *app, struct MHD_Connection *connection, unsigned status,
                                   const char *text)
{
    return answer_with(app, connection, status, "application/json", NULL, text);
}

/* The session id of the request, or a new one; true when it is new. */
static bool session_of(struct MHD_Connection *connection, char id[SESSION_ID + 1])
{
    const char *given = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, "session");
    if (given && strlen(given) == SESSION_ID && strspn(given, "0123456789abcdef") == SESSION_ID) {
        memcpy(id, given, SESSION_ID + 1);
        return false;
    }
    unsigned char random[SESSION_ID / 2];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        memset(random, 0, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", random[i]);
    return true;
}

static const char page_style[] = "body{font:18px/1.6 system-ui,sans-serif;max-width:32rem;margin:15vh auto;"
                                 "padding:0 1rem}h1{margin:0}small{color:#777}b{color:#b3261e}";

static void page_html(const struct app *app, const struct visits *visits, char *text, size_t size)
{
    char counters[160];
    if (visits->counted)
        (void)snprintf(counters, sizeof(counters), "Visit <b>%lld</b> of your session, <b>%lld</b> of all.",
                       visits->session, visits->all);
    else
        (void)snprintf(counters, sizeof(counters), "Redis is away, so nothing is counted just now.");
    (void)snprintf(text, size,
                   "<!doctype html><html lang=en><meta charset=utf-8><title>%s</title><style>%s</style>\n"
                   "<h1>%s</h1><small>version %s</small><p>%s</p>\n"
                   "<p><a href=/>again</a> &middot; <a href=/crash>crash it</a> &middot; <a href=/health>health</a>\n",
                   app->name, page_style, app->name, app->version, counters);
}

static void page_json(const struct app *app, const struct visits *visits, char *text, size_t size)
{
    char counters[96] = "\"hits\":null,\"session_hits\":null";
    if (visits->counted)
        (void)snprintf(counters, sizeof(counters), "\"hits\":%lld,\"session_hits\":%lld", visits->all, visits->session);
    (void)snprintf(text, size, "{\"message\":\"Hello from %s\",\"version\":\"%s\",\"database\":\"%s\",%s}\n", app->name,
                   app->version, visits->counted ? "connected" : "unreachable", counters);
}

static void page_text(const struct app *app, const struct visits *visits, char *text, size_t size)
{
    if (visits->counted)
        (void)snprintf(text, size, "%s, version %s: visit %lld of your session, %lld of all\n", app->name, app->version,
                       visits->session, visits->all);
    else
        (void)snprintf(text, size, "%s, version %s: redis is away, nothing is counted\n", app->name, app->version);
}

static enum MHD_Result do_page(struct app *app, struct MHD_Connection *connection)
{
    char id[SESSION_ID + 1], cookie[128], text[2048];
    bool is_new = session_of(connection, id);
    struct visits visits = count_visit(app, id);
    (void)snprintf(cookie, sizeof(cookie), "session=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax", id,
                   SESSION_LIFE_S);

    const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    const char *type = "text/plain; charset=utf-8";
    if (app->json) {
        type = "application/json";
        page_json(app, &visits, text, sizeof(text));
    } else if (accept && strstr(accept, "text/html")) {
        type = "text/html; charset=utf-8";
        page_html(app, &visits, text, sizeof(text));
    } else {
        page_text(app, &visits, text, sizeof(text));
    }
    return answer_with(app, connection, MHD_HTTP_OK, type, is_new ? cookie : NULL, text);
}

static enum MHD_Result do_health(struct app *app, struct MHD_Connection *connection)
{
    if (atomic_load(&app->sick))
        return answer_json(app, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "{\"status\":\"sick\"}\n");
    return answer_json(app, connection, MHD_HTTP_OK, "{\"status\":\"ok\"}\n");
}

static enum MHD_Result do_crash(struct app *app, struct MHD_Connection *connection)
{
    say(app, "GET /crash: gone");
    _exit(1);
}

static enum MHD_Result do_kill(struct app *app, struct MHD_Connection *connection)
{
    say(app, "GET /kill: exiting with status 1");
    (void)fsync(STDOUT_FILENO); /* where the log is a file; a pipe has nothing to sync */
    exit(1);
}

static enum MHD_Result do_sick(struct app *app, struct MHD_Connection *connection)
{
    atomic_store(&app->sick, true);
    say(app, "GET /sick: /health fails from now on");
    return answer_json(app, connection, MHD_HTTP_OK, "{\"status\":\"sick\"}\n");
}

static enum MHD_Result do_well(struct app *app, struct MHD_Connection *connection)
{
    atomic_store(&app->sick, false);
    atomic_store(&app->failing, false);
    say(app, "GET /well: all is well again");
    return answer_json(app, connection, MHD_HTTP_OK, "{\"status\":\"ok\"}\n");
}

static enum MHD_Result do_fail(struct app *app, struct MHD_Connection *connection)
{
    atomic_store(&app->failing, true);
    say(app, "GET /fail: every second answer is 500 from now on");
    return answer_json(app, connection, MHD_HTTP_OK, "{\"status\":\"failing\"}\n");
}

static enum MHD_Result do_slow(struct app *app, struct MHD_Connection *connection)
{
    const char *given = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "ms");
    long ms = given ? strtol(given, NULL, 10) : 1000;
    if (ms < 0 || ms > SLOW_LIMIT_MS)
        return answer_json(app, connection, MHD_HTTP_BAD_REQUEST, "{\"error\":\"ms is 0 ... 60000\"}\n");
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    char text[64];
    (void)snprintf(text, sizeof(text), "{\"slept_ms\":%ld}\n", ms);
    return answer_json(app, connection, MHD_HTTP_OK, text);
}

/* `id` reaches Redis as one argument, so any bytes will do; the answer does not repeat it. */
static enum MHD_Result do_order(struct app *app, struct MHD_Connection *connection, const char *id)
{
    struct redis *redis = redis_take(app);
    long long executed;
    if (redis)
        (void)redisAppendCommand(redis->context, "INCR order:%s", id);
    if (!redis || !redis_integers(app, redis, 1, &executed))
        return answer_json(app, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "{\"error\":\"redis is away\"}\n");
    char text[64];
    (void)snprintf(text, sizeof(text), "{\"executed\":%lld}\n", executed);
    return answer_json(app, connection, MHD_HTTP_CREATED, text);
}

/* ---- the server ---- */

static const struct {
    const char *path;
    enum MHD_Result (*fn)(struct app *app, struct MHD_Connection *connection);
} pages[] = {
    { "/", do_page },     { "/health", do_health }, { "/crash", do_crash }, { "/kill", do_kill },
    { "/sick", do_sick }, { "/well", do_well },     { "/fail", do_fail },   { "/slow", do_slow },
};

/* Is this the answer that fails? */
static bool fails(struct app *app, const char *url)
{
    return atomic_load(&app->failing) && strcmp(url, "/health") != 0 && strcmp(url, "/well") != 0 &&
           atomic_fetch_add(&app->answers, 1) % 2 == 0;
}

static enum MHD_Result dispatch(struct app *app, struct MHD_Connection *connection, const char *url, const char *method)
{
    if (fails(app, url))
        return answer_json(app, connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "{\"error\":\"failing\"}\n");
    if (strcmp(method, "POST") == 0 && strncmp(url, "/orders/", 8) == 0 && url[8])
        return do_order(app, connection, url + 8);
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(url, pages[i].path) != 0)
            continue;
        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
            return answer_json(app, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "{\"error\":\"GET only\"}\n");
        return pages[i].fn(app, connection);
    }
    return answer_json(app, connection, MHD_HTTP_NOT_FOUND, "{\"error\":\"no such page\"}\n");
}

/* libmicrohttpd calls it once for the header, for each piece of the body (which nobody here wants), and at the end. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
    struct app *app = data;
    if (!*request) {
        *request = app;
        (void)pthread_mutex_lock(&app->lock);
        app->inflight++;
        (void)pthread_mutex_unlock(&app->lock);
        return MHD_YES;
    }
    if (*body_len > 0) {
        *body_len = 0;
        return MHD_YES;
    }
    return dispatch(app, connection, url, method);
}

static void on_completed(void *data, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct app *app = data;
    if (!*request)
        return;
    *request = NULL;
    (void)pthread_mutex_lock(&app->lock);
    if (--app->inflight == 0)
        (void)pthread_cond_signal(&app->idle);
    (void)pthread_mutex_unlock(&app->lock);
}

/* The environment's value with whatever is unusual in a name replaced, so that it may stand in HTML, JSON and headers. */
static void plain_name(char *ret, size_t size, const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);
    (void)snprintf(ret, size, "%s", value && value[0] ? value : otherwise);
    for (char *at = ret; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            *at = '_';
}

static const char *variable_or(const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);
    return value && value[0] ? value : otherwise;
}

/* The descriptor of sd_listen_fds(3), or -1. */
static int handed_over_socket(void)
{
    const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    if (!count || strtol(count, NULL, 10) < 1 || (pid && strtol(pid, NULL, 10) != getpid()))
        return -1;
    return 3;
}

static struct MHD_Daemon *serve(struct app *app)
{
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC;
    const char *host = variable_or("HOST", "127.0.0.1"), *port = variable_or("PORT", "5000");
    const struct MHD_OptionItem options[] = {
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, app },
        { MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK, NULL },
        { MHD_OPTION_END, 0, NULL },
    };
    int fd = handed_over_socket();
    if (fd >= 0) {
        struct MHD_Daemon *daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, app, MHD_OPTION_LISTEN_SOCKET,
                                                     fd, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
        say(app, daemon ? "version %s serves the socket that it was given" : "version %s cannot serve: %m",
            app->version);
        return daemon;
    }
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *address;
    int error = getaddrinfo(host, port, &hints, &address);
    if (error) {
        say(app, "HOST=%s PORT=%s: %s", host, port, gai_strerror(error));
        return NULL;
    }
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags | (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL, on_request, app,
                         MHD_OPTION_SOCK_ADDR, address->ai_addr, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (daemon)
        say(app, "version %s serves %s:%s", app->version, host, port);
    else
        say(app, "cannot serve %s:%s: %m", host, port);
    freeaddrinfo(address);
    return daemon;
}

/* Accepts nothing more and gives what is in flight DRAIN_S to end. A socket that was handed over stays open. */
static void drain(struct app *app, struct MHD_Daemon *daemon)
{
    (void)MHD_quiesce_daemon(daemon);
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_S;
    (void)pthread_mutex_lock(&app->lock);
    while (app->inflight > 0 && pthread_cond_timedwait(&app->idle, &app->lock, &until) == 0)
        ;
    (void)pthread_mutex_unlock(&app->lock);
}

int main(void)
{
    static struct app app = { .lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER };
    plain_name(app.name, sizeof(app.name), "HOSTNAME", "app");
    plain_name(app.version, sizeof(app.version), "VERSION", "1");
    app.json = strcmp(variable_or("ANSWER", ""), "json") == 0;
    app.redis_host = getenv("REDIS_HOST");
    app.redis_port = (int)strtol(variable_or("REDIS_PORT", "6379"), NULL, 10);
    if (pthread_key_create(&app.redis_key, redis_close) != 0)
        return 1;

    /* hiredis writes to sockets that Redis may have closed. The ending signals are for sigwait() alone. */
    (void)signal(SIGPIPE, SIG_IGN);
    sigset_t ending;
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &ending, NULL) != 0)
        return 1;

    struct MHD_Daemon *daemon = serve(&app);
    if (!daemon)
        return 1;
    int signo = 0;
    (void)sigwait(&ending, &signo);
    say(&app, "SIG%s: finishing", sigabbrev_np(signo));
    drain(&app, daemon);
    _exit(0); /* idle kept-alive connections need no farewell */
}
