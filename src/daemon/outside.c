/* SPDX-License-Identifier: MIT */
#include "daemon/outside.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

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

static void add_address(struct outside *outside, const void *address, size_t len)
{
    struct board_address *slot = &outside->wanted[outside->wanted_len];
    if (outside->wanted_len == OUTSIDE_ADDRESSES || len > sizeof(slot->u))
        return;
    *slot = (struct board_address){ .len = (uint32_t)len };
    memcpy(&slot->u, address, len);
    outside->wanted_len++;
}

static void look_up(struct outside *outside, const struct spec_outside *wanted, struct problems *problems)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char port[8];

    (void)snprintf(port, sizeof(port), "%u", wanted->port);
    int r = getaddrinfo(wanted->host, port, &hints, &found);
    if (r != 0)
        problem_error(problems, wanted->place, "`%s`: no service has that name, and as a host it cannot be found: %s",
                      wanted->host, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    for (struct addrinfo *info = found; info; info = info->ai_next)
        add_address(outside, info->ai_addr, info->ai_addrlen);
    if (found)
        freeaddrinfo(found);
}

static void add_socket(struct outside *outside, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    add_address(outside, &un, sizeof(un));
}

void outsides_find(struct outsides *outsides, const struct spec *spec, struct problems *problems)
{
    for (size_t i = 0; i < outsides->len; i++)
        outsides->list[i].wanted_len = 0;
    for (size_t i = 0; i < spec->outside_len; i++) {
        struct outside *outside = find_or_add(outsides, spec->outside[i].name);
        if (!outside)
            problem_error(problems, spec->outside[i].place, "out of memory");
        else if (spec->outside[i].port == 0)
            add_socket(outside, spec->outside[i].host);
        else
            look_up(outside, &spec->outside[i], problems);
    }
}

static bool has(const struct board_address *list, size_t len, const struct board_address *address)
{
    for (size_t i = 0; i < len; i++)
        if (list[i].len == address->len && memcmp(&list[i].u, &address->u, address->len) == 0)
            return true;
    return false;
}

/* What is not wanted any more goes; requests on it end by themselves. */
static void withdraw(struct outside *outside, struct board *board)
{
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
        withdraw(outside, board);
        int service = board_service_add(board, outside->name);
        for (size_t i = 0; i < outside->wanted_len; i++) {
            if (has(outside->known, outside->known_len, &outside->wanted[i]))
                continue;
            /* One of several is called by its address: a hash and cookies go by names. */
            char text[BOARD_ADDRESS_TEXT];
            const char *name =
                outside->wanted_len > 1 ? board_address_format(&outside->wanted[i], text) : outside->name;
            int slot =
                service < 0 ? service : board_endpoint_add(board, service, name, &outside->wanted[i], clock_now());
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
