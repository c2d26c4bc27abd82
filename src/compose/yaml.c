/* SPDX-License-Identifier: MIT
 *
 * Builds the tree from libfyaml's events. The library's parser is the one resource that is held while the pool is
 * used, so a failing pool is caught here first, and passed on when the parser is gone.
 */
#include "compose/yaml.h"

#include "compose/utf8.h"

#include "base/cleanup.h"

#include <libfyaml.h>
#include <stdint.h>
#include <string.h>

enum {
    DEPTH_MAX = 64,
    KEYS_MAX = 20000,
    OPEN_MAX = 1000,         /* brackets that are not closed again */
    INDICATORS_MAX = 500000, /* brackets and commas in all */
};

struct reader {
    struct pool *pool;
    struct problems *problems;
    const char *file;
    const struct origin *origin; /* of everything in it */
    struct fy_parser *parser;
    struct fy_diag *diag;
    struct fy_event *event; /* the one being looked at */
    struct node *anchors; /* a map: name → node; `unfinished` while it is being read, an alias to it would be a cycle */
    struct node *unfinished;
    size_t nodes, alias_nodes; /* all, and those that aliases multiplied */
    int depth;
    bool failed;
    jmp_buf *outer; /* where a failing pool goes after the parser was closed */
};

static struct place place_of(const struct reader *reader, const struct fy_mark *mark)
{
    return (struct place){ reader->file, mark ? mark->line + 1 : 1, mark ? mark->column + 1 : 1, reader->origin };
}

static struct node *fail(struct reader *reader, struct place place, const char *message, const char *what)
{
    if (!reader->failed)
        problem_error(reader->problems, place, message, what);
    reader->failed = true;
    return NULL;
}

/* How to mend what libfyaml found; "" when its words say it. */
static const char *mend(const char *message)
{
    static const struct {
        const char *part, *mend;
    } rows[] = {
        { "tab", "; indent with blanks" },
        { "wrongly indented double-quoted", "; is the quote closed?" },
        { "wrongly indented single-quoted", "; is the quote closed?" },
        { "wrongly indented flow", "; is the bracket closed?" },
        { "missing comma in flow", "; inside of brackets a text with brackets in it, like ${NAME}, stands in quotes" },
        { "single-quoted scalar", "; inside of '…' a quote is written twice" },
        { "invalid escape", "; a backslash is written twice" },
        { "cannot start with", "; write it in quotes" },
        { "nested block mapping", "; a value with `: ` in it stands in quotes" },
        { "multiline plain key", "; a `: ` is missing, or the lines below are indented too far" },
        { "wrong ind", "; it stands exactly below its neighbours" },
        { "invalid indentation", "; it stands exactly below its neighbours" },
        { "end of block sequence", "; below an item with a dash only another one may stand" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strstr(message, rows[i].part))
            return rows[i].mend;
    return "";
}

static void tell_syntax_error(struct reader *reader)
{
    void *iterator = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(reader->diag, &iterator);

    if (reader->failed)
        return;
    reader->failed = true;
    if (error)
        problem_error(reader->problems,
                      (struct place){ reader->file, error->line > 0 ? error->line : 1,
                                      error->column > 0 ? error->column : 1, reader->origin },
                      "not YAML: %s%s", error->msg, mend(error->msg));
    else
        problem_error(reader->problems, (struct place){ .file = reader->file }, "not YAML");
}

/* The next event becomes the present one; false at the end or on an error. */
static bool advance(struct reader *reader)
{
    if (reader->event)
        fy_parser_event_free(reader->parser, reader->event);
    reader->event = reader->failed ? NULL : fy_parser_parse(reader->parser);
    if (!reader->event && fy_parser_get_stream_error(reader->parser))
        tell_syntax_error(reader);
    return reader->event != NULL;
}

static const char *token_text(struct reader *reader, struct fy_token *token)
{
    size_t len = 0;
    const char *text = token ? fy_token_get_text(token, &len) : NULL;
    return text ? pool_strndup(reader->pool, text, len) : "";
}

/* As go-yaml judges it: small documents may multiply themselves a lot, large ones hardly. */
static bool too_many_aliases(const struct reader *reader)
{
    double allowed = 0.99;
    if (reader->nodes > 4000000)
        allowed = 0.10;
    else if (reader->nodes > 400000)
        allowed = 0.99 - 0.89 * (double)(reader->nodes - 400000) / 3600000;
    return reader->alias_nodes > 100 && reader->nodes > 1000 &&
           (double)reader->alias_nodes > allowed * (double)reader->nodes;
}

static struct node *copy_aliased(struct reader *reader, const struct node *node)
{
    struct node *copy = POOL_NEW(reader->pool, struct node);

    reader->nodes++;
    reader->alias_nodes++;
    if (too_many_aliases(reader))
        return NULL;
    *copy = *node;
    copy->cap = node->len;
    copy->index = NULL;
    copy->entries = node->len > 0 ? POOL_ARRAY(reader->pool, struct entry, node->len) : NULL;
    for (size_t i = 0; i < node->len; i++) {
        copy->entries[i] = node->entries[i];
        copy->entries[i].value = copy_aliased(reader, node->entries[i].value);
        if (!copy->entries[i].value)
            return NULL;
    }
    return copy;
}

static struct node *read_alias(struct reader *reader)
{
    struct place place = place_of(reader, fy_event_start_mark(reader->event));
    const char *name = token_text(reader, reader->event->alias.anchor);

    place.column -= place.column > 1; /* the token begins behind the asterisk */

    const struct node *node = node_get(reader->anchors, name);
    if (!node)
        return fail(reader, place, "there is no anchor &%s before this alias", name);
    if (node == reader->unfinished)
        return fail(reader, place, "the alias *%s stands inside of what it names: a cycle", name);
    struct node *copy = copy_aliased(reader, node);
    if (!copy)
        return fail(reader, place, "aliases multiply this document beyond reason (at *%s)", name);
    return copy;
}

/* The anchor's name, NULL when there is none. It is known from here on, and means something once it has a node. */
static const char *begin_anchor(struct reader *reader, struct fy_token *token)
{
    if (!token)
        return NULL;
    const char *name = token_text(reader, token);
    node_set(reader->pool, reader->anchors, name, reader->unfinished->place, reader->unfinished);
    return name;
}

static void end_anchor(struct reader *reader, const char *name, struct node *node)
{
    if (name && node)
        node_set(reader->pool, reader->anchors, name, node->place, node);
}

static enum node_tag tag_of(const char *tag)
{
    return strcmp(tag, "!reset") == 0 ? NODE_RESET : strcmp(tag, "!override") == 0 ? NODE_OVERRIDE : NODE_PLAIN;
}

/* The token of a quoted scalar begins behind the quote. */
static struct place scalar_place(const struct reader *reader)
{
    struct place place = place_of(reader, fy_event_start_mark(reader->event));
    struct fy_token *token = reader->event->scalar.value;
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;

    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && place.column > 1)
        place.column--;
    return place;
}

static struct node *read_scalar(struct reader *reader)
{
    struct fy_token *token = reader->event->scalar.value;
    struct place place = scalar_place(reader);
    const char *text = token_text(reader, token);
    bool plain = !token || fy_token_scalar_style(token) == FYSS_PLAIN;

    if (!reader->event->scalar.tag)
        return plain ? yaml_plain(reader->pool, place, text) : node_string(reader->pool, place, text);
    const char *tag = token_text(reader, reader->event->scalar.tag);
    if (strcmp(tag, "tag:yaml.org,2002:str") == 0 || strcmp(tag, "!") == 0)
        plain = false;
    else if (strncmp(tag, "tag:yaml.org,2002:", 18) == 0)
        plain = true;
    struct node *node = plain ? yaml_plain(reader->pool, place, text) : node_string(reader->pool, place, text);
    node->tag = tag_of(tag);
    return node;
}

static struct node *read_node(struct reader *reader);

static struct node *read_list(struct reader *reader)
{
    struct node *list = node_new(reader->pool, NODE_LIST, place_of(reader, fy_event_start_mark(reader->event)));

    list->tag = tag_of(token_text(reader, reader->event->sequence_start.tag));
    while (advance(reader) && reader->event->type != FYET_SEQUENCE_END) {
        struct node *item = read_node(reader);
        if (!item)
            return NULL;
        node_append(reader->pool, list, item);
    }
    return reader->failed ? NULL : list;
}

/* `<<` brings in the keys of a mapping that the map does not have itself; of several mappings the first wins. */
static void merge_into(struct reader *reader, struct node *map, struct place place, const struct node *from)
{
    if (from->kind == NODE_LIST) {
        for (size_t i = 0; i < from->len; i++)
            merge_into(reader, map, place, node_at(from, i));
        return;
    }
    if (from->kind != NODE_MAP)
        problem_error(reader->problems, place, "`<<` wants a mapping or a list of mappings, not %s",
                      node_kind_name(from->kind));
    for (size_t i = 0; i < from->len; i++)
        if (!node_entry(map, from->entries[i].key))
            node_set(reader->pool, map, from->entries[i].key, from->entries[i].place, from->entries[i].value);
}

/* The key under the present event; NULL after telling what is wrong with it. */
static const char *read_key(struct reader *reader, struct node *map, struct place *ret_place, bool *ret_merge)
{
    struct fy_event *event = reader->event;
    struct node *key;

    *ret_place = place_of(reader, fy_event_start_mark(event));
    *ret_merge = false;
    if (event->type == FYET_ALIAS) {
        key = read_alias(reader);
    } else if (event->type == FYET_SCALAR) {
        *ret_place = scalar_place(reader);
        bool plain = !event->scalar.value || fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
        const char *anchor = begin_anchor(reader, event->scalar.anchor);
        key = read_scalar(reader);
        end_anchor(reader, anchor, key);
        *ret_merge = plain && node_str(key) && strcmp(node_str(key), "<<") == 0;
    } else {
        (void)fail(reader, *ret_place, "a key must be %s",
                   "a word, not a list or mapping; a text that begins with a bracket stands in quotes");
        return NULL;
    }
    if (!key)
        return NULL;
    if (!(key->kind & NODE_SCALAR)) {
        (void)fail(reader, *ret_place, "a key must be a word, not %s", node_kind_name(key->kind));
        return NULL;
    }
    if (key->kind != NODE_STRING) {
        (void)fail(reader, *ret_place, "a key must be a string; write `%s` in quotes", node_text(reader->pool, key));
        return NULL;
    }
    if (map->len > KEYS_MAX) {
        (void)fail(reader, *ret_place, "this mapping has too many keys%s", "");
        return NULL;
    }
    return node_str(key);
}

static struct node *read_map(struct reader *reader)
{
    struct node *map = node_new(reader->pool, NODE_MAP, place_of(reader, fy_event_start_mark(reader->event)));
    struct node *merges = node_new(reader->pool, NODE_LIST, map->place);

    map->tag = tag_of(token_text(reader, reader->event->mapping_start.tag));
    while (advance(reader) && reader->event->type != FYET_MAPPING_END) {
        struct place place;
        bool merge;
        const char *key = read_key(reader, map, &place, &merge);
        if (!key || !advance(reader))
            return NULL;
        struct node *value = read_node(reader);
        if (!value)
            return NULL;
        if (value->kind == NODE_NULL &&
            (value->place.line < place.line || (value->place.line == place.line && value->place.column < place.column)))
            value->place = place; /* nothing is written there; the parser knows no place for it */
        const struct entry *before = node_entry(map, key);
        if (merge && merges->len > 0) {
            problem_error(reader->problems, place,
                          "`<<` stands here a second time, first in line %d; write one with a list: <<: [*a, *b]",
                          merges->entries[0].place.line);
        } else if (merge) {
            node_append(reader->pool, merges, value);
            merges->entries[merges->len - 1].place = place;
        } else if (before) {
            /* Go on: there may be more to tell. */
            problem_error(reader->problems, place, "the key `%s` stands here a second time, first in line %d", key,
                          before->place.line);
        } else {
            node_set(reader->pool, map, key, place, value);
        }
    }
    if (reader->failed)
        return NULL;
    for (size_t i = 0; i < merges->len; i++)
        merge_into(reader, map, merges->entries[i].place, node_at(merges, i));
    return map;
}

static struct node *read_node(struct reader *reader)
{
    struct fy_event *event = reader->event;
    const char *anchor = NULL;
    struct node *node = NULL;

    reader->nodes++;
    if (reader->depth == DEPTH_MAX)
        return fail(reader, place_of(reader, fy_event_start_mark(event)), "nested deeper than any compose file%s", "");
    reader->depth++;
    switch (event->type) {
    case FYET_ALIAS:
        node = read_alias(reader);
        break;
    case FYET_SCALAR:
        anchor = begin_anchor(reader, event->scalar.anchor);
        node = read_scalar(reader);
        break;
    case FYET_SEQUENCE_START:
        anchor = begin_anchor(reader, event->sequence_start.anchor);
        node = read_list(reader);
        break;
    case FYET_MAPPING_START:
        anchor = begin_anchor(reader, event->mapping_start.anchor);
        node = read_map(reader);
        break;
    default:
        node = fail(reader, place_of(reader, fy_event_start_mark(event)), "%s is not expected here",
                    fy_event_type_get_text(event->type));
    }
    reader->depth--;
    end_anchor(reader, anchor, node);
    return reader->failed ? NULL : node;
}

static struct node *read_stream(struct reader *reader)
{
    struct node *documents = node_new(reader->pool, NODE_LIST, (struct place){ .file = reader->file });

    while (advance(reader)) {
        if (reader->event->type == FYET_DOCUMENT_START) {
            reader->anchors = node_new(reader->pool, NODE_MAP, documents->place);
        } else if (reader->event->type != FYET_DOCUMENT_END && reader->event->type != FYET_STREAM_START &&
                   reader->event->type != FYET_STREAM_END) {
            struct node *root = read_node(reader);
            if (!root)
                return NULL;
            node_append(reader->pool, documents, root);
        }
    }
    return reader->failed ? NULL : documents;
}

/* What libfyaml keeps in memory until a bracket is closed, some 400 bytes for each token, is bounded before it begins.
   Brackets in quoted and block text count as well; so many of them are in no compose file. */
static bool check_brackets(struct problems *problems, const char *file, const char *text, size_t len)
{
    const char *end = text + len, *p = text, *wrong = NULL;
    size_t open = 0, indicators = 0;

    for (; p < end && !wrong; p++) {
        if (*p != '[' && *p != '{' && *p != ']' && *p != '}' && *p != ',')
            continue;
        if (*p == '[' || *p == '{')
            open++;
        else if (*p != ',' && open > 0)
            open--;
        if (open > OPEN_MAX)
            wrong = "nested deeper than any compose file";
        else if (++indicators > INDICATORS_MAX)
            wrong = "more brackets and commas than any compose file has";
    }
    if (wrong)
        problem_error(problems, utf8_place(file, NULL, text, (size_t)(p - text) - 1), "%s", wrong);
    return !wrong;
}

static void close_reader(struct reader *reader)
{
    if (reader->event)
        fy_parser_event_free(reader->parser, reader->event);
    if (reader->parser)
        fy_parser_destroy(reader->parser);
    if (reader->diag)
        fy_diag_destroy(reader->diag);
}

static bool open_reader(struct reader *reader, const char *text, size_t len)
{
    struct fy_diag_cfg diag_cfg;

    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.level = FYET_ERROR;
    reader->diag = fy_diag_create(&diag_cfg);
    if (!reader->diag)
        return false;
    fy_diag_set_collect_errors(reader->diag, true);
    struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_ALLOW_DUPLICATE_KEYS, .diag = reader->diag };
    reader->parser = fy_parser_create(&cfg);
    return reader->parser && fy_parser_set_string(reader->parser, text, len) == 0;
}

/* Everything that setjmp() could leave undefined lives in `reader`. */
static struct node *read_guarded(struct reader *reader)
{
    jmp_buf *outer = reader->pool->failure, inner;

    reader->outer = outer;
    reader->pool->failure = &inner;
    if (setjmp(inner) != 0) {
        close_reader(reader);
        reader->pool->failure = reader->outer;
        longjmp(*reader->outer, 1);
    }
    struct node *documents = read_stream(reader);
    reader->pool->failure = reader->outer;
    return documents;
}

struct node *yaml_parse(struct pool *pool, struct problems *problems, const char *file, const char *note,
                        const char *text, size_t len)
{
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (!utf8_check(problems, file, NULL, text, len) || !check_brackets(problems, file, text, len))
        return NULL;

    struct reader *reader = POOL_NEW(pool, struct reader);
    struct origin *origin = POOL_NEW(pool, struct origin);
    *origin = (struct origin){ .text = text, .note = note };
    *reader = (struct reader){ .pool = pool, .problems = problems, .file = file, .origin = origin };
    reader->anchors = node_new(pool, NODE_MAP, (struct place){ .file = file });
    reader->unfinished = node_new(pool, NODE_NULL, (struct place){ .file = file });
    if (!open_reader(reader, text, len)) {
        close_reader(reader);
        problem_error(problems, (struct place){ .file = file }, "not enough memory to read it");
        return NULL;
    }
    struct node *documents = read_guarded(reader);
    close_reader(reader);
    return documents;
}
