/* SPDX-License-Identifier: MIT
 *
 * What a plain scalar means, as go-yaml resolves it: YAML 1.2 with the octal and binary integers of 1.1, without its
 * booleans.
 */
#include "compose/yaml.h"

#include "base/names.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool resolve_word(struct node *node, const char *text)
{
    static const char *const null[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const yes[] = { "true", "True", "TRUE", NULL };
    static const char *const no[] = { "false", "False", "FALSE", NULL };
    static const char *const nan_words[] = { ".nan", ".NaN", ".NAN", NULL };
    static const char *const inf[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL };
    static const char *const minus_inf[] = { "-.inf", "-.Inf", "-.INF", NULL };

    if (strlen(text) > strlen("false"))
        return false;
    if (names_have(null, text)) {
        node->kind = NODE_NULL;
    } else if (names_have(yes, text) || names_have(no, text)) {
        node->kind = NODE_BOOL;
        node->u.boolean = names_have(yes, text);
    } else if (names_have(nan_words, text) || names_have(inf, text) || names_have(minus_inf, text)) {
        node->kind = NODE_FLOAT;
        node->u.number = names_have(nan_words, text) ? NAN : names_have(inf, text) ? INFINITY : -INFINITY;
    } else {
        return false;
    }
    return true;
}

/* Digits of `base` only, and at least one. */
static bool all_digits(const char *text, int base)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        int value = isdigit((unsigned char)*text)    ? *text - '0'
                    : isxdigit((unsigned char)*text) ? tolower((unsigned char)*text) - 'a' + 10
                                                     : 99;
        if (value >= base)
            return false;
    }
    return true;
}

/* [+-] 0x…, 0o…, 0b…, 0…, decimal. */
static bool resolve_int(struct pool *pool, struct node *node, const char *text)
{
    bool negative = text[0] == '-';
    const char *digits = text + (negative || text[0] == '+');
    int base = 10;

    if (digits[0] == '0' && digits[1]) {
        int letter = tolower((unsigned char)digits[1]);
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        digits += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    }
    if (!all_digits(digits, base))
        return false;
    errno = 0;
    uint64_t value = strtoull(digits, NULL, base);
    if (errno == ERANGE || (negative && value > (uint64_t)INT64_MAX + 1))
        return false;
    if (!negative && value > INT64_MAX) {
        node->kind = NODE_FLOAT;
        node->u.number = (double)value;
        node->literal = pool_printf(pool, "%" PRIu64, value);
        return true;
    }
    node->kind = NODE_INT;
    node->u.integer = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static bool looks_like_float(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    const char *start = p;

    while (isdigit((unsigned char)*p))
        p++;
    bool digits = p > start;
    if (*p == '.') {
        const char *fraction = ++p;
        while (isdigit((unsigned char)*p))
            p++;
        digits = digits || p > fraction;
    }
    if (!digits)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        if (!isdigit((unsigned char)*p))
            return false;
        while (isdigit((unsigned char)*p))
            p++;
    }
    return *p == '\0';
}

/* A number of one or two digits, in *text and behind it. */
static bool take_number(const char **text, int *ret)
{
    size_t digits = strspn(*text, "0123456789");

    if (digits < 1 || digits > 2)
        return false;
    *ret = atoi(*text);
    *text += digits;
    return true;
}

static bool take(const char **text, const char *any)
{
    bool found = **text && strchr(any, **text);
    *text += found;
    return found;
}

/* ".50" → ".5", as many digits as count; what stands there is passed. */
static const char *take_fraction(struct pool *pool, const char **text)
{
    size_t digits = **text == '.' ? strspn(*text + 1, "0123456789") : 0, used = digits < 9 ? digits : 9;
    const char *fraction = *text;

    *text += digits > 0 ? 1 + digits : 0;
    while (used > 0 && fraction[used] == '0')
        used--;
    return used > 0 ? pool_strndup(pool, fraction, 1 + used) : "";
}

/* "Z", "-05:00" → how Go prints it; NULL: it is none. */
static const char *take_zone(struct pool *pool, const char **text)
{
    char sign = **text;
    int hours, minutes;

    if (take(text, "Z"))
        return "+0000 UTC";
    if (!take(text, "+-") || strspn(*text, "0123456789") != 2 || !take_number(text, &hours) || !take(text, ":") ||
        strspn(*text, "0123456789") != 2 || !take_number(text, &minutes) || hours > 24 || minutes > 60)
        return NULL;
    if (hours == 0 && minutes == 0)
        return "+0000 UTC";
    return pool_printf(pool, "%c%02d%02d %c%02d%02d", sign, hours, minutes, sign, hours, minutes);
}

static int days_of(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* A date, or one with a time: with a T between them it has a zone, with a space it has none. It becomes the text that Go
   prints for it; that is what reaches an environment. */
static bool resolve_timestamp(struct pool *pool, struct node *node, const char *text)
{
    int year = atoi(text), month, day, hour = 0, minute = 0, second = 0;
    const char *fraction = "", *zone = "+0000 UTC";

    if (!isdigit((unsigned char)text[0]) || strspn(text, "0123456789") != 4 || text[4] != '-')
        return false;
    text += 5;
    if (!take_number(&text, &month) || !take(&text, "-") || !take_number(&text, &day))
        return false;
    if (*text) {
        bool zoned = *text != ' ';
        if (!take(&text, " Tt") || !take_number(&text, &hour) || !take(&text, ":") || !take_number(&text, &minute) ||
            !take(&text, ":") || !take_number(&text, &second))
            return false;
        fraction = take_fraction(pool, &text);
        zone = zoned ? take_zone(pool, &text) : zone;
    }
    if (*text || !zone || month < 1 || month > 12 || day < 1 || day > days_of(year, month) || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    node->kind = NODE_STRING;
    node->u.string =
        pool_printf(pool, "%04d-%02d-%02d %02d:%02d:%02d%s %s", year, month, day, hour, minute, second, fraction, zone);
    return true;
}

static bool resolve_number(struct pool *pool, struct node *node, const char *text)
{
    if (!strchr("+-.0123456789", text[0]))
        return false;

    /* Underscores may divide digits. */
    char *plain = pool_strdup(pool, text), *to = plain;
    for (const char *from = text; *from; from++)
        if (*from != '_')
            *to++ = *from;
    *to = '\0';

    if (resolve_int(pool, node, plain))
        return true;
    if (!looks_like_float(plain))
        return false;
    node->kind = NODE_FLOAT;
    node->u.number = strtod(plain, NULL);
    return isfinite(node->u.number);
}

struct node *yaml_plain(struct pool *pool, struct place place, const char *text)
{
    struct node *node = node_string(pool, place, text);

    /* Nearly all are words that can be nothing else. */
    if (*text && !strchr("~.+-0123456789nNtTfF", *text))
        return node;
    if (resolve_word(node, text) || resolve_timestamp(pool, node, text) || resolve_number(pool, node, text))
        return node;
    *node = (struct node){ .kind = NODE_STRING, .place = place, .u.string = text };
    return node;
}
