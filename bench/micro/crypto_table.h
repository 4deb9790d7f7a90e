/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The trials of `crypto` for a person: a row for each cell, a column for each cipher; or, with all
 * figures, a row for each trial.
 */
#ifndef BENCH_MICRO_CRYPTO_TABLE_H
#define BENCH_MICRO_CRYPTO_TABLE_H

#include <jansson.h>
#include <stdbool.h>

/* trials: of this command's kind, as recorded (run.h). */
void crypto_table_print(const json_t *trials, bool with_rows);

#endif
