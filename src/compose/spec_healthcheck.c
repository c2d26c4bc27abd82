/* SPDX-License-Identifier: MIT
 *
 * healthcheck: and x-daruma.healthcheck, which is probed without a program in the image.
 */
#include "compose/spec_build.h"

#include "compose/value.h"

#include "base/clock.h"
#include "base/names.h"

#include <string.h>

static void read_test(struct loading *load, const struct node *test, struct spec_healthcheck *ret)
{
    const char *kind = test->len > 0 ? node_str(node_at(test, 0)) : NULL;

    if (!kind || strcmp(kind, "NONE") == 0)
        return;
    if (strcmp(kind, "CMD") != 0 && strcmp(kind, "CMD-SHELL") != 0) {
        problem_error(load->problems, node_at(test, 0)->place,
                      "a health check's list begins with NONE, CMD or CMD-SHELL, not `%s`", kind);
        return;
    }
    bool shell = strcmp(kind, "CMD-SHELL") == 0;
    if (test->len < 2) {
        problem_error(load->problems, test->place, "%s wants %s behind it", kind, shell ? "one string" : "a command");
        return;
    }
    /* To a shell they are its parameters, so that a program runs, but without its options. */
    if (shell && test->len > 2)
        problem_warning(load->problems, test->place,
                        "only `%s` is run: write all of it in one string, or CMD in place of CMD-SHELL",
                        node_text(load->pool, node_at(test, 1)));
    ret->test = shell ? SPEC_TEST_SHELL : SPEC_TEST_CMD;
    ret->command = read_strings(load->pool, test) + 1;
}

static bool is_own_host(const char *host)
{
    static const char *const names[] = { "", "localhost", "127.0.0.1", "::1", NULL };
    return names_have(names, host);
}

static bool is_own_port(const struct spec_service *service, int64_t port)
{
    for (size_t i = 0; i < service->ports_len; i++)
        if (service->ports[i].target == port)
            return true;
    return false;
}

/* "host:port", "[::1]:port", ":port", "host" → its parts; port 0 when there is none. False: malformed. */
static bool split_authority(struct pool *pool, const char *text, size_t len, const char **ret_host, int64_t *ret_port)
{
    const char *end = text + len, *host_end, *rest;

    if (len > 0 && text[0] == '[') {
        host_end = memchr(text, ']', len);
        if (!host_end)
            return false;
        *ret_host = pool_strndup(pool, text + 1, (size_t)(host_end - text) - 1);
        rest = host_end + 1;
    } else {
        rest = memchr(text, ':', len);
        rest = rest ? rest : end;
        *ret_host = pool_strndup(pool, text, (size_t)(rest - text));
    }
    *ret_port = 0;
    if (rest == end)
        return true;
    return *rest == ':' && value_int(pool_strndup(pool, rest + 1, (size_t)(end - rest - 1)), ret_port) == 0 &&
           *ret_port >= 1 && *ret_port <= 65535;
}

/* `doubt`: which ports the service has is not known. */
static void read_url(struct loading *load, const struct node *node, const struct spec_service *service, bool doubt,
                     struct spec_healthcheck *ret)
{
    const char *url = node_str(node), *host;
    int64_t port;
    bool http = strncmp(url, "http://", 7) == 0, tcp = strncmp(url, "tcp://", 6) == 0;
    const char *authority = url + (http ? 7 : 6);
    size_t len = http || tcp ? strcspn(authority, "/?#") : 0;

    if ((!http && !tcp) || !split_authority(load->pool, authority, len, &host, &port) || (tcp && authority[len])) {
        problem_error(load->problems, node->place,
                      "`%s` is no health check; write http://localhost/path, http://:PORT/path or tcp://:PORT", url);
        return;
    }
    bool own = is_own_host(host) && (port == 0 || doubt || is_own_port(service, port));
    if (!own && !*host) {
        problem_error(load->problems, node->place,
                      "%lld is no port of service `%s`; name it under `expose` or `x-daruma.process.port`",
                      (long long)port, service->name);
        return;
    }
    if (!own && tcp && port == 0) {
        problem_error(load->problems, node->place, "`%s` names no port", url);
        return;
    }
    const char *path = http ? authority + len : "";
    *ret = (struct spec_healthcheck){
        .test = http ? SPEC_TEST_HTTP : SPEC_TEST_TCP,
        .url = http && *path != '/' ? pool_printf(load->pool, "/%s", path) : pool_strdup(load->pool, path),
        .host = own ? NULL : pool_strdup(load->pool, host),
        .port = (uint16_t)(port == 0 && !own ? 80 : port),
    };
}

void spec_build_healthcheck(struct loading *load, const struct node *service, struct spec_service *ret)
{
    const struct node *own = node_get(service, "healthcheck"), *test = node_get(own, "test");
    const struct node *native = node_get(node_get(service, "x-daruma"), "healthcheck");
    struct spec_healthcheck *check = &ret->healthcheck;

    if (!read_bool(own, "disable", false)) {
        if (node_str(native))
            read_url(load, native, ret, read_ports_in_doubt(service), check);
        else if (node_is(test, NODE_LIST))
            read_test(load, test, check);
    }
    int64_t retries = read_int(own, "retries", 0), interval = read_duration(own, "interval", 0);
    int64_t timeout = read_duration(own, "timeout", 0);

    /* For the Engine, too, 0 is what was not given. */
    check->interval_ns = interval > 0 ? interval : 30 * NS_PER_S;
    check->timeout_ns = timeout > 0 ? timeout : 30 * NS_PER_S;
    check->start_period_ns = read_duration(own, "start_period", 0);
    check->start_interval_ns = read_duration(own, "start_interval", 0);
    check->retries = (int32_t)(retries < 1 ? 3 : retries > 1000000 ? 1000000 : retries);
    check->place = native ? native->place : own ? own->place : service->place;
}
