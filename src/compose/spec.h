/* SPDX-License-Identifier: MIT
 *
 * struct spec: what the compose file says, after interpolation, merging and normalising; immutable. It holds in typed
 * form what daruma acts on; the whole normalised model, every attribute of the specification, is `model`.
 *
 * All memory belongs to the spec and goes with spec_free(). Strings are never NULL unless said so; lists end with a
 * NULL entry (strings) or have a count.
 */
#ifndef DARUMA_COMPOSE_SPEC_H
#define DARUMA_COMPOSE_SPEC_H

#include "base/board.h"
#include "base/err.h"
#include "compose/problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;

enum spec_runtime { SPEC_RUNTIME_UNSET, SPEC_RUNTIME_PROCESS, SPEC_RUNTIME_DOCKER };

enum spec_restart { SPEC_RESTART_NO, SPEC_RESTART_ALWAYS, SPEC_RESTART_ON_FAILURE, SPEC_RESTART_UNLESS_STOPPED };

/* `restart` and deploy.restart_policy in one form; the latter wins where both are given, as in Compose. */
struct spec_restart_policy {
    enum spec_restart condition;
    int64_t max_attempts; /* -1: no limit */
    int64_t delay_ns;     /* deploy.restart_policy.delay; 0: our own backoff decides */
    int64_t window_ns;    /* deploy.restart_policy.window; 0: ours */
};

enum spec_test { SPEC_TEST_NONE, SPEC_TEST_CMD, SPEC_TEST_SHELL, SPEC_TEST_HTTP, SPEC_TEST_TCP };

struct spec_healthcheck {
    enum spec_test test;       /* NONE: no health check (absent, `disable: true` or NONE) */
    char **command;            /* CMD: argv; SHELL: one string; HTTP, TCP: NULL */
    char *url;                 /* HTTP: path and query ("/health"); TCP: "" */
    char *host;                /* HTTP, TCP: NULL: the instance's own address */
    uint16_t port;             /* HTTP, TCP: 0: the instance's first port; else a target port of it, or of `host` */
    int64_t interval_ns;       /* defaults as in the specification: 30 s */
    int64_t timeout_ns;        /* 30 s */
    int64_t start_period_ns;   /* 0 s */
    int64_t start_interval_ns; /* 0: not given; daruma then probes every 100 ms until ready */
    int32_t retries;           /* 3 */
    unsigned proxy_protocol;   /* HTTP at the instance itself: the service's */
    struct place place;
};

enum spec_condition { SPEC_STARTED, SPEC_HEALTHY, SPEC_COMPLETED };

struct spec_dependency {
    char *service;
    enum spec_condition condition;
    bool restart;  /* restart the dependent when the dependency was restarted */
    bool required; /* false: start also when the dependency is not there or failed */
    struct place place;
};

enum spec_protocol { SPEC_PROTOCOL_HTTP, SPEC_PROTOCOL_TCP, SPEC_PROTOCOL_UDP };

/* One published or exposed port. Ranges are expanded: one entry a port. */
struct spec_port {
    uint16_t target;
    uint16_t published; /* 0: only exposed, or any free port */
    char *host_ip;      /* "" : all addresses */
    /* From app_protocol, else by well-known target port, else http; udp cannot be served yet. */
    enum spec_protocol protocol;
    struct place place;
};

struct spec_ulimit {
    int resource;       /* RLIMIT_… */
    int64_t soft, hard; /* -1: unlimited */
    char *name;
    struct place place;
};

/* What the new version's answers are compared with the old one's for. LATENCY: for failures as well. */
enum spec_compare { SPEC_COMPARE_NOTHING, SPEC_COMPARE_FAILURES, SPEC_COMPARE_LATENCY };
enum spec_strategy { SPEC_ROLLING, SPEC_BLUE_GREEN, SPEC_CANARY };
/* What follows when a new version turns out worse than the old one. */
enum spec_on_failure { SPEC_GO_BACK, SPEC_PAUSE, SPEC_GO_ON };

/* deploy.update_config or deploy.rollback_config (Compose Deploy specification). */
struct spec_update {
    int32_t parallelism; /* instances at once; 0: all; 1 unless given (rollback: all) */
    int64_t delay_ns;    /* between one batch and the next; 0 unless given */
    int64_t
        monitor_ns; /* how long a new instance has to be well before an old one goes; 2 s unless given (rollback: 0) */
    enum spec_on_failure on_failure; /* GO_BACK unless given (rollback: PAUSE) */
    double max_failure_ratio;        /* of the wanted instances so many may fail; 0 unless given */
    bool stop_first;                 /* the old instance ends before the new one starts */
};

/* How a service goes from one version to the next: `deploy` and x-daruma.deploy. */
struct spec_deploy {
    enum spec_strategy strategy;
    struct spec_update update, rollback;
    uint32_t *steps; /* CANARY: the new version's share of the requests, in 1/1000, rising to 1000 */
    size_t steps_len;
    int64_t dwell_ns;          /* how long each share is watched; 30 s unless given */
    int64_t keep_ns;           /* BLUE_GREEN: how long the old version stays after the switch; 30 s unless given */
    int64_t ready_timeout_ns;  /* a new instance that isn't ready by then has failed; 60 s unless given */
    enum spec_compare compare; /* FAILURES unless given, LATENCY for CANARY and BLUE_GREEN */
    uint32_t min_requests;     /* fewer answers say nothing about a version; 50 unless given */
    char *probe; /* path that is asked for where clients ask for less; NULL: nothing is. That of the health check or "/"
                    unless given, for services whose first port is an http port */
    struct spec_service *prepare; /* a job that only makes be there what instances need, "SERVICE-prepare" */
    struct spec_service *pre_deploy, *post_deploy; /* jobs of the new version, "SERVICE-pre_deploy"; NULL: none */
};

/* What a service's instances are made from beyond what the file says, as a runtime finds it (runtime.h). */
struct spec_stamp {
    uint64_t source; /* digest of the program's file, or of the folder that the image is built from; 0: not known */
    char image[72];  /* ID of the image, "sha256:…"; "": not known, or there is none */
};

/* A command that is run in an instance at a point of its life. */
struct spec_hook {
    char **command;
    char **environment; /* "NAME=value", beside the instance's own */
    char *user;         /* "": the instance's */
    char *working_dir;  /* "": the instance's */
    bool privileged;
    struct place place;
};
struct spec_hooks {
    struct spec_hook *list;
    size_t len;
};

struct spec_service {
    char *name;
    struct place place; /* of the service's key */
    char *image;        /* "" when the file names none: then what is built is called "PROJECT-BUILT_AS" */
    char *built_as;     /* the service's name, also for its jobs */
    bool has_build;
    char **entrypoint; /* NULL: not given */
    char **command;    /* NULL: not given; split as the specification says */
    struct place command_place;
    char *
        *process_command;  /* x-daruma.process.command as argv; a string became {"/bin/sh", "-c", string}. NULL: none */
    bool process_socket;   /* x-daruma.process.socket: the listening socket is opened for it (LISTEN_FDS) */
    uint16_t process_port; /* x-daruma.process.port: a port it serves that `ports` and `expose` do not name; 0: none */
    char *working_dir;     /* absolute; "" : the project's directory */
    struct place working_dir_place;
    char *user; /* "uid[:gid]" or names; "" : ours */
    struct place user_place;
    char *hostname;              /* "" when not given */
    char *container_name;        /* "" when not given */
    char **environment;          /* "NAME=value", env_file merged in; sorted by name */
    struct spec_port *published; /* as `ports` of the file says; several may lead to the same target */
    size_t published_len;
    /* What an instance serves: published first, then exposed and process_port; no target twice. */
    struct spec_port *ports;
    size_t ports_len;
    struct spec_ulimit *ulimits;
    size_t ulimits_len;
    int stop_signal;              /* SIGTERM unless given */
    int64_t stop_grace_period_ns; /* 10 s unless given */
    int32_t replicas;             /* deploy.replicas or scale; 1 unless given; may be 0 */
    struct spec_restart_policy restart;
    struct spec_healthcheck healthcheck;
    struct spec_hooks post_start, pre_stop;
    struct spec_deploy deploy;
    struct spec_dependency *depends_on;
    size_t depends_on_len;
    int64_t drain_timeout_ns;  /* x-daruma.drain_timeout; 10 s unless given */
    int64_t drain_upgraded_ns; /* x-daruma.drain_upgraded; drain_timeout unless given */
    bool restart_unhealthy;    /* x-daruma.restart_unhealthy; true unless given */
    uint32_t max_inflight;     /* x-daruma.max_inflight: requests at a time on one instance; 0: any number */
    int64_t slow_start_ns;     /* x-daruma.slow_start; 0 unless given */
    unsigned proxy_protocol;   /* x-daruma.proxy_protocol: version of the header that it wants to read; 0: none */
    const json_t *model;       /* its part of the spec's model; belongs to that */
    char config_hash[65];      /* SHA-256 over what needs a new instance when it changes; not replicas */
    struct spec_stamp stamp;   /* zero until a runtime fills it in */
    bool build;                /* its image is to be built anew although there is one; set by the owner of the spec */
};

/* An answer of the gateway's own. */
struct spec_page {
    uint32_t status;
    char *type; /* Content-Type; "": not said */
    char *body;
    int64_t retry_after_s; /* 0: not said */
};

/* What a route does to header fields of one direction. */
struct spec_rewrite {
    char **set;            /* "Name: template" (base/template.h): in place of any that is there */
    char **add;            /* the same, beside those that are there */
    char **add_on_success; /* the same, for good answers only */
    char **remove;         /* names */
    char *
        *locations; /* of answers, "FROM\nTO": TO in place of FROM where Location begins with it; the first that fits */
};

/* What is answered in place of an error. */
struct spec_error_page {
    int64_t *on; /* statuses */
    size_t on_len;
    struct spec_page page; /* status 0: that of the error */
    char *location;        /* a template: the client is sent there; NULL: it gets the page */
};

enum spec_match { SPEC_PREFIX, SPEC_EXACT, SPEC_BEGINS, SPEC_REGEX };

/* SPEC_PASS: it only rewrites. */
enum spec_action { SPEC_FORWARD, SPEC_REDIRECT, SPEC_RESPOND, SPEC_PASS };

/* A rule that rewrites paths. */
struct spec_rule {
    char *regex, *to; /* `to` is a template */
    int then;         /* enum board_then */
};

/* How a route chooses an instance. */
struct spec_balance {
    int placement; /* enum board_placement */
    int hash_of;   /* enum board_hash_of, for BOARD_HASH */
    char *name;    /* of the header field or cookie; "": none */
};

/* A cookie that keeps a client at its instance. What else is said of it to a browser is shorter than this. */
enum { SPEC_STICKY_MORE = 96 };
struct spec_sticky {
    char *cookie;      /* its name; "": none */
    int64_t max_age_s; /* 0: as long as the browser runs */
    bool secure;
};

/* Where a route leads to. */
struct spec_target {
    char *name;      /* "service", "service:port", or that of a spec_outside */
    uint32_t weight; /* its share of the requests, for all targets of a route or for none; 0: not given */
    bool backup;     /* used only while no other target can be */
};

struct spec_route {
    bool forwarded;         /* requests carry X-Forwarded-… and Forwarded; true unless given */
    bool via;               /* and Via */
    struct spec_target *to; /* none but for FORWARD */
    size_t to_len;
    struct spec_balance balance;
    struct spec_sticky sticky;
    uint32_t retry_on;           /* enum board_retry_on, or'ed */
    uint32_t attempts;           /* all tries, the first included */
    int64_t retry_timeout_ns;    /* since the request came: then nothing is tried again; 0: no limit */
    int64_t connect_timeout_ns;  /* 1 s unless given */
    int64_t response_timeout_ns; /* 60 s unless given */
    int64_t idle_timeout_ns;     /* 5 min unless given */
    int64_t patience_min_ns;     /* 25 ms unless given */
    int64_t patience_max_ns;     /* 1 s unless given; 0: an answer is never overdue */
    int64_t hold_ns;             /* 10 s unless given */
    enum spec_action action;
    char *host;              /* in lower case; "*.example.org": whatever ends so; "": any */
    char *path;              /* normalised; "": any. REGEX: the expression */
    enum spec_match match;   /* how `path` is meant */
    bool first;              /* REGEX: before all other routes of the host. PREFIX, BEGINS: before all of its regexes */
    char *replace;           /* what the service gets in place of `path`; NULL: the path stays */
    char *location;          /* REDIRECT: a template (base/template.h) */
    struct spec_page page;   /* RESPOND: the answer; REDIRECT: its status */
    bool maintenance;        /* whatever is asked for is answered with `closed` */
    struct spec_page closed; /* filled in whether it is switched on or not */
    int64_t body_limit;      /* bytes; 0: any */
    struct spec_rewrite request, response;
    struct spec_rule *rules;
    size_t rules_len;
    struct spec_error_page *errors;
    size_t errors_len;
    bool intercept; /* they also replace answers of the service */
    struct place place;
};

/* "10.0.0.0/8": an address in network order, and how many of its bits count. */
struct spec_network {
    int family; /* AF_INET, AF_INET6; AF_UNIX: whoever comes over a Unix socket */
    uint8_t address[16];
    unsigned bits;
};

struct spec_listener {
    char *path;    /* of a Unix socket, absolute; NULL: host and port count */
    uint32_t mode; /* its permissions */
    char *host;    /* "" or "0.0.0.0": all addresses; without brackets for IPv6 */
    uint16_t port;
    enum spec_protocol protocol;
    struct board_limits limits;
    bool proxy;                      /* every client begins with a PROXY header */
    struct spec_network *proxy_from; /* who may send one; none: anyone */
    size_t proxy_from_len;
    struct spec_route *routes;
    size_t routes_len;
    const char *published_by; /* the service whose published port it is; NULL: declared by x-gateway */
    uint16_t target;          /* published: the instances' port that it leads to; declared: 0, their first port */
    struct place place;
};

/* x-gateway.access_log */
struct spec_access_log {
    int format; /* enum board_access */
    char *path; /* absolute */
    double sample;
};

/* Somebody outside of the project that a route leads to. */
struct spec_outside {
    char *name;            /* as the route says: "db.example.org:80", "[::1]:80", "unix:/run/app.sock" */
    char *host;            /* a name or an address without brackets; the path of a Unix socket */
    uint16_t port;         /* 0: a Unix socket */
    uint32_t max_inflight; /* requests at a time on each of its addresses; 0: any number */
    struct place place;
};

struct spec {
    char *name;                /* project name */
    char *working_dir;         /* absolute: the project's directory */
    char **files;              /* absolute paths, in order */
    enum spec_runtime runtime; /* x-daruma.runtime; UNSET when the file does not say */
    char **profiles;           /* active ones */
    char **all_profiles;       /* every one that a service names, sorted */
    char **environment;        /* "NAME=value", sorted: what variables were replaced from */
    bool served_by;            /* x-gateway.served_by: answers carry X-Served-By; true unless given */
    bool via;                  /* x-gateway.via: requests carry Via; true unless given */
    uint32_t connections;      /* x-gateway.max_connections, over all listeners; 0: as many as there is room for */
    struct place connections_place;
    struct spec_access_log access_log;
    struct spec_network *trusted; /* x-gateway.trusted_proxies */
    size_t trusted_len;
    struct spec_service *services; /* active ones, sorted by name */
    size_t services_len;
    struct spec_listener *listeners; /* x-gateway.listeners, then one for each published port */
    size_t listeners_len;
    struct spec_outside *outside;
    size_t outside_len;
    json_t *jobs;            /* the models of the services' jobs, which are no part of the project's */
    json_t *model;           /* the whole normalised model, as `daruma config --format json` prints it */
    const struct node *tree; /* the same with places; the loader's */
    struct node *variables; /* NAME → what the files say about it, when that was asked for; else NULL; the loader's */
    void *memory;           /* the loader's */
};

/* What the caller asks to be loaded. NULL lists are empty. */
struct compose_request {
    const char *working_dir;  /* where the command was given; absolute */
    const char *project_dir;  /* --project-directory; NULL: the first file's directory */
    const char *project_name; /* -p; NULL: COMPOSE_PROJECT_NAME, the file's `name`, else the directory's name */
    const char *const
        *files;             /* -f; empty: COMPOSE_FILE, else searched for upwards from working_dir, override included */
    const char *nginx_conf; /* --nginx-conf: a gateway alone, from this file of nginx's; `files` do not count */
    const char *const *env_files;   /* --env-file; empty: .env beside the project, when it is there */
    const char *const *profiles;    /* --profile; also COMPOSE_PROFILES */
    const char *const *services;    /* only these, also when a profile switches them off, and what they depend on */
    const char *const *environment; /* "NAME=value": what interpolation sees before env files */
    const char *const *origins;     /* what spec->files is to say instead: a model that was printed is loaded again */
    bool replace_nginx;             /* the gateway does the work of services that are nginx, if it can */
    bool prune;                     /* networks, volumes and so on that no service uses are left out */
    bool stdin_as_dash;             /* the file `-` is standard input */
    bool want_variables;            /* which variables the files mention is collected */
    bool no_interpolate;            /* variables stay as they are written */
    bool no_normalise;              /* nothing is added that the files do not say */
    bool no_consistency;            /* what does not fit together is not told */
    bool no_env_files;              /* env_file and label_file are not read */
    bool no_paths;                  /* paths stay relative to the project's directory, for a model that is only shown */
};

/*
 * Loads the project. On success `ret` is the caller's (spec_free()) and `problems` holds warnings at most. Fails with
 * -EINVAL when `problems` holds errors, -ENOENT when there is no compose file (also told in `problems`), -ENOMEM.
 */
int compose_load(const struct compose_request *request, struct spec **ret, struct problems *problems);

/* Accepts NULL. */
void spec_free(struct spec *spec);

/* The service of that name, or NULL. */
const struct spec_service *spec_find_service(const struct spec *spec, const char *name);

/* The service that a target of a route means, with its port (0: its first one); NULL: it is outside. */
const struct spec_service *spec_target_service(const struct spec *spec, const char *target, uint16_t *ret_port);

/* The listener for that address ("" and "0.0.0.0" are the same) and port, or NULL; also for port 0. */
const struct spec_listener *spec_find_listener(const struct spec *spec, const char *host, uint16_t port);

/* Which runtime shall it be: `wanted` (--runtime or DARUMA_RUNTIME; NULL: neither), else the file's, else process when
   every service says what to run as a process, else docker. -EINVAL with `err` for an unknown name. */
int spec_choose_runtime(const struct spec *spec, const char *wanted, enum spec_runtime *ret, struct err *err);

/* Does the service say what to run without an image: x-daruma.process.command, or a command without image and build. */
bool spec_service_is_process(const struct spec_service *service);

/*
 * What the file says and `runtime` will not do: a warning for each such attribute, with its place; an error for a service
 * that does not say what to run. For the runtime's check(), before anything starts.
 */
void compose_unsupported(const struct spec *spec, enum spec_runtime runtime, struct problems *problems);

/* How one service differs between two specs of the same project. */
enum spec_change {
    SPEC_SAME,
    SPEC_ADDED,    /* only in the new one */
    SPEC_REMOVED,  /* only in the old one */
    SPEC_RESCALED, /* only the number of replicas, or what needs no new instance (restart policy, timings) */
    SPEC_CHANGED,  /* needs new instances */
};
enum spec_change spec_service_change(const struct spec_service *before, const struct spec_service *after);

/* `after` follows `before`: what is not known of its stamp is as before where nothing else has changed; and where what the
   image is built from has, it is to be built. */
void spec_service_follow(const struct spec_service *before, struct spec_service *after);

#endif
