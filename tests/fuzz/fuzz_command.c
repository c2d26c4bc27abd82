/* SPDX-License-Identifier: MIT
 *
 * Any text as a command line: its words, each put into quotes, are split into the same words again.
 */
#include "text.h"

#include "compose/value.h"

static void fuzz_text(struct fuzz *fuzz)
{
    struct node *words = node_new(fuzz->pool, NODE_LIST, fuzz_place);
    struct node *again = node_new(fuzz->pool, NODE_LIST, fuzz_place);
    struct text line = { .pool = fuzz->pool };

    if (value_split(fuzz->pool, fuzz_place, fuzz->text, words) < 0)
        return;
    for (size_t i = 0; i < words->len; i++) {
        text_putc(&line, '\'');
        for (const char *p = node_str(node_at(words, i)); *p; p++)
            text_puts(&line, *p == '\'' ? "'\"'\"'" : (char[]){ *p, '\0' });
        text_puts(&line, "' ");
    }
    fuzz_must(value_split(fuzz->pool, fuzz_place, text_str(&line), again) == 0);
    fuzz_must(node_equal(words, again));
}
