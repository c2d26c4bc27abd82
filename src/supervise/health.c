/* SPDX-License-Identifier: MIT */
#include "supervise/health.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define FAST_NS            (100 * NS_PER_MS)
#define FIRST_CONNECT_NS   NS_PER_MS
#define FIRST_COMMAND_NS   (10 * NS_PER_MS)
#define CONNECT_TIMEOUT_NS NS_PER_S
#define SILENCE_NS         (10 * NS_PER_S)
#define ANSWER_NS          (5 * NS_PER_S)

enum health_state health_judge(struct health_count *count, const struct spec_healthcheck *check, bool passed,
                               int64_t age_ns)
{
    uint32_t retries = check->retries > 0 ? (uint32_t)check->retries : 1;

    if (count->probes < UINT32_MAX)
        count->probes++;
    if (passed) {
        count->failed = 0;
        count->state = HEALTH_HEALTHY;
        return count->state;
    }
    /* Compose: within the start period failures do not count, until it has passed once. */
    if (count->state == HEALTH_STARTING && age_ns < check->start_period_ns)
        return count->state;
    if (count->failed < UINT32_MAX)
        count->failed++;
    bool patience = count->state == HEALTH_STARTING && age_ns < check->start_period_ns + retries * check->interval_ns;
    if (count->failed >= retries && !patience)
        count->state = HEALTH_UNHEALTHY;
    return count->state;
}

/* Most programs listen within milliseconds; a probe that is no connection but a process is not tried as often. */
static int64_t fast_pause(const struct health_count *count, const struct spec_healthcheck *check)
{
    bool command = check->test == SPEC_TEST_CMD || check->test == SPEC_TEST_SHELL;
    int64_t pause = command ? FIRST_COMMAND_NS : FIRST_CONNECT_NS;
    for (uint32_t probe = 1; probe < count->probes && pause < FAST_NS; probe++)
        pause *= 2;
    return pause < FAST_NS ? pause : FAST_NS;
}

int64_t health_pause(const struct health_count *count, const struct spec_healthcheck *check)
{
    if (count->state != HEALTH_STARTING)
        return check->interval_ns;
    int64_t pause = check->start_interval_ns > 0 ? check->start_interval_ns : fast_pause(count, check);
    return pause < check->interval_ns ? pause : check->interval_ns;
}

const char *health_state_name(enum health_state state)
{
    static const char *const names[] = {
        [HEALTH_NONE] = "",
        [HEALTH_STARTING] = "starting",
        [HEALTH_HEALTHY] = "healthy",
        [HEALTH_UNHEALTHY] = "unhealthy",
    };
    return (unsigned)state < ARRAY_LEN(names) ? names[state] : "?";
}

static void again_in(struct health *health, int64_t pause_ns)
{
    loop_timer_set(health->loop, &health->timer, loop_now(health->loop) + pause_ns);
}

static void become_ready(struct health *health)
{
    if (health->ready)
        return;
    health->ready = true;
    loop_timer_cancel(health->loop, &health->silence);
    health->events->ready(health);
}

/* Where a probe goes: the check's own host and port, or a port of the instance. False when there is none. */
static bool find_address(const struct health *health, struct board_address *ret)
{
    const struct spec_healthcheck *check = health->check;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(check->port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(check->port) };

    if (check->host && inet_pton(AF_INET, check->host, &in.sin_addr) == 1) {
        *ret = (struct board_address){ .len = sizeof(in) };
        memcpy(&ret->u, &in, sizeof(in));
        return true;
    }
    if (check->host && inet_pton(AF_INET6, check->host, &in6.sin6_addr) == 1) {
        *ret = (struct board_address){ .len = sizeof(in6) };
        memcpy(&ret->u, &in6, sizeof(in6));
        return true;
    }
    for (size_t i = 0; !check->host && i < health->ports_len; i++)
        if (check->port == 0 || check->port == health->ports[i].target) {
            *ret = health->ports[i].address;
            return true;
        }
    return false;
}

static void on_due(struct loop_timer *timer)
{
    struct health *health = timer->data;
    const struct spec_healthcheck *check = health->check;
    struct probe_target target = {
        .test = check->test,
        .command = check->command,
        .url = check->url,
        .handle = health->handle,
        .proxy_protocol = check->proxy_protocol,
        .timeout_ns = check->timeout_ns,
    };
    if (check->test == SPEC_TEST_NONE && (health->ready || health->ports_len == 0)) {
        become_ready(health); /* the file's health check was taken out meanwhile */
        return;
    }
    if (check->test == SPEC_TEST_NONE) {
        target.test = SPEC_TEST_TCP;
        target.timeout_ns = CONNECT_TIMEOUT_NS;
        target.address = health->ports[0].address;
    } else if ((check->test == SPEC_TEST_HTTP || check->test == SPEC_TEST_TCP) &&
               !find_address(health, &target.address)) {
        /* runtime->check() has refused such a file; a runtime without addresses ends up here. */
        health->events->sick(health);
        return;
    }
    probe_start(&health->probe, &target);
}

/* Ready or not; without a health check there is nothing else to know. */
static void on_connect_result(struct health *health, bool passed)
{
    if (passed) {
        become_ready(health);
        return;
    }
    again_in(health, health->pause_ns);
    health->pause_ns = health->pause_ns * 2 < FAST_NS ? health->pause_ns * 2 : FAST_NS;
}

static void on_probed(struct probe *probe, bool passed, const char *text)
{
    struct health *health = probe->data;

    if (health->check->test == SPEC_TEST_NONE) {
        on_connect_result(health, passed);
        return;
    }
    enum health_state before = health->count.state;
    enum health_state after =
        health_judge(&health->count, health->check, passed, loop_now(health->loop) - health->started_ns);
    again_in(health, health_pause(&health->count, health->check));
    health->events->counted(health);
    if (after != before)
        health->events->changed(health, before, after, text);
    if (after == HEALTH_HEALTHY)
        become_ready(health);
    else if (after == HEALTH_UNHEALTHY)
        health->events->sick(health);
}

static void on_asked(struct probe *question, bool passed, const char *text)
{
    struct health *health = question->data;

    if (!passed && question->timed_out)
        health->events->mute(health);
}

void health_ask(struct health *health)
{
    const struct spec_healthcheck *check = health->check;
    struct probe_target target = {
        .test = check->test == SPEC_TEST_NONE ? SPEC_TEST_HTTP : check->test,
        .command = check->command,
        .url = check->test == SPEC_TEST_HTTP ? check->url : "/",
        .handle = health->handle,
        .proxy_protocol = check->proxy_protocol,
        .timeout_ns = ANSWER_NS,
    };
    if (!health->handle || health->question.busy)
        return;
    if (check->test == SPEC_TEST_NONE && health->ports_len > 0)
        target.address = health->ports[0].address;
    else if (check->test != SPEC_TEST_CMD && check->test != SPEC_TEST_SHELL && !find_address(health, &target.address))
        return;
    probe_start(&health->question, &target);
}

/* Does nobody listen? Loopback refuses before connect(2) returns, so this does not wait. */
static bool is_refused(const struct board_address *address)
{
    int error = 0;
    socklen_t len = sizeof(error);

    CLEANUP_CLOSE int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &address->u.any, address->len) == 0)
        return false;
    if (errno != EINPROGRESS)
        return errno == ECONNREFUSED;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNREFUSED;
}

static void on_silence(struct loop_timer *timer)
{
    struct health *health = timer->data;
    const struct board_address *address = &health->ports[0].address;

    if (is_refused(address))
        health->events->silent(health, address);
}

static void prepare(struct health *health, struct loop *loop, struct runtime *runtime, struct runtime_handle *handle,
                    const struct runtime_port *ports, size_t ports_len)
{
    health->loop = loop;
    health->handle = handle;
    health->ports = ports;
    health->ports_len = ports_len;
    health->ready = false;
    health->started_ns = loop_now(loop);
    health->pause_ns = FIRST_CONNECT_NS;
    health->count = (struct health_count){ 0 };
    health->probe = (struct probe){ .loop = loop, .runtime = runtime, .done = on_probed, .data = health, .fd = -1 };
    health->question = (struct probe){ .loop = loop, .runtime = runtime, .done = on_asked, .data = health, .fd = -1 };
    health->timer = (struct loop_timer){ .fn = on_due, .data = health };
    health->silence = (struct loop_timer){ .fn = on_silence, .data = health };
}

void health_begin(struct health *health, struct loop *loop, struct runtime *runtime, struct runtime_handle *handle,
                  const struct runtime_port *ports, size_t ports_len)
{
    prepare(health, loop, runtime, handle, ports, ports_len);
    bool has_port = ports_len > 0 && ports[0].address.u.any.sa_family != AF_UNIX;
    if (has_port)
        loop_timer_set(loop, &health->silence, loop_now(loop) + SILENCE_NS);
    if (health->check->test != SPEC_TEST_NONE) {
        health->count.state = HEALTH_STARTING;
        again_in(health, 0);
    } else if (has_port) {
        again_in(health, health->pause_ns);
    } else {
        health->ready = true;
        health->events->ready(health);
    }
}

void health_resume(struct health *health, struct loop *loop, struct runtime *runtime, struct runtime_handle *handle,
                   const struct runtime_port *ports, size_t ports_len, const struct health_past *past)
{
    if (!past->ready) {
        health_begin(health, loop, runtime, handle, ports, ports_len);
        health->started_ns = past->started_ns;
        return;
    }
    prepare(health, loop, runtime, handle, ports, ports_len);
    health->started_ns = past->started_ns;
    health->count = past->count;
    health->ready = true;
    if (health->check->test != SPEC_TEST_NONE)
        again_in(health, health_pause(&health->count, health->check));
}

void health_configure(struct health *health, const struct spec_healthcheck *check)
{
    health->check = check;
    if (!health->handle)
        return;
    if (check->test == SPEC_TEST_NONE) {
        health->count = (struct health_count){ 0 };
    } else if (health->count.state == HEALTH_NONE) {
        health->count.state = health->ready ? HEALTH_HEALTHY : HEALTH_STARTING;
        if (!health->probe.busy)
            again_in(health, 0);
    }
}

void health_end(struct health *health)
{
    if (!health->handle)
        return;
    health->handle = NULL;
    loop_timer_cancel(health->loop, &health->timer);
    loop_timer_cancel(health->loop, &health->silence);
    probe_cancel(&health->probe);
    probe_cancel(&health->question);
}
