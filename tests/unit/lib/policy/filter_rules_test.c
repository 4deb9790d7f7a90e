/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lists of rules as the hosted service sent them (../shared/vectors/filter-rules; skipped where
 * that is not there): everything is understood, and tables say what the plain walk says.
 */

#include <stdio.h>

#include <jansson.h>

#include "lib/policy/acl_build.h"
#include "lib/policy/acl_verdict.h"
#include "lib/policy/rule_walk.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/policy/fixture.h"

// An end of some range of the list, or an address beside it.
static struct acl_addr
near_range(struct rng *r, const struct filter_range *range)
{
	const struct addr *end = rng_below(r, 2) == 0 ? &range->first : &range->last;
	struct acl_addr a = acl_addr_load(end->family, end->bytes);

	a.low += rng_below(r, 3) - UINT64_C(1);
	if (end->family == ADDR_V4)
		a.low &= UINT32_MAX;
	return a;
}

static bool
make_packet(struct rng *r, const struct filter_rules *rules, struct acl_packet *ret)
{
	const struct filter_rule *from = &rules->rules[rng_below(r, (uint32_t)rules->n)];
	const struct filter_rule *to = &rules->rules[rng_below(r, (uint32_t)rules->n)];
	struct acl_packet k = fixture_packet(r);
	const struct filter_dst *dst;
	const struct filter_range *src;

	if (from->n_srcs == 0 || to->n_dsts == 0)
		return false;
	src = &from->srcs[rng_below(r, (uint32_t)from->n_srcs)];
	dst = &to->dsts[rng_below(r, (uint32_t)to->n_dsts)];
	k.family = dst->addrs.first.family;
	k.is_icmp_answer = false; // its family may have been the other
	if (src->first.family != k.family)
		return false;
	k.src = near_range(r, src);
	k.dst = near_range(r, &dst->addrs);
	k.dst_port = rng_below(r, 2) == 0 ? dst->first_port : dst->last_port;
	*ret = k;
	return true;
}

static uint32_t
compare(struct rng *r, const struct filter_rules *rules, uint32_t *accepted)
{
	struct addr_set local = {};
	struct policy p = { .rules = rules, .local_nets = &local };
	struct acl_table *t;
	uint32_t wrong = 0;

	for (uint8_t family = ADDR_V4; family <= ADDR_V6; family += ADDR_V6 - ADDR_V4)
		if (addr_set_add_prefix(&local, &(struct prefix){ .addr.family = family }) < 0)
			abort();
	if (acl_build(&p, 1, &t) < 0 || acl_table_check(t, t->size_bytes) < 0)
		abort();
	for (int i = 0; rules->n > 0 && i < 100; i++) {
		enum acl_reason reason;
		struct acl_packet k;

		if (!make_packet(r, rules, &k))
			continue;
		if (!acl_precheck(&k, &reason))
			reason = acl_verdict_inbound(t, &k, false);
		wrong += reason != rule_walk_inbound(&p, &k, false);
		*accepted += reason == ACL_TCP_RULE || reason == ACL_RULE;
	}
	free(t);
	addr_set_fini(&local);
	return wrong;
}

int
main(int argc, char **argv)
{
	json_t *lists = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;
	uint32_t refused = 0, wrong = 0, accepted = 0;
	struct rng r = { 8 };

	if (lists == NULL) {
		tap_skip("recorded lists of rules", "the file is not there");
		return tap_done();
	}
	for (size_t i = 0; i < json_array_size(lists); i++) {
		struct filter_rules rules = {};
		int err = filter_rules_parse(
			json_object_get(json_array_get(lists, i), "rules"), &rules);

		refused += err < 0 || rules.n_skipped > 0 || rules.is_rejected;
		wrong += compare(&r, &rules, &accepted);
		filter_rules_fini(&rules);
	}
	tap_ok(refused == 0, "everything in %zu lists is understood", json_array_size(lists));
	tap_ok(wrong == 0 && accepted > 1000, "%u verdicts differ from the walk, %u were accepted",
		wrong, accepted);
	json_decref(lists);
	return tap_done();
}
