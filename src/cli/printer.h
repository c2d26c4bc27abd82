/* SPDX-License-Identifier: MIT
 *
 * Lines of logs and events as people read them, from the objects that the admin API streams.
 */
#ifndef DARUMA_CLI_PRINTER_H
#define DARUMA_CLI_PRINTER_H

#include "cli/cli.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct printer {
    bool colour;
    bool timestamps; /* before log lines */
    bool no_prefix;  /* log lines without the instance's name */
    bool json;       /* log lines as they are told, an object a line */
    int width;       /* of the widest instance name so far */
};

/* A line of /v1/logs: "app-1  | text", the name in a colour of its own. */
void printer_log(struct printer *printer, const json_t *line);

/* The event's own line, behind its time when `timestamps` is set. */
void printer_event(const struct printer *printer, const json_t *event);

/* What is worth a line while `up` runs: "✔ app-1 ready in 12 ms", deaths, restarts, faults; nothing for the rest. */
void printer_progress(const struct printer *printer, const json_t *event);

/* "10:01:02 ", by this machine's clock and zone. */
void printer_clock(int64_t wall_ns);

/* For a script: over several lines, or in one. A number has as many digits as mean something. */
void printer_json(const json_t *json);
void printer_json_line(const json_t *json);

/* The string under `key`, "" when there is none. */
const char *json_text(const json_t *object, const char *key);

#endif
