/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdlib.h>
#include <string.h>

#include "config/wg_quick_state.h"

static int
by_prefix(const void *a, const void *b)
{
	const struct wg_quick_entry *x = a, *y = b;
	int order = addr_compare(&x->prefix.addr, &y->prefix.addr);

	if (order != 0)
		return order;
	if (x->prefix.len != y->prefix.len)
		return x->prefix.len < y->prefix.len ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int
by_order(const void *a, const void *b)
{
	const struct wg_quick_entry *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

// wg(8) moves a prefix to the last peer that lists it.
static void
drop_repeated_prefixes(struct wg_quick_state *r)
{
	char text[ADDR_TEXT_LEN];

	qsort(r->entries, r->n_entries, sizeof(r->entries[0]), by_prefix);
	for (size_t i = 0; i + 1 < r->n_entries; i++) {
		struct wg_quick_entry *this = &r->entries[i], *next = &r->entries[i + 1];

		if (!prefix_equal(&this->prefix, &next->prefix))
			continue;
		this->is_dropped = true;
		if (this->peer != next->peer)
			diagnostics_warning(&r->d, this->line, this->column,
				"%s is listed again in line %d; wg gives a prefix to the last peer "
				"that lists it, and so does this; check which of them should have "
				"it",
				prefix_format(&this->prefix, text), next->line);
	}
}

static void
drop_own_addresses(struct wg_quick_state *r)
{
	const struct config_gateway *config = r->config;
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < r->n_entries; i++) {
		struct wg_quick_entry *e = &r->entries[i];

		for (size_t k = 0; k < config->n_addresses; k++) {
			if (e->prefix.len != addr_bits(e->prefix.addr.family) ||
				!addr_equal(&config->addresses[k].addr, &e->prefix.addr))
				continue;
			e->is_dropped = true;
			diagnostics_warning(&r->d, e->line, e->column,
				"%s is the gateway's own address and left out; no peer can have "
				"it; "
				"give the peer an address of its own",
				addr_format(&e->prefix.addr, text));
		}
	}
}

static void
distribute_prefixes(struct wg_quick_state *r)
{
	struct config_gateway *config = r->config;

	for (size_t i = 0; i < r->n_entries; i++)
		config->peers[r->entries[i].peer].n_allowed_ips += !r->entries[i].is_dropped;
	for (size_t i = 0; i < config->n_peers; i++) {
		struct config_peer *peer = &config->peers[i];

		if (peer->n_allowed_ips == 0) {
			diagnostics_warning(&r->d, peer->line, 1,
				"this peer has no AllowedIPs; no packet is routed to it or "
				"accepted "
				"from it; add them to the YAML file");
			continue;
		}
		peer->allowed_ips = calloc(peer->n_allowed_ips, sizeof(*peer->allowed_ips));
		if (peer->allowed_ips == NULL) {
			r->out_of_memory = true;
			return;
		}
		peer->n_allowed_ips = 0;
	}
	if (r->n_entries == 0)
		return;
	qsort(r->entries, r->n_entries, sizeof(r->entries[0]), by_order);
	for (size_t i = 0; i < r->n_entries; i++) {
		struct config_peer *peer = &config->peers[r->entries[i].peer];

		if (!r->entries[i].is_dropped)
			peer->allowed_ips[peer->n_allowed_ips++] = r->entries[i].prefix;
	}
}

static int
by_key(const void *a, const void *b)
{
	const struct config_peer *x = *(struct config_peer *const *)a;
	const struct config_peer *y = *(struct config_peer *const *)b;
	int order = memcmp(&x->public_key, &y->public_key, sizeof(x->public_key));

	return order != 0 ? order : x->line < y->line ? -1 : x->line > y->line;
}

static int
by_name(const void *a, const void *b)
{
	const struct config_peer *x = *(struct config_peer *const *)a;
	const struct config_peer *y = *(struct config_peer *const *)b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : x->line < y->line ? -1 : x->line > y->line;
}

static void
check_keys(struct wg_quick_state *r, struct config_peer **peers)
{
	static const struct public_key zero;

	qsort(peers, r->config->n_peers, sizeof(struct config_peer *), by_key);
	for (size_t i = 0; i < r->config->n_peers; i++) {
		const struct public_key *key = &peers[i]->public_key;

		if (memcmp(key, &zero, sizeof(zero)) == 0)
			diagnostics_error(&r->d, peers[i]->line, 1,
				"this peer has no (good) PublicKey; a peer is known by its key; "
				"add "
				"the line");
		else if (i > 0 && memcmp(key, &peers[i - 1]->public_key, sizeof(*key)) == 0)
			diagnostics_error(&r->d, peers[i]->line, 1,
				"this peer's PublicKey is already in the section of line %d; a key "
				"belongs to one peer; join the two sections",
				peers[i - 1]->line);
		else if (r->has_private_key &&
			 memcmp(key, &r->config->public_key, sizeof(*key)) == 0)
			diagnostics_error(&r->d, peers[i]->line, 1,
				"this peer's PublicKey is the gateway's own; a gateway is no peer "
				"of "
				"itself; remove the section");
	}
}

// Names from comments are a guess: the second of two equal ones is given up.
static void
check_names(struct wg_quick_state *r, struct config_peer **peers)
{
	const char *last = "";

	qsort(peers, r->config->n_peers, sizeof(struct config_peer *), by_name);
	for (size_t i = 0; i < r->config->n_peers; i++) {
		if (strcmp(peers[i]->name, last) == 0)
			peers[i]->name[0] = '\0';
		else
			last = peers[i]->name;
		peers[i]->has_name = peers[i]->name[0] != '\0';
	}
}

static void
check_peers(struct wg_quick_state *r)
{
	size_t n_peers = r->config->n_peers;
	struct config_peer **peers;

	if (n_peers == 0)
		return;
	peers = calloc(n_peers, sizeof(struct config_peer *));
	if (peers == NULL) {
		r->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < n_peers; i++)
		peers[i] = &r->config->peers[i];
	check_keys(r, peers);
	check_names(r, peers);
	free(peers);
}

void
wg_quick_check_whole(struct wg_quick_state *r)
{
	check_peers(r);
	if (r->n_entries > 0) {
		drop_repeated_prefixes(r);
		drop_own_addresses(r);
	}
	distribute_prefixes(r);
	if (!r->has_private_key)
		diagnostics_error(&r->d, 1, 1,
			"no (good) PrivateKey in [Interface]; a gateway needs one, also where "
			"PostUp "
			"sets it; add the line, with the key of `wg show INTERFACE private-key`");
	if (!r->has_listen_port)
		diagnostics_warning(&r->d, 1, 1,
			"no ListenPort; wg takes any free port, Sluice takes %u; change "
			"listen_port "
			"in the YAML file if peers expect another",
			(unsigned)r->config->listen_port);
	if (r->config->n_addresses == 0)
		diagnostics_warning(&r->d, 1, 1,
			"no Address; the gateway itself cannot be reached through the tunnel; add "
			"addresses to the YAML file");
}
