/* SPDX-License-Identifier: MIT
 *
 * Any text as a string with variables. Without a dollar sign it stays as it is; and a failure is always told.
 */
#include "text.h"

static void fuzz_text(struct fuzz *fuzz)
{
    fuzz->with.missed = node_new(fuzz->pool, NODE_MAP, fuzz_place);
    const char *result = interpolate_text(&fuzz->with, fuzz_place, fuzz->text);
    fuzz_must(strchr(fuzz->text, '$') || result == fuzz->text);
    interpolate_mentions(fuzz->pool, node_string(fuzz->pool, fuzz_place, fuzz->text), fuzz->with.missed);
    fuzz_must((result == NULL) == (fuzz->problems->errors > 0));
}
