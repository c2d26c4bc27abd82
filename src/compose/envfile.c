/* SPDX-License-Identifier: MIT */
#include "compose/envfile.h"

#include <ctype.h>
#include <string.h>

struct parser {
    struct interpolation *with;
    struct node *into;
    const char *file;
    const struct origin *origin; /* of all places in it */
    const char *p;               /* what is to be read next */
    const char *line;            /* where the present line begins */
    int number;                  /* its number */
};

static struct place here(const struct parser *parser, const char *at)
{
    int column = 1;

    for (const char *p = parser->line; p < at; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80; /* characters, not bytes */
    return (struct place){ parser->file, parser->number, column, parser->origin };
}

static void skip(struct parser *parser, size_t n)
{
    for (; n > 0; n--) {
        if (*parser->p++ == '\n') {
            parser->number++;
            parser->line = parser->p;
        }
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || strchr("_.-[]", c);
}

/* Variables in a value: the lookup's first, then those that the files so far have set. */
struct scope {
    const struct interpolation *outer;
    const struct node *into;
};

static const char *look_up(void *data, const char *name)
{
    const struct scope *scope = data;
    const char *value = scope->outer->lookup(scope->outer->data, name);
    return value ? value : node_str(node_get(scope->into, name));
}

static const char *expand(struct parser *parser, struct place place, const char *value)
{
    struct scope scope = { parser->with, parser->into };
    struct interpolation with = *parser->with;
    with.lookup = look_up;
    with.data = &scope;
    return interpolate_text(&with, place, value);
}

/* One escape of a double-quoted value; how many characters it took, 0: none that is known. */
static size_t unescape(const char *p, struct text *out)
{
    static const char letters[] = "abfnrtv\"\\", values[] = "\a\b\f\n\r\t\v\"\\";
    const char *letter = p[1] ? strchr(letters, p[1]) : NULL;

    if (letter) {
        text_putc(out, values[letter - letters]);
        return 2;
    }
    if (p[1] == '$') {
        text_puts(out, "$$"); /* stays a dollar sign when variables are expanded */
        return 2;
    }
    if (p[1] == '0' && strspn(p + 2, "01234567") >= 3 && p[2] <= '3') {
        text_putc(out, (char)((p[2] - '0') * 64 + (p[3] - '0') * 8 + (p[4] - '0')));
        return 5;
    }
    return 0;
}

static const char *unescape_all(struct pool *pool, const char *value)
{
    struct text out = { .pool = pool };
    while (*value) {
        size_t n = *value == '\\' ? unescape(value, &out) : 0;
        if (n == 0) {
            text_putc(&out, *value);
            n = 1;
        }
        value += n;
    }
    return text_str(&out);
}

/* The quoted value that begins here; NULL after telling what is wrong. */
static const char *read_quoted(struct parser *parser)
{
    struct place place = here(parser, parser->p);
    char quote = *parser->p;
    struct text raw = { .pool = parser->with->pool };
    const char *p = parser->p + 1;

    for (; *p && *p != quote; p++) {
        if (*p == '\\' && p[1] == quote)
            p++;
        else if (*p == '\\' && p[1] == '\\')
            text_putc(&raw, *p++);
        text_putc(&raw, *p);
    }
    if (!*p) {
        problem_error(parser->with->problems, place, "the quote %c is never closed", quote);
        return NULL;
    }
    skip(parser, (size_t)(p + 1 - parser->p));
    const char *value = text_str(&raw);
    return quote == '"' ? expand(parser, place, unescape_all(parser->with->pool, value)) : value;
}

static const char *read_plain(struct parser *parser)
{
    struct place place = here(parser, parser->p);
    size_t len = strcspn(parser->p, "\n"), used = len;

    for (size_t i = 0; i + 1 < used; i++)
        if (parser->p[i] == ' ' && parser->p[i + 1] == '#')
            used = i;
    while (used > 0 && is_blank(parser->p[used - 1]))
        used--;
    const char *value = pool_strndup(parser->with->pool, parser->p, used);
    skip(parser, len);
    return expand(parser, place, value);
}

static void set(struct parser *parser, const char *name, struct place place, const char *value)
{
    node_set(parser->with->pool, parser->into, name, place, node_string(parser->with->pool, place, value));
}

/* NAME=value, or NAME alone. False when the line is wrong; it was skipped then. */
static bool read_statement(struct parser *parser)
{
    const char *start = parser->p;
    struct place place;

    if (strncmp(start, "export", 6) == 0 && is_blank(start[6]))
        start += 6 + strspn(start + 6, " \t\v\f\r");
    place = here(parser, start);
    const char *end = start;
    while (*end && (is_name_char(*end) || is_blank(*end)))
        end++;
    const char *name_end = end;
    while (name_end > start && is_blank(name_end[-1]))
        name_end--;
    const char *name = pool_strndup(parser->with->pool, start, (size_t)(name_end - start));

    if (strpbrk(name, " \t") || (*end && !strchr("=:\n", *end))) {
        const char *bad = strpbrk(name, " \t") ? start + strcspn(name, " \t") : end;
        problem_error(parser->with->problems, here(parser, bad),
                      "`%c` may not stand in a variable's name; write NAME=value", *bad);
        skip(parser, strcspn(parser->p, "\n"));
        return false;
    }
    if (!*end || *end == '\n') {
        const char *value = parser->with->lookup(parser->with->data, name);
        if (value)
            set(parser, name, place, value);
        skip(parser, (size_t)(end - parser->p));
        return true;
    }
    skip(parser, (size_t)(end + 1 - parser->p));
    skip(parser, strspn(parser->p, " \t\v\f\r"));
    const char *value = *parser->p == '"' || *parser->p == '\'' ? read_quoted(parser) : read_plain(parser);
    if (!value) {
        skip(parser, strcspn(parser->p, "\n"));
        return false;
    }
    set(parser, name, place, value);
    return true;
}

/* The format of docker's own --env-file: everything behind the first `=` is the value. */
static bool read_raw_line(struct parser *parser)
{
    struct pool *pool = parser->with->pool;
    struct place place = here(parser, parser->p);
    size_t len = strcspn(parser->p, "\n"), name_len = strcspn(parser->p, "=\n");
    const char *name = pool_strndup(pool, parser->p, name_len);
    bool bad = name_len == 0 || strpbrk(name, " \t");

    if (bad)
        problem_error(parser->with->problems, place, "`%s` is no variable's name; write NAME=value", name);
    else if (name_len < len)
        set(parser, name, place, pool_strndup(pool, parser->p + name_len + 1, len - name_len - 1));
    else if (parser->with->lookup(parser->with->data, name))
        set(parser, name, place, parser->with->lookup(parser->with->data, name));
    skip(parser, len);
    return !bad;
}

/* Line ends of Windows become ours. */
static const char *unix_lines(struct pool *pool, const char *text)
{
    if (!strstr(text, "\r\n"))
        return text;
    char *copy = pool_strdup(pool, text), *to = copy;
    for (const char *from = text; *from; from++)
        if (from[0] != '\r' || from[1] != '\n')
            *to++ = *from;
    *to = '\0';
    return copy;
}

bool envfile_parse(struct interpolation *with, const char *file, const struct origin *origin, const char *text,
                   bool raw, struct node *into)
{
    bool ok = true;

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    text = unix_lines(with->pool, text);
    struct parser parser = {
        .with = with, .into = into, .file = file, .origin = origin, .p = text, .line = text, .number = 1
    };
    for (;;) {
        skip(&parser, strspn(parser.p, " \t\v\f\r\n"));
        if (!*parser.p)
            return ok;
        if (*parser.p == '#')
            skip(&parser, strcspn(parser.p, "\n"));
        else
            ok = (raw ? read_raw_line(&parser) : read_statement(&parser)) && ok;
    }
}
