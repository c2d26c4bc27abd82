/* SPDX-License-Identifier: MIT */
#include "compose/nginx_syntax.h"

#include <string.h>

enum { DEPTH_MAX = 32 /* of includes, and of blocks */, FILES_MAX = 1000 };

enum token { TOKEN_WORD, TOKEN_SEMICOLON, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END, TOKEN_BAD };

struct parser {
    struct nginx_reader *reader;
    const char *at, *end;
    struct place place; /* of `at` */
    struct nginx_word word;
    int blocks;
};

/* Where the next directive is hung. */
struct list {
    struct nginx_directive **end;
};

static void advance(struct parser *parser)
{
    char byte = *parser->at++;
    if (byte == '\n') {
        parser->place.line++;
        parser->place.column = 1;
    } else if (parser->at == parser->end || ((unsigned char)*parser->at & 0xc0) != 0x80) {
        parser->place.column++; /* characters, not bytes */
    }
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && (is_space(*parser->at) || *parser->at == '#')) {
        bool comment = *parser->at == '#';
        do
            advance(parser);
        while (comment && parser->at < parser->end && *parser->at != '\n');
    }
}

static void unescape(struct text *text, char byte)
{
    switch (byte) {
    case '"':
    case '\'':
    case '\\':
        text_putc(text, byte);
        break;
    case 't':
        text_putc(text, '\t');
        break;
    case 'r':
        text_putc(text, '\r');
        break;
    case 'n':
        text_putc(text, '\n');
        break;
    default:
        text_putc(text, '\\');
        text_putc(text, byte);
        break;
    }
}

static enum token bad(struct parser *parser, struct place place, const char *what)
{
    problem_error(parser->reader->problems, place, "%s", what);
    return TOKEN_BAD;
}

/* To the closing quote, or to what ends a plain word. */
static enum token read_word(struct parser *parser, char quote)
{
    struct text text = { .pool = parser->reader->pool };
    struct place begin = parser->place;
    char before = 0;

    if (quote)
        advance(parser);
    for (; parser->at < parser->end; advance(parser)) {
        char byte = *parser->at;
        if (byte == '\0')
            return bad(parser, parser->place, "a zero byte; this is no text");
        if (quote ? byte == quote : is_space(byte) || byte == ';' || (byte == '{' && before != '$'))
            break;
        if (byte == '\\' && parser->at + 1 < parser->end && parser->at[1]) {
            advance(parser);
            unescape(&text, *parser->at);
            before = 0;
        } else {
            text_putc(&text, byte);
            before = byte;
        }
    }
    if (parser->at == parser->end)
        return bad(parser, begin, quote ? "this quote is not closed" : "a `;` or `{` is missing behind this");
    if (quote)
        advance(parser);
    if (quote && parser->at < parser->end && !is_space(*parser->at) && !strchr(";{)", *parser->at))
        return bad(parser, parser->place, "behind a closing quote there must be a space or `;`");
    parser->word = (struct nginx_word){ text_str(&text), begin };
    return TOKEN_WORD;
}

static enum token next(struct parser *parser)
{
    skip_blanks(parser);
    if (parser->at == parser->end)
        return TOKEN_END;
    char byte = *parser->at;
    switch (byte) {
    case ';':
        advance(parser);
        return TOKEN_SEMICOLON;
    case '{':
        advance(parser);
        return TOKEN_OPEN;
    case '}':
        advance(parser);
        return TOKEN_CLOSE;
    case '"':
    case '\'':
        return read_word(parser, byte);
    default:
        return read_word(parser, 0);
    }
}

static void add_word(struct parser *parser, struct nginx_directive *directive, size_t *cap)
{
    if (directive->len == *cap) {
        struct nginx_word *old = directive->words;
        *cap = *cap ? 2 * *cap : 4;
        directive->words = POOL_ARRAY(parser->reader->pool, struct nginx_word, *cap);
        if (old)
            memcpy(directive->words, old, directive->len * sizeof(*old));
    }
    directive->words[directive->len++] = parser->word;
}

static bool include(struct nginx_reader *reader, const struct nginx_directive *directive, struct list *list)
{
    const char *const *paths;
    struct place place = directive->words[directive->len - 1].place;

    if (directive->len != 2 || directive->has_block) {
        problem_error(reader->problems, directive->place, "`include` names one file or one pattern");
        return false;
    }
    if (reader->depth == DEPTH_MAX) {
        problem_error(reader->problems, place, "more than %d files include each other; do they go in circles?",
                      DEPTH_MAX);
        return false;
    }
    size_t n = reader->find(reader->data, place, directive->words[1].text, &paths), errors = reader->problems->errors;
    reader->depth++;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        if (reader->files++ == FILES_MAX) {
            problem_error(reader->problems, place, "more than %d files are included", FILES_MAX);
            break;
        }
        const char *text = reader->read(reader->data, place, paths[i], &len);
        if (text)
            *list->end = nginx_parse(reader, paths[i], reader->note(reader->data, place), text, len);
        while (*list->end)
            list->end = &(*list->end)->next;
    }
    reader->depth--;
    return reader->problems->errors == errors;
}

static bool parse_block(struct parser *parser, const struct nginx_directive *of, struct list *list);

/* Its words are read; what comes now ends it. */
static bool finish_directive(struct parser *parser, struct nginx_directive *directive, enum token token,
                             struct list *list)
{
    directive->has_block = token == TOKEN_OPEN;
    if (directive->has_block) {
        struct list inner = { &directive->first };
        if (!parse_block(parser, directive, &inner))
            return false;
    }
    if (strcmp(directive->words[0].text, "include") == 0)
        return include(parser->reader, directive, list);
    *list->end = directive;
    list->end = &directive->next;
    return true;
}

static bool parse_directive(struct parser *parser, struct list *list)
{
    struct nginx_directive *directive = POOL_NEW(parser->reader->pool, struct nginx_directive);
    size_t cap = 0;
    enum token token = TOKEN_WORD;

    directive->place = parser->word.place;
    for (; token == TOKEN_WORD; token = next(parser))
        add_word(parser, directive, &cap);
    if (token == TOKEN_SEMICOLON || token == TOKEN_OPEN)
        return finish_directive(parser, directive, token, list);
    if (token != TOKEN_BAD)
        problem_error(parser->reader->problems, directive->place, "`%s` does not end; a `;` is missing behind it",
                      directive->words[0].text);
    return false;
}

/* Up to its `}`; a file (`of` is NULL) up to its end. */
static bool parse_block(struct parser *parser, const struct nginx_directive *of, struct list *list)
{
    if (parser->blocks == DEPTH_MAX) {
        problem_error(parser->reader->problems, of->place, "more than %d blocks stand in each other", DEPTH_MAX);
        return false;
    }
    parser->blocks++;
    for (;;) {
        skip_blanks(parser);
        struct place place = parser->place;
        enum token token = next(parser);
        if (token == TOKEN_WORD) {
            if (!parse_directive(parser, list))
                return false;
            continue;
        }
        parser->blocks--;
        if (token == (of ? TOKEN_CLOSE : TOKEN_END))
            return true;
        if (token == TOKEN_END)
            problem_error(parser->reader->problems, of->place, "the block of `%s` is not closed; a `}` is missing",
                          of->words[0].text);
        else if (token != TOKEN_BAD)
            problem_error(parser->reader->problems, place, "unexpected `%s`",
                          token == TOKEN_CLOSE  ? "}"
                          : token == TOKEN_OPEN ? "{"
                                                : ";");
        return false;
    }
}

struct nginx_directive *nginx_parse(struct nginx_reader *reader, const char *file, const char *note, const char *text,
                                    size_t len)
{
    struct origin *origin = POOL_NEW(reader->pool, struct origin);
    struct parser parser = { .reader = reader, .at = text, .end = text + len };
    struct nginx_directive *first = NULL;

    *origin = (struct origin){ text, note };
    parser.place = (struct place){ file, 1, 1, origin };
    return parse_block(&parser, NULL, &(struct list){ &first }) ? first : NULL;
}
