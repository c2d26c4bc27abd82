/* SPDX-License-Identifier: MIT */
#include "runtime/ignore.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The line without blanks around it, without "/" and "./" before it and "/" behind it. */
static char *clean(char *line, bool *negated)
{
    line += strspn(line, " \t");
    *negated = *line == '!';
    line += *negated;
    line += strspn(line, " \t");
    while (line[0] == '/' || (line[0] == '.' && line[1] == '/'))
        line += line[0] == '/' ? 1 : 2;
    size_t len = strlen(line);
    while (len > 0 && strchr(" \t\r/", line[len - 1]))
        line[--len] = '\0';
    return line;
}

int ignore_parse(const char *text, struct ignore *ret)
{
    struct ignore ignore = { .text = malloc(2 * strlen(text) + 2) };
    size_t lines = 1;

    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    ignore.rules = calloc(lines, sizeof(*ignore.rules));
    if (!ignore.text || !ignore.rules) {
        ignore_free(&ignore);
        return -ENOMEM;
    }
    char *out = ignore.text;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        bool negated;
        /* One byte of room in front, for the '!' that clean() has taken off. */
        memcpy(out + 1, at, len);
        out[1 + len] = '\0';
        char *line = clean(out + 1, &negated);
        if (out[1] != '#' && *line && strcmp(line, ".") != 0) {
            if (negated)
                *--line = '!';
            ignore.rules[ignore.len++] = line;
            ignore.takes_back = ignore.takes_back || negated;
        }
        out += len + 2;
        at += len + (at[len] == '\n');
    }
    *ret = ignore;
    return 0;
}

void ignore_free(struct ignore *ignore)
{
    free(ignore->text);
    free(ignore->rules);
    *ignore = (struct ignore){ 0 };
}

/* The name at the front, as fnmatch(3) wants it. */
static bool names_match(const char *pattern, size_t pattern_len, const char *name, size_t name_len)
{
    char a[NAME_MAX + 1], b[NAME_MAX + 1];

    if (pattern_len > NAME_MAX || name_len > NAME_MAX)
        return false;
    (void)snprintf(a, sizeof(a), "%.*s", (int)pattern_len, pattern);
    (void)snprintf(b, sizeof(b), "%.*s", (int)name_len, name);
    return fnmatch(a, b, 0) == 0;
}

/* Does it match the path, or a folder that the path is in? */
static bool matches(const char *pattern, const char *path)
{
    size_t pattern_len = strcspn(pattern, "/"), name_len = strcspn(path, "/");
    const char *pattern_rest = pattern + pattern_len + (pattern[pattern_len] == '/');
    const char *path_rest = path + name_len + (path[name_len] == '/');

    if (!*pattern)
        return true;
    if (!*path)
        return false;
    if (pattern_len == 2 && pattern[0] == '*' && pattern[1] == '*')
        return matches(pattern_rest, path) || matches(pattern, path_rest);
    return names_match(pattern, pattern_len, path, name_len) && matches(pattern_rest, path_rest);
}

bool ignore_matches(const struct ignore *ignore, const char *path)
{
    bool ignored = false;

    for (size_t i = 0; i < ignore->len; i++) {
        const char *rule = ignore->rules[i];
        bool negated = *rule == '!';
        if (ignored == negated && matches(rule + negated, path))
            ignored = !negated;
    }
    return ignored;
}
