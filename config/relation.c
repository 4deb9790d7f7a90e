/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is wrong only when options are seen together.  Ten thousand peers are sorted, never compared
 * each with each.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loading.h"

#define GENERATED_NAME_LEN 8         // characters of the key that stand for a name
#define DROPPED            UINT8_MAX // as a length: the entry is to be removed

// Where an option of a peer stands; the peer itself if it has none.
static const struct node *
peer_place(const struct loading *l, size_t peer, const char *key)
{
	const struct node *value = node_value(l->peer_nodes[peer], key);

	return value != NULL ? value : l->peer_nodes[peer];
}

static int
by_prefix(const void *a, const void *b)
{
	const struct prefix_mark *x = a, *y = b;
	int order = addr_compare(&x->prefix.addr, &y->prefix.addr);

	if (order != 0)
		return order;
	if (x->prefix.len != y->prefix.len)
		return x->prefix.len < y->prefix.len ? -1 : 1;
	if (x->peer != y->peer)
		return x->peer < y->peer ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void
complain_prefix(struct loading *l, const struct prefix_mark *mark, const struct prefix_mark *first)
{
	const struct config_peer *other = &l->config->peers[first->peer];
	char text[ADDR_TEXT_LEN];

	prefix_format(&mark->prefix, text);
	if (mark->peer == first->peer) {
		loading_warning(l, mark->node,
			"%s is twice at this peer (also in line %d); once is enough; remove one of "
			"the two",
			text, first->node->line);
		l->config->peers[mark->peer].allowed_ips[mark->index].len = DROPPED;
		return;
	}
	loading_error(l, mark->node,
		"%s is already at peer %s in line %d; a prefix can be routed to one peer only; "
		"remove "
		"it at one of the two, or make one of them longer",
		text, other->name, first->node->line);
}

static void
remove_dropped(struct config_peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < peer->n_allowed_ips; i++)
		if (peer->allowed_ips[i].len != DROPPED)
			peer->allowed_ips[kept++] = peer->allowed_ips[i];
	peer->n_allowed_ips = kept;
}

static void
check_prefixes(struct loading *l)
{
	const struct prefix_mark *first = l->prefixes;

	if (l->n_prefixes == 0)
		return;
	qsort(l->prefixes, l->n_prefixes, sizeof(l->prefixes[0]), by_prefix);
	for (size_t i = 1; i < l->n_prefixes; i++) {
		if (prefix_equal(&l->prefixes[i].prefix, &first->prefix))
			complain_prefix(l, &l->prefixes[i], first);
		else
			first = &l->prefixes[i];
	}
	for (size_t i = 0; i < l->config->n_peers; i++)
		remove_dropped(&l->config->peers[i]);
}

static const struct prefix *
own_address(const struct config_gateway *config, const struct prefix *p)
{
	if (p->len != addr_bits(p->addr.family))
		return NULL;
	for (size_t i = 0; i < config->n_addresses; i++)
		if (addr_equal(&config->addresses[i].addr, &p->addr))
			return &config->addresses[i];
	return NULL;
}

static void
check_own_addresses(struct loading *l)
{
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < l->n_prefixes; i++) {
		if (own_address(l->config, &l->prefixes[i].prefix) == NULL)
			continue;
		loading_error(l, l->prefixes[i].node,
			"%s is the gateway's own address; a peer that may use it could speak in "
			"the "
			"gateway's name; give the peer an address of its own",
			addr_format(&l->prefixes[i].prefix.addr, text));
	}
}

// A peer and what it is sorted by.
struct peer_mark {
	const struct config_peer *peer;
	size_t index;
};

static int
by_key(const void *a, const void *b)
{
	const struct peer_mark *x = a, *y = b;
	int order = memcmp(&x->peer->public_key, &y->peer->public_key, sizeof(struct public_key));

	return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int
by_name(const void *a, const void *b)
{
	const struct peer_mark *x = a, *y = b;
	int order = strcmp(x->peer->name, y->peer->name);

	return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static bool
is_zero_key(const struct public_key *key)
{
	static const struct public_key zero;

	return memcmp(key, &zero, sizeof(zero)) == 0;
}

static void
check_keys(struct loading *l, struct peer_mark *marks)
{
	const struct config_gateway *config = l->config;
	const struct peer_mark *first = &marks[0];

	qsort(marks, config->n_peers, sizeof(marks[0]), by_key);
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct public_key *key = &marks[i].peer->public_key;

		if (is_zero_key(key))
			continue; // reported where it was read
		if (i > 0 && memcmp(key, &first->peer->public_key, sizeof(*key)) == 0)
			loading_error(l, peer_place(l, marks[i].index, "public_key"),
				"public_key is already at the peer in line %d; a key belongs to "
				"one "
				"peer; join the two, or give the peer its own key",
				first->peer->line);
		else
			first = &marks[i];
		if (l->read_keys && memcmp(key, &config->public_key, sizeof(*key)) == 0)
			loading_error(l, peer_place(l, marks[i].index, "public_key"),
				"public_key is the gateway's own; a gateway is no peer of itself; "
				"write the other side's key here");
	}
}

static void
check_names(struct loading *l, struct peer_mark *marks)
{
	const struct peer_mark *first = &marks[0];

	qsort(marks, l->config->n_peers, sizeof(marks[0]), by_name);
	for (size_t i = 1; i < l->config->n_peers; i++) {
		const struct config_peer *peer = marks[i].peer;

		if (strcmp(peer->name, first->peer->name) != 0) {
			first = &marks[i];
			continue;
		}
		// Generated names are equal only with equal keys, and empty without a key; both is
		// reported elsewhere.
		if (peer->has_name)
			loading_error(l, peer_place(l, marks[i].index, "name"),
				"name %s is already used in line %d; names tell peers apart in "
				"status and logs; choose another",
				peer->name, peer_place(l, first->index, "name")->line);
	}
}

static void
generate_name(struct config_peer *peer, size_t len)
{
	char text[KEY_TEXT_LEN];

	static_assert(KEY_TEXT_LEN <= CONFIG_NAME_LEN, "a whole key fits as a name");
	if (is_zero_key(&peer->public_key))
		return;
	public_key_format(&peer->public_key, text);
	snprintf(peer->name, sizeof(peer->name), "%.*s", (int)len, text);
}

// The few whose short name somebody else has too take the whole key.
static void
lengthen_shared_names(struct config_gateway *config, struct peer_mark *marks)
{
	size_t end;

	qsort(marks, config->n_peers, sizeof(marks[0]), by_name);
	for (size_t start = 0; start < config->n_peers; start = end) {
		for (end = start + 1; end < config->n_peers; end++)
			if (strcmp(marks[end].peer->name, marks[start].peer->name) != 0)
				break;
		if (end - start == 1)
			continue;
		for (size_t i = start; i < end; i++)
			if (!marks[i].peer->has_name)
				generate_name(&config->peers[marks[i].index], KEY_TEXT_LEN - 1);
	}
}

static void
generate_names(struct config_gateway *config, struct peer_mark *marks)
{
	for (size_t i = 0; i < config->n_peers; i++)
		if (!config->peers[i].has_name)
			generate_name(&config->peers[i], GENERATED_NAME_LEN);
	lengthen_shared_names(config, marks);
}

static void
check_peers(struct loading *l)
{
	struct config_gateway *config = l->config;
	struct peer_mark *marks;

	if (config->n_peers == 0)
		return;
	marks = calloc(config->n_peers, sizeof(*marks));
	if (marks == NULL) {
		l->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < config->n_peers; i++)
		marks[i] = (struct peer_mark){ &config->peers[i], i };
	generate_names(config, marks);
	check_names(l, marks);
	check_keys(l, marks);
	free(marks);
}

static bool
uses_ipv6(const struct loading *l)
{
	for (size_t i = 0; i < l->config->n_addresses; i++)
		if (l->config->addresses[i].addr.family == ADDR_V6)
			return true;
	for (size_t i = 0; i < l->n_prefixes; i++)
		if (l->prefixes[i].prefix.addr.family == ADDR_V6)
			return true;
	return false;
}

// RFC 8200 section 5: every link that carries IPv6 carries 1280 bytes.
static void
check_mtu(struct loading *l)
{
	const struct node *mtu = node_value(l->wireguard, "mtu");

	if (mtu == NULL || l->config->mtu == 0 || l->config->mtu >= 1280 || !uses_ipv6(l))
		return;
	loading_error(l, mtu,
		"mtu is %u; there are IPv6 addresses or prefixes, and IPv6 needs 1280 bytes; raise "
		"it, "
		"or take those out",
		(unsigned)l->config->mtu);
}

// Answers to us would be taken for answers to those that we translate.
static void
check_nat_ports(struct loading *l)
{
	const struct config_gateway *c = l->config;

	if (c->nat_ports.first == 0 || c->listen_port < c->nat_ports.first ||
		c->listen_port > c->nat_ports.last)
		return;
	diagnostics_error(&l->d, 1, 1,
		"the UDP port %u lies inside dataplane.nat_ports, %u-%u; packets for the one would "
		"be taken for packets of the other; choose another port, or another range",
		c->listen_port, c->nat_ports.first, c->nat_ports.last);
}

void
relation_check(struct loading *l)
{
	check_nat_ports(l);
	check_peers(l);
	check_prefixes(l);
	check_own_addresses(l);
	check_mtu(l);
}
