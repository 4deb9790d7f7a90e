/* SPDX-License-Identifier: BSD-3-Clause
 *
 * T1's trials as text.  Cycles per packet only: what a core's clock divided by them would be is no
 * throughput, because there is no card and no second core, so it is never printed.
 */
#ifndef BENCH_PATH_TABLE_H
#define BENCH_PATH_TABLE_H

#include <jansson.h>

/* Rows, and then their steps. */
void table_print(const json_t *trials);
/* What more peers cost, against the row with one: path cycles. */
void table_print_growth(const json_t *trials);

#endif
