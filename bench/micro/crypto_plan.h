/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which cells `crypto` measures: what they have in common is measured in turns within one cell, so
 * that whatever disturbs, disturbs all that are compared.
 */
#ifndef BENCH_MICRO_CRYPTO_PLAN_H
#define BENCH_MICRO_CRYPTO_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/sizes.h"

#define PLAN_LIST_MAX  32
#define PLAN_CELLS_MAX (3 * PLAN_LIST_MAX * PLAN_LIST_MAX)
#define PLAN_LOADS_MAX (1 + SIZES_MAX)

struct crypto_list {
	uint32_t n;
	uint32_t value[PLAN_LIST_MAX];
};

/* Numbers of least to most, comma-separated.  False: not that, or too many. */
bool crypto_plan_list(const char *text, uint32_t least, uint32_t most, struct crypto_list *ret);

struct crypto_plan_options {
	struct crypto_list sizes, bursts; /* n is 0: the default */
	const struct sizes *mix;          /* NULL: none */
	size_t working_set_bytes;         /* 0: none */
};

/* One burst, one set of buffers, one load; a mix is measured with each of its sizes beside it. */
struct crypto_cell {
	uint32_t burst;
	size_t working_set_bytes; /* 0: warm */
	bool is_mix;
	uint32_t n_loads;
	struct sizes loads[PLAN_LOADS_MAX]; /* the first is what the cell is about */
};

struct crypto_plan {
	size_t n_cells;
	struct {
		uint32_t size; /* 0: the mix */
		uint32_t burst;
		size_t working_set_bytes;
	} row[PLAN_CELLS_MAX];
	const struct sizes *mix;
};

void crypto_plan_make(struct crypto_plan *plan, const struct crypto_plan_options *options);
/* Large: the caller's, static. */
void crypto_plan_cell(const struct crypto_plan *plan, size_t i, struct crypto_cell *ret);
/* Relative to others: how much time this cell wants. */
double crypto_plan_weight(const struct crypto_plan *plan, size_t i);

#endif
