/* SPDX-License-Identifier: MIT */
#include "compose/value.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Digits with perhaps a fraction; strtod() alone would also take "inf", hexadecimal and blanks. */
static const char *decimal(const char *text, double *ret)
{
    const char *p = text;
    size_t digits = strspn(p, "0123456789");
    p += digits;
    if (*p == '.') {
        size_t fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
        digits += fraction;
    }
    if (digits == 0)
        return NULL;
    *ret = strtod(text, NULL);
    return p;
}

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    { "ns", 1 },
    { "us", NS_PER_US },
    { "µs", NS_PER_US },
    { "μs", NS_PER_US },
    { "ms", NS_PER_MS },
    { "s", NS_PER_S },
    { "m", 60 * NS_PER_S },
    { "h", 3600 * NS_PER_S },
    { "d", 86400 * NS_PER_S },
    { "w", 7 * 86400 * NS_PER_S },
};

int value_duration(const char *text, int64_t *ret_ns)
{
    bool negative = *text == '-';
    double total = 0;

    text += negative || *text == '+';
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (!*text)
        return -EINVAL;
    while (*text) {
        double number;
        const char *unit = decimal(text, &number);
        if (!unit)
            return -EINVAL;
        size_t len = strcspn(unit, ".0123456789"), i;
        for (i = 0; i < ARRAY_LEN(units); i++)
            if (strlen(units[i].name) == len && strncmp(units[i].name, unit, len) == 0)
                break;
        if (i == ARRAY_LEN(units))
            return -EINVAL;
        total += number * (double)units[i].ns;
        text = unit + len;
    }
    if (total >= 9.2e18)
        return -EINVAL;
    *ret_ns = negative ? -llround(total) : llround(total);
    return 0;
}

const char *value_format_duration(struct pool *pool, int64_t ns)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    struct text text = { .pool = pool };

    if (left == 0)
        return "0s";
    text_puts(&text, sign);
    if (left < (uint64_t)NS_PER_S) {
        uint64_t unit = left < (uint64_t)NS_PER_US ? 1 : left < (uint64_t)NS_PER_MS ? NS_PER_US : NS_PER_MS;
        text_puts(&text, node_format_float(pool, (double)left / (double)unit));
        text_puts(&text, unit == 1 ? "ns" : unit == (uint64_t)NS_PER_US ? "µs" : "ms");
        return text_str(&text);
    }
    uint64_t seconds = left / NS_PER_S, hours = seconds / 3600, minutes = seconds / 60 % 60;
    if (hours > 0)
        text_puts(&text, pool_printf(pool, "%" PRIu64 "h", hours));
    if (hours > 0 || minutes > 0)
        text_puts(&text, pool_printf(pool, "%" PRIu64 "m", minutes));
    text_puts(&text, pool_printf(pool, "%" PRIu64, seconds % 60));
    uint64_t fraction = left % NS_PER_S;
    if (fraction > 0) {
        char *digits = pool_printf(pool, ".%09" PRIu64, fraction);
        for (size_t len = strlen(digits); digits[len - 1] == '0'; len--)
            digits[len - 1] = '\0';
        text_puts(&text, digits);
    }
    text_putc(&text, 's');
    return text_str(&text);
}

int value_bytes(const char *text, int64_t *ret)
{
    static const char letters[] = "bkmgtp";
    double number;
    const char *p = text;

    if (strcmp(text, "-1") == 0) {
        *ret = -1;
        return 0;
    }
    if (!(p = decimal(p, &number)))
        return -EINVAL;
    if ((*p == 'e' || *p == 'E') && isdigit((unsigned char)p[1])) {
        char *end;
        number = strtod(text, &end);
        p = end;
    }
    p += *p == ' ' && p[1];
    if (*p) {
        const char *letter = strchr(letters, tolower((unsigned char)*p));
        if (!letter)
            return -EINVAL;
        number *= (double)(INT64_C(1) << (10 * (letter - letters)));
        p++;
        if (letter != letters) {
            p += tolower((unsigned char)*p) == 'i' && tolower((unsigned char)p[1]) == 'b';
            p += tolower((unsigned char)*p) == 'b';
        }
        if (*p)
            return -EINVAL;
    }
    if (number >= 9.2e18)
        return -EINVAL;
    *ret = (int64_t)number;
    return 0;
}

int value_bool(const char *text, bool *ret, bool *ret_old)
{
    static const char *const yes[] = { "true", "1", "t", "y", "yes", "on" };
    static const char *const no[] = { "false", "0", "f", "n", "no", "off" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            *ret_old = i >= 3;
            return 0;
        }
    return -EINVAL;
}

int value_int(const char *text, int64_t *ret)
{
    char *end;

    if (!isdigit((unsigned char)text[*text == '-' || *text == '+']))
        return -EINVAL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end)
        return -EINVAL;
    *ret = value;
    return 0;
}

int value_split(struct pool *pool, struct place place, const char *line, struct node *words)
{
    struct text word = { .pool = pool };
    bool in_word = false, rest = false;
    char quote = '\0';

    for (const char *p = line; *p; p++) {
        if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
            quote = quote ? '\0' : *p;
            in_word = true;
        } else if (*p == '\\' && quote != '\'') {
            if (!*++p)
                return -EINVAL;
            text_putc(&word, *p);
            in_word = true;
        } else if (quote) {
            text_putc(&word, *p);
        } else if (strchr(";&|<>", *p)) {
            /* A file descriptor in front of a redirection belongs to it. */
            if (strchr("<>", *p) && in_word && strspn(text_str(&word), "0123456789") == word.len)
                in_word = false;
            rest = p[1 + strspn(p + 1, " \t\r\n")];
            break;
        } else if (strchr("()", *p)) {
            return -EINVAL;
        } else if (strchr(" \t\r\n", *p)) {
            if (in_word)
                node_append(pool, words, node_string(pool, place, text_str(&word)));
            word = (struct text){ .pool = pool };
            in_word = false;
        } else {
            text_putc(&word, *p);
            in_word = true;
        }
    }
    if (quote)
        return -EINVAL;
    if (in_word)
        node_append(pool, words, node_string(pool, place, text_str(&word)));
    return rest;
}

int value_signal(const char *text)
{
    int64_t number;

    if (value_int(text, &number) == 0)
        return number > 0 && number < NSIG ? (int)number : -EINVAL;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *name = sigabbrev_np(i);
        if (name && strcasecmp(name, text) == 0)
            return i;
    }
    return -EINVAL;
}

bool value_is_windows_path(const char *text)
{
    static const char slashes[] = "\\/";

    if (isalpha((unsigned char)text[0]) && text[1] == ':')
        return text[2] && strchr(slashes, text[2]);
    if (strspn(text, slashes) != 2)
        return false;
    size_t host = strcspn(text + 2, slashes);
    return text[2 + host] && text[3 + host] && !strchr(slashes, text[3 + host]);
}
