/* SPDX-License-Identifier: MIT
 *
 * Any text as a duration: what is one is printed as text that means the same.
 */
#include "text.h"

#include "compose/value.h"

static void fuzz_text(struct fuzz *fuzz)
{
    int64_t ns, again;

    if (value_duration(fuzz->text, &ns) == 0)
        fuzz_must(value_duration(value_format_duration(fuzz->pool, ns), &again) == 0 && again == ns);
}
