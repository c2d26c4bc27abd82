/* SPDX-License-Identifier: MIT
 *
 * The board: what the gateway has to know, in memory shared by the supervisor and the workers. The supervisor alone
 * writes, the workers alone read. It knows listeners, routes, services and endpoints; never pids or containers.
 *
 * Layout: no pointers, fixed-size slots, a layout version. Slots are filled from index 0 and `used_…` counts the
 * slots that were ever taken, so a reader copies only that many.
 *
 *     struct board ┌ header: magic, layout, sequence, used_…
 *                  ├ listeners[]   where the gateway listens; the descriptor itself travels by SCM_RIGHTS
 *                  ├ routes[]      listener → services, with placement, time limits and retry rules
 *                  ├ services[]    limits that count for each of their endpoints
 *                  ├ endpoints[]   one running instance's address, its state, and how it died
 *                  └ text          strings of routes: hosts, paths, headers, pages; named by offset and length
 *
 * Consistency: one sequence lock. The writer makes `sequence` odd, writes, makes it even again and rings every
 * worker's eventfd. A reader that saw an unchanged even number before and after its copy has a consistent picture.
 */
#ifndef DARUMA_BASE_BOARD_H
#define DARUMA_BASE_BOARD_H

#include "base/cause.h"
#include "base/err.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define BOARD_MAGIC  0x6461727562726431u /* "darubrd1" */
#define BOARD_LAYOUT 11u

enum {
    BOARD_LISTENERS = 256,
    BOARD_ROUTES = 2048,
    BOARD_SERVICES = 1024,
    BOARD_ENDPOINTS = 8192,
    BOARD_TARGETS = 16, /* services a route spreads over */
    BOARD_NAME = 64,
    BOARD_TEXT = 512 * 1024, /* bytes of all strings together */
    BOARD_REWRITE = 4096,    /* bytes of header lines that a route adds to a request */
    BOARD_REWRITE_RESPONSE = 1024,
    BOARD_PAGE = 12 * 1024, /* bytes of a page of one's own */
    BOARD_TRUSTED = 64,
    BOARD_ERROR_PAGES = 1024,
    BOARD_RULES = 1024,       /* of all routes together */
    BOARD_ERROR_STATUSES = 8, /* of one page */
    BOARD_PROXY_FROM = 16,
    BOARD_HEADER_SIZE = 16 * 1024,
    BOARD_WEIGHT_USUAL = 100, /* the usual weight of an endpoint */
    BOARD_WEIGHT_MAX = 1000,
};

/* An address in the form connect(2) takes it: IPv4, IPv6 or a Unix socket's path. */
struct board_address {
    uint32_t len; /* 0: none */
    uint32_t pad;
    union {
        struct sockaddr any;
        uint8_t bytes[112]; /* enough for sockaddr_un (110) */
        uint64_t align;
    } u;
};

enum board_protocol { BOARD_HTTP, BOARD_TCP };
enum board_listener_state { BOARD_LISTENER_FREE, BOARD_LISTENER_ACTIVE, BOARD_LISTENER_CLOSED };
enum board_placement { BOARD_P2C_EWMA, BOARD_ROUND_ROBIN, BOARD_LEAST_INFLIGHT, BOARD_HASH, BOARD_PLACEMENTS };
enum board_hash_of { BOARD_HASH_SOURCE, BOARD_HASH_HEADER, BOARD_HASH_COOKIE, BOARD_HASH_URI };

/* What a route retries on; or'ed. `error`: connect failed, or the connection broke before the first response byte. */
enum board_retry_on {
    BOARD_RETRY_ERROR = 1 << 0,
    BOARD_RETRY_TIMEOUT = 1 << 1,
    BOARD_RETRY_500 = 1 << 2,
    BOARD_RETRY_502 = 1 << 3,
    BOARD_RETRY_503 = 1 << 4,
    BOARD_RETRY_504 = 1 << 5,
    BOARD_RETRY_429 = 1 << 6,
    BOARD_RETRY_NON_IDEMPOTENT = 1 << 7, /* the user says that POSTs may be sent twice */
    BOARD_RETRY_403 = 1 << 8,
    BOARD_RETRY_404 = 1 << 9,
};

/* A piece of the board's text; len 0: none. */
struct board_text {
    uint32_t at, len;
};

/* A network, "10.0.0.0/8". */
struct board_network {
    uint8_t address[16];
    uint16_t family; /* AF_INET, AF_INET6; AF_UNIX: whoever comes over a Unix socket */
    uint16_t bits;
};

/* What a listener puts up with from its clients. A timeout or limit of 0: none. */
struct board_limits {
    int64_t header_timeout_ns;   /* from the first byte of a request until its head is whole */
    int64_t body_timeout_ns;     /* without a byte of a body, or in arrears with body_rate by so much */
    int64_t keep_alive_ns;       /* until the first byte of the next request */
    int64_t source_interval_ns;  /* between two requests of one address, in the mean */
    uint32_t source_burst;       /* so many requests of one address may come at once, if it paused before; at least 1 */
    uint32_t source_connections; /* of one address at the same time */
    uint32_t body_rate;          /* bytes of a body in a second, in the mean */
    uint32_t header_size;        /* bytes of a request's head, at most BOARD_HEADER_SIZE; never 0 */
    uint32_t header_count;       /* fields of a request, at most HTTP1_HEADERS; never 0 */
    uint32_t target_size;        /* bytes of a request's target; never 0 */
};

/* Where nothing is said. */
extern const struct board_limits board_usual_limits;

struct board_listener {
    uint32_t state;      /* enum board_listener_state */
    uint32_t generation; /* changes when the slot is taken again */
    uint32_t protocol;   /* enum board_protocol */
    uint32_t route;      /* TCP: its one route. HTTP: unused, routes name their listener */
    struct board_limits limits;
    uint32_t proxy; /* bool: every client begins with a PROXY header */
    uint32_t proxy_from_len;
    struct board_network proxy_from[BOARD_PROXY_FROM]; /* who may send one; none: anyone */
    struct board_address address;
    char name[BOARD_NAME]; /* for messages: "0.0.0.0:8080" */
};

/* PASS: it only rewrites; the search goes on without it. */
enum board_action { BOARD_FORWARD, BOARD_REDIRECT, BOARD_RESPOND, BOARD_PASS };

/* What follows when a rule has rewritten the path; the byte that such a rule begins with. */
enum board_then {
    BOARD_THEN_NEXT = 'n',      /* the next rule; behind the last one the route is found again */
    BOARD_THEN_LAST = 'l',      /* the route is found again */
    BOARD_THEN_BREAK = 'b',     /* this route, without further rules */
    BOARD_THEN_REDIRECT = 'r',  /* 302 */
    BOARD_THEN_PERMANENT = 'p', /* 301 */
};

enum board_access { BOARD_ACCESS_NONE, BOARD_ACCESS_JSON, BOARD_ACCESS_COMBINED };

/* How `path` is meant. */
enum board_match {
    BOARD_PREFIX, /* ends at a slash: /api takes /api and /api/x */
    BOARD_EXACT,  /* the whole path */
    BOARD_BEGINS, /* bytes: /api takes /apix as well */
    BOARD_REGEX,  /* PCRE2; in the order of `order` */
};

enum board_route_flag {
    BOARD_FIRST = 1 << 0,       /* a regex before all others, a prefix before all regexes */
    BOARD_REPLACE = 1 << 1,     /* the upstream gets the path with `replace` in place of what matched */
    BOARD_MAINTENANCE = 1 << 2, /* answered with the page, whatever else the route says */
    BOARD_INTERCEPT = 1 << 4,   /* its error pages also replace answers of the service */
    BOARD_USES_PATH = 1 << 3,   /* its templates ask for the path in normal form, or for groups of a regex */
};

/* Fields of a request that the gateway neither adds nor replaces, for its route has its own word about them. */
enum board_own {
    BOARD_OWN_HOST = 1 << 0,
    BOARD_OWN_FORWARDED_FOR = 1 << 1,
    BOARD_OWN_FORWARDED_PROTO = 1 << 2,
    BOARD_OWN_FORWARDED_HOST = 1 << 3,
    BOARD_OWN_FORWARDED_PORT = 1 << 4,
    BOARD_OWN_FORWARDED = 1 << 5, /* of RFC 7239 */
    BOARD_OWN_REQUEST_ID = 1 << 6,
    BOARD_OWN_VIA = 1 << 7,
};
/* All that say where a request came from. */
#define BOARD_OWN_ORIGIN                                                                                               \
    (BOARD_OWN_FORWARDED_FOR | BOARD_OWN_FORWARDED_PROTO | BOARD_OWN_FORWARDED_HOST | BOARD_OWN_FORWARDED_PORT |       \
     BOARD_OWN_FORWARDED)

/* An answer of our own. */
struct board_page {
    uint32_t status;
    uint32_t retry_after_s; /* 0: not said */
    struct board_text type, body;
};

/* What is answered in place of an error. */
struct board_error_page {
    uint32_t next;     /* of the same route; index + 1, 0: none */
    uint32_t statuses; /* how many of on[] count */
    uint16_t on[BOARD_ERROR_STATUSES];
    struct board_page page;     /* status 0: that of the error */
    struct board_text location; /* a template: the client is sent there; none: it gets the page */
};

/* What is done to header fields of one direction. */
struct board_rewrite {
    struct board_text drop; /* names in lower case, each with a line feed behind it: fields that go no further */
    struct board_text add;  /* whole lines, "Name: template\r\n" each (template.h) */
    struct board_text add_on_success; /* of responses: only those with status 200, 201, 204, 206, 301 … 304, 307, 308 */
    struct board_text
        locations; /* of responses: FROM, LF, TO, LF each: TO in place of FROM where Location begins with it */
};

struct board_route {
    uint32_t used; /* 0: free */
    uint32_t listener;
    uint32_t targets;  /* how many of service[] count */
    uint32_t retry_on; /* enum board_retry_on */
    uint32_t attempts; /* tries in all, the first included; 1: no retry */
    uint32_t flags;    /* enum board_route_flag */
    uint16_t service[BOARD_TARGETS];
    uint16_t weight[BOARD_TARGETS]; /* the target's share of the requests; all 0: every endpoint counts for itself */
    uint32_t backups;               /* a bit for each target that is used only while no other one can be */
    uint32_t placement;             /* enum board_placement */
    uint32_t hash_of;               /* enum board_hash_of, for BOARD_HASH */
    struct board_text hash_name;    /* of the header field or cookie */
    struct board_text sticky;       /* name of the cookie that keeps clients at their endpoint; none: nothing does */
    struct board_text sticky_more;  /* what stands behind its value in Set-Cookie: "; Path=/ …" */
    int64_t retry_timeout_ns;       /* since the request came: then nothing is tried again; 0: no limit */
    int64_t connect_timeout_ns;
    int64_t response_timeout_ns; /* from request sent to the first response byte, one attempt; 0: none */
    int64_t idle_timeout_ns;     /* no byte in either direction while relaying; 0: none */
    int64_t patience_min_ns;    /* an answer is overdue after a time that follows the endpoint's own latency, but not */
    int64_t patience_max_ns;    /* earlier and not later than these; then another endpoint is tried. max 0: never */
    int64_t hold_ns;            /* how long a request waits for an endpoint before it gets 503 */
    uint64_t body_limit;        /* bytes of a request's body; 0: any */
    uint32_t action;            /* enum board_action */
    uint32_t match;             /* enum board_match */
    uint32_t order;             /* its place among the listener's routes */
    uint32_t own;               /* enum board_own */
    struct board_text host;     /* in lower case, without port; "*.example.org": whatever ends so; none: any */
    struct board_text path;     /* normalised (gateway/route.h), begins with a slash; a regex; none: any */
    struct board_text replace;  /* with BOARD_REPLACE */
    struct board_text location; /* REDIRECT: a template */
    struct board_page page;     /* REDIRECT: its status; RESPOND: the answer */
    struct board_page closed;   /* with BOARD_MAINTENANCE */
    struct board_rewrite request, response;
    struct board_text rewrites; /* its rules: enum board_then, a regex, LF, a template, LF, each */
    uint32_t errors;            /* its first error page; index + 1, 0: none */
    uint32_t pad;
};

struct board_service {
    uint32_t max_inflight; /* requests (TCP: connections) at a time on one endpoint, over all workers; 0: any number */
    int64_t slow_start_ns; /* for so long a fresh endpoint gets less than its share */
    uint32_t proxy;        /* version of the PROXY header that its instances want to read first; 0: none */
    uint32_t outside;      /* bool: its endpoints are no instances of the project; nobody supervises them */
    uint32_t vacant;       /* bool: nobody is there, nor will be before a person does something: it has failed for good,
                              completed, or was stopped. No request waits for it */
    char name[BOARD_NAME];
};

enum board_endpoint_state {
    BOARD_ENDPOINT_FREE,
    BOARD_ENDPOINT_UP,       /* in rotation */
    BOARD_ENDPOINT_DRAINING, /* no new requests; what is in flight ends by itself */
    BOARD_ENDPOINT_LOST,     /* its process is dead, the cause is about to be known: GONE follows */
    BOARD_ENDPOINT_GONE,     /* its process is dead; `cause` and `suspects` say how. Kept BOARD_GONE_NS before reuse */
};

/* How long a dead endpoint stays readable, so that every worker with a request on it can learn the cause. */
#define BOARD_GONE_NS INT64_C(5000000000)

/* Its process is nobody's here: why a connection broke will never be told. */
#define BOARD_UNSUPERVISED INT64_MAX

struct board_endpoint {
    uint32_t generation; /* changes each time the slot is given to another instance; 0: never used */
    uint16_t service;
    uint8_t state;     /* enum board_endpoint_state */
    uint8_t cause;     /* enum cause; valid in GONE */
    uint32_t suspects; /* GONE: requests in flight on it, over all workers, when it died */
    uint32_t weight;   /* 1 … BOARD_WEIGHT_MAX, beside the others of its service */
    int64_t since_ns;  /* monotonic: when the present state began */
    int64_t
        alive_ns; /* monotonic: when its process was last seen alive, because a worker had asked; BOARD_UNSUPERVISED */
    struct board_address address;
    char instance[BOARD_NAME]; /* "app-1": for X-Served-By and messages */
};

struct board {
    uint64_t magic;
    uint32_t layout;
    uint32_t pad;
    alignas(64) _Atomic uint32_t sequence; /* odd: being written */
    uint32_t used_listeners, used_routes, used_services, used_endpoints;
    uint32_t used_text;
    uint32_t used_error_pages;
    uint32_t routes_version; /* changes with the routes: who keeps an index of them builds it anew */
    uint32_t served_by;      /* bool: answers carry X-Served-By */
    uint32_t via;            /* bool: requests carry Via, and those that went in circles are refused */
    uint32_t access;         /* enum board_access: what the access log looks like */
    uint32_t access_sample;  /* of 2^32 requests so many are logged; UINT32_MAX: all */
    uint32_t connections;    /* of clients, over all workers; 0: as many as there are descriptors */
    uint32_t used_trusted;
    struct board_network trusted[BOARD_TRUSTED]; /* whose X-Forwarded-… is believed */
    alignas(64) struct board_listener listeners[BOARD_LISTENERS];
    struct board_route routes[BOARD_ROUTES];
    struct board_service services[BOARD_SERVICES];
    struct board_endpoint endpoints[BOARD_ENDPOINTS];
    struct board_error_page error_pages[BOARD_ERROR_PAGES];
    char text[BOARD_TEXT];
};

static_assert(sizeof(struct board_address) == 120, "layout");
static_assert(sizeof(struct board_endpoint) == 216, "layout");

/* Maps a new board that children inherit. NULL with `err` when there is no memory. */
struct board *board_new(struct err *err);
void board_free(struct board *board);

/*
 * The writer's bracket. Everything between the two calls appears to readers at once. They nest, so that a function
 * that publishes one thing may be called inside a larger change. The caller rings the workers after the outermost end.
 */
void board_write_begin(struct board *board);
void board_write_end(struct board *board);

/* Each takes a free slot (services are found again by name), inside the bracket or alone. Index, or -ENOSPC. */
int board_listener_add(struct board *board, const struct board_listener *listener);
int board_route_add(struct board *board, const struct board_route *route);
/* Copies `len` bytes into the text. 0, or -ENOSPC. Text is given back only all at once, by board_text_clear(), in the
   same bracket that gives every route its strings anew; error pages go with it. */
int board_text_add(struct board *board, const char *bytes, size_t len, struct board_text *ret);
void board_text_clear(struct board *board);
/* Puts it in front of the route's others. 0, or -ENOSPC. */
int board_error_page_add(struct board *board, const struct board_error_page *page, struct board_route *route);
int board_service_add(struct board *board, const char *name);
/* Says whether there is any use in waiting for it (struct board_service). One that the board does not know needs no word. */
void board_service_vacate(struct board *board, const char *name, bool vacant);
/* An endpoint comes as UP, with the usual weight. `instance` is shortened to BOARD_NAME - 1. */
int board_endpoint_add(struct board *board, int service, const char *instance, const struct board_address *address,
                       int64_t now_ns);
/* From now on it gets that part of its service's requests, 1 … BOARD_WEIGHT_MAX: a canary is a light one. */
void board_endpoint_weigh(struct board *board, int endpoint, uint32_t weight);
/* Takes an endpoint out of rotation, or says that it died. `suspects` counts only for GONE. */
void board_endpoint_set(struct board *board, int endpoint, enum board_endpoint_state state, enum cause cause,
                        uint32_t suspects, int64_t now_ns);
/* The answer to a worker's doubt (gauges.h): its process was alive at that time. */
void board_endpoint_alive(struct board *board, int endpoint, int64_t at_ns);

/*
 * The reader's side: copies what is in use into `view` (a private struct board), unless `view` is up to date already.
 * True when something was copied. Never blocks: while the writer writes it tries again, a few microseconds at most; then
 * the view stays as it was, consistent though older, and the next call tries anew. A writer that died in the middle of a
 * change stops no reader.
 */
bool board_refresh(const struct board *board, struct board *view);

/* The bytes of a text; never beyond the board, whatever it says. */
static inline const char *board_text(const struct board *board, struct board_text text, size_t *ret_len)
{
    bool inside = text.at <= BOARD_TEXT && text.len <= BOARD_TEXT - text.at;
    *ret_len = inside ? text.len : 0;
    return board->text + (inside ? text.at : 0);
}

/* "127.0.0.1:8080", "[::1]:80", "unix:/path" into `text`. */
#define BOARD_ADDRESS_TEXT 136
const char *board_address_format(const struct board_address *address, char text[BOARD_ADDRESS_TEXT]);

#endif
