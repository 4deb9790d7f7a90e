/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A set of addresses of both families, to which ranges are added and from which they are taken.
 *
 * Owner: whoever embeds it.
 */
#ifndef LIB_POLICY_ADDR_SET_H
#define LIB_POLICY_ADDR_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/tailnet/filter_rule.h"

#define ADDR_SET_MAX_RANGES 65536

/* All zero: the empty set. */
struct addr_set {
	struct filter_range *ranges; /* sorted; they neither overlap nor touch */
	size_t n;
	size_t room;
};

/*
 * 0, ERR_BAD_FORMAT (ends of two families or the wrong way round), -E2BIG (too many ranges) or
 * -ENOMEM.  On failure the set is as it was.
 */
[[nodiscard]] int addr_set_add(struct addr_set *s, const struct filter_range *r);
[[nodiscard]] int addr_set_remove(struct addr_set *s, const struct filter_range *r);
/* The same with prefixes; host bits do not count. */
[[nodiscard]] int addr_set_add_prefix(struct addr_set *s, const struct prefix *p);
[[nodiscard]] int addr_set_remove_prefix(struct addr_set *s, const struct prefix *p);
/* Everything of another set; on failure only some of it may be in. */
[[nodiscard]] int addr_set_add_set(struct addr_set *s, const struct addr_set *other);

bool addr_set_contains(const struct addr_set *s, const struct addr *a);
bool addr_set_overlaps(const struct addr_set *s, const struct filter_range *r);

/* Free what is in it, and leave it empty.  NULL is allowed. */
void addr_set_fini(struct addr_set *s);

#endif
