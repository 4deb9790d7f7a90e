/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A tailnet's packet filter for the world, of any length: its last rule is the one that lets the
 * bench's packets in.
 */
#ifndef BENCH_PATH_RULES_H
#define BENCH_PATH_RULES_H

#include <stdint.h>

#include "lib/policy/acl_table.h"

#define RULES_MAX 10000u

/* n: 1 to RULES_MAX.  free() it; NULL: no memory. */
struct acl_table *rules_make(uint32_t n);

#endif
