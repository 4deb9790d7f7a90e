/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A packet filter's table from a few words, for tests.
 */
#ifndef TESTS_LIB_ACL_H
#define TESTS_LIB_ACL_H

#include "lib/policy/acl_table.h"

/* rules: JSON as in a map.  local_nets: prefixes, separated by blanks.  Aborts on a mistake; free()
 * it. */
struct acl_table *acl_make(const char *rules, const char *local_nets);

#endif
