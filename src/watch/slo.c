/* SPDX-License-Identifier: MIT */
#include "watch/slo.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <ctype.h>
#include <string.h>

static const char *skip_blanks(const char *at)
{
    while (*at == ' ')
        at++;
    return at;
}

/* A plain decimal number; strtod(3) alone would take signs, "inf" and hexadecimal too. NULL: it is none. */
static const char *read_number(const char *at, double *ret)
{
    char *end;

    if (!isdigit((unsigned char)*at) || (at[0] == '0' && (at[1] | 32) == 'x'))
        return NULL;
    *ret = strtod(at, &end);
    return end;
}

/* "100ms"; to the end of the text. False: it is no duration. */
static bool read_duration(const char *at, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = { { "us", NS_PER_US }, { "ms", NS_PER_MS }, { "s", NS_PER_S }, { "m", 60 * NS_PER_S } };
    double value;

    at = read_number(at, &value);
    if (!at || value > 1e6)
        return false;
    at = skip_blanks(at);
    size_t len = strlen(at);
    while (len > 0 && at[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strlen(units[i].name) == len && strncmp(at, units[i].name, len) == 0) {
            *ret_ns = (int64_t)(value * (double)units[i].ns);
            return *ret_ns > 0;
        }
    return false;
}

static bool parse_availability(const char *at, struct watch_slo *slo)
{
    at = read_number(at, &slo->target);
    if (!at)
        return false;
    at = skip_blanks(at);
    slo->kind = WATCH_SLO_AVAILABILITY;
    return !*skip_blanks(at + (*at == '%')) && slo->target > 0 && slo->target <= 100;
}

static bool parse_limit(const char *at, struct watch_slo *slo)
{
    double percent;

    if (strncmp(at, "max", 3) == 0) {
        slo->kind = WATCH_SLO_MAX;
        at += 3;
    } else if (strncmp(at, "gap", 3) == 0) {
        slo->kind = WATCH_SLO_GAP;
        at += 3;
    } else if (*at == 'p' && (at = read_number(at + 1, &percent)) && percent > 0 && percent <= 100) {
        slo->kind = WATCH_SLO_QUANTILE;
        slo->target = percent / 100;
    } else {
        return false;
    }
    at = skip_blanks(at);
    if (*at++ != '<')
        return false;
    slo->or_equal = *at == '=';
    return read_duration(skip_blanks(at + slo->or_equal), &slo->limit_ns);
}

int watch_slo_parse(const char *text, struct watch_slo *ret, struct err *err)
{
    struct watch_slo slo = { 0 };
    const char *at = skip_blanks(text);

    if (strlen(text) >= sizeof(slo.text) || !(isdigit((unsigned char)*at) ? parse_availability : parse_limit)(at, &slo))
        return err_set(err, -EINVAL, "\"%s\" is no objective; write 99.9%%, p99<100ms, max<1s or gap<2s", text);
    memcpy(slo.text, text, strlen(text) + 1);
    *ret = slo;
    return 0;
}

static struct watch_verdict judge_span(const struct watch_slo *slo, int64_t ns)
{
    return (struct watch_verdict){
        .met = slo->or_equal ? ns <= slo->limit_ns : ns < slo->limit_ns,
        .value = (double)ns / NS_PER_MS,
    };
}

struct watch_verdict watch_slo_judge(const struct watch_slo *slo, const struct watch_tally *tally)
{
    struct watch_verdict verdict = { 0 };

    switch (slo->kind) {
    case WATCH_SLO_AVAILABILITY:
        verdict.value = watch_tally_availability(tally) * 100;
        /* 999 of 1,000 are 99.9 %, whatever binary fractions think of it. */
        verdict.met = verdict.value >= slo->target - 1e-9;
        break;
    case WATCH_SLO_QUANTILE:
        verdict = judge_span(slo, (int64_t)hist_quantile(&tally->latency, slo->target) * NS_PER_US);
        break;
    case WATCH_SLO_MAX:
        verdict = judge_span(slo, (int64_t)tally->latency.max_us * NS_PER_US);
        break;
    case WATCH_SLO_GAP:
        verdict = judge_span(slo, watch_tally_gap(tally, tally->end_ns));
        break;
    }
    verdict.met = verdict.met && tally->kinds[WATCH_OK] > 0;
    return verdict;
}
