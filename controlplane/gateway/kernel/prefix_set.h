/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A sorted set of prefixes.  Filled in any order, then sealed, then asked.  Pure.
 *
 * Owner:  embedded; starts zeroed; prefix_set_fini() frees what it holds.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_PREFIX_SET_H
#define CONTROLPLANE_GATEWAY_KERNEL_PREFIX_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

struct prefix_set {
	struct prefix *items; /* masked; after sealing sorted and unique */
	size_t n;
	size_t room;
	bool v4_lens[33]; /* set by sealing: the lengths that occur */
	bool v6_lens[129];
};

/* Add a prefix, its host bits cleared.  0, or -ENOMEM. */
[[nodiscard]] int prefix_set_add(struct prefix_set *set, struct prefix p);

/* Sort and remove duplicates; the functions below are for sealed sets. */
void prefix_set_seal(struct prefix_set *set);

bool prefix_set_has(const struct prefix_set *set, const struct prefix *p);
/* The longest item that contains all of `p` (`p` itself counts), or NULL. */
const struct prefix *prefix_set_covering(const struct prefix_set *set, const struct prefix *p);
bool prefix_set_equal(const struct prefix_set *a, const struct prefix_set *b);

/*
 * Append what is in `a` and not in `b` to `ret_only_a`, which is sealed afterwards.  0, or -ENOMEM.
 */
[[nodiscard]] int prefix_set_minus(const struct prefix_set *a,
	const struct prefix_set *b,
	struct prefix_set *ret_only_a);

/* Give what `from` holds to `to`; `from` is empty afterwards. */
void prefix_set_move(struct prefix_set *to, struct prefix_set *from);
void prefix_set_fini(struct prefix_set *set);

#endif
