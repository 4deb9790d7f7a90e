/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/tailnet/roster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/acl_block.h"
#include "controlplane/gateway/stream/trust.h"
#include "lib/tailnet/derp_map.h"

static_assert(sizeof(struct node_key) == sizeof(struct public_key), "the same bytes");

enum roster_verdict
roster_judge(const struct roster_view *view, const struct node *node)
{
	if (view->map->self != NULL && node_key_equal(&node->key, &view->map->self->key))
		return ROSTER_SELF;
	if (node_is_expired(node, view->now))
		return ROSTER_EXPIRED;
	if (node->masquerade_v4.family != ADDR_NONE || node->masquerade_v6.family != ADDR_NONE)
		return ROSTER_MASQUERADED;
	if (node->is_jailed)
		return ROSTER_JAILED;
	if (tailkey_is_zero(node->disco_key.bytes) && node->home_region == 0 &&
		!node->is_wireguard_only)
		return ROSTER_UNREACHABLE;
	return ROSTER_PEER;
}

const char *
roster_reason(enum roster_verdict verdict)
{
	switch (verdict) {
	case ROSTER_EXPIRED:
		return "its key has expired";
	case ROSTER_UNREACHABLE:
		return "it has told neither a disco key nor a relay";
	case ROSTER_MASQUERADED:
		return "the server gives us other addresses towards it, which is not supported yet";
	case ROSTER_JAILED:
		return "the server wants it jailed, which is not supported yet";
	case ROSTER_SELF:
		return "it is this node";
	case ROSTER_PEER:
		break;
	}
	return "";
}

static bool
is_single(const struct prefix *p)
{
	return p->len == addr_bits(p->addr.family);
}

static bool
is_tailnet_address(const struct addr *a)
{
	static const struct prefix v4 = { { ADDR_V4, { 100, 64 } }, 10 };
	static const struct prefix v6 = { { ADDR_V6, { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } }, 48 };

	return prefix_contains(a->family == ADDR_V4 ? &v4 : &v6, a);
}

static bool
is_own_net(const struct roster_view *view, const struct prefix *prefix)
{
	for (size_t i = 0; i < view->n_own_nets; i++)
		if (prefix_covers(&view->own_nets[i], prefix))
			return true;
	return false;
}

bool
roster_admits_prefix(const struct roster_view *view,
	const struct node *node,
	const struct prefix *prefix)
{
	if (is_single(prefix)) {
		if (is_tailnet_address(&prefix->addr))
			return true;
		for (size_t i = 0; i < node->addresses.n; i++)
			if (prefix_equal(&node->addresses.at[i], prefix))
				return true;
	}
	return view->accept_routes && prefix->len > 0 && !is_own_net(view, prefix);
}

// What several nodes may offer; an address of the tailnet is one node's.
static bool
is_subnet(const struct prefix *prefix)
{
	return !is_single(prefix) || !is_tailnet_address(&prefix->addr);
}

static bool
is_primary(const struct node *node, const struct prefix *prefix)
{
	for (size_t i = 0; i < node->primary_routes.n; i++)
		if (prefix_equal(&node->primary_routes.at[i], prefix))
			return true;
	return false;
}

// Equal prefixes side by side, the one that counts first: primary, then the lowest node.
static int
compare_subnets(const void *a, const void *b)
{
	const struct roster_subnet *x = a, *y = b;
	int64_t x_id = x->node->id, y_id = y->node->id;
	int by = addr_compare(&x->prefix.addr, &y->prefix.addr);

	if (by == 0)
		by = (int)x->prefix.len - (int)y->prefix.len;
	if (by == 0)
		by = (int)y->is_primary - (int)x->is_primary;
	return by != 0 ? by : (x_id > y_id) - (x_id < y_id);
}

/* --- what is counted first --- */

struct totals {
	size_t n_peers, n_prefixes, n_endpoints, n_subnets;
};

static struct totals
count_all(const struct roster_view *view)
{
	struct totals t = {};

	for (size_t i = 0; i < netmap_n_peers(view->map); i++) {
		const struct node *node = netmap_peer(view->map, i);

		if (roster_judge(view, node) != ROSTER_PEER)
			continue;
		t.n_peers++;
		t.n_endpoints += node->endpoints.n;
		t.n_prefixes += node->allowed_ips.n;
		for (size_t k = 0; k < node->allowed_ips.n; k++)
			t.n_subnets += is_subnet(&node->allowed_ips.at[k]);
	}
	return t;
}

static enum roster_fate
fate_of(const struct roster_view *view, const struct node *node, const struct prefix *p)
{
	if (roster_admits_prefix(view, node, p))
		return ROSTER_SUBNET_USED;
	return view->accept_routes && p->len > 0 ? ROSTER_SUBNET_OWN : ROSTER_SUBNET_NOT_WANTED;
}

static size_t
add_subnets(const struct roster_view *view, const struct node *node, struct roster_subnet *list)
{
	size_t n = 0;

	for (size_t i = 0; i < node->allowed_ips.n; i++) {
		struct prefix p = prefix_mask(node->allowed_ips.at[i]);

		if (is_subnet(&p))
			list[n++] = (struct roster_subnet){ p, node, is_primary(node, &p),
				fate_of(view, node, &p) };
	}
	return n;
}

// Of several nodes that offer the same, the first that is admitted is used.
static void
choose_first(struct roster_subnet *list, size_t n)
{
	bool is_taken = false;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && !prefix_equal(&list[i].prefix, &list[i - 1].prefix))
			is_taken = false;
		if (list[i].fate != ROSTER_SUBNET_USED)
			continue;
		if (is_taken)
			list[i].fate = ROSTER_SUBNET_ELSEWHERE;
		is_taken = true;
	}
}

static int
sorted_subnets(const struct roster_view *view,
	const struct totals *t,
	struct roster_subnet **ret_subnets,
	size_t *ret_n)
{
	struct roster_subnet *list = calloc(t->n_subnets + 1, sizeof(list[0]));
	size_t n = 0;

	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < netmap_n_peers(view->map); i++) {
		const struct node *node = netmap_peer(view->map, i);

		if (roster_judge(view, node) == ROSTER_PEER)
			n += add_subnets(view, node, list + n);
	}
	if (n > 0)
		qsort(list, n, sizeof(list[0]), compare_subnets);
	choose_first(list, n);
	*ret_subnets = list;
	*ret_n = n;
	return 0;
}

int
roster_subnets(const struct roster_view *view, struct roster_subnet **ret_subnets, size_t *ret_n)
{
	struct totals t = count_all(view);

	return sorted_subnets(view, &t, ret_subnets, ret_n);
}

// Whether this node is the one that a subnet leads to.
static bool
wins(const struct roster_subnet *list, size_t n, const struct node *node, const struct prefix *p)
{
	size_t low = 0, high = n;

	while (low < high) { // the first that is not before (p, any node)
		size_t mid = low + (high - low) / 2;
		int by = addr_compare(&list[mid].prefix.addr, &p->addr);

		if (by == 0)
			by = (int)list[mid].prefix.len - (int)p->len;
		if (by < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < n && prefix_equal(&list[low].prefix, p); low++)
		if (list[low].fate == ROSTER_SUBNET_USED)
			return list[low].node == node;
	return false;
}

/* --- building --- */

// "gw.tailnet.example." is known as "gw"; without a name, by the first characters of its key.
static void
set_name(char name[static CONFIG_NAME_LEN], const struct node *node)
{
	char key[TAILKEY_SHORT_SIZE];
	size_t len = node->name != NULL ? strcspn(node->name, ".") : 0;

	if (len == 0) {
		tailkey_format_short(TAILKEY_NODE, node->key.bytes, key);
		snprintf(name, CONFIG_NAME_LEN, "%s", key);
		return;
	}
	if (len >= CONFIG_NAME_LEN)
		len = CONFIG_NAME_LEN - 1;
	for (size_t i = 0; i < len; i++) // it comes from the server: not for the log as it is
		name[i] = node->name[i] > ' ' && node->name[i] < 0x7f ? node->name[i] : '?';
	name[len] = '\0';
}

static void
add_peer(const struct roster_view *view,
	struct desired *d,
	const struct node *node,
	const struct roster_subnet *subnets,
	size_t n_subnets)
{
	struct desired_peer *p = &d->peers[d->n_peers++];
	const struct peer_stamps *stamps;

	memcpy(p->public_key.bytes, node->key.bytes, KEY_LEN);
	memcpy(p->disco_key.bytes, node->disco_key.bytes, KEY_LEN);
	set_name(p->name, node);
	p->is_member = true;
	p->is_wireguard_only = node->is_wireguard_only;
	p->home_region = node->home_region > 0 && node->home_region <= UINT16_MAX
	                         ? (uint16_t)node->home_region
	                         : 0;
	p->capver = node->capver;
	stamps = view->stamps != NULL ? state_file_find(view->stamps, &p->public_key) : NULL;
	if (stamps != NULL) {
		p->rx_timestamp = stamps->rx;
		p->tx_timestamp = stamps->tx;
	}
	p->first_endpoint = (uint32_t)d->n_endpoints;
	p->n_endpoints = (uint32_t)node->endpoints.n;
	for (size_t i = 0; i < node->endpoints.n; i++)
		d->endpoints[d->n_endpoints++] = node->endpoints.at[i];
	p->first_prefix = (uint32_t)d->n_prefixes;
	for (size_t i = 0; i < node->allowed_ips.n; i++) {
		struct prefix prefix = prefix_mask(node->allowed_ips.at[i]);

		if (is_subnet(&prefix) ? wins(subnets, n_subnets, node, &prefix)
				       : roster_admits_prefix(view, node, &prefix))
			d->prefixes[d->n_prefixes++] = prefix;
	}
	p->n_prefixes = (uint32_t)(d->n_prefixes - p->first_prefix);
}

static int
set_self(const struct roster_view *view, struct desired *d)
{
	const struct node *self = view->map->self;

	d->private_key = *view->node_key;
	key_public(&d->self.node_key, view->node_key);
	d->self.disco_key = *view->disco_key;
	d->self.is_member = true;
	d->self.listen_port = view->listen_port;
	d->self.home_region = self->home_region > 0 && self->home_region <= UINT16_MAX
	                              ? (uint16_t)self->home_region
	                              : 0;
	d->self.derp_map_serial = view->derp_map_serial;
	if (view->trust != NULL)
		d->self.trust = trust_ref(view->trust);
	if (view->map->derp_map != NULL) {
		int err = derp_map_copy(view->map->derp_map, &d->self.derp_map);

		if (err < 0)
			return err;
	}
	for (size_t i = 0; i < self->addresses.n && d->n_addresses < CONFIG_MAX_ADDRESSES; i++)
		d->addresses[d->n_addresses++] = self->addresses.at[i];
	d->settings.mtu = ROSTER_MTU;
	desired_set_icmp_sources(d);
	d->settings.filter = view->shields_up ? SHM_FILTER_SHIELDS_UP : SHM_FILTER_ENFORCED;
	d->settings.peer_api_port4 = view->peer_api_port4;
	d->settings.peer_api_port6 = view->peer_api_port6;
	d->filter = acl_block_ref(view->filter);
	return 0;
}

int
roster_desired(const struct roster_view *view, struct desired **ret_desired)
{
	struct totals t = count_all(view);
	struct roster_subnet *subnets;
	struct desired *d;
	size_t n_subnets;
	int err = desired_alloc(t.n_peers, t.n_prefixes, t.n_endpoints, &d);

	if (err < 0)
		return err;
	err = sorted_subnets(view, &t, &subnets, &n_subnets);
	if (err < 0) {
		desired_destroy(d);
		return err;
	}
	err = set_self(view, d);
	if (err < 0) {
		free(subnets);
		desired_destroy(d);
		return err;
	}
	for (size_t i = 0; i < netmap_n_peers(view->map); i++)
		if (roster_judge(view, netmap_peer(view->map, i)) == ROSTER_PEER)
			add_peer(view, d, netmap_peer(view->map, i), subnets, n_subnets);
	free(subnets);
	*ret_desired = d;
	return 0;
}

struct instant
roster_next_expiry(const struct roster_view *view)
{
	struct instant next = {};

	for (size_t i = 0; i < netmap_n_peers(view->map); i++) {
		struct instant at = netmap_peer(view->map, i)->key_expiry;

		if (instant_is_unset(at) || instant_compare(at, view->now) <= 0)
			continue;
		if (instant_is_unset(next) || instant_compare(at, next) < 0)
			next = at;
	}
	return next;
}
