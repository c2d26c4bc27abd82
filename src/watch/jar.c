/* SPDX-License-Identifier: MIT */
#include "watch/jar.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Cuts the cookie of that name out of the line. */
static void jar_remove(struct watch_jar *jar, const char *name, size_t name_len)
{
    for (char *at = jar->line; *at;) {
        size_t len = strcspn(at, ";");
        char *next = at + len + strspn(at + len, "; ");
        if (len > name_len && at[name_len] == '=' && memcmp(at, name, name_len) == 0) {
            memmove(at, next, strlen(next) + 1);
            break;
        }
        at = next;
    }
    /* The last one leaves the separator in front of it behind. */
    size_t len = strlen(jar->line);
    while (len > 0 && (jar->line[len - 1] == ' ' || jar->line[len - 1] == ';'))
        jar->line[--len] = '\0';
}

static bool expires_at_once(const char *at, const char *end)
{
    static const char name[] = "max-age=";

    while (at < end) {
        at++; /* the semicolon */
        while (at < end && *at == ' ')
            at++;
        if ((size_t)(end - at) > strlen(name) && strncasecmp(at, name, strlen(name)) == 0) {
            char first = at[strlen(name)];
            return first == '-' || first == '0';
        }
        const char *next = memchr(at, ';', (size_t)(end - at));
        at = next ? next : end;
    }
    return false;
}

void watch_jar_set(struct watch_jar *jar, const char *value, size_t len)
{
    const char *end = value + len;
    const char *pair_end = memchr(value, ';', len);
    if (!pair_end)
        pair_end = end;
    while (pair_end > value && pair_end[-1] == ' ')
        pair_end--;
    size_t pair_len = (size_t)(pair_end - value);
    const char *equals = memchr(value, '=', pair_len);
    if (!equals || equals == value)
        return;

    jar_remove(jar, value, (size_t)(equals - value));
    const char *attributes = memchr(value, ';', len);
    size_t have = strlen(jar->line);
    if ((attributes && expires_at_once(attributes, end)) || have + 2 + pair_len + 1 > sizeof(jar->line))
        return;
    if (have > 0) {
        memcpy(jar->line + have, "; ", 2);
        have += 2;
    }
    memcpy(jar->line + have, value, pair_len);
    jar->line[have + pair_len] = '\0';
}
