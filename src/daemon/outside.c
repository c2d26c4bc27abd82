/* SPDX-License-Identifier: MIT */
#include "daemon/outside.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct outside *find_or_add(struct outsides *outsides, const char *name)
{
    for (size_t i = 0; i < outsides->len; i++)
        if (strcmp(outsides->list[i].name, name) == 0)
            return &outsides->list[i];
    if (outsides->len == outsides->cap) {
        size_t cap = outsides->cap ? 2 * outsides->cap : 8;
        struct outside *list = reallocarray(outsides->list, cap, sizeof(*list));
        if (!list)
            return NULL;
        outsides->list = list;
        outsides->cap = cap;
    }
    struct outside *outside = &outsides->list[outsides->len++];
    *outside = (struct outside){ 0 };
    (void)snprintf(outside->name, sizeof(outside->name), "%s", name);
    return outside;
}

static void add_address(struct outside *outside, const struct board_address *address)
{
    if (outside->wanted_len < OUTSIDE_ADDRESSES)
        outside->wanted[outside->wanted_len++] = *address;
}

static void add_socket(struct outside *outside, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct board_address address = { .len = sizeof(un) };
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    memcpy(&address.u, &un, sizeof(un));
    add_address(outside, &address);
}

/* ---- looking up ---- */

/* What a name server may take holds up nobody: names are looked up by children, all at once, in so much time. */
#define LOOKUP_NS (4 * NS_PER_S)

struct lookup {
    const struct spec_outside *wanted;
    size_t outside; /* index into the list */
    pid_t pid;
    int fd; /* where the child writes what it found; -1: none */
};

/* What a child writes: its addresses, or why there are none. */
struct found {
    struct board_address address[OUTSIDE_ADDRESSES];
    uint32_t len;
    char why[128];
};

static void find_addresses(const struct spec_outside *wanted, int flags, struct found *ret)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    char port[8];

    *ret = (struct found){ 0 };
    (void)snprintf(port, sizeof(port), "%u", wanted->port);
    int r = getaddrinfo(wanted->host, port, &hints, &list);
    if (r != 0)
        (void)snprintf(ret->why, sizeof(ret->why), "%s", r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    for (struct addrinfo *info = list; r == 0 && info && ret->len < OUTSIDE_ADDRESSES; info = info->ai_next) {
        struct board_address *address = &ret->address[ret->len];
        if (info->ai_addrlen > sizeof(address->u))
            continue;
        address->len = info->ai_addrlen;
        memcpy(&address->u, info->ai_addr, info->ai_addrlen);
        ret->len++;
    }
    if (list)
        freeaddrinfo(list);
}

static int begin_lookup(struct lookup *lookup)
{
    int ends[2];
    struct found found;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    lookup->pid = fork();
    if (lookup->pid == 0) {
        find_addresses(lookup->wanted, AI_ADDRCONFIG, &found);
        _exit(write(ends[1], &found, sizeof(found)) == (ssize_t)sizeof(found) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    int r = lookup->pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (r < 0)
        (void)close(ends[0]);
    else
        lookup->fd = ends[0];
    return r;
}

/* Waits for the child's word; ends the child. */
static void end_lookup(struct lookup *lookup, int64_t deadline_ns, struct found *ret)
{
    size_t len = 0;
    ssize_t n = 1;

    while (len < sizeof(*ret) && (n > 0 || errno == EINTR)) {
        int64_t left_ms = (deadline_ns - clock_now()) / NS_PER_MS;
        struct pollfd ready = { .fd = lookup->fd, .events = POLLIN };
        n = poll(&ready, 1, left_ms > 0 ? (int)left_ms : 0);
        if (n > 0)
            n = read(lookup->fd, (char *)ret + len, sizeof(*ret) - len);
        if (n == 0)
            break; /* in time nothing, or nothing any more */
        len += n > 0 ? (size_t)n : 0;
    }
    if (len < sizeof(*ret)) {
        *ret = (struct found){ 0 };
        (void)snprintf(ret->why, sizeof(ret->why), "no name server answers");
    }
    (void)close(lookup->fd);
    (void)kill(lookup->pid, SIGKILL);
    while (waitpid(lookup->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void take_found(struct outside *outside, const struct spec_outside *wanted, const struct found *found,
                       struct problems *problems)
{
    outside->lost = found->len == 0;
    if (found->len == 0)
        problem_error(problems, wanted->place, "`%s`: no service has that name, and as a host it cannot be found: %s",
                      wanted->host, found->why[0] ? found->why : "it has no address");
    for (uint32_t i = 0; i < found->len && i < OUTSIDE_ADDRESSES; i++)
        add_address(outside, &found->address[i]);
}

/* A literal address, a Unix socket, or a name that a child looks up. False: out of memory, told. */
static bool begin_one(struct outsides *outsides, const struct spec_outside *wanted, struct lookup *lookup,
                      struct problems *problems)
{
    struct outside *outside = find_or_add(outsides, wanted->name);
    struct found found;

    *lookup = (struct lookup){ .wanted = wanted, .fd = -1 };
    if (!outside) {
        problem_error(problems, wanted->place, "out of memory");
        return false;
    }
    lookup->outside = (size_t)(outside - outsides->list);
    outside->wanted_len = 0;
    if (wanted->port == 0) {
        add_socket(outside, wanted->host);
        return true;
    }
    find_addresses(wanted, AI_NUMERICHOST, &found);
    if (found.len > 0) {
        take_found(outside, wanted, &found, problems);
        return true;
    }
    int r = begin_lookup(lookup);
    if (r < 0)
        problem_error(problems, wanted->place, "`%s` cannot be looked up: %s", wanted->host, strerror(-r));
    return true;
}

void outsides_find(struct outsides *outsides, const struct spec *spec, struct problems *problems)
{
    int64_t deadline_ns = clock_now() + LOOKUP_NS;
    struct lookup *lookups CLEANUP_FREE = calloc(spec->outside_len + 1, sizeof(*lookups));
    size_t begun = 0;

    for (size_t i = 0; i < outsides->len; i++) {
        outsides->list[i].wanted_len = 0;
        outsides->list[i].lost = false;
    }
    if (!lookups && spec->outside_len > 0) {
        problem_error(problems, spec->outside[0].place, "out of memory");
        return;
    }
    while (begun < spec->outside_len && begin_one(outsides, &spec->outside[begun], &lookups[begun], problems))
        begun++;
    for (size_t i = 0; i < begun; i++) {
        struct found found;
        if (lookups[i].fd < 0)
            continue;
        end_lookup(&lookups[i], deadline_ns, &found);
        take_found(&outsides->list[lookups[i].outside], lookups[i].wanted, &found, problems);
    }
}

static bool has(const struct board_address *list, size_t len, const struct board_address *address)
{
    for (size_t i = 0; i < len; i++)
        if (list[i].len == address->len && memcmp(&list[i].u, &address->u, address->len) == 0)
            return true;
    return false;
}

/* The board may outlive us (base/guard.h): what a predecessor has put there is found by its service. */
static void recover(struct outside *outside, uint16_t service, const struct board *board)
{
    for (uint32_t i = 0; i < board->used_endpoints && outside->known_len < OUTSIDE_ADDRESSES; i++) {
        const struct board_endpoint *endpoint = &board->endpoints[i];
        if (endpoint->state != BOARD_ENDPOINT_UP || endpoint->service != service)
            continue;
        outside->known[outside->known_len] = endpoint->address;
        outside->slots[outside->known_len++] = (int)i;
    }
}

/* What is not wanted any more goes; requests on it end by themselves. */
static void withdraw(struct outside *outside, struct board *board)
{
    if (outside->lost)
        return;
    for (size_t i = outside->known_len; i > 0; i--) {
        if (has(outside->wanted, outside->wanted_len, &outside->known[i - 1]))
            continue;
        board_endpoint_set(board, outside->slots[i - 1], BOARD_ENDPOINT_GONE, CAUSE_STOP, 0, clock_now());
        outside->known_len--;
        outside->known[i - 1] = outside->known[outside->known_len];
        outside->slots[i - 1] = outside->slots[outside->known_len];
    }
}

int outsides_publish(struct outsides *outsides, struct board *board)
{
    for (size_t o = 0; o < outsides->len; o++) {
        struct outside *outside = &outsides->list[o];
        int service = board_service_add(board, outside->name);
        if (service < 0)
            return service;
        if (outside->known_len == 0)
            recover(outside, (uint16_t)service, board);
        withdraw(outside, board);
        for (size_t i = 0; i < outside->wanted_len; i++) {
            if (has(outside->known, outside->known_len, &outside->wanted[i]))
                continue;
            /* One of several is called by its address: a hash and cookies go by names. */
            char text[BOARD_ADDRESS_TEXT];
            const char *name =
                outside->wanted_len > 1 ? board_address_format(&outside->wanted[i], text) : outside->name;
            int slot = board_endpoint_add(board, service, name, &outside->wanted[i], clock_now());
            if (slot < 0)
                return slot;
            outside->known[outside->known_len] = outside->wanted[i];
            outside->slots[outside->known_len++] = slot;
        }
    }
    return 0;
}

void outsides_free(struct outsides *outsides)
{
    free(outsides->list);
    *outsides = (struct outsides){ 0 };
}
