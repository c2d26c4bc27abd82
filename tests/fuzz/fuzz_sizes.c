/* SPDX-License-Identifier: MIT
 *
 * Any text as a size, a whole number, a truth value and a signal: each a value of its range, or refused.
 */
#include "text.h"

#include "compose/value.h"

#include <inttypes.h>

static void fuzz_text(struct fuzz *fuzz)
{
    int64_t size, again, number;
    bool truth, old;

    if (value_bytes(fuzz->text, &size) == 0) {
        fuzz_must(size >= -1);
        fuzz_must(value_bytes(pool_printf(fuzz->pool, "%" PRId64, size), &again) == 0);
        /* Sizes are read as floating point, which is exact up to 2^53. */
        fuzz_must(size > INT64_C(1) << 53 || again == size);
    }
    if (value_int(fuzz->text, &number) == 0)
        fuzz_must(value_int(pool_printf(fuzz->pool, "%" PRId64, number), &again) == 0 && again == number);
    (void)value_bool(fuzz->text, &truth, &old);
    int signal = value_signal(fuzz->text);
    fuzz_must(signal < 0 || (signal > 0 && signal < 65));
}
