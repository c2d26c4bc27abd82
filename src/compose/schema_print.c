/* SPDX-License-Identifier: MIT
 *
 * The table of attributes for docs/compose.md.
 */
#include "compose/schema.h"

#include "base/buf.h"

static const char yes[] = "yes", no[] = "no", quiet[] = "–";

/* Below what a runtime does not honour, nothing is. */
static const char *honoured(const struct attribute *field, unsigned runtime, const char *outer)
{
    if (outer != yes)
        return outer;
    return field->honour & runtime ? yes : field->honour & HONOUR_QUIET ? quiet : no;
}

static void print_fields(const struct schema *schema, const char *path, const char *process, const char *docker,
                         struct buf *out)
{
    for (const struct attribute *field = schema->fields; field && field->name; field++) {
        struct buf below CLEANUP_BUF = { 0 };
        const struct schema *inner = field->schema;
        const char *by_process = honoured(field, HONOUR_PROCESS, process);
        const char *by_docker = honoured(field, HONOUR_DOCKER, docker);

        buf_printf(&below, "%s%s%s", path, *path ? "." : "", field->name);
        buf_printf(out, "| `%s` | %s | %s | %s |\n", below.data, by_process, by_docker, field->meaning);
        if (inner->items && inner->items->fields) {
            buf_puts(&below, "[]");
            inner = inner->items;
        } else if (inner->others && inner->others->fields) {
            buf_puts(&below, ".*");
            inner = inner->others;
        }
        print_fields(inner, below.data, by_process, by_docker, out);
        out->failed = out->failed || below.failed;
    }
}

void schema_print_table(struct buf *out)
{
    buf_puts(out, "| attribute | process | docker | meaning |\n|---|---|---|---|\n");
    print_fields(&schema_root, "", yes, yes, out);
}
