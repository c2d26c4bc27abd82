/* SPDX-License-Identifier: MIT */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include "base/cleanup.h"

#include <pcre2.h>
#include <string.h>

enum { STEPS_MAX = 100000 }; /* of one match; a few milliseconds at most */

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_match_context_free(regex->context);
    pcre2_match_data_free(regex->data);
    pcre2_code_free(regex->code);
    free(regex);
}

struct regex *regex_new(const char *text, size_t len, bool caseless, char *why, size_t size)
{
    struct regex *regex = calloc(1, sizeof(*regex));
    int code = 0;
    size_t at = 0;

    if (regex)
        regex->code = pcre2_compile((PCRE2_SPTR)text, len, caseless ? PCRE2_CASELESS : 0, &code, &at, NULL);
    if (regex && regex->code) {
        /* Without it the interpreter does the same, slower. */
        (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
        regex->data = pcre2_match_data_create(REGEX_GROUPS, NULL);
        regex->context = pcre2_match_context_create(NULL);
    }
    if (regex && regex->data && regex->context) {
        (void)pcre2_set_match_limit(regex->context, STEPS_MAX);
        return regex;
    }
    if (!regex || regex->code)
        (void)snprintf(why, size, "out of memory");
    else
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, size);
    regex_free(regex);
    return NULL;
}

int regex_match(const struct regex *regex, const char *text, size_t len, struct regex_group group[REGEX_GROUPS])
{
    int found = pcre2_match(regex->code, (PCRE2_SPTR)text, len, 0, 0, regex->data, regex->context);
    if (found == PCRE2_ERROR_NOMATCH)
        return 0;
    if (found < 0)
        return -1;
    /* 0: more groups than there is room for; those that have room are there. */
    int known = found == 0 ? REGEX_GROUPS : found;
    const size_t *at = pcre2_get_ovector_pointer(regex->data);
    for (int i = 0; i < REGEX_GROUPS; i++)
        group[i] = i < known && at[2 * i] != PCRE2_UNSET
                       ? (struct regex_group){ text + at[2 * i], at[2 * i + 1] - at[2 * i] }
                       : (struct regex_group){ NULL, 0 };
    return 1;
}
