/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A configuration file as bytes in memory, bounded.
 *
 * Owner: the reader's caller, who gives it to text_file_free(), which wipes: a wg-quick file has
 * keys in it.  Thread: any.
 */
#ifndef CONFIG_TEXT_FILE_H
#define CONFIG_TEXT_FILE_H

#include <stddef.h>

/*
 * Read all of a file (or pipe).  On failure *ret_errors is one line "path:1:1: what; why; what to
 * do" on the heap (or NULL, when there was no memory for it), and nothing else is set.
 * Returns 0, -EFBIG (more than CONFIG_MAX_FILE_BYTES), -ENOMEM or -errno.
 */
[[nodiscard]] int
text_file_read(const char *path, char **ret_text, size_t *ret_len, char **ret_errors);
void text_file_free(char *text, size_t len);

#endif
