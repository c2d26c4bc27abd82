/* SPDX-License-Identifier: MIT
 *
 * Lines of logs and events as people read them, from the objects that the admin API streams.
 */
#ifndef DARUMA_CLI_PRINTER_H
#define DARUMA_CLI_PRINTER_H

#include "cli/cli.h"

#include <jansson.h>
#include <stdbool.h>

struct printer {
    bool colour;
    bool timestamps; /* before log lines */
    bool no_prefix;  /* log lines without the instance's name */
    int width;       /* of the widest instance name so far */
};

/* "app-1  | text", the name in a colour of its own. */
void printer_log(struct printer *printer, const char *instance, double time, const char *text, size_t len);
/* The same for a line of /v1/logs. */
void printer_log_json(struct printer *printer, const json_t *line);

/* The event's own line, behind its time when `timestamps` is set. */
void printer_event(const struct printer *printer, const json_t *event);

/* What is worth a line while `up` runs: "✔ app-1 ready in 12 ms", deaths, restarts, faults; nothing for the rest. */
void printer_progress(const struct printer *printer, const json_t *event);

/* The string under `key`, "" when there is none. */
const char *json_text(const json_t *object, const char *key);

#endif
