/* SPDX-License-Identifier: MIT
 *
 * JSON → YAML for people. Quotes whatever could be read as something else, rather once too often.
 */
#include "compose/model.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Words that some reader of YAML takes for null or a truth value. */
static bool is_special_word(const char *text)
{
    static const char *const words[] = { "null", "true", "false", "yes",  "no",   "on", "off",
                                         "y",    "n",    "~",     ".nan", ".inf", NULL };
    for (const char *const *word = words; *word; word++)
        if (strcasecmp(*word, text) == 0)
            return true;
    return false;
}

/* The character at `text` if YAML does not let it stand as it is, or takes it for the end of a line: controls, NEL, the
   separators of lines and paragraphs, the byte order mark; else 0. */
static unsigned unprintable(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    if (p[0] < 0x20 || p[0] == 0x7f)
        return p[0];
    if (p[0] == 0xc2 && p[1] < 0xa0)
        return p[1];
    if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
        return p[2] == 0xa8 ? 0x2028 : 0x2029;
    return p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf ? 0xfeff : 0;
}

static bool is_plain(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || is_special_word(text))
        return false;
    /* Numbers of all bases, times and dates. */
    if (strpbrk(text, "0123456789") && strspn(text, "0123456789abcdefABCDEFoxOX.:+-_tTzZ") == len)
        return false;
    if (!isalnum((unsigned char)*text) && !strchr("/._$(+", *text) && (unsigned char)*text < 0x80)
        return false;
    for (const char *p = text; *p; p++)
        if (unprintable(p) || (*p == ':' && (p[1] == ' ' || !p[1])) || (*p == '#' && p[-1] == ' ') ||
            strchr("{}[],&*!|>'\"%@`", *p))
            return false;
    return text[len - 1] != ' ';
}

static void add_indent(struct buf *out, int depth)
{
    for (int i = 0; i < depth; i++)
        buf_puts(out, "  ");
}

static void add_quoted(const char *text, struct buf *out)
{
    buf_puts(out, "\"");
    for (const char *p = text; *p; p++) {
        unsigned code = unprintable(p);
        if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (*p == '\n')
            buf_puts(out, "\\n");
        else if (*p == '\t')
            buf_puts(out, "\\t");
        else if (code > 0)
            buf_printf(out, "\\u%04x", code);
        else
            buf_add(out, p, 1);
        p += code < 0x80 ? 0 : code < 0x800 ? 1 : 2; /* the rest of its bytes */
    }
    buf_puts(out, "\"");
}

/* Several lines as a block, where the block would say the same. */
static bool is_block(const char *text)
{
    if (!strchr(text, '\n') || *text == ' ' || *text == '\n')
        return false;
    for (const char *p = text; *p; p++)
        if (*p != '\n' && *p != '\t' && unprintable(p))
            return false;
    return true;
}

static void add_block(const char *text, int depth, struct buf *out)
{
    size_t len = strlen(text), ends = 0;

    while (ends < len && text[len - 1 - ends] == '\n')
        ends++;
    buf_puts(out, ends == 0 ? "|-" : ends == 1 ? "|" : "|+");
    while (*text) {
        size_t line = strcspn(text, "\n");
        buf_puts(out, "\n");
        if (line > 0) {
            add_indent(out, depth);
            buf_add(out, text, line);
        }
        text += line + (text[line] == '\n');
    }
}

static void add_word(const char *text, struct buf *out)
{
    if (is_plain(text))
        buf_puts(out, text);
    else
        add_quoted(text, out);
}

static void add_value(const json_t *value, int depth, bool in_list, struct buf *out);

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_object(const json_t *object, int depth, bool in_list, struct buf *out)
{
    const char **keys = calloc(json_object_size(object), sizeof(*keys)), *key;
    size_t n = 0;
    json_t *value;

    if (!keys) {
        out->failed = true;
        return;
    }
    json_object_foreach((json_t *)object, key, value) keys[n++] = key;
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n; i++) {
        /* The first key of a list's item stands behind the dash. */
        if (i > 0 || !in_list) {
            buf_puts(out, "\n");
            add_indent(out, depth);
        }
        add_word(keys[i], out);
        buf_puts(out, ":");
        add_value(json_object_get(object, keys[i]), depth + 1, false, out);
    }
    free(keys);
}

/* As short as says it: 0.1, not 0.10000000000000001. */
static void add_real(double value, struct buf *out)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_printf(out, " %s", text);
}

static void add_value(const json_t *value, int depth, bool in_list, struct buf *out)
{
    if (json_is_object(value) && json_object_size(value) > 0) {
        if (in_list)
            buf_puts(out, " ");
        add_object(value, depth, in_list, out);
    } else if (json_is_array(value) && json_array_size(value) > 0) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            buf_puts(out, "\n");
            add_indent(out, depth);
            buf_puts(out, "-");
            add_value(json_array_get(value, i), depth + 1, true, out);
        }
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        buf_puts(out, " ");
        if (is_block(text))
            add_block(text, depth, out);
        else
            add_word(text, out);
    } else if (json_is_real(value)) {
        add_real(json_real_value(value), out);
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text)
            buf_printf(out, " %s", text);
        else
            out->failed = true;
        free(text);
    }
}

void model_print_yaml(const json_t *model, struct buf *out)
{
    static const char *const first[] = {
        "name", "services", "networks", "volumes", "secrets", "configs", "models", NULL
    };
    json_t *rest = json_copy((json_t *)model);

    if (!rest) {
        out->failed = true;
        return;
    }
    for (const char *const *key = first; *key; key++) {
        const json_t *value = json_object_get(model, *key);
        if (!value)
            continue;
        buf_printf(out, "%s:", *key);
        add_value(value, 1, false, out);
        buf_puts(out, "\n");
        (void)json_object_del(rest, *key);
    }
    size_t start = out->len;
    add_object(rest, 0, false, out);
    if (out->len > start) {
        memmove(out->data + start, out->data + start + 1, out->len - start); /* without the first line's end */
        out->data[out->len - 1] = '\n';
    }
    json_decref(rest);
}

/* What the files that these name said is in the model itself. */
static void drop_files(json_t *model)
{
    json_t *service;
    const char *key;

    json_object_foreach(json_object_get(model, "services"), key, service)
    {
        (void)json_object_del(service, "env_file");
        (void)json_object_del(service, "label_file");
    }
}

/* Who may be missing and is: somebody whom a profile switches off is not in the model. */
static void drop_missing(json_t *model)
{
    json_t *services = json_object_get(model, "services"), *service, *dependency;
    const char *key, *on;
    void *next;

    json_object_foreach(services, key, service)
    {
        json_t *depends_on = json_object_get(service, "depends_on");
        json_object_foreach_safe(depends_on, next, on, dependency)
        {
            if (!json_object_get(services, on))
                (void)json_object_del(depends_on, on);
        }
    }
}

json_t *model_loadable(const struct node *project, bool reference)
{
    json_t *model = model_from_project(project, reference);
    drop_files(model);
    if (!reference)
        drop_missing(model);
    return model;
}

/* The text with each dollar sign twice; NULL: no memory. */
static json_t *escaped(const char *text)
{
    struct buf out CLEANUP_BUF = { 0 };

    for (; *text; text++) {
        buf_add(&out, text, 1);
        if (*text == '$')
            buf_puts(&out, "$");
    }
    return out.failed ? NULL : json_string(out.data);
}

static bool has_dollar(const json_t *value)
{
    return json_is_string(value) && strchr(json_string_value(value), '$');
}

bool model_escape(json_t *model)
{
    const char *key;
    json_t *value;
    size_t i;
    bool ok = true;

    json_object_foreach(model, key, value)
    {
        if (has_dollar(value))
            ok = json_object_set_new(model, key, escaped(json_string_value(value))) == 0 && ok;
        else
            ok = model_escape(value) && ok;
    }
    json_array_foreach(model, i, value)
    {
        if (has_dollar(value))
            ok = json_array_set_new(model, i, escaped(json_string_value(value))) == 0 && ok;
        else
            ok = model_escape(value) && ok;
    }
    return ok;
}

bool model_print_loadable(const json_t *model, struct buf *out)
{
    json_t *copy = json_deep_copy(model);
    bool ok = copy && model_escape(copy);

    drop_files(copy);
    if (ok)
        model_print_yaml(copy, out);
    json_decref(copy);
    return ok && !out->failed;
}
