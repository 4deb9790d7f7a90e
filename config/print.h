/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A configuration in its canonical form: the options in the order of the schema, one per line.
 * Parsed again, it gives the same structure.  Keys' contents are not in it, only their files'
 * names.
 *
 * Thread: any.
 */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include <stdio.h>

#include "config/gateway.h"

/*
 * Write the whole file to `out`.  The gateway's own options are all written, with their defaults;
 * of peers, who may be thousands, only what differs.  Returns 0, -ENOMEM, or -EIO (`out` has
 * failed).
 */
[[nodiscard]] int config_print(FILE *out, const struct config_gateway *config);

/* Every option with its range, default and meaning, for `sluice help config`.  Returns the same. */
[[nodiscard]] int config_print_options(FILE *out);

#endif
