/* SPDX-License-Identifier: MIT */
#include "compose/interpolate.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_MAX = 64, SHOWN_MAX = 60, NOTE_MAX = 400 };

static bool substitute(struct interpolation *with, struct place place, const char *text, size_t len, int depth,
                       struct text *out);

static size_t name_len(const char *text, size_t len)
{
    size_t n = 0;
    if (len == 0 || !(isalpha((unsigned char)text[0]) || text[0] == '_'))
        return 0;
    while (n < len && (isalnum((unsigned char)text[n]) || text[n] == '_'))
        n++;
    return n;
}

/* Where the brace that `text` begins with is closed; `len` when it is not. Any brace inside counts. */
static size_t closing_brace(const char *text, size_t len)
{
    size_t open = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '{')
            open++;
        else if (text[i] == '}' && --open == 0)
            return i;
    }
    return len;
}

/* The name's value; where it came from is remembered. */
static const char *look_up(struct interpolation *with, const char *name)
{
    const char *value = with->lookup(with->data, name);
    const char *origin = with->uses && value ? with->origin(with->data, name) : NULL;

    if (origin && with->uses->len < NOTE_MAX && !strstr(text_str(with->uses), origin)) {
        text_puts(with->uses, with->uses->len > 0 ? "; " : "");
        text_puts(with->uses, origin);
    }
    return value;
}

static bool malformed(const struct interpolation *with, struct place place, const char *text, size_t len)
{
    problem_error(
        with->problems, place,
        "`%.*s%s` is no variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $$ for a dollar sign",
        (int)(len > SHOWN_MAX ? SHOWN_MAX : len), text, len > SHOWN_MAX ? "…" : "");
    return false;
}

static void warn_unset(struct interpolation *with, struct place place, const char *name)
{
    if (!with->missed || node_entry(with->missed, name))
        return;
    node_set(with->pool, with->missed, name, place, node_new(with->pool, NODE_NULL, place));
    problem_warning(with->problems, place, "the variable %s is not set and taken as empty; give it a default: ${%s:-…}",
                    name, name);
}

static bool require(struct interpolation *with, struct place place, const char *name, const char *message, size_t len,
                    int depth)
{
    struct text text = { .pool = with->pool };

    if (!substitute(with, place, message, len, depth + 1, &text))
        return false;
    problem_error(with->problems, place, "the variable %s is required and %s%s%s", name,
                  with->lookup(with->data, name) ? "empty" : "not set", text.len > 0 ? ": " : "", text_str(&text));
    return false;
}

/* What stands between the braces: a name, and perhaps an operator with its word. */
static bool substitute_braced(struct interpolation *with, struct place place, const char *inner, size_t len, int depth,
                              struct text *out)
{
    size_t n = name_len(inner, len);
    const char *rest = inner + n, *end = inner + len;

    if (n == 0)
        return malformed(with, place, inner - 2, len + 3);
    const char *name = pool_strndup(with->pool, inner, n);
    const char *value = look_up(with, name);
    if (rest == end) {
        if (!value)
            warn_unset(with, place, name);
        text_puts(out, value ? value : "");
        return true;
    }
    /* With the colon an empty value counts as none. */
    bool colon = *rest == ':';
    bool set = value && (!colon || *value);
    rest += colon;
    if (rest == end || !strchr("-?+", *rest) || memchr(rest, '\n', (size_t)(end - rest)))
        return malformed(with, place, inner - 2, len + 3);
    char what = *rest++;
    size_t word = (size_t)(end - rest);
    if (what == '+')
        return set ? substitute(with, place, rest, word, depth + 1, out) : true;
    if (set) {
        text_puts(out, value);
        return true;
    }
    if (what == '?')
        return require(with, place, name, rest, word, depth);
    return substitute(with, place, rest, word, depth + 1, out);
}

static bool substitute(struct interpolation *with, struct place place, const char *text, size_t len, int depth,
                       struct text *out)
{
    if (depth > DEPTH_MAX) {
        problem_error(with->problems, place, "variables are nested too deeply");
        return false;
    }
    for (size_t i = 0; i < len;) {
        const char *dollar = memchr(text + i, '$', len - i);
        size_t at = dollar ? (size_t)(dollar - text) : len;
        text_add(out, text + i, at - i);
        if (!dollar)
            break;
        size_t left = len - at - 1, n = name_len(text + at + 1, left);
        i = at + 1;
        if (left > 0 && text[i] == '$') {
            text_putc(out, '$');
            i++;
        } else if (left > 0 && text[i] == '{') {
            size_t close = closing_brace(text + i, left);
            if (close == left)
                return malformed(with, place, dollar, left + 1);
            if (!substitute_braced(with, place, text + i + 1, close - 1, depth, out))
                return false;
            i += close + 1;
        } else if (n > 0) {
            const char *name = pool_strndup(with->pool, text + i, n);
            const char *value = look_up(with, name);
            if (!value)
                warn_unset(with, place, name);
            text_puts(out, value ? value : "");
            i += n;
        } else {
            text_putc(out, '$');
        }
    }
    return true;
}

const char *interpolate_text(struct interpolation *with, struct place place, const char *text)
{
    struct text out = { .pool = with->pool };

    if (!strchr(text, '$'))
        return text;
    return substitute(with, place, text, strlen(text), 0, &out) ? text_str(&out) : NULL;
}

static void note_origin(struct pool *pool, struct place *place, const char *note)
{
    struct origin *origin = POOL_NEW(pool, struct origin);

    if (place->origin)
        *origin = *place->origin;
    origin->note = origin->note ? pool_printf(pool, "%s; %s", note, origin->note) : note;
    place->origin = origin;
}

static bool interpolate_string(struct interpolation *with, struct node *node)
{
    struct text uses = { .pool = with->pool };

    with->uses = with->origin ? &uses : NULL;
    const char *text = interpolate_text(with, node->place, node->u.string);
    with->uses = NULL;
    if (uses.len > 0)
        note_origin(with->pool, &node->place, text_str(&uses));
    if (text)
        node->u.string = text;
    else
        node->tag = NODE_RESET; /* told; what follows does as if it were not there */
    return text != NULL;
}

static void interpolate_child(struct interpolation *with, struct node *parent, struct node *child)
{
    if (child->kind != NODE_STRING)
        interpolate_tree(with, child);
    else if (!interpolate_string(with, child))
        parent->faulty = true;
}

void interpolate_tree(struct interpolation *with, struct node *node)
{
    for (size_t i = 0; i < node->len; i++)
        interpolate_child(with, node, node->entries[i].value);
}

void interpolate_entry(struct interpolation *with, struct node *map, const char *key)
{
    struct node *child = node_get(map, key);

    if (child)
        interpolate_child(with, map, child);
}

/* --- What is mentioned --- */

static void mentions(struct pool *pool, struct place place, const char *text, size_t len, struct node *into, int depth)
{
    const char *end = text + len, *p = text;

    while (depth < DEPTH_MAX && (p = memchr(p, '$', (size_t)(end - p))) && ++p < end) {
        bool braced = *p == '{';
        const char *name = p + braced;
        size_t n = name_len(name, (size_t)(end - name));
        size_t close = braced ? closing_brace(p, (size_t)(end - p)) : n;
        p += *p == '$' || close == (size_t)(end - p) ? 1 : close;
        if (n == 0)
            continue;
        const char *key = pool_strndup(pool, name, n);
        struct node *variable = node_get(into, key);
        if (!variable) {
            variable = node_new(pool, NODE_MAP, place);
            node_set(pool, into, key, place, variable);
        }
        const char *what = name + n + (braced && name[n] == ':'), *said = NULL;
        if (braced && what < p)
            said = *what == '-' ? "default" : *what == '+' ? "alternate" : *what == '?' ? "required" : NULL;
        if (!said)
            continue;
        const char *word = pool_strndup(pool, what + 1, (size_t)(p - what - 1));
        node_set(pool, variable, said, place, node_string(pool, place, word));
        mentions(pool, place, word, strlen(word), into, depth + 1);
    }
}

void interpolate_mentions(struct pool *pool, const struct node *node, struct node *into)
{
    if (node->kind == NODE_STRING)
        mentions(pool, node->place, node->u.string, strlen(node->u.string), into, 0);
    for (size_t i = 0; i < node->len; i++)
        interpolate_mentions(pool, node->entries[i].value, into);
}
