/* SPDX-License-Identifier: MIT
 *
 * The table of attributes for docs/compose.md.
 */
#include "compose/schema.h"

#include <string.h>

static const char *honoured(const struct attribute *field, unsigned runtime)
{
    return field->honour & runtime ? "yes" : runtime == HONOUR_PROCESS && (field->honour & HONOUR_QUIET) ? "–" : "no";
}

static void print_fields(const struct schema *schema, const char *path, struct buf *out)
{
    for (const struct attribute *field = schema->fields; field && field->name; field++) {
        struct buf below = { 0 };
        const struct schema *inner = field->schema;

        buf_printf(&below, "%s%s%s", path, *path ? "." : "", field->name);
        buf_printf(out, "| `%s` | %s | %s | %s |\n", below.data, honoured(field, HONOUR_PROCESS),
                   honoured(field, HONOUR_DOCKER), field->meaning);
        if (inner->items && inner->items->fields) {
            buf_puts(&below, "[]");
            inner = inner->items;
        } else if (inner->others && inner->others->fields) {
            buf_puts(&below, ".*");
            inner = inner->others;
        }
        print_fields(inner, below.data, out);
        out->failed = out->failed || below.failed;
        buf_free(&below);
    }
}

void schema_print_table(struct buf *out)
{
    buf_puts(out, "| attribute | process | docker | meaning |\n|---|---|---|---|\n");
    print_fields(&schema_root, "", out);
}
