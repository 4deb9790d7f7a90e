/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any rules before any packets: the tables must say what the plain walk along the rules says.
 *
 *     JSON of rules (or an object of lists of them), a zero byte, then packets:
 *     one byte (1: to the tailnet, 2: the rules came anew), length in two bytes, the packet
 *
 * An input that begins with a zero byte is a table from the other process instead.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/policy/acl_build.h"
#include "lib/policy/acl_burst.h"
#include "lib/policy/acl_verdict.h"
#include "lib/policy/peer_caps.h"
#include "lib/policy/rule_walk.h"
#include "lib/tailnet/filter_chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint64_t key[2] = { 1, 2 };

static void
require(bool holds)
{
	if (!holds)
		abort();
}

struct world {
	struct filter_chunks chunks;
	struct filter_rules rules; // of one list, or joined
	bool is_joined;
	struct addr_set local_nets;
	struct addr node_addr;
	struct policy_node node;
	struct policy policy;
	struct acl_table *table;
	struct acl_filter filter;
	struct flow_walk flows;
};

static bool
take_rules(struct world *w, const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	bool taken;

	if (json_is_object(json)) {
		w->is_joined = true;
		taken = filter_chunks_apply(&w->chunks, NULL, json) == 0 &&
		        filter_chunks_join(&w->chunks, &w->rules) == 0;
	} else {
		taken = json != NULL && filter_rules_parse(json, &w->rules) == 0;
	}
	json_decref(json);
	return taken;
}

static void
make_policy(struct world *w)
{
	static const char *const caps[] = { "red", "x" };
	static const char *const local[] = { "100.64.0.1/32", "fd7a:115c:a1e0::1/128", "10.0.0.0/8",
		"2001:db8::/32" };
	struct prefix p;

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		require(prefix_parse(local[i], &p) == 0 &&
			addr_set_add_prefix(&w->local_nets, &p) == 0);
	require(addr_parse("100.64.0.9", &w->node_addr) == 0);
	w->node = (struct policy_node){ &w->node_addr, 1, caps, 2 };
	w->policy = (struct policy){
		.rules = &w->rules,
		.local_nets = &w->local_nets,
		.nodes = &w->node,
		.n_nodes = 1,
	};
	require(flow_table_create(1, key, &w->filter.flows) == 0);
	require(verdict_cache_create(16, key, &w->filter.cache) == 0);
}

static enum acl_reason
walk_inbound(struct world *w, const struct acl_packet *k)
{
	enum acl_reason reason = rule_walk_inbound(&w->policy, k, false);

	if ((reason == ACL_RULE || reason == ACL_NO_RULE) && flow_walk_is_open(&w->flows, k))
		return ACL_FLOW;
	return reason;
}

static void
judge(struct world *w, const uint8_t *bytes, uint32_t len, bool outbound)
{
	uint8_t *copy = malloc(len + (len == 0)); // of its own: the sanitizer sees a byte too far
	struct acl_packet k;
	uint8_t reason;

	require(copy != NULL);
	memcpy(copy, bytes, len);
	acl_packet_read(copy, len, &k);
	if (outbound) {
		acl_outbound_burst(&w->filter, &k, 1, &reason);
		require(reason == rule_walk_outbound(&k));
		if (reason == ACL_OUTBOUND)
			flow_walk_open(&w->flows, &k);
	} else {
		acl_inbound_burst(&w->filter, &k, 1, &reason);
		require(reason == walk_inbound(w, &k));
	}
	free(copy);
}

static void
judge_all(struct world *w, const uint8_t *data, size_t len)
{
	while (len >= 3) {
		uint32_t packet_len = load_be16(data + 1);

		if (packet_len > len - 3)
			packet_len = (uint32_t)(len - 3);
		if (data[0] & 2)
			w->table->generation++;
		judge(w, data + 3, packet_len, (data[0] & 1) != 0);
		data += 3 + packet_len;
		len -= 3 + packet_len;
	}
}

static void
look_at_caps(struct world *w)
{
	struct peer_caps walk = { .rules = &w->rules, .src = w->node_addr, .dst = w->node_addr };
	const struct filter_cap *cap;

	while ((cap = peer_caps_next(&walk)) != NULL)
		require(cap->name[0] != '\0');
	(void)peer_caps_open_to_unsigned(&w->rules, &w->local_nets);
}

static void
run_world(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, 0, len);
	size_t text_len = end != NULL ? (size_t)(end - data) : len;
	struct world *w = calloc(1, sizeof(*w));

	require(w != NULL);
	if (take_rules(w, (const char *)data, text_len)) {
		make_policy(w);
		require(acl_build(&w->policy, 1, &w->table) == 0);
		require(acl_table_check(w->table, w->table->size_bytes) == 0);
		w->filter.table = w->table;
		look_at_caps(w);
		if (end != NULL)
			judge_all(w, end + 1, len - text_len - 1);
	}
	if (w->is_joined)
		filter_chunks_release(&w->rules);
	else
		filter_rules_fini(&w->rules);
	filter_chunks_fini(&w->chunks);
	addr_set_fini(&w->local_nets);
	flow_table_destroy(w->filter.flows);
	verdict_cache_destroy(w->filter.cache);
	free(w->table);
	free(w);
}

// Whatever passes the check can be looked up.
static void
run_table(const uint8_t *data, size_t len)
{
	void *table = malloc(len + 1);

	require(table != NULL);
	memcpy(table, data, len);
	if (acl_table_check(table, len) == 0)
		for (uint32_t i = 0; i < 256; i++) {
			struct acl_packet k = {
				.src = { i * UINT64_C(0x0101010101010101), i },
				.dst = { 0, i << 24 | i },
				.family = i % 2 ? ADDR_V4 : ADDR_V6,
				.protocol = (uint8_t)(i / 2),
				.kind = ACL_KIND_WHOLE,
				.opens_tcp = true,
			};

			(void)acl_verdict_inbound(table, &k, false);
		}
	free(table);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 65536)
		return 0;
	if (len > 0 && data[0] == 0)
		run_table(data + 1, len - 1);
	else
		run_world(data, len);
	return 0;
}
