/* SPDX-License-Identifier: MIT
 *
 * The rows that do not hold on purpose, each with its reason. A row that holds after all has to leave the list.
 */
#include "corpus.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *reason;
} exceptions[] = {
    { "compose-go-inline/loader_tests_blkio_config__TestBlkioConfig/ [compose.yaml]",
      "the reference prints the keys of blkio_config devices as `Path`, `Rate` and `Weight`, which no file may say" },
    { "compose-go-inline/loader_loader__TestXService/ [compose.yaml]",
      "the reference prints a service's network called `x-…` as an extension, and so loses it" },
    { "S0537 volumes-in-file", "the same: a service's network called `x-…`" },
    { "S0214 merge", "`build.platform` is no attribute of any schema, so nothing says that it holds each item once" },
    { "S0452 include",
      "its paths were relative to the working directory of the recording, which stands in them twice" },
    { "S0879 env_file", "a name without a value on a last line without an end becomes the value of the name ``" },
    { "S1071 restart", "the reference does not look at the words of `restart`; a misspelt one would never restart" },
    { "S1103 override-probe", "the reference takes `80:80` and {target: 80, published: 80} for two ports" },
};

const char *exception_reason(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        if (strcmp(exceptions[i].name, name) == 0)
            return exceptions[i].reason;
    return NULL;
}

void print_exceptions(void)
{
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        printf("except %s: %s\n", exceptions[i].name, exceptions[i].reason);
}
