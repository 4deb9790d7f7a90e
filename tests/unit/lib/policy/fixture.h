/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What several tests of lib/policy need: random policies and packets over few addresses, so that
 * they meet, and policies from texts.
 */
#ifndef TESTS_UNIT_LIB_POLICY_FIXTURE_H
#define TESTS_UNIT_LIB_POLICY_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "lib/policy/acl_packet.h"
#include "lib/policy/policy.h"
#include "tests/unit/lib/net/fixture.h"

#define FIXTURE_NODES 12

static const char *const fixture_caps[] = { "red", "green", "blue" };

/* Everything that a policy borrows. */
struct fixture {
	struct filter_rules rules;
	struct addr_set local_nets;
	struct addr addrs[FIXTURE_NODES];
	struct policy_node nodes[FIXTURE_NODES];
	struct endpoint peer_api[2];
	struct policy policy;
};

/* At both ends of the address space, at a border of bytes, and in the middle. */
static inline struct addr
fixture_addr(struct rng *r, uint8_t family)
{
	static const char *const v4[] = { "0.0.0.0", "10.0.0.252", "100.64.0.1",
		"255.255.255.248" };
	static const char *const v6[] = { "::", "fd7a::fffc", "2001:db8:0:0:ffff:ffff:ffff:fffc",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff8" };
	struct addr a = addr_of_text(family == ADDR_V4 ? v4[rng_below(r, 4)] : v6[rng_below(r, 4)]);
	uint32_t more = rng_below(r, 8);

	for (unsigned i = addr_bits(family) / 8; i-- > 0 && more > 0;) {
		more += a.bytes[i];
		a.bytes[i] = (uint8_t)more;
		more >>= 8;
	}
	return a;
}

static inline struct filter_range
fixture_range(struct rng *r)
{
	uint8_t family = rng_below(r, 2) == 0 ? ADDR_V4 : ADDR_V6;
	struct addr a = fixture_addr(r, family), b = fixture_addr(r, family);
	struct prefix p = { .addr = a, .len = (uint8_t)rng_below(r, addr_bits(family) + 1) };

	if (rng_below(r, 3) == 0)
		return filter_range_of_prefix(&p);
	if (rng_below(r, 2) == 0)
		return (struct filter_range){ a, a };
	return addr_compare(&a, &b) <= 0 ? (struct filter_range){ a, b }
	                                 : (struct filter_range){ b, a };
}

static inline uint16_t
fixture_port(struct rng *r)
{
	static const uint16_t ports[] = { 0, 1, 22, 80, 81, 65534, 65535 };

	return ports[rng_below(r, sizeof(ports) / sizeof(ports[0]))];
}

static inline uint8_t
fixture_protocol(struct rng *r)
{
	static const uint8_t protocols[] = { 1, 6, 17, 47, 58, 99, 132, 200 };

	return protocols[rng_below(r, sizeof(protocols))];
}

static inline void *
fixture_alloc(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (p == NULL)
		abort();
	return p;
}

static inline void
fixture_rule(struct rng *r, struct filter_rule *rule)
{
	rule->n_srcs = rng_below(r, 4);
	rule->srcs = fixture_alloc(rule->n_srcs, sizeof(*rule->srcs));
	for (size_t i = 0; i < rule->n_srcs; i++)
		rule->srcs[i] = fixture_range(r);
	rule->n_src_caps = rng_below(r, 4) == 0 ? rng_below(r, 3) : 0;
	rule->src_caps = fixture_alloc(rule->n_src_caps, sizeof(*rule->src_caps));
	for (size_t i = 0; i < rule->n_src_caps; i++)
		rule->src_caps[i] = strdup(fixture_caps[rng_below(r, 3)]);
	rule->n_dsts = rng_below(r, 4);
	rule->dsts = fixture_alloc(rule->n_dsts, sizeof(*rule->dsts));
	for (size_t i = 0; i < rule->n_dsts; i++) {
		bool all = rng_below(r, 3) == 0;

		rule->dsts[i] = (struct filter_dst){ fixture_range(r), all ? 0 : fixture_port(r),
			all ? 65535 : fixture_port(r) };
	}
	for (uint32_t i = rng_below(r, 5); i > 0; i--) {
		uint8_t p = fixture_protocol(r);

		rule->protocols[p / 64] |= UINT64_C(1) << p % 64;
	}
}

static inline void
fixture_node(struct rng *r, struct fixture *f, int i)
{
	f->addrs[i] = fixture_addr(r, rng_below(r, 2) == 0 ? ADDR_V4 : ADDR_V6);
	f->nodes[i] = (struct policy_node){
		.addrs = &f->addrs[i],
		.n_addrs = 1,
		.caps = &fixture_caps[rng_below(r, 3)],
		.n_caps = rng_below(r, 2),
	};
}

static inline void
fixture_random(struct rng *r, struct fixture *f)
{
	*f = (struct fixture){};
	f->rules.n = rng_below(r, 12);
	f->rules.rules = fixture_alloc(f->rules.n, sizeof(*f->rules.rules));
	for (size_t i = 0; i < f->rules.n; i++)
		fixture_rule(r, &f->rules.rules[i]);
	for (uint32_t i = rng_below(r, 6); i > 0; i--) {
		struct filter_range range = fixture_range(r);

		if (addr_set_add(&f->local_nets, &range) < 0)
			abort();
	}
	for (int i = 0; i < FIXTURE_NODES; i++)
		fixture_node(r, f, i);
	for (int i = 0; i < 2; i++)
		f->peer_api[i] = (struct endpoint){
			.addr = fixture_addr(r, i == 0 ? ADDR_V4 : ADDR_V6),
			.port = 80,
		};
	f->policy = (struct policy){
		.rules = &f->rules,
		.local_nets = &f->local_nets,
		.nodes = f->nodes,
		.n_nodes = FIXTURE_NODES,
		.peer_api = f->peer_api,
		.n_peer_api = rng_below(r, 3),
		.is_shields_up = rng_below(r, 16) == 0,
	};
}

/* From the JSON of a list of rules, and prefixes that are local. */
static inline void
fixture_of_text(struct fixture *f, const char *rules, const char *const *local, size_t n_local)
{
	*f = (struct fixture){};
	if (filter_rules_parse_text(rules, strlen(rules), &f->rules) < 0)
		abort();
	for (size_t i = 0; i < n_local; i++) {
		struct prefix p;

		if (prefix_parse(local[i], &p) < 0 || addr_set_add_prefix(&f->local_nets, &p) < 0)
			abort();
	}
	f->policy = (struct policy){ .rules = &f->rules, .local_nets = &f->local_nets };
}

static inline void
fixture_free(struct fixture *f)
{
	filter_rules_fini(&f->rules);
	addr_set_fini(&f->local_nets);
}

/* A packet as if it had been read. */
static inline struct acl_packet
fixture_packet(struct rng *r)
{
	uint8_t family = rng_below(r, 2) == 0 ? ADDR_V4 : ADDR_V6;
	struct addr src = fixture_addr(r, family), dst = fixture_addr(r, family);
	struct acl_packet k = {
		.src = acl_addr_load(family, src.bytes),
		.dst = acl_addr_load(family, dst.bytes),
		.family = family,
		.protocol = fixture_protocol(r),
		.kind = ACL_KIND_WHOLE,
	};

	if (k.protocol == 6 || acl_is_flow_protocol(k.protocol)) {
		k.src_port = fixture_port(r);
		k.dst_port = fixture_port(r);
		k.opens_tcp = k.protocol == 6 && rng_below(r, 4) != 0;
	} else if (k.protocol == (family == ADDR_V4 ? 1 : 58)) {
		k.is_icmp_answer = rng_below(r, 4) == 0;
	}
	if (rng_below(r, 50) == 0)
		k.kind = ACL_KIND_FRAGMENT;
	return k;
}

static inline struct acl_packet
fixture_of(const char *src_text,
	const char *dst_text,
	uint8_t protocol,
	uint16_t src_port,
	uint16_t dst_port)
{
	struct addr src = addr_of_text(src_text), dst = addr_of_text(dst_text);

	return (struct acl_packet){
		.src = acl_addr_load(src.family, src.bytes),
		.dst = acl_addr_load(dst.family, dst.bytes),
		.src_port = src_port,
		.dst_port = dst_port,
		.family = src.family,
		.protocol = protocol,
		.kind = ACL_KIND_WHOLE,
		.opens_tcp = protocol == 6,
	};
}

#endif
