/* SPDX-License-Identifier: MIT */
#include "base/template.h"

#include <string.h>

static const struct {
    const char *name;
    char var;
    bool named; /* the rest up to the brace is a name */
} gaps[] = {
    { "?", TEMPLATE_MARK, false },
    { "authority", TEMPLATE_AUTHORITY, false },
    { "client", TEMPLATE_CLIENT, false },
    { "cookie.", TEMPLATE_COOKIE, true },
    { "forwarded_for", TEMPLATE_FORWARDED_FOR, false },
    { "header.", TEMPLATE_HEADER, true },
    { "host", TEMPLATE_HOST, false },
    { "method", TEMPLATE_METHOD, false },
    { "path", TEMPLATE_PATH, false },
    { "plain_path", TEMPLATE_PLAIN_PATH, false },
    { "port", TEMPLATE_PORT, false },
    { "protocol", TEMPLATE_PROTOCOL, false },
    { "query", TEMPLATE_QUERY, false },
    { "query.", TEMPLATE_PARAMETER, true },
    { "request_id", TEMPLATE_REQUEST_ID, false },
    { "rest", TEMPLATE_REST, false },
    { "scheme", TEMPLATE_SCHEME, false },
    { "uri", TEMPLATE_URI, false },
};

const char template_gaps[] =
    "{authority}, {client}, {cookie.NAME}, {forwarded_for}, {header.NAME}, {host}, {method}, "
    "{path}, {plain_path}, {port}, {protocol}, {query}, {query.NAME}, {?}, {request_id}, {rest}, "
    "{scheme}, {uri}, {1} … {9}";

/* The gap of that name; the part of it that is kept to `ret_kept`. 0: there is none. */
static char find(const char *name, size_t len, size_t *ret_kept)
{
    *ret_kept = 0;
    if (len == 1 && *name >= '1' && *name <= '9') {
        *ret_kept = 1;
        return TEMPLATE_GROUP;
    }
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        size_t known = strlen(gaps[i].name);
        if (len < known || memcmp(gaps[i].name, name, known) != 0 || gaps[i].named != (len > known))
            continue;
        *ret_kept = len - known;
        return gaps[i].var;
    }
    return 0;
}

bool template_compile(const char *text, char *out, const char **ret_bad)
{
    while (*text) {
        if (*text != '{') {
            *out++ = *text++;
            continue;
        }
        if (text[1] == '{') {
            *out++ = '{';
            text += 2;
            continue;
        }
        size_t len = strcspn(text + 1, "}"), kept;
        char var = text[len + 1] ? find(text + 1, len, &kept) : 0;
        if (!var) {
            *ret_bad = text;
            return false;
        }
        *out++ = TEMPLATE_OPEN;
        *out++ = var;
        memcpy(out, text + 1 + len - kept, kept);
        out += kept;
        *out++ = TEMPLATE_CLOSE;
        text += len + 2;
    }
    *out = '\0';
    return true;
}

bool template_next(const char **at, const char *end, struct template_piece *ret)
{
    const char *begin = *at;
    if (begin >= end)
        return false;
    const char *stop = memchr(begin, *begin == TEMPLATE_OPEN ? TEMPLATE_CLOSE : TEMPLATE_OPEN, (size_t)(end - begin));
    if (*begin != TEMPLATE_OPEN) {
        *at = stop ? stop : end;
        *ret = (struct template_piece){ 0, begin, (size_t)(*at - begin) };
        return true;
    }
    if (!stop || stop - begin < 2) /* never: the board holds what was compiled */
        return false;
    *at = stop + 1;
    *ret = (struct template_piece){ (enum template_var)begin[1], begin + 2, (size_t)(stop - begin - 2) };
    return true;
}

bool template_has(const char *compiled, const char *vars)
{
    for (const char *at = strchr(compiled, TEMPLATE_OPEN); at; at = strchr(at + 1, TEMPLATE_OPEN))
        if (!vars || (at[1] && strchr(vars, at[1])))
            return true;
    return false;
}
