/* SPDX-License-Identifier: MIT
 *
 * A run directory for each test. Behind cmocka.h.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char base[64];

static int setup(void **state)
{
    (void)snprintf(base, sizeof(base), "/tmp/daruma-test.XXXXXX");
    assert_non_null(mkdtemp(base));
    return setenv("DARUMA_RUN_DIR", base, 1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
