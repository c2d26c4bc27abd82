/* SPDX-License-Identifier: MIT
 *
 * Any text as an env file, in both of its formats. What was wrong is told, and every value is a string.
 */
#include "text.h"

#include "compose/envfile.h"

static void fuzz_text(struct fuzz *fuzz)
{
    for (int raw = 0; raw < 2; raw++) {
        struct node *into = node_new(fuzz->pool, NODE_MAP, fuzz_place);
        size_t errors = fuzz->problems->errors;
        bool ok = envfile_parse(&fuzz->with, "text", NULL, fuzz->text, raw, into);
        fuzz_must(ok == (fuzz->problems->errors == errors));
        for (size_t i = 0; i < into->len; i++)
            fuzz_must(node_str(into->entries[i].value) != NULL && into->entries[i].place.line > 0);
    }
}
