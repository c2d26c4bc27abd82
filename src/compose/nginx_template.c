/* SPDX-License-Identifier: MIT
 *
 * nginx's variables in the words of a template of ours (base/template.h).
 */
#include "compose/nginx_config.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *nginx, *ours;
} variables[] = {
    { "args", "{query}" },
    { "document_uri", "{plain_path}" },
    { "host", "{host}" },
    { "http_host", "{authority}" },
    { "proxy_add_x_forwarded_for", "{forwarded_for}" },
    { "is_args", "{?}" },
    { "query_string", "{query}" },
    { "remote_addr", "{client}" },
    { "realip_remote_addr", "{client}" },
    { "request_id", "{request_id}" },
    { "request_method", "{method}" },
    { "request_uri", "{uri}" },
    { "scheme", "{scheme}" },
    { "server_port", "{port}" },
    { "server_protocol", "{protocol}" },
    { "uri", "{plain_path}" },
};

/* A header field, a cookie or a parameter: "http_x_request_id" → "{header.x-request-id}". */
static const char *prefixed(struct pool *pool, const char *name)
{
    static const struct {
        const char *nginx, *ours;
        bool dashes;
    } prefixes[] = { { "http_", "header.", true }, { "cookie_", "cookie.", false }, { "arg_", "query.", false } };

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t len = strlen(prefixes[i].nginx);
        if (strncmp(name, prefixes[i].nginx, len) != 0 || !name[len])
            continue;
        char *ours = pool_printf(pool, "{%s%s}", prefixes[i].ours, name + len);
        for (char *c = ours; prefixes[i].dashes && *c; c++)
            *c = *c == '_' ? '-' : *c;
        return ours;
    }
    return NULL;
}

/* Which group of the regular expression has that name; 0: none. */
static int group_of(const char *regex, const char *name)
{
    size_t len = strlen(name);
    int group = 0;

    for (const char *c = regex; c && *c; c++) {
        if (*c == '\\' && c[1]) {
            c++;
        } else if (*c == '[') {
            for (c += c[1] == ']' ? 2 : 1; *c && *c != ']'; c++)
                c += *c == '\\' && c[1];
            if (!*c)
                return 0;
        } else if (*c == '(' && (c[1] != '?' || (c[2] == '<' && c[3] != '=' && c[3] != '!') || c[2] == 'P')) {
            group++;
            const char *named = c[1] == '?' ? strchr(c, '<') : NULL;
            if (named && strncmp(named + 1, name, len) == 0 && named[len + 1] == '>')
                return group;
        }
    }
    return 0;
}

static const char *fixed(const struct nginx_scope *scope, const char *name)
{
    char hostname[256] = "";
    const char *text = node_str(node_get(scope->settings->constants.items, name));

    if (strcmp(name, "server_name") == 0)
        text = scope->server_name;
    else if (strcmp(name, "proxy_host") == 0)
        text = scope->proxy_host;
    else if (strcmp(name, "proxy_port") == 0)
        text = scope->proxy_port;
    else if (strcmp(name, "hostname") == 0 && gethostname(hostname, sizeof(hostname) - 1) == 0)
        text = pool_strdup(scope->config->pool, hostname);
    return text;
}

static const char *meaning(const struct nginx_scope *scope, const char *name)
{
    struct pool *pool = scope->config->pool;

    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        if (strcmp(variables[i].nginx, name) == 0)
            return variables[i].ours;
    if (isdigit((unsigned char)name[0]) && !name[1] && name[0] != '0')
        return pool_printf(pool, "{%s}", name);
    int group = group_of(scope->regex, name);
    if (group > 0 && group < 10)
        return pool_printf(pool, "{%d}", group);
    return prefixed(pool, name);
}

/* The name behind a `$`, and how many bytes of the text it takes; NULL: there is none. */
static const char *name_at(struct pool *pool, const char *text, size_t *ret_len)
{
    bool braced = *text == '{';
    size_t len = 0;

    text += braced;
    if (isdigit((unsigned char)*text) && !braced)
        len = 1; /* $12 is $1 and a 2 */
    else
        while (isalnum((unsigned char)text[len]) || text[len] == '_')
            len++;
    if (len == 0 || (braced && text[len] != '}'))
        return NULL;
    *ret_len = len + 2 * (size_t)braced;
    return pool_strndup(pool, text, len);
}

static void add_literal(struct text *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '{')
            text_putc(out, '{');
        text_putc(out, *text);
    }
}

const char *nginx_template(const struct nginx_scope *scope, const struct nginx_word *word)
{
    struct pool *pool = scope->config->pool;
    struct text out = { .pool = pool };

    for (const char *at = word->text; *at;) {
        size_t len;
        if (*at != '$') {
            add_literal(&out, (char[]){ *at++, '\0' });
            continue;
        }
        const char *name = name_at(pool, ++at, &len);
        const char *text = name ? fixed(scope, name) : NULL, *ours = name && !text ? meaning(scope, name) : NULL;
        if (!text && !ours) {
            problem_error(scope->config->problems, word->place, "the variable `$%s` is not understood here",
                          name ? name : at);
            return NULL;
        }
        if (text)
            add_literal(&out, text);
        else
            text_puts(&out, ours);
        at += len;
    }
    return text_str(&out);
}
