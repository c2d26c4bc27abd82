/* SPDX-License-Identifier: MIT */
#include "compose/problem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEMS_MAX = 200 }; /* a file with more than that is not mended line by line */

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
    }
    free(problems->list);
    *problems = (struct problems){ 0 };
}
