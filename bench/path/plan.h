/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which rows of T1 are run: from the options, or one of three sets.
 */
#ifndef BENCH_PATH_PLAN_H
#define BENCH_PATH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/path/measure.h"

#define PLAN_MAX_ROWS   1024
#define PLAN_MAX_VALUES 12 /* of one axis */

enum plan_set {
	PLAN_DEFAULT, /* ends within a minute */
	PLAN_GROWTH,  /* peers 1 to 100,000 */
	PLAN_FULL,    /* every axis */
};

/* Lists as they were given; n_... 0: not given, so the set's own. */
struct plan_axes {
	enum plan_set set;
	uint32_t directions[PLAN_MAX_VALUES], n_directions;
	uint32_t sizes[PLAN_MAX_VALUES], n_sizes; /* indices into plan.sizes */
	uint32_t peers[PLAN_MAX_VALUES], n_peers;
	uint32_t active_percent[PLAN_MAX_VALUES], n_active;
	uint32_t popularities[PLAN_MAX_VALUES], n_popularities;
	uint32_t prefixes[PLAN_MAX_VALUES], n_prefixes;
	uint32_t bursts[PLAN_MAX_VALUES], n_bursts;
	uint32_t in_flight, lan_hosts, rekeys_per_s, n_rules;
	uint32_t n_flows;     /* the LAN behind a link port with source NAT; 0: behind the host's */
	uint64_t working_set; /* bytes; 0: a ring of 512 */
	enum nic_lines lines;
	bool is_shared, small_pages, no_flow_cache;
	uint32_t ms; /* of measuring, per row */
};

struct plan {
	struct sizes sizes[PLAN_MAX_VALUES];
	uint32_t n_sizes;
	struct measure_row rows[PLAN_MAX_ROWS];
	uint32_t n_rows;
};

/* Add a size or mix to the plan: its index, or -1 with *ret_why. */
int plan_size(struct plan *plan, const char *text, const char **ret_why);

/* Make the rows.  False: *ret_why says what cannot be. */
bool plan_make(struct plan *plan, const struct plan_axes *axes, const char **ret_why);

#define PLAN_KEY_LEN 512

/* What tells a row from all others, for --resume: less than PLAN_KEY_LEN bytes. */
void plan_key(const struct measure_row *row, char *ret_text, size_t len);
/* The same for people: "inbound 64 B, 1,000 peers". */
void plan_text(const struct measure_row *row, char *ret_text, size_t len);

#endif
