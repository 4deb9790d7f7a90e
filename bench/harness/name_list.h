/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Names given as an option: "avx2,openssl".
 */
#ifndef BENCH_HARNESS_NAME_LIST_H
#define BENCH_HARNESS_NAME_LIST_H

#include <stdbool.h>

/* Is this one of the names, divided by commas?  Without a list (NULL) every name is. */
bool name_is_listed(const char *list, const char *name);

#endif
