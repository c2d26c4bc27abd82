/* SPDX-License-Identifier: MIT */
#include "supervise/probe.h"

#include "base/cleanup.h"
#include "base/proxy_header.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Large, and needed only within one step: one for all probes of this single-threaded process. */
static struct http1_head scratch;

static void release(struct probe *probe)
{
    if (probe->http) {
        loop_io_remove(probe->loop, &probe->io);
        http_client_close(probe->http);
        free(probe->http);
        probe->http = NULL;
    }
    if (probe->fd >= 0) {
        loop_io_remove(probe->loop, &probe->io);
        (void)close(probe->fd);
        probe->fd = -1;
    }
}

/* The answer is known; the owner hears it in the loop's next step. */
static void decide(struct probe *probe, bool passed, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void decide(struct probe *probe, bool passed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(probe->text, sizeof(probe->text), format, args);
    va_end(args);
    release(probe);
    probe->passed = passed;
    probe->decided = true;
    loop_timer_set(probe->loop, &probe->timer, loop_now(probe->loop));
}

static void on_timer(struct loop_timer *timer)
{
    struct probe *probe = timer->data;

    if (!probe->decided) {
        release(probe);
        probe->passed = false;
        probe->timed_out = true;
        (void)snprintf(probe->text, sizeof(probe->text), "no answer in time");
    }
    probe->busy = false;
    probe->done(probe, probe->passed, probe->text);
}

static void on_command(void *owner, int result, const char *output, size_t len)
{
    struct probe *probe = owner;

    probe->execution = NULL;
    probe->timed_out = result == -ETIMEDOUT;
    while (len > 0 && (output[len - 1] == '\n' || output[len - 1] == ' '))
        len--;
    size_t line = len;
    while (line > 0 && output[line - 1] != '\n')
        line--;
    int shown = len - line < 100 ? (int)(len - line) : 100;
    const char *colon = shown ? ": " : "";
    if (result == 0)
        decide(probe, true, "%s", "");
    else if (result == -ETIMEDOUT)
        decide(probe, false, "the command took too long%s%.*s", colon, shown, output + line);
    else if (result < 0)
        decide(probe, false, "the command could not be run: %s",
               result == -ESRCH ? "the instance is frozen, or gone" : strerror(-result));
    else
        decide(probe, false, "the command ended with status %d%s%.*s", result, colon, shown, output + line);
}

static void start_command(struct probe *probe, const struct probe_target *target)
{
    char *shell[] = { "/bin/sh", "-c", target->command[0], NULL };
    struct runtime_exec exec = {
        .argv = target->test == SPEC_TEST_SHELL ? shell : target->command,
        .timeout_ns = target->timeout_ns,
        .owner = probe,
        .done = on_command,
    };
    struct err err = { 0 };
    if (probe->runtime->exec(probe->runtime, target->handle, &exec, &probe->execution, &err) < 0) {
        probe->execution = NULL;
        decide(probe, false, "%s", err.message);
    }
}

static void on_connected(struct loop_io *io, uint32_t events)
{
    struct probe *probe = io->data;
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    decide(probe, error == 0, "%s", error ? strerror(error) : "");
}

static void start_connect(struct probe *probe, const struct probe_target *target)
{
    const struct board_address *address = &target->address;

    probe->fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe->fd < 0) {
        decide(probe, false, "%s", strerror(errno));
        return;
    }
    if (connect(probe->fd, &address->u.any, address->len) == 0) {
        decide(probe, true, "%s", "");
        return;
    }
    probe->io = (struct loop_io){ .fn = on_connected, .data = probe };
    int r = errno == EINPROGRESS ? loop_io_add(probe->loop, &probe->io, probe->fd, EPOLLOUT) : -errno;
    if (r < 0)
        decide(probe, false, "%s", strerror(-r));
}

/* Goes on with the exchange as far as it can. The client may close its connection; that alone would not take it out of the
   loop, as long as a child that is being started holds it, too. */
static void step_http(struct probe *probe)
{
    struct http_client *http = probe->http;

    loop_io_remove(probe->loop, &probe->io);
    uint32_t wanted = http_client_step(http);
    if (wanted) {
        int r = loop_io_add(probe->loop, &probe->io, http->fd, wanted);
        if (r < 0)
            decide(probe, false, "%s", strerror(-r));
    } else if (http->state == HTTP_CLIENT_DONE) {
        probe->status = http->status;
        decide(probe, http->status >= 200 && http->status < 400, "answered %u", http->status);
    } else {
        decide(probe, false, "%s", http->error == -EBADMSG ? "no HTTP answer" : strerror(-http->error));
    }
}

static void on_http(struct loop_io *io, uint32_t events)
{
    step_http(io->data);
}

static void start_http(struct probe *probe, const struct probe_target *target)
{
    char host[BOARD_ADDRESS_TEXT];
    bool is_unix = target->address.u.any.sa_family == AF_UNIX;
    /* We speak for nobody but ourselves. */
    const struct proxy_header ourselves = { .family = AF_UNSPEC };
    size_t at = target->proxy_protocol ? proxy_header_format(&ourselves, target->proxy_protocol, probe->request) : 0;
    (void)board_address_format(&target->address, host);
    int n =
        snprintf(probe->request + at, sizeof(probe->request) - at,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: daruma-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                 target->url[0] ? target->url : "/", is_unix ? "localhost" : host);
    if (n < 0 || (size_t)n >= sizeof(probe->request) - at) {
        decide(probe, false, "the URL is too long");
        return;
    }
    probe->http = malloc(sizeof(*probe->http));
    if (!probe->http) {
        decide(probe, false, "%s", strerror(ENOMEM));
        return;
    }
    http_client_init(probe->http, &scratch);
    probe->io = (struct loop_io){ .fn = on_http, .data = probe };
    int r = http_client_start(probe->http, &target->address, HTTP1_GET, probe->request, at + (size_t)n);
    if (r < 0)
        decide(probe, false, "%s", strerror(-r));
    else
        step_http(probe);
}

void probe_start(struct probe *probe, const struct probe_target *target)
{
    bool command = target->test == SPEC_TEST_CMD || target->test == SPEC_TEST_SHELL;

    probe->busy = true;
    probe->decided = false;
    probe->timed_out = false;
    probe->status = 0;
    probe->fd = -1;
    probe->timer.fn = on_timer;
    probe->timer.data = probe;
    /* A command's time is watched by the runtime, which kills the whole of it. */
    if (!command)
        loop_timer_set(probe->loop, &probe->timer, loop_now(probe->loop) + target->timeout_ns);
    if (command)
        start_command(probe, target);
    else if (target->test == SPEC_TEST_HTTP)
        start_http(probe, target);
    else
        start_connect(probe, target);
}

void probe_cancel(struct probe *probe)
{
    if (!probe->busy)
        return;
    loop_timer_cancel(probe->loop, &probe->timer);
    if (probe->execution)
        probe->runtime->exec_cancel(probe->runtime, probe->execution);
    probe->execution = NULL;
    release(probe);
    probe->busy = false;
}
