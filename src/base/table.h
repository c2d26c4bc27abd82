/* SPDX-License-Identifier: MIT
 *
 * This process's table of descriptors as a whole.
 */
#ifndef DARUMA_BASE_TABLE_H
#define DARUMA_BASE_TABLE_H

#include <stdbool.h>

/* Shall all descriptors but 0 … 2 stay open over an execve(2), or none of them? 0 or a negative errno. */
int table_keep_over_exec(bool keep);

/* Closes those beside 0 … 2 that whoever started us left open: what is ours is close-on-exec without exception. 0 or a negative
   errno. */
int table_close_strangers(void);

#endif
