/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/filter_case.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/policy/acl_build.h"
#include "lib/policy/acl_burst.h"
#include "lib/policy/rule_walk.h"

// What a phase needs as long as it runs.
struct phase {
	struct filter_rules rules;
	struct addr_set local_nets;
	struct policy policy;
	struct filter_packet *packets;
	size_t n_packets;
};

// node_caps of the file.
struct nodes {
	struct policy_node *list;
	struct addr *addrs;
	const char **caps;
	size_t n;
};

static bool
complain(FILE *out, const char *path, const char *what)
{
	fprintf(out, "%s: %s\n", path, what);
	return false;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
read_hex(const char *hex, struct filter_packet *p)
{
	size_t len = strlen(hex) / 2;

	p->bytes = malloc(len + (len == 0));
	p->len = (uint32_t)len;
	if (p->bytes == NULL || strlen(hex) % 2 != 0 || len > UINT16_MAX + 40)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		p->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool
read_packet(const json_t *row, struct filter_packet *p)
{
	const char *direction = json_string_value(json_array_get(row, 0));
	const char *hex = json_string_value(json_array_get(row, 1));
	const char *verdict = json_string_value(json_array_get(row, 2));
	const char *words = json_string_value(json_array_get(row, 3));

	if (direction == NULL || hex == NULL || verdict == NULL || words == NULL)
		return false;
	p->is_inbound = strcmp(direction, "in") == 0;
	p->accepted = strcmp(verdict, "accept") == 0;
	p->words = words;
	return (p->is_inbound || strcmp(direction, "out") == 0) &&
	       (p->accepted || strcmp(verdict, "drop") == 0) && read_hex(hex, p);
}

static bool
read_packets(const json_t *rows, struct phase *phase)
{
	size_t n = json_array_size(rows);

	phase->packets = calloc(n + 1, sizeof(*phase->packets));
	if (phase->packets == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!read_packet(json_array_get(rows, i), &phase->packets[phase->n_packets++]))
			return false;
	return true;
}

static bool
read_local_nets(const json_t *texts, struct addr_set *set)
{
	for (size_t i = 0; i < json_array_size(texts); i++) {
		const char *text = json_string_value(json_array_get(texts, i));
		struct prefix p;

		if (text == NULL || prefix_parse(text, &p) < 0 || addr_set_add_prefix(set, &p) < 0)
			return false;
	}
	return true;
}

// Bad entries and whole lists are refused exactly where the reference did.
static bool
rules_are_taken_alike(const json_t *json, const struct filter_rules *rules)
{
	bool has_error = json_object_get(json, "rule_error") != NULL;

	return rules->is_rejected == json_is_true(json_object_get(json, "rules_rejected")) &&
	       (rules->n_skipped > 0 || rules->is_rejected) == has_error;
}

static void
phase_fini(struct phase *phase)
{
	for (size_t i = 0; i < phase->n_packets; i++)
		free(phase->packets[i].bytes);
	free(phase->packets);
	filter_rules_fini(&phase->rules);
	addr_set_fini(&phase->local_nets);
}

static bool
read_phase(const json_t *json, const struct nodes *nodes, struct phase *phase)
{
	if (filter_rules_parse(json_object_get(json, "rules"), &phase->rules) < 0)
		return false;
	phase->policy = (struct policy){
		.rules = &phase->rules,
		.local_nets = &phase->local_nets,
		.nodes = nodes->list,
		.n_nodes = nodes->n,
		.is_shields_up = json_is_true(json_object_get(json, "shields_up")),
	};
	return read_local_nets(json_object_get(json, "local_nets"), &phase->local_nets) &&
	       read_packets(json_object_get(json, "packets"), phase);
}

static bool
is_short_header(const struct filter_packet *p)
{
	return p->len >= 20 && p->bytes[0] >> 4 == 4 && (p->bytes[0] & 0x0f) < 5;
}

static void
print_difference(FILE *out,
	const char *path,
	size_t phase,
	size_t number,
	const struct filter_packet *p,
	enum acl_reason reason,
	const char *words)
{
	fprintf(out, "%s: phase %zu packet %zu %s ", path, phase, number,
		p->is_inbound ? "in" : "out");
	for (uint32_t i = 0; i < p->len; i++)
		fprintf(out, "%02x", p->bytes[i]);
	fprintf(out, "\n\treference: %s (%s)\n\there:      %s (%s)\n",
		p->accepted ? "accept" : "drop", p->words, acl_accepts(reason) ? "accept" : "drop",
		words);
}

static void
compare(const char *path,
	size_t phase,
	size_t number,
	const struct filter_packet *p,
	enum acl_reason reason,
	bool is_fate_only,
	struct filter_tally *tally,
	FILE *out)
{
	char words[ACL_WORDS_LEN];
	struct acl_packet k;

	tally->packets++;
	// Deliberate: peer.md section 9.2 calls dropping these the better choice.
	if (is_short_header(p) && !acl_accepts(reason)) {
		tally->short_headers++;
		return;
	}
	acl_packet_read(p->bytes, p->len, &k);
	acl_reason_words(reason, k.protocol, words);
	if (acl_accepts(reason) == p->accepted && (is_fate_only || strcmp(words, p->words) == 0))
		return;
	tally->differences++;
	print_difference(out, path, phase, number, p, reason, words);
}

// Packets of one direction in a row are judged together.
static void
judge_phase(const char *path,
	size_t number,
	const struct phase *phase,
	const struct filter_judge *judge,
	struct filter_tally *tally,
	FILE *out)
{
	uint8_t *reasons = malloc(phase->n_packets + 1);
	size_t n;

	if (reasons == NULL)
		abort();
	for (size_t at = 0; at < phase->n_packets; at += n) {
		const struct filter_packet *p = &phase->packets[at];

		for (n = 1; at + n < phase->n_packets && p[n].is_inbound == p->is_inbound;)
			n++;
		judge->judge(judge->context, p, n, reasons);
		for (size_t i = 0; i < n; i++)
			compare(path, number, at + i, &p[i], reasons[i], judge->tells_fate_only,
				tally, out);
	}
	free(reasons);
}

static bool
run_phase(const char *path,
	size_t number,
	const json_t *json,
	const struct nodes *nodes,
	bool *was_up,
	const struct filter_judge *judge,
	struct filter_tally *tally,
	FILE *out)
{
	struct phase phase = {};
	bool done = read_phase(json, nodes, &phase);

	if (!done) {
		complain(out, path, "a phase that cannot be read");
		goto fini;
	}
	if (!rules_are_taken_alike(json, &phase.rules)) {
		fprintf(out, "%s: phase %zu: %zu entries skipped, list %s: the reference differs\n",
			path, number, phase.rules.n_skipped,
			phase.rules.is_rejected ? "refused" : "taken");
		tally->differences++;
	}
	done = judge->begin(judge->context, &phase.policy, phase.policy.is_shields_up && !*was_up);
	*was_up = phase.policy.is_shields_up;
	if (done)
		judge_phase(path, number, &phase, judge, tally, out);
	else
		complain(out, path, "rules that the judge does not take");
fini:
	phase_fini(&phase);
	return done;
}

static void
nodes_fini(struct nodes *nodes)
{
	free(nodes->list);
	free(nodes->addrs);
	free(nodes->caps);
}

static bool
read_node(const char *text, const json_t *caps, struct nodes *nodes, size_t *n_caps)
{
	struct policy_node *node = &nodes->list[nodes->n];
	const char **names = nodes->caps + *n_caps;

	if (addr_parse(text, &nodes->addrs[nodes->n]) < 0)
		return false;
	*node = (struct policy_node){
		.addrs = &nodes->addrs[nodes->n], .n_addrs = 1, .caps = names
	};
	for (; node->n_caps < json_array_size(caps); node->n_caps++) {
		names[node->n_caps] = json_string_value(json_array_get(caps, node->n_caps));
		if (names[node->n_caps] == NULL)
			return false;
	}
	*n_caps += node->n_caps;
	nodes->n++;
	return true;
}

static bool
read_nodes(json_t *json, struct nodes *nodes)
{
	size_t n_caps = 0;
	const char *text;
	json_t *caps;

	json_object_foreach(json, text, caps) n_caps += json_array_size(caps);
	nodes->list = calloc(json_object_size(json) + 1, sizeof(*nodes->list));
	nodes->addrs = calloc(json_object_size(json) + 1, sizeof(*nodes->addrs));
	nodes->caps = calloc(n_caps + 1, sizeof(*nodes->caps));
	if (nodes->list == NULL || nodes->addrs == NULL || nodes->caps == NULL)
		return false;
	n_caps = 0;
	json_object_foreach(
		json, text, caps) if (!read_node(text, caps, nodes, &n_caps)) return false;
	return true;
}

int
filter_case_run(const char *path,
	const struct filter_judge *judge,
	struct filter_tally *tally,
	FILE *out)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	const json_t *phases = json_object_get(root, "phases");
	struct nodes nodes = {};
	bool was_up = false, done = true;

	if (root == NULL)
		done = complain(out, path, error.text);
	else if (json_array_size(phases) == 0)
		done = complain(out, path, "no phases");
	else if (!read_nodes(json_object_get(root, "node_caps"), &nodes))
		done = complain(out, path, "node_caps that cannot be read");
	for (size_t i = 0; done && i < json_array_size(phases); i++)
		done = run_phase(
			path, i, json_array_get(phases, i), &nodes, &was_up, judge, tally, out);
	nodes_fini(&nodes);
	json_decref(root);
	return done ? 0 : -1;
}

struct plain {
	const struct policy *policy;
	struct flow_walk flows;
};

static bool
plain_begin(void *context, const struct policy *p, bool forget_flows)
{
	struct plain *plain = context;

	plain->policy = p;
	if (forget_flows)
		plain->flows.n = 0;
	return true;
}

static void
plain_judge(void *context, const struct filter_packet *packets, size_t n, uint8_t *reasons)
{
	struct plain *plain = context;

	for (size_t i = 0; i < n; i++) {
		struct acl_packet k;
		enum acl_reason reason;

		acl_packet_read(packets[i].bytes, packets[i].len, &k);
		if (packets[i].is_inbound) {
			reason = rule_walk_inbound(plain->policy, &k, false);
			// Only what the destination does not forbid asks for, and refreshes, a
			// flow.
			if ((reason == ACL_RULE || reason == ACL_NO_RULE) &&
				flow_walk_is_open(&plain->flows, &k))
				reason = rule_walk_inbound(plain->policy, &k, true);
		} else {
			reason = rule_walk_outbound(&k);
			if (reason == ACL_OUTBOUND)
				flow_walk_open(&plain->flows, &k);
		}
		reasons[i] = (uint8_t)reason;
	}
}

struct filter_judge
filter_judge_plain(void)
{
	return (struct filter_judge){
		.name = "plain",
		.context = calloc(1, sizeof(struct plain)),
		.begin = plain_begin,
		.judge = plain_judge,
	};
}

void
filter_judge_plain_free(struct filter_judge *judge)
{
	free(judge->context);
	judge->context = NULL;
}

struct burst {
	size_t max;
	uint64_t generation;
	struct acl_table *table;
	struct acl_filter filter;
};

static bool
burst_begin(void *context, const struct policy *p, bool forget_flows)
{
	struct burst *b = context;
	struct acl_table *table;

	if (acl_build(p, ++b->generation, &table) < 0)
		return false;
	if (acl_table_check(table, table->size_bytes) < 0) {
		free(table);
		return false;
	}
	free(b->table);
	b->table = table;
	b->filter.table = table;
	if (forget_flows)
		flow_table_clear(b->filter.flows);
	return true;
}

static void
burst_judge(void *context, const struct filter_packet *packets, size_t n, uint8_t *reasons)
{
	struct burst *b = context;
	struct acl_packet read[256];

	for (size_t at = 0; at < n; at += b->max) {
		size_t count = n - at < b->max ? n - at : b->max;

		for (size_t i = 0; i < count; i++)
			acl_packet_read(packets[at + i].bytes, packets[at + i].len, &read[i]);
		if (packets[0].is_inbound)
			acl_inbound_burst(&b->filter, read, count, reasons + at);
		else
			acl_outbound_burst(&b->filter, read, count, reasons + at);
	}
}

struct filter_judge
filter_judge_burst(size_t burst)
{
	static const uint64_t key[2] = { UINT64_C(0x0123456789abcdef),
		UINT64_C(0xfedcba9876543210) };
	struct burst *b = calloc(1, sizeof(*b));

	if (b == NULL || flow_table_create(1, key, &b->filter.flows) < 0 ||
		verdict_cache_create(4096, key, &b->filter.cache) < 0)
		abort();
	b->max = burst <= 256 ? burst : 256;
	return (struct filter_judge){
		.name = "burst",
		.context = b,
		.begin = burst_begin,
		.judge = burst_judge,
	};
}

void
filter_judge_burst_free(struct filter_judge *judge)
{
	struct burst *b = judge->context;

	if (b == NULL)
		return;
	flow_table_destroy(b->filter.flows);
	verdict_cache_destroy(b->filter.cache);
	free(b->table);
	free(b);
	judge->context = NULL;
}
