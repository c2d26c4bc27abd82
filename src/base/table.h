/* SPDX-License-Identifier: MIT
 *
 * This process's table of descriptors as a whole.
 */
#ifndef DARUMA_BASE_TABLE_H
#define DARUMA_BASE_TABLE_H

#include <stdbool.h>

/* Shall all descriptors but 0 … 2 stay open over an execve(2), or none of them? 0 or a negative errno. */
int table_keep_over_exec(bool keep);

#endif
