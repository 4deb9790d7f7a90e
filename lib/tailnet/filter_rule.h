/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Filter rules as a node receives them: the JSON form, and what is left of it after the tolerance
 * of the reference client was applied.
 *
 * Source: ../shared/protocol/control.md section 5.13, ../shared/protocol/peer.md section 9.6.
 * Owner:  whoever parsed; everything below a `struct filter_rules` is freed with it.
 */
#ifndef LIB_TAILNET_FILTER_RULE_H
#define LIB_TAILNET_FILTER_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

struct json_t; /* jansson's */

/* Limits of one list; beyond them it is refused with -E2BIG. */
#define FILTER_MAX_RULES   65536
#define FILTER_MAX_ENTRIES (1u << 20) /* sources, destinations, capabilities, values: together */

/* Addresses of one family, both ends included. */
struct filter_range {
	struct addr first, last;
};

struct filter_dst {
	struct filter_range addrs;
	uint16_t first_port, last_port; /* first > last: no port, though the address still counts */
};

/* An application capability with its values, each a JSON text. */
struct filter_cap {
	char *name;
	char **values;
	size_t n_values;
};

struct filter_grant {
	struct prefix *dsts; /* host bits do not count */
	size_t n_dsts;
	struct filter_cap *caps;
	size_t n_caps;
};

struct filter_rule {
	struct filter_range *srcs; /* both families; "*" is two of them */
	size_t n_srcs;
	char **src_caps; /* node capabilities, without "cap:" */
	size_t n_src_caps;
	struct filter_dst *dsts;
	size_t n_dsts;
	struct filter_grant *grants;
	size_t n_grants;
	uint64_t protocols[4]; /* bit n: IP protocol n */
};

struct filter_rules {
	struct filter_rule *rules;
	size_t n;
	size_t n_skipped; /* entries that were no address, prefix or range: as if not there */
	bool is_rejected; /* a SrcBits or Bits was found: the whole filter counts as empty */
};

static inline bool
filter_rule_has_protocol(const struct filter_rule *r, uint8_t protocol)
{
	return (r->protocols[protocol / 64] >> protocol % 64 & 1) != 0;
}

/*
 * Parse a JSON array of rules; null is an empty one.
 *
 * Bad addresses are skipped and counted.  What the reference client's JSON decoder refuses (a
 * member of another type, a port beyond 65535, a bad prefix in CapGrant.Dsts) is an error.
 * With SrcBits or Bits the result is empty and is_rejected.
 *
 * ret_rules: for filter_rules_fini(); untouched on failure.
 * Returns 0, ERR_BAD_FORMAT, -E2BIG (see the limits above), or -ENOMEM.
 */
[[nodiscard]] int filter_rules_parse(const struct json_t *array, struct filter_rules *ret_rules);

/* The same from JSON text of len bytes, not terminated by a zero. */
[[nodiscard]] int
filter_rules_parse_text(const char *text, size_t len, struct filter_rules *ret_rules);

/* Free what is in it, and leave it empty.  NULL is allowed. */
void filter_rules_fini(struct filter_rules *rules);

/*
 * One address text of a rule: "*" (two ranges), an address, a prefix without host bits, or
 * "first-last".  A zone ("%eth0") behind an address is cut off, as the reference does.
 *
 * Returns the number of ranges, 1 or 2, or ERR_BAD_FORMAT.
 */
[[nodiscard]] int filter_range_parse(const char *text, struct filter_range ret_ranges[static 2]);

/* The addresses of a prefix. */
struct filter_range filter_range_of_prefix(const struct prefix *p);

static inline bool
filter_range_contains(const struct filter_range *r, const struct addr *a)
{
	return r->first.family == a->family && addr_compare(&r->first, a) <= 0 &&
	       addr_compare(a, &r->last) <= 0;
}

/* Is this one of the rule's sources, by address? */
static inline bool
filter_rule_names_source(const struct filter_rule *r, const struct addr *src)
{
	for (size_t i = 0; i < r->n_srcs; i++)
		if (filter_range_contains(&r->srcs[i], src))
			return true;
	return false;
}

#endif
