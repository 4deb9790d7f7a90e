/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Tables against the plain walk along the rules they were made from.
 */

#include "lib/policy/acl_build.h"

#include <errno.h>

#include "lib/base/err.h"
#include "lib/policy/acl_verdict.h"
#include "lib/policy/rule_walk.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/policy/fixture.h"

static enum acl_reason
by_table(const struct acl_table *t, const struct acl_packet *k, bool is_open)
{
	enum acl_reason reason;

	return acl_precheck(k, &reason) ? reason : acl_verdict_inbound(t, k, is_open);
}

static struct acl_table *
build(const struct policy *p)
{
	struct acl_table *t = NULL;

	if (acl_build(p, 1, &t) < 0 || acl_table_check(t, t->size_bytes) < 0)
		abort();
	return t;
}

static void
random_policies(void)
{
	uint32_t wrong = 0, counts[N_ACL_REASONS] = {};
	struct rng r = { 1 };
	char words[ACL_WORDS_LEN];

	for (int n = 0; n < 1500; n++) {
		struct fixture f;
		struct acl_table *t;

		fixture_random(&r, &f);
		t = build(&f.policy);
		for (int i = 0; i < 400; i++) {
			struct acl_packet k = fixture_packet(&r);
			bool is_open = rng_below(&r, 8) == 0;
			enum acl_reason reason = by_table(t, &k, is_open);

			wrong += reason != rule_walk_inbound(&f.policy, &k, is_open);
			counts[reason]++;
		}
		free(t);
		fixture_free(&f);
	}
	tap_int(wrong, 0, "verdicts of 1500 random policies that differ from the walk");
	for (int i = ACL_FRAGMENT; i < ACL_OUTBOUND; i++)
		tap_ok(counts[i] > 0 || i == ACL_NO_FILTER, "verdicts \"%s\": %u",
			acl_reason_words((enum acl_reason)i, 0, words), counts[i]);
}

// Nothing but the local addresses, when there are no rules.
static void
no_rules(void)
{
	static const char *const local[] = { "10.0.0.1/32" };
	struct acl_packet syn = fixture_of("10.0.0.2", "10.0.0.1", 6, 1, 80);
	struct acl_packet away = fixture_of("10.0.0.2", "10.0.0.3", 6, 1, 80);
	struct acl_packet v6 = fixture_of("fd7a::2", "fd7a::1", 6, 1, 80);
	struct fixture f;
	struct acl_table *t;

	fixture_of_text(&f, "[]", local, 1);
	f.policy.rules = NULL;
	t = build(&f.policy);
	tap_int(by_table(t, &syn, false), ACL_NO_RULE, "without rules no SYN passes");
	tap_int(by_table(t, &away, false), ACL_NOT_LOCAL, "what is not local, first of all");
	tap_int(by_table(t, &v6, false), ACL_NOT_LOCAL, "in no family");
	syn.opens_tcp = false;
	tap_int(by_table(t, &syn, false), ACL_TCP_GOES_ON, "what is no SYN does");
	free(t);
	fixture_free(&f);
}

// What keeps sets and work small, and what is refused.
static void
sizes(void)
{
	enum {
		RULES = 3000
	};
	struct filter_rule *rules = fixture_alloc(RULES, sizeof(*rules));
	struct filter_rules list = { .rules = rules, .n = RULES };
	struct filter_range *ranges = fixture_alloc(RULES, sizeof(*ranges));
	struct filter_dst dst = { .addrs = filter_range_of_prefix(
					  &(struct prefix){ .addr.family = ADDR_V4 }) };
	struct addr_set local = {};
	struct policy p = { .rules = &list, .local_nets = &local };
	struct acl_table *t = NULL;

	for (uint32_t i = 0; i < RULES; i++) {
		ranges[i] = filter_range_of_prefix(&(struct prefix){ .addr.family = ADDR_V4 });
		rules[i] = (struct filter_rule){
			.srcs = &ranges[i], .n_srcs = 1, .dsts = &dst, .n_dsts = 1
		};
	}
	tap_int(acl_build(&p, 1, &t), 0, "3000 rules for everybody");
	tap_ok(t->families[0].src.n_rows == 2 && t->size_bytes < 200000,
		"are one class, and one of nobody, of %u bytes", t->size_bytes);
	free(t);
	// Each source range one longer than the other: 3000 classes of up to 3000 rules.
	for (uint32_t i = 0; i < RULES; i++)
		store_be32(ranges[i].last.bytes, i);
	tap_int(acl_build(&p, 1, &t), -E2BIG, "3000 nested sources are refused");
	p.n_peer_api = ACL_MAX_EXEMPT + 1;
	list.n = 0;
	tap_int(acl_build(&p, 1, &t), -E2BIG, "so are nine addresses of the peer API");
	free(ranges);
	free(rules);
}

// A table that was changed at any place is refused, or can still be looked up.
static void
corrupted(void)
{
	struct rng r = { 5 };
	uint32_t refused = 0, taken = 0;

	for (int n = 0; n < 3000; n++) {
		struct acl_packet k = fixture_packet(&r);
		struct fixture f;
		struct acl_table *t;
		uint32_t size, at;

		fixture_random(&r, &f);
		t = build(&f.policy);
		size = t->size_bytes;
		at = rng_below(&r, n % 2 ? size : (uint32_t)sizeof(*t));
		((uint8_t *)t)[at] ^= (uint8_t)(1 + rng_below(&r, 255));
		if (acl_table_check(t, size) < 0) {
			refused++;
		} else {
			taken++;
			(void)by_table(t, &k, false);
		}
		free(t);
		fixture_free(&f);
	}
	tap_ok(refused > 500 && taken > 500, "changed tables: %u refused, %u without harm", refused,
		taken);
}

// Each number that a look-up follows, one too high.
static void
wrong_numbers(void)
{
	static const char *const local[] = { "10.0.0.0/8" };
	static const char rules[] = "[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\"}]}]";
	const struct acl_side *src, *dst;
	struct acl_family *four;
	struct acl_table *t;
	struct fixture f;
	uint32_t *numbers[12];
	size_t n = 0;

	fixture_of_text(&f, rules, local, 1);
	t = build(&f.policy);
	four = &t->families[0];
	src = &four->src;
	dst = &four->dst;
	numbers[n++] = (uint32_t *)((char *)t + src->classes_at) + src->n_intervals - 1;
	numbers[n++] = (uint32_t *)((char *)t + dst->classes_at);
	numbers[n++] = &((struct acl_class *)((char *)t + src->rows_at))[src->n_rows - 1].count;
	numbers[n++] = &((struct acl_class *)((char *)t + dst->rows_at))[dst->n_rows - 1].count;
	numbers[n++] = &((struct acl_class *)((char *)t + dst->rows_at))[dst->n_rows - 1].first;
	numbers[n++] = (uint32_t *)((char *)t + src->entries_at);
	numbers[n++] = &((struct acl_dst *)((char *)t + dst->entries_at))->rule;
	numbers[n++] = &four->src.n_intervals;
	numbers[n++] = &t->n_exempt;
	for (size_t i = 0; i < n; i++) {
		uint32_t was = *numbers[i];

		*numbers[i] = was + 10;
		tap_int(acl_table_check(t, t->size_bytes), ERR_BAD_FORMAT, "a number too high");
		*numbers[i] = was;
	}
	tap_int(acl_table_check(t, t->size_bytes), 0, "all as they were");
	t->version++;
	tap_int(acl_table_check(t, t->size_bytes), ERR_VERSION, "another version");
	free(t);
	fixture_free(&f);
}

static void
cut_tables(void)
{
	struct rng r = { 6 };
	struct fixture f;
	struct acl_table *t;
	uint32_t taken = 0;

	fixture_random(&r, &f);
	t = build(&f.policy);
	for (uint32_t len = 0; len < t->size_bytes; len++)
		taken += acl_table_check(t, len) == 0;
	tap_int(taken, 0, "a table of another length is refused");
	free(t);
	fixture_free(&f);
}

int
main(void)
{
	random_policies();
	no_rules();
	sizes();
	corrupted();
	wrong_numbers();
	cut_tables();
	return tap_done();
}
