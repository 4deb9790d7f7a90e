/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/json_span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define DERP_MAGIC_IP "127.3.3.40" // of the old DERP member; its port is a region

static const struct {
	const char *text;
	enum service_proto proto;
} service_protos[] = {
	{ "tcp", SERVICE_TCP },
	{ "udp", SERVICE_UDP },
	{ "peerapi4", SERVICE_PEERAPI4 },
	{ "peerapi6", SERVICE_PEERAPI6 },
	{ "peerapi-dns-proxy", SERVICE_PEERAPI_DNS_PROXY },
};

static int
decode_proto(const struct json_t *value, void *into, struct json_budget *)
{
	const char *text = json_string_value(value);
	enum service_proto *proto = into;

	if (text == NULL)
		return ERR_BAD_FORMAT;
	*proto = SERVICE_OTHER;
	for (size_t i = 0; i < COUNT(service_protos); i++)
		if (strcmp(text, service_protos[i].text) == 0)
			*proto = service_protos[i].proto;
	return 0;
}

static int
decode_port(const struct json_t *value, void *into, struct json_budget *)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number > UINT16_MAX)
		return ERR_BAD_FORMAT;
	*(uint16_t *)into = (uint16_t)number;
	return 0;
}

static const struct json_member service_members[] = {
	{ "Proto", decode_proto, offsetof(struct service, proto) },
	{ "Port", decode_port, offsetof(struct service, port) },
};

static int
decode_services(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct hostinfo *h = into;
	size_t n = json_array_size(value);
	int err;

	free(h->services);
	h->n_services = 0;
	h->services = NULL;
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*h->services), budget, &h->services);
	for (size_t i = 0; i < n && err == 0; i++)
		err = json_decode_members(json_array_get(value, i), service_members,
			COUNT(service_members), &h->services[h->n_services++], budget);
	return err;
}

static const struct json_member hostinfo_members[] = {
	{ "OS", json_decode_text, offsetof(struct hostinfo, os) },
	{ "Hostname", json_decode_text, offsetof(struct hostinfo, hostname) },
	{ "RoutableIPs", json_decode_prefixes, offsetof(struct hostinfo, routable_ips) },
	{ "Services", decode_services, 0 },
	{ "ShareeNode", json_decode_bool, offsetof(struct hostinfo, is_sharee) },
};

static void
hostinfo_destroy(struct hostinfo *h)
{
	if (h == NULL)
		return;
	free(h->os);
	free(h->hostname);
	free(h->services);
	prefixes_fini(&h->routable_ips);
	free(h);
}

static int
decode_hostinfo(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct hostinfo **hostinfo = into;
	int err;

	hostinfo_destroy(*hostinfo);
	err = json_allocate(1, sizeof(**hostinfo), budget, hostinfo);
	if (err < 0)
		return err;
	(*hostinfo)->digest = json_digest_tree(value);
	return json_decode_members(
		value, hostinfo_members, COUNT(hostinfo_members), *hostinfo, budget);
}

// A time that may be absent: there is a flag for it in the node.
static int
decode_last_seen(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct node *node = into;

	node->has_last_seen = true;
	return json_decode_instant(value, &node->last_seen, budget);
}

// What is read besides the node, for the old forms.
struct reading {
	struct node node; // first: the table's offsets are the node's
	char *derp;
	struct texts old_capabilities;
	bool has_allowed_ips;
};

static int
decode_allowed_ips(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct reading *r = into;

	r->has_allowed_ips = true;
	return json_decode_prefixes(value, &r->node.allowed_ips, budget);
}

#define AT(member) offsetof(struct reading, member)

static const struct json_member node_members[] = {
	{ "ID", json_decode_int64, AT(node.id) },
	{ "StableID", json_decode_text, AT(node.stable_id) },
	{ "Name", json_decode_text, AT(node.name) },
	{ "User", json_decode_int64, AT(node.user) },
	{ "Sharer", json_decode_int64, AT(node.sharer) },
	{ "Key", json_decode_node_key, AT(node.key) },
	{ "KeyExpiry", json_decode_instant, AT(node.key_expiry) },
	{ "KeySignature", json_decode_octets, AT(node.key_signature) },
	{ "Machine", json_decode_machine_key, AT(node.machine) },
	{ "DiscoKey", json_decode_disco_key, AT(node.disco_key) },
	{ "Addresses", json_decode_prefixes, AT(node.addresses) },
	{ "AllowedIPs", decode_allowed_ips, 0 },
	{ "Endpoints", json_decode_endpoints, AT(node.endpoints) },
	{ "DERP", json_decode_text, AT(derp) },
	{ "HomeDERP", json_decode_int32, AT(node.home_region) },
	{ "Hostinfo", decode_hostinfo, AT(node.hostinfo) },
	{ "Created", json_decode_instant, AT(node.created) },
	{ "Cap", json_decode_int32, AT(node.capver) },
	{ "Tags", json_decode_texts, AT(node.tags) },
	{ "PrimaryRoutes", json_decode_prefixes, AT(node.primary_routes) },
	{ "LastSeen", decode_last_seen, 0 },
	{ "Online", json_decode_tri, AT(node.online) },
	{ "MachineAuthorized", json_decode_bool, AT(node.is_machine_authorized) },
	{ "Capabilities", json_decode_texts, AT(old_capabilities) },
	{ "CapMap", json_decode_capabilities, AT(node.capabilities) },
	{ "UnsignedPeerAPIOnly", json_decode_bool, AT(node.is_unsigned) },
	{ "Expired", json_decode_bool, AT(node.is_expired) },
	{ "SelfNodeV4MasqAddrForThisPeer", json_decode_addr, AT(node.masquerade_v4) },
	{ "SelfNodeV6MasqAddrForThisPeer", json_decode_addr, AT(node.masquerade_v6) },
	{ "IsWireGuardOnly", json_decode_bool, AT(node.is_wireguard_only) },
	{ "IsJailed", json_decode_bool, AT(node.is_jailed) },
	{ "ExitNodeDNSResolvers", json_decode_resolvers, AT(node.exit_node_resolvers) },
};

// "127.3.3.40:REGION", where there is no HomeDERP.
static void
upgrade_derp(struct reading *r)
{
	const char *prefix = DERP_MAGIC_IP ":";
	int64_t region;

	if (r->node.home_region != 0 || r->derp == NULL ||
		strncmp(r->derp, prefix, strlen(prefix)) != 0)
		return;
	if (json_parse_id(r->derp + strlen(prefix), &region) == 0 && region >= INT32_MIN &&
		region <= INT32_MAX)
		r->node.home_region = (int32_t)region;
}

static int
upgrade_allowed_ips(struct reading *r, struct json_budget *budget)
{
	struct prefixes *allowed = &r->node.allowed_ips, *own = &r->node.addresses;
	int err;

	if (r->has_allowed_ips && !r->node.is_unsigned)
		return 0;
	prefixes_fini(allowed);
	err = json_allocate(own->n, sizeof(*own->at), budget, &allowed->at);
	if (err < 0 || own->n == 0)
		return err;
	memcpy(allowed->at, own->at, own->n * sizeof(*own->at));
	allowed->n = own->n;
	return 0;
}

// Into the position that keeps the order, unless it is there.
static void
insert_capability(struct capabilities *c, char *name)
{
	size_t at = c->n;

	while (at > 0 && strcmp(c->at[at - 1].name, name) > 0)
		at--;
	if (at > 0 && strcmp(c->at[at - 1].name, name) == 0) {
		free(name);
		return;
	}
	memmove(c->at + at + 1, c->at + at, (c->n - at) * sizeof(*c->at));
	c->at[at] = (struct capability){ .name = name };
	c->n++;
}

static int
upgrade_capabilities(struct reading *r, struct json_budget *budget)
{
	struct capabilities *c = &r->node.capabilities;
	struct texts *old = &r->old_capabilities;
	struct capability *more;
	int err;

	if (old->n == 0)
		return 0;
	// Each is inserted into a sorted array: few, or we do not bother.
	if (old->n > 1024)
		return -E2BIG;
	err = json_allocate(c->n + old->n, sizeof(*c->at), budget, &more);
	if (err < 0)
		return err;
	if (c->n > 0)
		memcpy(more, c->at, c->n * sizeof(*c->at));
	free(c->at);
	c->at = more;
	for (size_t i = 0; i < old->n; i++) {
		insert_capability(c, old->at[i]);
		old->at[i] = NULL;
	}
	return 0;
}

int
node_decode(const struct json_t *object, struct node *node, struct json_budget *budget)
{
	struct reading r = { .node = *node };
	int err = json_decode_members(object, node_members, COUNT(node_members), &r, budget);

	if (err == 0)
		err = upgrade_allowed_ips(&r, budget);
	if (err == 0)
		err = upgrade_capabilities(&r, budget);
	upgrade_derp(&r);
	free(r.derp);
	texts_fini(&r.old_capabilities);
	*node = r.node;
	return err;
}

int
node_decode_new(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct node **node = into;
	int err;

	node_destroy(*node);
	err = json_allocate(1, sizeof(**node), budget, node);
	return err < 0 ? err : node_decode(value, *node, budget);
}

void
node_fini(struct node *node)
{
	free(node->stable_id);
	free(node->name);
	octets_fini(&node->key_signature);
	prefixes_fini(&node->addresses);
	prefixes_fini(&node->allowed_ips);
	prefixes_fini(&node->primary_routes);
	endpoints_fini(&node->endpoints);
	texts_fini(&node->tags);
	capabilities_fini(&node->capabilities);
	resolvers_fini(&node->exit_node_resolvers);
	hostinfo_destroy(node->hostinfo);
	*node = (struct node){};
}

void
node_destroy(struct node *node)
{
	if (node == NULL)
		return;
	node_fini(node);
	free(node);
}

static uint32_t
flag(bool differs, uint32_t which)
{
	return differs ? which : 0;
}

static bool
hostinfo_equal(const struct hostinfo *a, const struct hostinfo *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->digest == b->digest;
}

static uint32_t
diff_patchable(const struct node *a, const struct node *b)
{
	return flag(!node_key_equal(&a->key, &b->key), NODE_KEY) |
	       flag(!disco_key_equal(&a->disco_key, &b->disco_key), NODE_DISCO_KEY) |
	       flag(instant_compare(a->key_expiry, b->key_expiry) != 0, NODE_KEY_EXPIRY) |
	       flag(!octets_equal(&a->key_signature, &b->key_signature), NODE_KEY_SIGNATURE) |
	       flag(!endpoints_equal(&a->endpoints, &b->endpoints), NODE_ENDPOINTS) |
	       flag(a->home_region != b->home_region, NODE_HOME_REGION) |
	       flag(a->capver != b->capver, NODE_CAPVER) |
	       flag(!capabilities_equal(&a->capabilities, &b->capabilities), NODE_CAPABILITIES) |
	       flag(a->online != b->online, NODE_ONLINE) |
	       flag(a->has_last_seen != b->has_last_seen ||
			       instant_compare(a->last_seen, b->last_seen) != 0,
		       NODE_LAST_SEEN);
}

static uint32_t
diff_lists(const struct node *a, const struct node *b)
{
	return flag(!prefixes_equal(&a->addresses, &b->addresses), NODE_ADDRESSES) |
	       flag(!prefixes_equal(&a->allowed_ips, &b->allowed_ips), NODE_ALLOWED_IPS) |
	       flag(!prefixes_equal(&a->primary_routes, &b->primary_routes), NODE_PRIMARY_ROUTES) |
	       flag(!texts_equal(&a->tags, &b->tags), NODE_TAGS) |
	       flag(!resolvers_equal(&a->exit_node_resolvers, &b->exit_node_resolvers),
		       NODE_EXIT_NODE_RESOLVERS);
}

static uint32_t
diff_values(const struct node *a, const struct node *b)
{
	return flag(!text_equal(a->stable_id, b->stable_id), NODE_STABLE_ID) |
	       flag(!text_equal(a->name, b->name), NODE_NAME) |
	       flag(a->user != b->user || a->sharer != b->sharer, NODE_USER) |
	       flag(memcmp(&a->machine, &b->machine, sizeof(a->machine)) != 0, NODE_MACHINE) |
	       flag(!hostinfo_equal(a->hostinfo, b->hostinfo), NODE_HOSTINFO) |
	       flag(instant_compare(a->created, b->created) != 0, NODE_CREATED) |
	       flag(a->is_machine_authorized != b->is_machine_authorized, NODE_AUTHORIZED) |
	       flag(a->is_unsigned != b->is_unsigned, NODE_UNSIGNED) |
	       flag(a->is_wireguard_only != b->is_wireguard_only, NODE_WIREGUARD_ONLY) |
	       flag(a->is_jailed != b->is_jailed, NODE_JAILED) |
	       flag(a->is_expired != b->is_expired, NODE_EXPIRED) |
	       flag(!addr_equal(&a->masquerade_v4, &b->masquerade_v4) ||
			       !addr_equal(&a->masquerade_v6, &b->masquerade_v6),
		       NODE_MASQUERADE);
}

uint32_t
node_diff(const struct node *a, const struct node *b)
{
	return diff_patchable(a, b) | diff_lists(a, b) | diff_values(a, b);
}

bool
node_is_expired(const struct node *node, struct instant now)
{
	return node->is_expired ||
	       (!instant_is_unset(node->key_expiry) && instant_compare(node->key_expiry, now) <= 0);
}
