/* SPDX-License-Identifier: MIT */
#include "watch/receipt.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http1.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

static const struct {
    const char *text, *json;
    double quantile;
} quantiles[] = {
    { "p50", "p50", 0.5 },
    { "p90", "p90", 0.9 },
    { "p99", "p99", 0.99 },
    { "p99.9", "p99_9", 0.999 },
};

static const char red[] = "\033[31m", green[] = "\033[32m", bold[] = "\033[1m", plain[] = "\033[0m";

static const char *sgr(bool on, const char *code)
{
    return on ? code : "";
}

bool watch_receipt_met(const struct watch_receipt *receipt)
{
    for (size_t i = 0; i < receipt->slos_len; i++)
        if (!watch_slo_judge(&receipt->slos[i], receipt->tally).met)
            return false;
    return true;
}

const char *watch_percent(const struct watch_tally *tally, char text[WATCH_PERCENT])
{
    int digits = tally->sent < 1000 ? 1 : tally->sent < 10000 ? 2 : tally->sent < 100000 ? 3 : 4;
    double steps = pow(10, digits), percent = floor(watch_tally_availability(tally) * 100 * steps + 1e-6) / steps;

    if (tally->kinds[WATCH_OK] == tally->sent)
        digits = 0;
    (void)snprintf(text, WATCH_PERCENT, "%.*f %%", digits, percent);
    return text;
}

static double seconds(const struct watch_tally *tally)
{
    return (double)(tally->end_ns - tally->start_ns) / NS_PER_S;
}

static void text_failures(const struct watch_tally *tally, bool colour, struct buf *out)
{
    if (tally->sent == tally->kinds[WATCH_OK])
        return;
    buf_printf(out, "  failed by kind  %s", sgr(colour, red));
    const char *comma = "";
    for (int kind = WATCH_REFUSED; kind < WATCH_KINDS; kind++)
        if (tally->kinds[kind]) {
            buf_printf(out, "%s%" PRIu64 " %s", comma, tally->kinds[kind], watch_kind_name(kind));
            comma = ", ";
        }
    for (unsigned status = 0; status < WATCH_STATUSES; status++)
        if (tally->failed_status[status]) {
            buf_printf(out, "%s%" PRIu64 " status %u (%s)", comma, tally->failed_status[status], status,
                       http1_reason(status));
            comma = ", ";
        }
    buf_printf(out, "%s\n", sgr(colour, plain));
}

static void text_latency(const struct watch_tally *tally, struct buf *out)
{
    if (tally->latency.count == 0)
        return;
    buf_puts(out, "  latency         ");
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        buf_printf(out, "%s %.1f, ", quantiles[i].text,
                   (double)hist_quantile(&tally->latency, quantiles[i].quantile) / 1000);
    buf_printf(out, "max %.1f ms\n", (double)tally->latency.max_us / 1000);
}

static void text_instances(const struct watch_tally *tally, struct buf *out)
{
    if (tally->instances == 0)
        return;
    buf_puts(out, "  answered by     ");
    for (int i = 0; i < tally->instances; i++)
        buf_printf(out, "%s%s %" PRIu64, i ? ", " : "", tally->names[i], tally->answers[i]);
    buf_puts(out, "\n");
}

static void text_slos(const struct watch_receipt *receipt, bool colour, struct buf *out)
{
    for (size_t i = 0; i < receipt->slos_len; i++) {
        const struct watch_slo *slo = &receipt->slos[i];
        struct watch_verdict verdict = watch_slo_judge(slo, receipt->tally);
        const char *unit = slo->kind == WATCH_SLO_AVAILABILITY ? "%" : "ms";
        buf_printf(out, "  objective       %s: %s%s%s (measured %.4g %s)\n", slo->text,
                   sgr(colour, verdict.met ? green : red), verdict.met ? "met" : "missed", sgr(colour, plain),
                   verdict.value, unit);
    }
}

void watch_receipt_text(const struct watch_receipt *receipt, bool colour, struct buf *out)
{
    const struct watch_tally *tally = receipt->tally;
    uint64_t ok = tally->kinds[WATCH_OK], failed = tally->sent - ok;
    char percent[WATCH_PERCENT], gap[CLOCK_TEXT];

    buf_printf(out, "%s%s%s, %g probe%s/s for %.1f s\n", sgr(colour, bold), receipt->url, sgr(colour, plain),
               receipt->rate, receipt->rate == 1 ? "" : "s", seconds(tally));
    buf_printf(out, "  probes          %" PRIu64 " sent, %" PRIu64 " ok, %s%" PRIu64 " failed%s: %s available\n",
               tally->sent, ok, sgr(colour && failed, red), failed, sgr(colour && failed, plain),
               watch_percent(tally, percent));
    text_failures(tally, colour, out);
    text_latency(tally, out);
    buf_printf(out, "  longest gap     %s without a success\n",
               clock_format_span(watch_tally_gap(tally, tally->end_ns), gap));
    text_instances(tally, out);
    text_slos(receipt, colour, out);
    /* What the monitor itself missed is not the service's fault, and the reader should know of it. */
    if (tally->lag_ns > 50 * NS_PER_MS)
        buf_printf(out, "  note            the monitor sent some probes up to %s late: this machine was busy\n",
                   clock_format_span(tally->lag_ns, gap));
}

static double milliseconds(int64_t ns)
{
    return (double)(ns / NS_PER_US) / 1000;
}

static json_t *json_failures(const struct watch_tally *tally)
{
    json_t *failures = json_object();
    char name[32];

    for (int kind = WATCH_REFUSED; kind < WATCH_KINDS; kind++)
        if (tally->kinds[kind]) {
            (void)snprintf(name, sizeof(name), "%s", watch_kind_name(kind));
            for (char *at = name; *at; at++)
                if (*at == ' ')
                    *at = '_';
            (void)json_object_set_new(failures, name, json_integer((json_int_t)tally->kinds[kind]));
        }
    for (unsigned status = 0; status < WATCH_STATUSES; status++)
        if (tally->failed_status[status]) {
            (void)snprintf(name, sizeof(name), "status_%u", status);
            (void)json_object_set_new(failures, name, json_integer((json_int_t)tally->failed_status[status]));
        }
    return failures;
}

static json_t *json_latency(const struct watch_tally *tally)
{
    json_t *latency = json_object();

    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        (void)json_object_set_new(latency, quantiles[i].json,
                                  json_real((double)hist_quantile(&tally->latency, quantiles[i].quantile) / 1000));
    (void)json_object_set_new(latency, "max", json_real((double)tally->latency.max_us / 1000));
    double count = (double)(tally->latency.count ? tally->latency.count : 1);
    (void)json_object_set_new(latency, "mean", json_real((double)tally->latency.sum_us / count / 1000));
    return latency;
}

static json_t *json_instances(const struct watch_tally *tally)
{
    json_t *instances = json_object();
    for (int i = 0; i < tally->instances; i++)
        (void)json_object_set_new(instances, tally->names[i], json_integer((json_int_t)tally->answers[i]));
    return instances;
}

static json_t *json_slos(const struct watch_receipt *receipt)
{
    json_t *slos = json_array();
    for (size_t i = 0; i < receipt->slos_len; i++) {
        struct watch_verdict verdict = watch_slo_judge(&receipt->slos[i], receipt->tally);
        (void)json_array_append_new(slos, json_pack("{s:s, s:f, s:b}", "objective", receipt->slos[i].text, "measured",
                                                    verdict.value, "met", verdict.met));
    }
    return slos;
}

void watch_receipt_json(const struct watch_receipt *receipt, struct buf *out)
{
    const struct watch_tally *tally = receipt->tally;
    uint64_t ok = tally->kinds[WATCH_OK];
    /* Whatever could not be allocated makes json_pack() fail as a whole. */
    json_t *object = json_pack(
        "{s:s, s:f, s:f, s:I, s:I, s:I, s:f, s:o, s:o, s:f, s:o, s:f, s:o, s:b}", "url", receipt->url, "rate",
        receipt->rate, "seconds", seconds(tally), "sent", (json_int_t)tally->sent, "ok", (json_int_t)ok, "failed",
        (json_int_t)(tally->sent - ok), "availability", watch_tally_availability(tally), "failures",
        json_failures(tally), "latency_ms", json_latency(tally), "longest_gap_ms",
        milliseconds(watch_tally_gap(tally, tally->end_ns)), "instances", json_instances(tally), "monitor_lag_ms",
        milliseconds(tally->lag_ns), "slo", json_slos(receipt), "slo_met", watch_receipt_met(receipt));
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(object);
    if (!text) {
        out->failed = true;
        return;
    }
    buf_puts(out, text);
    buf_puts(out, "\n");
    free(text);
}
