/* SPDX-License-Identifier: MIT
 *
 * Any text as a port in its short form: told to be wrong, or ports with a target that a port can have.
 */
#include "text.h"

#include "compose/canonical.h"

static void fuzz_text(struct fuzz *fuzz)
{
    const struct node *ports = canonical_ports(fuzz->load, fuzz_list(fuzz));

    fuzz_must((ports->len == 0) == (fuzz->problems->errors > 0) && ports->len <= 65536);
    for (size_t i = 0; i < ports->len; i++) {
        const struct node *target = node_get(node_at(ports, i), "target");
        fuzz_must(node_is(target, NODE_INT) && target->u.integer >= 0 && target->u.integer <= 65535);
        fuzz_must(node_str(node_get(node_at(ports, i), "protocol")) != NULL);
    }
}
