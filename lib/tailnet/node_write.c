/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/netmap_write.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
write_text(struct json_writer *w, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_write_text(w, name, text);
}

static void
write_int(struct json_writer *w, const char *name, int64_t number)
{
	if (number != 0)
		json_write_int(w, name, number);
}

static void
write_true(struct json_writer *w, const char *name, bool value)
{
	if (value)
		json_write_bool(w, name, true);
}

static void
write_key(struct json_writer *w, const char *name, enum tailkey_kind kind, const uint8_t *bytes)
{
	char text[TAILKEY_TEXT_SIZE];

	if (!tailkey_is_zero(bytes))
		json_write_text(w, name, tailkey_format(kind, bytes, text));
}

static void
write_instant(struct json_writer *w, const char *name, struct instant t)
{
	char text[INSTANT_TEXT_SIZE];

	json_write_text(w, name, instant_format(t, text));
}

static void
write_prefixes(struct json_writer *w, const char *name, const struct prefixes *p)
{
	char text[ADDR_TEXT_LEN];

	json_write_open(w, name, '[');
	for (size_t i = 0; i < p->n; i++)
		json_write_text(w, NULL, prefix_format(&p->at[i], text));
	json_write_close(w, ']');
}

static void
write_endpoints(struct json_writer *w, const struct endpoints *e)
{
	char text[ADDR_TEXT_LEN];

	if (e->at == NULL)
		return;
	json_write_open(w, "Endpoints", '[');
	for (size_t i = 0; i < e->n; i++)
		json_write_text(w, NULL, endpoint_format(&e->at[i], text));
	json_write_close(w, ']');
}

static void
write_addr(struct json_writer *w, const char *name, const struct addr *a)
{
	char text[ADDR_TEXT_LEN];

	if (a->family != ADDR_NONE)
		json_write_text(w, name, addr_format(a, text));
}

static void
write_tags(struct json_writer *w, const struct texts *tags)
{
	if (tags->n == 0)
		return;
	json_write_open(w, "Tags", '[');
	for (size_t i = 0; i < tags->n; i++)
		json_write_text(w, NULL, tags->at[i]);
	json_write_close(w, ']');
}

static void
write_capabilities(struct json_writer *w, const struct capabilities *c)
{
	if (c->n == 0)
		return;
	json_write_open(w, "CapMap", '{');
	for (size_t i = 0; i < c->n; i++)
		json_write_raw(
			w, c->at[i].name, c->at[i].values != NULL ? c->at[i].values : "null");
	json_write_close(w, '}');
}

void
resolvers_write(struct json_writer *w, const char *name, const struct resolvers *r)
{
	if (r->n == 0)
		return;
	json_write_open(w, name, '[');
	for (size_t i = 0; i < r->n; i++) {
		json_write_open(w, NULL, '{');
		json_write_text(w, "Addr", r->at[i].addr);
		write_true(w, "UseWithExitNode", r->at[i].use_with_exit_node);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static const char *
proto_name(enum service_proto proto)
{
	static const char *const names[] = {
		[SERVICE_OTHER] = "other",
		[SERVICE_TCP] = "tcp",
		[SERVICE_UDP] = "udp",
		[SERVICE_PEERAPI4] = "peerapi4",
		[SERVICE_PEERAPI6] = "peerapi6",
		[SERVICE_PEERAPI_DNS_PROXY] = "peerapi-dns-proxy",
	};

	return proto < COUNT(names) ? names[proto] : names[SERVICE_OTHER];
}

static void
write_services(struct json_writer *w, const struct hostinfo *h)
{
	if (h->n_services == 0)
		return;
	json_write_open(w, "Services", '[');
	for (size_t i = 0; i < h->n_services; i++) {
		json_write_open(w, NULL, '{');
		json_write_text(w, "Proto", proto_name(h->services[i].proto));
		json_write_int(w, "Port", h->services[i].port);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static void
write_hostinfo(struct json_writer *w, const struct hostinfo *h)
{
	if (h == NULL)
		return;
	json_write_open(w, "Hostinfo", '{');
	write_text(w, "OS", h->os);
	write_text(w, "Hostname", h->hostname);
	if (h->routable_ips.n > 0)
		write_prefixes(w, "RoutableIPs", &h->routable_ips);
	write_services(w, h);
	write_true(w, "ShareeNode", h->is_sharee);
	json_write_close(w, '}');
}

static void
write_identity(struct json_writer *w, const struct node *node)
{
	json_write_int(w, "ID", node->id);
	write_text(w, "StableID", node->stable_id);
	write_text(w, "Name", node->name);
	write_int(w, "User", node->user);
	write_int(w, "Sharer", node->sharer);
	write_key(w, "Key", TAILKEY_NODE, node->key.bytes);
	if (!instant_is_unset(node->key_expiry))
		write_instant(w, "KeyExpiry", node->key_expiry);
	if (node->key_signature.len > 0)
		json_write_octets(w, "KeySignature", &node->key_signature);
	write_key(w, "Machine", TAILKEY_MACHINE, node->machine.bytes);
	write_key(w, "DiscoKey", TAILKEY_DISCO, node->disco_key.bytes);
}

static void
write_lists(struct json_writer *w, const struct node *node)
{
	write_prefixes(w, "Addresses", &node->addresses);
	write_prefixes(w, "AllowedIPs", &node->allowed_ips); // [] is not the same as omitted
	if (node->primary_routes.n > 0)
		write_prefixes(w, "PrimaryRoutes", &node->primary_routes);
	write_endpoints(w, &node->endpoints);
	write_tags(w, &node->tags);
	write_capabilities(w, &node->capabilities);
	resolvers_write(w, "ExitNodeDNSResolvers", &node->exit_node_resolvers);
}

static void
write_state(struct json_writer *w, const struct node *node)
{
	write_int(w, "HomeDERP", node->home_region);
	if (!instant_is_unset(node->created))
		write_instant(w, "Created", node->created);
	write_int(w, "Cap", node->capver);
	if (node->has_last_seen)
		write_instant(w, "LastSeen", node->last_seen);
	if (node->online != TRI_UNKNOWN)
		json_write_bool(w, "Online", node->online == TRI_TRUE);
	write_true(w, "MachineAuthorized", node->is_machine_authorized);
	write_true(w, "UnsignedPeerAPIOnly", node->is_unsigned);
	write_true(w, "Expired", node->is_expired);
	write_true(w, "IsWireGuardOnly", node->is_wireguard_only);
	write_true(w, "IsJailed", node->is_jailed);
	write_addr(w, "SelfNodeV4MasqAddrForThisPeer", &node->masquerade_v4);
	write_addr(w, "SelfNodeV6MasqAddrForThisPeer", &node->masquerade_v6);
}

void
node_write(struct json_writer *w, const char *name, const struct node *node)
{
	json_write_open(w, name, '{');
	write_identity(w, node);
	write_lists(w, node);
	write_hostinfo(w, node->hostinfo);
	write_state(w, node);
	json_write_close(w, '}');
}
