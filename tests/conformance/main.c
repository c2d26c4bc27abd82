/* SPDX-License-Identifier: MIT
 *
 * Holds the loader against the reference corpus of Compose files: whole files that load to the model that the reference
 * made of them, wrong ones that are refused where they are wrong, and single rules. Prints how many rows hold and the
 * names of those that do not; ends with 0 only when those are the named exceptions.
 *
 *     conformance CORPUS [NAME]     with a part of a name: shows what was made of those
 */
#include "corpus.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put(char path[PATH_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, PATH_MAX, format, args);
    va_end(args);
    if (n < 0 || n >= PATH_MAX) {
        (void)fprintf(stderr, "a path is too long\n");
        exit(2);
    }
}

void split_row(char *line, char **columns, int n)
{
    static char nothing[] = "";

    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < n; i++)
        columns[i] = line ? strsep(&line, "\t") : nothing;
}

bool same_json(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;

    if (!a || !b)
        return a == b;
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b) || json_object_size(a) != json_object_size(b) ||
        json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same_json(json_array_get(a, i), json_array_get(b, i)))
            return false;
    json_object_foreach((json_t *)a, key,
                        value) if (!json_object_get(b, key) || !same_json(value, json_object_get(b, key))) return false;
    return json_is_object(a) || json_is_array(a) || json_equal(a, b);
}

void show_json(const char *title, const json_t *json)
{
    printf("--- %s\n", title);
    if (json)
        (void)json_dumpf(json, stdout, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    printf("\n");
}

void count(const struct corpus *corpus, struct tally *tally, const char *name, bool holds)
{
    const char *reason = exception_reason(name);

    tally->all++;
    tally->good += holds;
    if (holds != !reason) {
        tally->failed++;
        printf("  not ok %s%s\n", name, holds ? ": holds, so it is no exception" : "");
    } else if (corpus->only) {
        printf("  %s %s\n", holds ? "ok" : "except", name);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*run)(const struct corpus *corpus, struct tally *ret);
    } parts[] = { { "valid", run_valid }, { "invalid", run_invalid }, { "semantics", run_semantics } };
    struct corpus corpus = { .only = argc > 2 ? argv[2] : NULL };
    int failed = 0;

    if (argc < 2 || !realpath(argv[1], corpus.root)) {
        (void)fprintf(stderr, "usage: conformance CORPUS [NAME]\n");
        return 2;
    }
    put(corpus.valid, "%s/valid", corpus.root);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct tally tally = { 0 };
        if (!parts[i].run(&corpus, &tally))
            return 2;
        printf("%s: %d of %d\n", parts[i].name, tally.good, tally.all);
        failed += tally.failed;
    }
    if (!corpus.only)
        print_exceptions();
    return failed > 0;
}
