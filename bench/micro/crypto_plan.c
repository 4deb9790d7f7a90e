/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/crypto_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIX 0 // in place of a size

// 1,424 is an inner packet of 1,420 padded to 16; 9,000 stands for jumbo frames.
static const struct crypto_list default_sizes = {
	.n = 8,
	.value = { 64, 128, 352, 576, 1024, 1424, 4096, 9000 },
};
static const struct crypto_list default_bursts = { .n = 5, .value = { 1, 4, 16, 32, 64 } };
static const struct crypto_list turn_sizes = { .n = 3, .value = { 64, 352, 1424 } };
static const struct crypto_list turn_bursts = { .n = 1, .value = { 32 } };
static const struct crypto_list mix_bursts = { .n = 2, .value = { 32, 64 } };

bool
crypto_plan_list(const char *text, uint32_t least, uint32_t most, struct crypto_list *ret)
{
	struct crypto_list list = {};

	for (const char *p = text;; p++) {
		char *end;
		unsigned long value = strtoul(p, &end, 10);

		if (*p < '0' || *p > '9' || value < least || value > most ||
			list.n == PLAN_LIST_MAX)
			return false;
		list.value[list.n++] = (uint32_t)value;
		if (*end == '\0')
			break;
		if (*end != ',')
			return false;
		p = end;
	}
	*ret = list;
	return true;
}

static void
add(struct crypto_plan *plan,
	const struct crypto_list *sizes,
	const struct crypto_list *bursts,
	size_t working_set_bytes)
{
	for (uint32_t s = 0; s < sizes->n; s++)
		for (uint32_t b = 0; b < bursts->n; b++) {
			if (sizes->value[s] == MIX && bursts->value[b] == 1)
				continue; // one packet is no mixture
			plan->row[plan->n_cells].size = sizes->value[s];
			plan->row[plan->n_cells].burst = bursts->value[b];
			plan->row[plan->n_cells++].working_set_bytes = working_set_bytes;
		}
}

static const struct crypto_list *
choice(const struct crypto_list *given, const struct crypto_list *otherwise)
{
	return given->n > 0 ? given : otherwise;
}

void
crypto_plan_make(struct crypto_plan *plan, const struct crypto_plan_options *o)
{
	static const struct crypto_list mix = { .n = 1, .value = { MIX } };

	*plan = (struct crypto_plan){ .mix = o->mix };
	add(plan, choice(&o->sizes, &default_sizes), choice(&o->bursts, &default_bursts), 0);
	if (o->mix != NULL)
		add(plan, &mix, choice(&o->bursts, &mix_bursts), 0);
	if (o->working_set_bytes > 0)
		add(plan, choice(&o->sizes, &turn_sizes), choice(&o->bursts, &turn_bursts),
			o->working_set_bytes);
}

static void
one_size(uint16_t size, struct sizes *ret)
{
	*ret = (struct sizes){
		.n = 1, .order = { size }, .mean = size, .least = size, .most = size
	};
	snprintf(ret->text, sizeof(ret->text), "%u", size);
}

// Behind the mix each of its sizes, once.
static void
add_singles(struct crypto_cell *cell)
{
	const struct sizes *mix = &cell->loads[0];

	for (uint32_t i = 0; i < mix->n && cell->n_loads < PLAN_LOADS_MAX; i++) {
		bool is_new = true;

		for (uint32_t j = 1; j < cell->n_loads; j++)
			is_new &= cell->loads[j].most != mix->order[i];
		if (is_new)
			one_size(mix->order[i], &cell->loads[cell->n_loads++]);
	}
}

void
crypto_plan_cell(const struct crypto_plan *plan, size_t i, struct crypto_cell *ret)
{
	ret->burst = plan->row[i].burst;
	ret->working_set_bytes = plan->row[i].working_set_bytes;
	ret->is_mix = plan->row[i].size == MIX;
	ret->n_loads = 1;
	if (!ret->is_mix) {
		one_size((uint16_t)plan->row[i].size, &ret->loads[0]);
		return;
	}
	ret->loads[0] = *plan->mix;
	add_singles(ret);
}

double
crypto_plan_weight(const struct crypto_plan *plan, size_t i)
{
	if (plan->row[i].size == MIX)
		return 4;
	return plan->row[i].working_set_bytes > 0 ? 2 : 1;
}
