/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter of a map stream: named lists of rules that map responses set and delete.  The
 * filter is all of them, in byte order of their names.
 *
 * Source: ../shared/protocol/control.md section 5.6, rows PacketFilter and PacketFilters.
 * Owner:  the map session.  Until has_any is set no list has arrived, and nothing may be let in.
 */
#ifndef LIB_TAILNET_FILTER_CHUNKS_H
#define LIB_TAILNET_FILTER_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/tailnet/filter_rule.h"

#define FILTER_MAX_CHUNKS 4096 /* lists at a time */

struct filter_chunk {
	char *name;
	struct filter_rules rules;
};

struct filter_chunks {
	struct filter_chunk *chunks; /* in byte order of their names */
	size_t n;
	bool has_any; /* a PacketFilter or PacketFilters was applied */
};

/*
 * Apply the two members of one map response; either may be NULL (absent) or JSON null.
 *
 * Returns 0, or an error of filter_rules_parse(), ERR_BAD_FORMAT (no array or object) or -E2BIG
 * (too many lists).  On an error nothing has changed.
 */
[[nodiscard]] int filter_chunks_apply(struct filter_chunks *c,
	const struct json_t *packet_filter,
	const struct json_t *packet_filters);

/*
 * All rules as one list.  It borrows from c: free its array with filter_chunks_release(), before c
 * is changed.  0, -E2BIG (more than FILTER_MAX_RULES) or -ENOMEM.
 */
[[nodiscard]] int filter_chunks_join(const struct filter_chunks *c, struct filter_rules *ret_rules);
void filter_chunks_release(struct filter_rules *joined);

/* Free what is in it, and leave it empty.  NULL is allowed. */
void filter_chunks_fini(struct filter_chunks *c);

#endif
