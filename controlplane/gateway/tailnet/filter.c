/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/tailnet/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/policy/acl_build.h"
#include "lib/policy/local_nets.h"
#include "lib/policy/peer_caps.h"

/* --- peers, for sources that are capabilities --- */

// All peers' addresses and names of capabilities, in three arrays.
struct peers {
	struct policy_node *nodes;
	struct addr *addrs;
	const char **caps;
};

static bool
names_capabilities(const struct filter_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->rules[i].n_src_caps > 0)
			return true;
	return false;
}

static void
peers_fini(struct peers *p)
{
	free(p->nodes);
	free(p->addrs);
	free(p->caps);
}

static int
peers_allocate(const struct netmap *map, struct peers *p)
{
	size_t n = netmap_n_peers(map), n_addrs = 0, n_caps = 0;

	for (size_t i = 0; i < n; i++) {
		n_addrs += netmap_peer(map, i)->addresses.n;
		n_caps += netmap_peer(map, i)->capabilities.n;
	}
	p->nodes = calloc(n + 1, sizeof(p->nodes[0]));
	p->addrs = calloc(n_addrs + 1, sizeof(p->addrs[0]));
	p->caps = calloc(n_caps + 1, sizeof(p->caps[0]));
	return p->nodes != NULL && p->addrs != NULL && p->caps != NULL ? 0 : -ENOMEM;
}

static int
peers_make(const struct netmap *map, struct peers *p)
{
	int err = peers_allocate(map, p);
	struct addr *addr = p->addrs;
	const char **cap = p->caps;

	for (size_t i = 0; err == 0 && i < netmap_n_peers(map); i++) {
		const struct node *node = netmap_peer(map, i);

		p->nodes[i] =
			(struct policy_node){ addr, node->addresses.n, cap, node->capabilities.n };
		for (size_t k = 0; k < node->addresses.n; k++)
			*addr++ = node->addresses.at[k].addr;
		for (size_t k = 0; k < node->capabilities.n; k++)
			*cap++ = node->capabilities.at[k].name;
	}
	return err;
}

/* --- the safety check --- */

static int
check_unsigned(const struct netmap *map, const struct filter_rules *rules)
{
	struct addr_set allowed = {};
	int err = 0;

	for (size_t i = 0; err == 0 && i < netmap_n_peers(map); i++) {
		const struct node *node = netmap_peer(map, i);

		for (size_t k = 0; err == 0 && node->is_unsigned && k < node->allowed_ips.n; k++)
			err = addr_set_add_prefix(&allowed, &node->allowed_ips.at[k]);
	}
	if (err == 0 && peer_caps_open_to_unsigned(rules, &allowed))
		err = -EPERM;
	addr_set_fini(&allowed);
	return err;
}

/* --- compiling --- */

static int
build(const struct policy *policy, uint64_t generation, struct acl_block **ret_block)
{
	struct acl_table *table;
	int err = acl_build(policy, generation, &table);

	if (err < 0)
		return err;
	err = acl_block_create(table, ret_block);
	free(table);
	return err;
}

static int
compile(const struct netmap *map,
	struct policy *policy,
	const struct tailnet_prefs *prefs,
	uint64_t generation,
	struct acl_block **ret_block)
{
	struct local_nets_input input = { .own = map->self->addresses.at,
		.n_own = map->self->addresses.n,
		.routes = prefs->advertise_routes,
		.n_routes = prefs->n_advertise_routes };
	struct addr_set local = {};
	struct peers peers = {};
	int err = local_nets_make(&input, &local);

	if (err == 0 && names_capabilities(policy->rules)) {
		err = peers_make(map, &peers);
		policy->nodes = peers.nodes;
		policy->n_nodes = netmap_n_peers(map);
	}
	policy->local_nets = &local;
	if (err == 0)
		err = build(policy, generation, ret_block);
	peers_fini(&peers);
	addr_set_fini(&local);
	return err;
}

int
tailnet_filter(const struct netmap *map,
	const struct tailnet_prefs *prefs,
	const struct endpoint *peer_api,
	size_t n_peer_api,
	uint64_t generation,
	struct acl_block **ret_block)
{
	struct filter_rules rules;
	struct policy policy = { .rules = &rules,
		.peer_api = peer_api,
		.n_peer_api = n_peer_api,
		.is_shields_up = prefs->shields_up };
	int err;

	if (map->self == NULL || !map->filter.has_any)
		return -ENODATA;
	err = filter_chunks_join(&map->filter, &rules);
	if (err < 0)
		return err;
	err = check_unsigned(map, &rules);
	if (err == 0)
		err = compile(map, &policy, prefs, generation, ret_block);
	filter_chunks_release(&rules);
	return err;
}

/* --- what a peer may do besides --- */

static int
add_values(json_t *list, const struct filter_cap *cap)
{
	for (size_t i = 0; i < cap->n_values; i++) {
		json_t *value = json_loads(cap->values[i], JSON_DECODE_ANY, NULL);

		if (json_array_append_new(list, value) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int
add_capability(json_t *object, const struct filter_cap *cap)
{
	json_t *list = json_object_get(object, cap->name);

	if (list == NULL) {
		list = json_array();
		if (json_object_set_new(object, cap->name, list) < 0)
			return -ENOMEM;
	}
	return add_values(list, cap);
}

static const struct addr *
first_of_family(const struct node *node, uint8_t family)
{
	for (size_t i = 0; i < node->addresses.n; i++)
		if (node->addresses.at[i].addr.family == family)
			return &node->addresses.at[i].addr;
	return NULL;
}

static int
add_of_address(json_t *object,
	const struct netmap *map,
	const struct filter_rules *rules,
	const struct node *peer,
	const struct addr *src)
{
	const struct addr *own = first_of_family(map->self, src->family);
	struct peer_caps walk = { .rules = rules, .src = *src, .is_unsigned = peer->is_unsigned };
	const struct filter_cap *cap;
	int err = 0;

	if (own == NULL)
		return 0;
	walk.dst = *own;
	while (err == 0 && (cap = peer_caps_next(&walk)) != NULL)
		err = add_capability(object, cap);
	return err;
}

// A peer's addresses of a family see the same rules as a rule; the first one speaks for it.
static int
add_all(json_t *object,
	const struct netmap *map,
	const struct filter_rules *rules,
	const struct node *peer)
{
	static const uint8_t families[] = { ADDR_V4, ADDR_V6 };
	int err = 0;

	for (size_t i = 0; err == 0 && i < sizeof(families); i++) {
		const struct addr *src = first_of_family(peer, families[i]);

		// What IPv4 has granted IPv6 grants again: each value once is enough.
		if (src != NULL && (families[i] == ADDR_V4 || json_object_size(object) == 0))
			err = add_of_address(object, map, rules, peer, src);
	}
	return err;
}

struct json_t *
tailnet_capabilities(const struct netmap *map, const struct node *peer)
{
	json_t *object = json_object();
	struct filter_rules rules;
	int err = object == NULL ? -ENOMEM : 0;

	if (err < 0 || map->self == NULL)
		return object;
	err = filter_chunks_join(&map->filter, &rules);
	if (err == 0) {
		err = add_all(object, map, &rules, peer);
		filter_chunks_release(&rules);
	}
	if (err < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}
