/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Verdicts in bursts with cache and flows: what outlives a new policy and what does not.
 */

#include "lib/policy/acl_burst.h"

#include <errno.h>

#include "lib/policy/acl_build.h"
#include "lib/policy/rule_walk.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/policy/fixture.h"

#define OWN   "100.64.0.1"
#define PEER  "100.64.0.9"
#define OTHER "100.64.0.8"

#define ALL_OF_PEER                                                                       \
	"[{\"SrcIPs\":[\"" PEER "\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0," \
	"\"Last\":65535}}]}]"

static const uint64_t seed[2] = { 3, 4 };

// A gateway's filter, and the policy that is in force.
struct gate {
	struct fixture f;
	struct acl_table *table;
	struct acl_filter filter;
	uint64_t generation;
};

static void
gate_init(struct gate *g)
{
	*g = (struct gate){};
	if (flow_table_create(1, seed, &g->filter.flows) < 0 ||
		verdict_cache_create(64, seed, &g->filter.cache) < 0)
		abort();
}

static void
take_policy(struct gate *g)
{
	struct acl_table *t;

	if (acl_build(&g->f.policy, ++g->generation, &t) < 0)
		abort();
	free(g->table);
	g->table = t;
	g->filter.table = t;
}

static void
set_rules(struct gate *g, const char *rules)
{
	static const char *const local[] = { OWN "/32" };

	fixture_free(&g->f);
	fixture_of_text(&g->f, rules, local, 1);
	take_policy(g);
}

static void
gate_fini(struct gate *g)
{
	fixture_free(&g->f);
	free(g->table);
	flow_table_destroy(g->filter.flows);
	verdict_cache_destroy(g->filter.cache);
}

static int
in(struct gate *g, const char *src, uint8_t protocol, uint16_t src_port, uint16_t dst_port)
{
	struct acl_packet k = fixture_of(src, OWN, protocol, src_port, dst_port);
	uint8_t reason;

	acl_inbound_burst(&g->filter, &k, 1, &reason);
	return reason;
}

static int
out(struct gate *g, const char *dst, uint8_t protocol, uint16_t src_port, uint16_t dst_port)
{
	struct acl_packet k = fixture_of(OWN, dst, protocol, src_port, dst_port);
	uint8_t reason;

	acl_outbound_burst(&g->filter, &k, 1, &reason);
	return reason;
}

static void
before_a_filter(void)
{
	struct gate g;

	gate_init(&g);
	tap_int(in(&g, PEER, 6, 1, 80), ACL_NO_FILTER, "nothing comes in before a filter");
	tap_int(out(&g, PEER, 17, 1, 53), ACL_NO_FILTER, "nothing goes out");
	set_rules(&g, "[]");
	tap_int(in(&g, PEER, 17, 53, 1), ACL_NO_RULE, "and what did not go out opened nothing");
	tap_int(in(&g, PEER, 99, 0, 0), ACL_TSMP, "TSMP needs no rule, but a filter");
	gate_fini(&g);
}

static void
new_policy(void)
{
	struct gate g;

	gate_init(&g);
	set_rules(&g, ALL_OF_PEER);
	tap_int(in(&g, PEER, 6, 1, 80), ACL_TCP_RULE, "a rule lets a SYN in");
	tap_int(in(&g, PEER, 6, 1, 80), ACL_TCP_RULE, "and again");
	tap_int(in(&g, OTHER, 6, 1, 80), ACL_NO_RULE, "but not another's");
	tap_int(in(&g, PEER, 17, 53, 5000), ACL_RULE, "and UDP");
	tap_int(out(&g, OTHER, 17, 5000, 53), ACL_OUTBOUND, "a question goes out");
	tap_int(in(&g, OTHER, 17, 53, 5000), ACL_FLOW, "its answer comes in");
	tap_int(in(&g, OTHER, 17, 54, 5000), ACL_NO_RULE, "nothing else does");
	tap_int(out(&g, OTHER, 132, 5000, 53), ACL_OUTBOUND, "SCTP goes out");
	tap_int(in(&g, OTHER, 132, 53, 5000), ACL_FLOW, "and its answer comes in");
	tap_int(out(&g, OTHER, 47, 0, 0), ACL_OUTBOUND, "GRE goes out");
	tap_int(in(&g, OTHER, 47, 0, 0), ACL_OTHER_NO_RULE, "and opens nothing");

	set_rules(&g, "[]");
	tap_int(in(&g, PEER, 6, 1, 80), ACL_NO_RULE, "a new policy ends what was cached: TCP");
	tap_int(in(&g, PEER, 17, 53, 5000), ACL_NO_RULE, "UDP");
	tap_int(in(&g, OTHER, 17, 53, 5000), ACL_FLOW, "but not what was opened: UDP");
	tap_int(in(&g, OTHER, 132, 53, 5000), ACL_FLOW, "SCTP");

	set_rules(&g, ALL_OF_PEER);
	tap_int(in(&g, PEER, 6, 1, 80), ACL_TCP_RULE, "the old rules again");
	gate_fini(&g);
}

static void
shields_up(void)
{
	struct gate g;

	gate_init(&g);
	set_rules(&g, ALL_OF_PEER);
	(void)out(&g, OTHER, 17, 1, 53);
	(void)in(&g, PEER, 6, 1, 80);
	g.f.policy.is_shields_up = true;
	take_policy(&g);
	flow_table_clear(g.filter.flows);
	tap_int(in(&g, PEER, 6, 1, 80), ACL_NO_RULE, "shields up: no rule counts");
	tap_int(in(&g, OTHER, 17, 53, 1), ACL_NO_RULE, "no flow from before");
	(void)out(&g, OTHER, 17, 1, 53);
	tap_int(in(&g, OTHER, 17, 53, 1), ACL_FLOW, "but what is opened now");
	gate_fini(&g);
}

static void
peer_api(void)
{
	struct endpoint e = { .addr = addr_of_text(OWN), .port = 8099 };
	struct gate g;

	gate_init(&g);
	set_rules(&g, "[]");
	g.f.policy.peer_api = &e;
	g.f.policy.n_peer_api = 1;
	take_policy(&g);
	tap_int(in(&g, PEER, 6, 1, 8099), ACL_PEER_API, "the peer API is open despite policy");
	tap_int(in(&g, PEER, 6, 1, 8098), ACL_NO_RULE, "no other port");
	tap_int(in(&g, PEER, 17, 1, 8099), ACL_NO_RULE, "no other protocol");
	gate_fini(&g);
}

// A packet, or the answer to one that was sent some time before.
static struct acl_packet
packet_or_answer(struct rng *r, struct acl_packet *sent, bool inbound)
{
	struct acl_packet k = fixture_packet(r), *place = &sent[rng_below(r, 256)];

	if (!inbound && acl_is_flow_protocol(k.protocol))
		*place = k;
	if (inbound && place->family != ADDR_NONE && rng_below(r, 2) == 0) {
		k = *place;
		k.src = place->dst;
		k.dst = place->src;
		k.src_port = place->dst_port;
		k.dst_port = place->src_port;
	}
	return k;
}

// Random packets in bursts of any length against the walk, through 50 policies.
static void
random_bursts(void)
{
	enum {
		MOST = 150
	};
	struct acl_packet packets[MOST], sent[256] = {};
	struct flow_walk *walk = fixture_alloc(1, sizeof(*walk));
	uint32_t wrong = 0, flows = 0;
	struct rng r = { 9 };
	struct gate g;

	gate_init(&g);
	for (int n = 0; n < 1000; n++) {
		size_t count = 1 + rng_below(&r, MOST);
		uint8_t reasons[MOST];
		bool inbound = rng_below(&r, 2) == 0;

		if (n % 20 == 0) {
			fixture_free(&g.f);
			fixture_random(&r, &g.f);
			take_policy(&g);
		}
		for (size_t i = 0; i < count; i++)
			packets[i] = packet_or_answer(&r, sent, inbound);
		if (inbound)
			acl_inbound_burst(&g.filter, packets, count, reasons);
		else
			acl_outbound_burst(&g.filter, packets, count, reasons);
		for (size_t i = 0; i < count; i++) {
			const struct acl_packet *k = &packets[i];
			enum acl_reason wanted = inbound ? rule_walk_inbound(&g.f.policy, k, false)
			                                 : rule_walk_outbound(k);

			if ((wanted == ACL_RULE || wanted == ACL_NO_RULE) &&
				flow_walk_is_open(walk, k))
				wanted = ACL_FLOW;
			if (wanted == ACL_OUTBOUND)
				flow_walk_open(walk, k);
			wrong += reasons[i] != wanted;
			flows += wanted == ACL_FLOW;
		}
	}
	tap_ok(wrong == 0 && flows > 100, "in random bursts %u differ, %u were of flows", wrong,
		flows);
	gate_fini(&g);
	free(walk);
}

static void
refused_sizes(void)
{
	struct verdict_cache *c;

	tap_int(verdict_cache_create(VERDICT_MAX_ENTRIES + 1, seed, &c), -E2BIG,
		"a cache of more than 2^20 verdicts is refused");
	if (verdict_cache_create(5, seed, &c) < 0)
		abort();
	tap_int(c->mask, 7, "five places are eight");
	verdict_cache_destroy(c);
	verdict_cache_destroy(NULL);
}

// However poor the seed, places differ by every part of a packet.
static void
places(void)
{
	struct verdict_cache *c;
	uint32_t used = 0;

	if (verdict_cache_create(4096, seed, &c) < 0)
		abort();
	for (uint32_t i = 0; i < 1024; i++) {
		struct acl_packet k = fixture_of(PEER, OWN, 17, 1, 1);

		if (i % 4 == 0)
			k.src.low += i;
		else if (i % 4 == 1)
			k.dst.low += i;
		else if (i % 4 == 2)
			k.dst_port = (uint16_t)i;
		else
			k.dst.high += i;
		verdict_store(verdict_cache_place(c, &k), &k, 1, ACL_RULE);
	}
	for (uint64_t i = 0; i <= c->mask; i++)
		used += c->entries[i].generation != 0;
	// Chance leaves 4096 * (1 - exp(-1/4)) = 906.
	tap_ok(used > 850, "1024 verdicts are in %u places of 4096", used);
	verdict_cache_destroy(c);
}

static void
words(void)
{
	char text[ACL_WORDS_LEN];

	tap_text(acl_reason_words(ACL_OTHER_NO_RULE, 47, text), "unknown-protocol-47",
		"the reference's words");
	tap_text(acl_reason_words(N_ACL_REASONS, 0, text), "unknown", "beyond the last");
	tap_text(acl_reason_metric(ACL_NO_RULE), "acl", "a metric's label");
	tap_text(acl_reason_metric(ACL_MULTICAST), "multicast", "another");
	tap_text(acl_reason_metric(ACL_RULE), "", "none for what passes");
	tap_ok(!acl_accepts(N_ACL_REASONS) && !acl_accepts(ACL_NO_FILTER) && acl_accepts(ACL_FLOW),
		"what passes");
}

int
main(void)
{
	before_a_filter();
	new_policy();
	shields_up();
	peer_api();
	random_bursts();
	refused_sizes();
	places();
	words();
	return tap_done();
}
