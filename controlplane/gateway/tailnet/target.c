/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which node of the tailnet a client means, and how it is told that there is none.
 */

#include <string.h>
#include <strings.h>

#include "controlplane/gateway/api/answer.h"
#include "controlplane/gateway/tailnet/member_state.h"

void
member_refuse(struct member *m,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do)
{
	answer_error(m->setup.api, client, what, why, what_to_do, m->now);
}

static bool
has_address(const struct node *node, const struct addr *a)
{
	for (size_t i = 0; i < node->addresses.n; i++)
		if (addr_equal(&node->addresses.at[i].addr, a))
			return true;
	return false;
}

// The first label, or the whole name, with or without the last dot; case does not count.
static bool
has_name(const struct node *node, const char *name)
{
	size_t len = strlen(name), first;

	if (node->name == NULL || len == 0)
		return false;
	first = strcspn(node->name, ".");
	if (len == first && strncasecmp(node->name, name, len) == 0)
		return true;
	return strncasecmp(node->name, name, len) == 0 &&
	       (node->name[len] == '\0' || strcmp(node->name + len, ".") == 0);
}

static bool
is_called(const struct node *node, const char *target)
{
	uint8_t key[TAILKEY_LEN];
	struct endpoint e;
	struct addr a;

	if (addr_parse(target, &a) == 0)
		return has_address(node, &a);
	if (endpoint_parse(target, &e) == 0)
		return has_address(node, &e.addr);
	if (tailkey_parse(TAILKEY_NODE, target, strlen(target), key) == 0)
		return memcmp(node->key.bytes, key, sizeof(key)) == 0;
	return has_name(node, target);
}

const struct node *
member_find_node(struct member *m, uint32_t client, const json_t *request)
{
	const char *target = json_string_value(json_object_get(request, "target"));

	if (m->map.self == NULL) {
		member_refuse(m, client, "this machine is in no tailnet", "it has no map of one",
			"join one with `sluice up`");
		return NULL;
	}
	if (target != NULL && is_called(m->map.self, target))
		return m->map.self;
	for (size_t i = 0; target != NULL && i < netmap_n_peers(&m->map); i++)
		if (is_called(netmap_peer(&m->map, i), target))
			return netmap_peer(&m->map, i);
	member_refuse(m, client, "there is no such machine in the tailnet",
		"neither an address nor a name of a peer", "`sluice status` lists them");
	return NULL;
}

bool
member_find_target(struct member *m,
	uint32_t client,
	const json_t *request,
	struct mono now,
	struct public_key *ret_key)
{
	const struct node *node;

	m->now = now;
	node = member_find_node(m, client, request);
	if (node == NULL)
		return false;
	memcpy(ret_key, node->key.bytes, sizeof(*ret_key));
	return true;
}
