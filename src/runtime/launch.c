/* SPDX-License-Identifier: MIT */
#include "runtime/launch.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const inherited[] = { "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR" };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void strings_free(struct strings *strings)
{
    for (size_t i = 0; i < strings->len; i++)
        free(strings->list[i]);
    free(strings->list);
    *strings = (struct strings){ 0 };
}

/* Takes `text`, also when it fails. NULL is out of memory. */
static int strings_take(struct strings *strings, char *text)
{
    if (!text)
        return -ENOMEM;
    if (strings->len + 1 >= strings->cap) {
        size_t cap = strings->cap ? strings->cap * 2 : 16;
        char **list = reallocarray(strings->list, cap, sizeof(char *));
        if (!list) {
            free(text);
            return -ENOMEM;
        }
        strings->list = list;
        strings->cap = cap;
    }
    strings->list[strings->len++] = text;
    strings->list[strings->len] = NULL;
    return 0;
}

const char *environment_get(char *const *list, const char *name)
{
    size_t len = strlen(name);
    for (; list && *list; list++)
        if (strncmp(*list, name, len) == 0 && (*list)[len] == '=')
            return *list + len + 1;
    return NULL;
}

/* Adds "NAME=value", in place of an entry of the same name. Takes `entry`. */
static int environment_put(struct strings *environment, char *entry)
{
    if (!entry)
        return -ENOMEM;
    size_t len = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < environment->len; i++)
        if (strncmp(environment->list[i], entry, len) == 0) {
            free(environment->list[i]);
            environment->list[i] = entry;
            return 0;
        }
    return strings_take(environment, entry);
}

static int environment_set(struct strings *environment, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int environment_set(struct strings *environment, const char *format, ...)
{
    char *entry;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&entry, format, args);
    va_end(args);
    return n < 0 ? -ENOMEM : environment_put(environment, entry);
}

static int environment_set_all(struct strings *environment, const char *const *entries)
{
    for (; entries && *entries; entries++) {
        if (!strchr(*entries, '='))
            continue; /* a name without a value that nobody gave one: Compose leaves it out as well */
        int r = environment_put(environment, strdup(*entries));
        if (r < 0)
            return r;
    }
    return 0;
}

static int environment_inherit(struct strings *environment)
{
    for (size_t i = 0; i < ARRAY_LEN(inherited); i++) {
        const char *value = getenv(inherited[i]);
        int r = value ? environment_set(environment, "%s=%s", inherited[i], value) : 0;
        if (r < 0)
            return r;
    }
    return environment_get(environment->list, "PATH") ? 0 : environment_set(environment, "PATH=%s", default_path);
}

static int environment_of_user(struct strings *environment, const struct identity *identity)
{
    const struct passwd *user = identity->change ? getpwuid(identity->uid) : NULL;
    if (!user)
        return 0;
    int r = environment_set(environment, "HOME=%s", user->pw_dir);
    if (r == 0)
        r = environment_set(environment, "USER=%s", user->pw_name);
    return r < 0 ? r : environment_set(environment, "LOGNAME=%s", user->pw_name);
}

static uint16_t private_port(const struct runtime_port *port)
{
    return port->address.u.any.sa_family == AF_INET
               ? ntohs(((const struct sockaddr_in *)&port->address.u.any)->sin_port)
               : 0;
}

static int environment_ports(struct strings *environment, const struct runtime_port *ports, size_t ports_len)
{
    const char *given = environment_get(environment->list, "PORT");
    unsigned chosen = 0;

    for (size_t i = 0; i < ports_len; i++) {
        unsigned port = private_port(&ports[i]);
        if (port == 0)
            continue; /* handed over as a socket */
        int r = environment_set(environment, "PORT_%u=%u", ports[i].target, port);
        if (r < 0)
            return r;
        bool meant = given && strtoul(given, NULL, 10) == ports[i].target;
        if (meant || (!given && chosen == 0))
            chosen = port;
    }
    return chosen ? environment_set(environment, "PORT=%u", chosen) : 0;
}

static int environment_socket(struct launch *launch, const char *service)
{
    int r = environment_set(&launch->environment, "LISTEN_FDS=1");
    if (r == 0)
        r = environment_set(&launch->environment, "LISTEN_FDNAMES=%s", service);
    if (r == 0) /* room for any pid; the child overwrites it */
        r = environment_set(&launch->environment, "LISTEN_PID=%020d", 0);
    if (r < 0)
        return r;
    launch->listen_pid = (char *)environment_get(launch->environment.list, "LISTEN_PID");
    return 0;
}

static int build_environment(const struct runtime_start *start, const struct runtime_port *ports, size_t ports_len,
                             bool socket, struct launch *launch)
{
    const struct spec_service *service = start->service;
    struct strings *environment = &launch->environment;

    int r = environment_inherit(environment);
    if (r == 0)
        r = environment_of_user(environment, &launch->identity);
    if (r == 0)
        r = environment_set(environment, "DARUMA_SERVICE=%s", service->name);
    if (r == 0)
        r = environment_set(environment, "DARUMA_INSTANCE=%s", start->instance);
    if (r == 0)
        r = environment_set(environment, "HOSTNAME=%s", service->hostname[0] ? service->hostname : start->instance);
    if (r == 0)
        r = environment_set(environment, "HOST=127.0.0.1");
    if (r == 0)
        r = environment_set_all(environment, start->peers);
    if (r == 0)
        r = environment_set_all(environment, (const char *const *)service->environment);
    if (r == 0)
        r = environment_ports(environment, ports, ports_len);
    if (r == 0 && socket)
        r = environment_socket(launch, service->name);
    return r;
}

static int add_words(struct strings *argv, char *const *words)
{
    for (; words && *words; words++) {
        int r = strings_take(argv, strdup(*words));
        if (r < 0)
            return r;
    }
    return 0;
}

int launch_command(const struct spec_service *service, struct strings *ret)
{
    struct strings argv = { 0 };
    int r;

    if (service->process_command) {
        r = add_words(&argv, service->process_command);
    } else {
        r = add_words(&argv, service->entrypoint);
        if (r == 0)
            r = add_words(&argv, service->command);
    }
    if (r == 0 && (argv.len == 0 || argv.list[0][0] == '\0'))
        r = -EINVAL;
    if (r < 0) {
        strings_free(&argv);
        return r;
    }
    *ret = argv;
    return 0;
}

/* A whole decimal number that is an id. */
static bool parse_id(const char *text, uint32_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || value >= UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

static int find_group(const char *name, gid_t *ret, struct err *err)
{
    uint32_t id;
    if (parse_id(name, &id)) {
        *ret = id;
        return 0;
    }
    const struct group *group = getgrnam(name);
    if (!group)
        return err_set(err, -ENOENT, "there is no group \"%s\" on this machine; create it, or name another one", name);
    *ret = group->gr_gid;
    return 0;
}

/* The groups that the user database gives to the user; for an id that it does not know, only `gid`. */
static int find_groups(const struct passwd *user, struct identity *identity)
{
    int len = 64;
    for (;;) {
        gid_t *groups = reallocarray(identity->groups, (size_t)len, sizeof(gid_t));
        if (!groups)
            return -ENOMEM;
        identity->groups = groups;
        if (!user) {
            groups[0] = identity->gid;
            identity->groups_len = 1;
            return 0;
        }
        int found = len;
        if (getgrouplist(user->pw_name, identity->gid, groups, &found) >= 0) {
            identity->groups_len = found;
            return 0;
        }
        if (found <= len)
            return -ENOMEM;
        len = found;
    }
}

int launch_identity(const char *user, struct identity *ret, struct err *err)
{
    if (!user[0])
        return 0;

    CLEANUP_FREE char *name = strdup(user);
    if (!name)
        return -ENOMEM;
    char *group = strchr(name, ':');
    if (group)
        *group++ = '\0';

    struct identity identity = { .change = true };
    uint32_t id;
    bool numeric = parse_id(name, &id);
    const struct passwd *entry = numeric ? getpwuid(id) : getpwnam(name);
    if (!entry && !numeric)
        return err_set(err, -ENOENT, "there is no user \"%s\" on this machine; create it, or name another one", name);
    identity.uid = entry ? entry->pw_uid : id;
    identity.gid = entry ? entry->pw_gid : (gid_t)id;

    int r = group && group[0] ? find_group(group, &identity.gid, err) : 0;
    if (r < 0)
        return r;
    if (geteuid() != 0) {
        if (identity.uid != geteuid() || identity.gid != getegid())
            return err_set(err, -EPERM, "only root can run it as \"%s\"; run daruma as root, or as that user", user);
        return 0; /* it is us */
    }
    r = find_groups(entry, &identity);
    if (r < 0) {
        identity_free(&identity);
        return r;
    }
    *ret = identity;
    return 0;
}

void identity_free(struct identity *identity)
{
    free(identity->groups);
    *identity = (struct identity){ 0 };
}

/* Is `path` a file that somebody may execute? Whether the service's user may, only exec can tell. */
static int executable(const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return errno == EACCES ? -EACCES : -ENOENT;
    if (!S_ISREG(info.st_mode) || !(info.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
        return -EACCES;
    return 0;
}

int launch_find_program(const char *name, const char *path, const char *directory, char **ret)
{
    char candidate[PATH_MAX];
    int found = -ENOENT;

    if (strchr(name, '/')) {
        int n = name[0] == '/' ? snprintf(candidate, sizeof(candidate), "%s", name)
                               : snprintf(candidate, sizeof(candidate), "%s/%s", directory, name);
        if (n < 0 || (size_t)n >= sizeof(candidate))
            return -ENAMETOOLONG;
        found = executable(candidate);
    } else {
        for (const char *at = path ? path : default_path; found != 0 && *at;) {
            size_t len = strcspn(at, ":");
            int n = snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)len, at, name);
            int r = n < 0 || (size_t)n >= sizeof(candidate) || len == 0 ? -ENOENT : executable(candidate);
            if (r == 0 || r == -EACCES)
                found = r;
            at += len + (at[len] == ':');
        }
    }
    if (found < 0)
        return found;
    *ret = strdup(candidate);
    return *ret ? 0 : -ENOMEM;
}

static rlim_t limit_value(int64_t value)
{
    return value < 0 ? RLIM_INFINITY : (rlim_t)value;
}

static int build_limits(const struct spec_service *service, struct launch *launch)
{
    if (service->ulimits_len == 0)
        return 0;
    launch->limits = calloc(service->ulimits_len, sizeof(launch->limits[0]));
    if (!launch->limits)
        return -ENOMEM;
    for (size_t i = 0; i < service->ulimits_len; i++)
        launch->limits[launch->limits_len++] = (struct launch_limit){
            .resource = service->ulimits[i].resource,
            .limit = { .rlim_cur = limit_value(service->ulimits[i].soft),
                       .rlim_max = limit_value(service->ulimits[i].hard) },
        };
    return 0;
}

int launch_build(const struct runtime_start *start, const struct runtime_port *ports, size_t ports_len, bool socket,
                 struct launch *ret, struct err *err)
{
    const struct spec_service *service = start->service;
    struct launch launch = { 0 };
    struct err why = { 0 };

    int r = launch_command(service, &launch.argv);
    if (r == -EINVAL)
        (void)err_set(&why, r, "nothing says what to run: give a command");
    if (r == 0)
        r = launch_identity(service->user, &launch.identity, &why);
    if (r == 0)
        r = build_limits(service, &launch);
    if (r == 0)
        r = build_environment(start, ports, ports_len, socket, &launch);
    if (r == 0) {
        launch.directory = strdup(service->working_dir[0] ? service->working_dir : start->spec->working_dir);
        if (!launch.directory)
            r = -ENOMEM;
    }
    if (r < 0) {
        launch_free(&launch);
        return why.code ? err_set(err, r, "%s", why.message) : err_errno(err, r, "cannot prepare %s", start->instance);
    }
    *ret = launch;
    return 0;
}

void launch_free(struct launch *launch)
{
    strings_free(&launch->argv);
    strings_free(&launch->environment);
    free(launch->directory);
    identity_free(&launch->identity);
    free(launch->limits);
    *launch = (struct launch){ 0 };
}
