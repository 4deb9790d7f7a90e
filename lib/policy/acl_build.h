/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From a policy to the table that workers look up (acl_table.h).
 *
 * Thread: any; nothing is kept but the table.
 */
#ifndef LIB_POLICY_ACL_BUILD_H
#define LIB_POLICY_ACL_BUILD_H

#include "lib/policy/acl_table.h"
#include "lib/policy/policy.h"

/* Limits of one table; beyond them it is refused, and the caller lets nothing in. */
#define ACL_MAX_SPANS   (1u << 20) /* of a family: sources, or destinations, over all rules */
#define ACL_MAX_ENTRIES (1u << 22) /* of all classes of a side */
#define ACL_MAX_WORK    (1u << 29) /* elementary steps: about a second */

/*
 * generation: not used for any other table since the verdict caches were made; not 0.
 * ret_table:  one block of size_bytes bytes, sound for acl_table_check(); free() it.
 *
 * Returns 0, -E2BIG (see the limits above; too many peer API addresses) or -ENOMEM.
 */
[[nodiscard]] int
acl_build(const struct policy *p, uint64_t generation, struct acl_table **ret_table);

#endif
