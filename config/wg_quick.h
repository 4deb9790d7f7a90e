/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reader of the files of wg(8) and wg-quick(8), for `sluice import`.
 *
 * Source: wg(8), "CONFIGURATION FILE FORMAT"; wg-quick(8), "CONFIGURATION".
 * Thread: any.
 */
#ifndef CONFIG_WG_QUICK_H
#define CONFIG_WG_QUICK_H

#include <stddef.h>

#include "config/gateway.h"

/*
 * Read `len` bytes of such a file; `path` is for messages only.
 *
 * The result has the keys in it but no names of key files (the caller chooses those before it
 * prints), and what the file does not say has Sluice's defaults.  Names of peers come from comments
 * above or just below "[Peer]": "# Name = x", "# friendly_name = x", or a single plain word.  As
 * with wg(8), the last peer that lists a prefix gets it.
 *
 * On failure *ret_notes holds the errors.  On success it holds what has no counterpart in Sluice
 * and what to do instead, or NULL.  Both have one line each, "path:line:column: what; why; what to
 * do", and the caller frees it. Returns 0, -EINVAL or -ENOMEM.
 */
[[nodiscard]] int wg_quick_parse(const char *path,
	const char *text,
	size_t len,
	struct config_gateway **ret_config,
	char **ret_notes);

#endif
