/* SPDX-License-Identifier: MIT */
#include "cli/printer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static enum cli_colour colour_of(const char *instance)
{
    static const enum cli_colour colours[] = { CLI_CYAN, CLI_YELLOW, CLI_GREEN, CLI_MAGENTA, CLI_BLUE };
    return colours[hash_text(instance) % ARRAY_LEN(colours)];
}

static void print_time(double time)
{
    char text[CLOCK_TEXT];
    printf("%s ", clock_format_wall((int64_t)(time * 1e9), text));
}

void printer_clock(int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm local;
    char text[16] = "--:--:--";

    if (localtime_r(&seconds, &local))
        (void)strftime(text, sizeof(text), "%H:%M:%S", &local);
    printf("%s ", text);
}

/* 16 digits: microseconds of the wall clock, and 0.1 is no 0.10000000000000001. */
static void print_json(const json_t *json, size_t how)
{
    CLEANUP_FREE char *text = json_dumps(json, how | JSON_REAL_PRECISION(16));
    if (text)
        printf("%s\n", text);
}

void printer_json(const json_t *json)
{
    print_json(json, JSON_INDENT(2) | JSON_ENCODE_ANY);
}

void printer_json_line(const json_t *json)
{
    print_json(json, JSON_COMPACT);
}

void printer_log(struct printer *printer, const json_t *line)
{
    const char *instance = json_text(line, "instance");
    const json_t *text = json_object_get(line, "text");
    int width = (int)strlen(instance);

    if (printer->json) {
        printer_json_line(line);
        return;
    }
    if (width > printer->width)
        printer->width = width;
    if (!printer->no_prefix)
        printf("%s%-*s  |%s ", cli_sgr(printer->colour, colour_of(instance)), printer->width, instance,
               cli_sgr(printer->colour, CLI_PLAIN));
    if (printer->timestamps)
        print_time(json_number_value(json_object_get(line, "time")));
    if (json_is_string(text))
        (void)fwrite(json_string_value(text), 1, json_string_length(text), stdout);
    (void)putchar('\n');
}

void printer_event(const struct printer *printer, const json_t *event)
{
    if (printer->timestamps) {
        printf("%s", cli_sgr(printer->colour, CLI_DIM));
        print_time(json_number_value(json_object_get(event, "time")));
        printf("%s", cli_sgr(printer->colour, CLI_PLAIN));
    }
    printf("%s\n", json_text(event, "line"));
}

static void print_marked(const struct printer *printer, enum cli_colour colour, const char *mark, const char *line)
{
    printf("%s%s%s %s%s%s\n", cli_sgr(printer->colour, colour), mark, cli_sgr(printer->colour, CLI_PLAIN),
           cli_sgr(printer->colour, CLI_DIM), line, cli_sgr(printer->colour, CLI_PLAIN));
}

static void progress_of_state(const struct printer *printer, const json_t *event)
{
    const char *instance = json_text(event, "instance"), *to = json_text(event, "to");
    char span[CLOCK_TEXT], line[256];

    if (strcmp(to, "serving") == 0) {
        double ms = json_number_value(json_object_get(event, "span_ms"));
        (void)snprintf(line, sizeof(line), ms > 0 ? "%.64s ready in %s" : "%.64s ready", instance,
                       clock_format_span((int64_t)(ms * 1e6), span));
        print_marked(printer, CLI_GREEN, "✔", line);
    } else if (strcmp(to, "failed") == 0) {
        print_marked(printer, CLI_RED, "✘", json_text(event, "line"));
    }
}

void printer_progress(const struct printer *printer, const json_t *event)
{
    const char *kind = json_text(event, "kind"), *cause = json_text(event, "cause");
    const char *to = json_text(event, "to");

    if (strcmp(kind, "instance.state") == 0) {
        progress_of_state(printer, event);
    } else if (strcmp(kind, "instance.exit") == 0) {
        bool asked = strcmp(cause, "stop") == 0 || strcmp(cause, "scale") == 0 || strcmp(cause, "deploy") == 0;
        bool good = asked || (strcmp(cause, "exit") == 0 && json_integer_value(json_object_get(event, "status")) == 0);
        print_marked(printer, good ? CLI_DIM : CLI_RED, good ? "·" : "✘", json_text(event, "line"));
    } else if (strcmp(kind, "instance.spawn") == 0) {
        if (json_object_get(event, "span_ms"))
            print_marked(printer, CLI_YELLOW, "↻", json_text(event, "line"));
    } else if (strcmp(kind, "instance.health") == 0) {
        if (strcmp(to, "unhealthy") == 0)
            print_marked(printer, CLI_YELLOW, "!", json_text(event, "line"));
    } else if (strcmp(kind, "deploy") == 0) {
        bool good = strcmp(to, "rolling") == 0 || strcmp(to, "deployed") == 0;
        print_marked(printer, good ? CLI_CYAN : CLI_RED, "⇄", json_text(event, "line"));
    } else if (strcmp(kind, "warning") == 0 || strcmp(kind, "gateway") == 0) {
        print_marked(printer, CLI_YELLOW, "!", json_text(event, "line"));
    } else if (strcmp(kind, "chaos") == 0) {
        print_marked(printer, CLI_MAGENTA, "⚡", json_text(event, "line"));
    } else if (strcmp(kind, "project") == 0 && strcmp(to, "stopping") != 0 && strcmp(to, "down") != 0) {
        /* The supervisor has its own words for the way down. */
        print_marked(printer, CLI_DIM, "·", json_text(event, "line"));
    }
}
