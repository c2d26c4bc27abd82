/* SPDX-License-Identifier: MIT */
#include "compose/problem.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEMS_MAX = 200 }; /* a file with more than that is not mended line by line */

/* A copy of that line of a text, without its end; NULL: there is none, or no memory, and it is not shown then. */
static char *copy_line(const char *text, int line)
{
    while (text && --line > 0) {
        const char *end = strchr(text, '\n');
        text = end ? end + 1 : NULL;
    }
    return text ? strndup(text, strcspn(text, "\r\n")) : NULL;
}

static void problem_add(struct problems *problems, bool warning, struct place place, const char *format, va_list args)
{
    struct buf text = { 0 };

    if (!warning)
        problems->errors++;
    if (problems->len == PROBLEMS_MAX)
        return;
    if (problems->len == problems->cap) {
        size_t cap = problems->cap ? problems->cap * 2 : 8;
        struct problem *list = reallocarray(problems->list, cap, sizeof(*list));
        if (!list)
            goto lost;
        problems->list = list;
        problems->cap = cap;
    }
    buf_vprintf(&text, format, args);
    char *message = buf_take(&text);
    if (!message)
        goto lost;
    problems->list[problems->len++] = (struct problem){
        .warning = warning,
        .file = place.file ? strdup(place.file) : NULL,
        .line = place.line,
        .column = place.column,
        .message = message,
        .shown = place.origin && place.line > 0 && !warning ? copy_line(place.origin->text, place.line) : NULL,
        .note = place.origin && place.origin->note ? strdup(place.origin->note) : NULL,
    };
    return;
lost:
    if (warning)
        problems->errors++;
}

bool problems_full(const struct problems *problems)
{
    return problems->len == PROBLEMS_MAX;
}

void problems_soften(struct problems *problems, const struct problems *before)
{
    for (size_t i = before->len; i < problems->len; i++)
        problems->list[i].warning = true;
    problems->errors = before->errors; /* also those of which nothing is shown any more */
}

void problem_error(struct problems *problems, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    problem_add(problems, false, place, format, args);
    va_end(args);
}

void problem_warning(struct problems *problems, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    problem_add(problems, true, place, format, args);
    va_end(args);
}

/* By place; problems without a file come last. Files stay in the order in which they were first found wrong. */
struct order {
    const struct problem *problem;
    size_t file_rank, index;
};

static int compare(const void *left, const void *right)
{
    const struct order *a = left, *b = right;
    if (a->file_rank != b->file_rank)
        return a->file_rank < b->file_rank ? -1 : 1;
    if (a->problem->line != b->problem->line)
        return a->problem->line < b->problem->line ? -1 : 1;
    if (a->problem->column != b->problem->column)
        return a->problem->column < b->problem->column ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static size_t rank_of(const struct problems *problems, size_t index)
{
    const char *file = problems->list[index].file;
    if (!file)
        return SIZE_MAX;
    for (size_t i = 0; i < index; i++)
        if (problems->list[i].file && strcmp(problems->list[i].file, file) == 0)
            return i;
    return index;
}

enum { SHOWN_BEFORE = 60, SHOWN_MAX = 110 }; /* characters of a long line: before the column, and in all */

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* The part of the line around the column, and a caret under it. What a terminal would obey is not passed on. */
static void show_line(const struct problem *problem, const char *bold, const char *plain, struct buf *out)
{
    int first = problem->column > SHOWN_BEFORE + 20 ? problem->column - SHOWN_BEFORE : 1, column = 0;
    struct buf under CLEANUP_BUF = { 0 };

    buf_printf(out, "%6d | %s", problem->line, first > 1 ? "…" : "");
    buf_printf(&under, "%6s | %s", "", first > 1 ? " " : "");
    for (const char *p = problem->shown; *p; p++) {
        column += begins_character(*p);
        if (column < first)
            continue;
        if (column >= first + SHOWN_MAX) {
            buf_puts(out, "…");
            break;
        }
        bool control = (unsigned char)*p < ' ' || *p == 0x7f;
        buf_add(out, control ? " " : p, 1);
        if (begins_character(*p) && column < problem->column)
            buf_puts(&under, " ");
    }
    buf_printf(out, "\n%s%s^%s\n", under.data ? under.data : "", bold, plain);
    out->failed = out->failed || under.failed;
}

static void format_one(const struct problem *problem, bool colour, struct buf *out)
{
    const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";

    if (problem->file && problem->line > 0)
        buf_printf(out, "%s%s:%d:%d:%s ", bold, problem->file, problem->line, problem->column, plain);
    else if (problem->file)
        buf_printf(out, "%s%s:%s ", bold, problem->file, plain);
    if (problem->warning)
        buf_printf(out, "%swarning:%s ", colour ? "\033[33m" : "", plain);
    buf_printf(out, "%s\n", problem->message);
    if (problem->shown)
        show_line(problem, bold, plain, out);
    if (problem->note)
        buf_printf(out, "%6s = %s\n", "", problem->note);
}

/* Also told before, in the order of places: a service that is extended twice has the same fault once. */
static bool is_same(const struct problem *a, const struct problem *b)
{
    return a->warning == b->warning && a->line == b->line && a->column == b->column && a->line > 0 &&
           strcmp(a->message, b->message) == 0 && a->file && b->file && strcmp(a->file, b->file) == 0;
}

void problems_format(const struct problems *problems, bool colour, struct buf *out)
{
    struct order *sorted = calloc(problems->len ? problems->len : 1, sizeof(*sorted));

    if (!sorted) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < problems->len; i++)
        sorted[i] = (struct order){ &problems->list[i], rank_of(problems, i), i };
    qsort(sorted, problems->len, sizeof(*sorted), compare);
    for (size_t i = 0; i < problems->len; i++)
        if (i == 0 || !is_same(sorted[i].problem, sorted[i - 1].problem))
            format_one(sorted[i].problem, colour, out);
    free(sorted);
    if (problems->len == PROBLEMS_MAX)
        buf_printf(out, "and more; only the first %d are shown\n", PROBLEMS_MAX);
}

void problems_free(struct problems *problems)
{
    if (!problems)
        return;
    for (size_t i = 0; i < problems->len; i++) {
        free(problems->list[i].file);
        free(problems->list[i].message);
        free(problems->list[i].shown);
        free(problems->list[i].note);
    }
    free(problems->list);
    *problems = (struct problems){ 0 };
}
