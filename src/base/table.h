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

/*
 * Makes it as large at once as `descriptors` ask for, within the hard limit: eight bytes each, in the kernel. It grows by doubling,
 * and when it is shared, whoever opens the descriptor that is one too many waits for milliseconds each time, tens of them on a busy
 * machine (expand_files() in the kernel's fs/file.c waits for a grace period of RCU).
 */
void table_make_room(unsigned descriptors);

#endif
