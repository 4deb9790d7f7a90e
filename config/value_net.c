/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses, prefixes and endpoints.
 */

#include <stdlib.h>
#include <string.h>

#include "config/host_port.h"
#include "config/loading.h"
#include "config/value.h"

// A prefix of a list; `example` is for the message.
static bool
parse_item(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	struct prefix *ret_prefix)
{
	const char *name = schema_name(o);

	if (node->kind != NODE_SCALAR) {
		loading_error(l, node,
			"%s has an item that is no prefix; YAML took it for a %s; put prefixes "
			"that begin or end with ':' into quotes",
			name, node->kind == NODE_MAP ? "map" : "list");
		return false;
	}
	if (prefix_parse(node->text, ret_prefix) < 0) {
		loading_error(l, node,
			"%s has \"%s\", which is no prefix; a prefix is an address, '/' and its "
			"length (at most 32 in IPv4, 128 in IPv6); write for example `%s: %s`",
			name, shown(node->text).text, name, o->example);
		return false;
	}
	return true;
}

static bool
is_zero(const struct addr *addr)
{
	static const struct addr zero;

	return memcmp(addr->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
}

static bool
is_multicast(const struct addr *addr)
{
	return addr->family == ADDR_V4 ? addr->bytes[0] >= 224 : addr->bytes[0] == 0xff;
}

static bool
is_loopback(const struct addr *addr)
{
	static const uint8_t one[16] = { [15] = 1 };

	return addr->family == ADDR_V4 ? addr->bytes[0] == 127
	                               : memcmp(addr->bytes, one, sizeof(one)) == 0;
}

// The first address of an IPv4 network, which names the network, or the last, its broadcast.
static bool
is_end_of_network(const struct prefix *p)
{
	struct prefix network = prefix_mask(*p);
	struct addr broadcast = network.addr;

	if (p->addr.family != ADDR_V4 || p->len >= 31) // RFC 3021
		return false;
	for (unsigned bit = p->len; bit < 32; bit++)
		broadcast.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return addr_equal(&p->addr, &network.addr) || addr_equal(&p->addr, &broadcast);
}

// NULL, or why the gateway cannot have this address.
static const char *
address_complaint(const struct prefix *p, const char *text)
{
	if (strchr(text, '/') == NULL)
		return "it has no prefix length, which tells the network around it; add it, for "
		       "example /24 (or /32 for the address alone, /128 in IPv6)";
	if (is_zero(&p->addr) || is_multicast(&p->addr) || is_loopback(&p->addr) || p->len == 0)
		return "no interface can have it; choose an ordinary address and network";
	if (is_end_of_network(p))
		return "it is the first or last of its network, which hosts cannot have; take "
		       "another, for example the one that ends in .1";
	return NULL;
}

static void
add_address(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	struct config_gateway *config)
{
	struct prefix prefix;
	const char *complaint;

	if (!parse_item(l, o, node, &prefix))
		return;
	complaint = address_complaint(&prefix, node->text);
	if (complaint != NULL) {
		loading_error(l, node, "%s has %s; %s", schema_name(o), shown(node->text).text,
			complaint);
		return;
	}
	for (size_t i = 0; i < config->n_addresses; i++) {
		if (addr_equal(&config->addresses[i].addr, &prefix.addr)) {
			loading_error(l, node,
				"%s has %s twice; an address belongs to one network; remove one of "
				"the two",
				schema_name(o), shown(node->text).text);
			return;
		}
	}
	config->addresses[config->n_addresses++] = prefix;
}

static void
addresses_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	struct config_gateway *config = base;

	if (!loading_wants_list(l, o, node))
		return;
	if (node->n_children > CONFIG_MAX_ADDRESSES) {
		loading_error(l, node, "%s has %zu items; %d are the most; remove some",
			schema_name(o), node->n_children, CONFIG_MAX_ADDRESSES);
		return;
	}
	if (node->n_children == 0)
		loading_warning(l, node,
			"%s is empty; the gateway itself can then not be reached through the "
			"tunnel, nor send ICMP errors into it; add one like 10.99.0.1/24",
			schema_name(o));
	for (const struct node *item = node->first; item != NULL; item = item->next)
		add_address(l, o, item, config);
}

static void
print_prefixes(FILE *out, const struct prefix *prefixes, size_t count)
{
	char text[ADDR_TEXT_LEN];

	fputc('[', out);
	for (size_t i = 0; i < count; i++) {
		const char *quote = prefixes[i].addr.family == ADDR_V6 ? "\"" : "";

		fprintf(out, "%s%s%s%s", i == 0 ? "" : ", ", quote,
			prefix_format(&prefixes[i], text), quote);
	}
	fputc(']', out);
}

static void
addresses_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_gateway *config = base;

	print_prefixes(out, config->addresses, config->n_addresses);
}

const struct value_type value_addresses = {
	"a list of addresses with prefix lengths",
	addresses_parse,
	addresses_print,
};

static bool
has_host_bits(const struct prefix *p)
{
	struct prefix masked = prefix_mask(*p);

	return !addr_equal(&masked.addr, &p->addr);
}

static void
add_route(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	struct config_tailnet *tailnet)
{
	char text[ADDR_TEXT_LEN];
	struct prefix route, masked;
	const char *complaint;

	if (!parse_item(l, o, node, &route))
		return;
	masked = prefix_mask(route);
	complaint = config_check_route(&route);
	if (complaint != NULL) {
		loading_error(l, node, "%s has %s; %s", schema_name(o), shown(node->text).text,
			complaint);
		return;
	}
	for (size_t i = 0; i < tailnet->n_advertise_routes; i++) {
		if (prefix_equal(&tailnet->advertise_routes[i], &masked)) {
			loading_error(l, node,
				"%s has %s twice; once is enough; remove one of the two",
				schema_name(o), prefix_format(&masked, text));
			return;
		}
	}
	tailnet->advertise_routes[tailnet->n_advertise_routes++] = masked;
}

static void
routes_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	struct config_gateway *config = base;

	if (!loading_wants_list(l, o, node))
		return;
	if (node->n_children > CONFIG_MAX_ADVERTISE) {
		loading_error(l, node, "%s has %zu items; %d are the most; join neighbours",
			schema_name(o), node->n_children, CONFIG_MAX_ADVERTISE);
		return;
	}
	config->tailnet.advertise_routes = calloc(node->n_children + 1, sizeof(struct prefix));
	if (config->tailnet.advertise_routes == NULL) {
		l->out_of_memory = true;
		return;
	}
	for (const struct node *item = node->first; item != NULL; item = item->next)
		add_route(l, o, item, &config->tailnet);
}

static void
routes_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_tailnet *tailnet = &((const struct config_gateway *)base)->tailnet;

	print_prefixes(out, tailnet->advertise_routes, tailnet->n_advertise_routes);
}

const struct value_type value_routes = {
	"a list of prefixes",
	routes_parse,
	routes_print,
};

// Remember where the prefix stands, for the search for duplicates.
static bool
mark_prefix(struct loading *l, const struct prefix_mark *mark)
{
	struct prefix_mark *prefixes;
	size_t size;

	if (l->n_prefixes == CONFIG_MAX_PREFIXES) {
		loading_error(l, mark->node,
			"more than %d prefixes in allowed_ips; that is the most for all peers "
			"together; join neighbouring prefixes into shorter ones",
			CONFIG_MAX_PREFIXES);
		return false;
	}
	if (l->n_prefixes == l->prefixes_size) {
		size = l->prefixes_size > 0 ? 2 * l->prefixes_size : 64;
		prefixes = reallocarray(l->prefixes, size, sizeof(*prefixes));
		if (prefixes == NULL) {
			l->out_of_memory = true;
			return false;
		}
		l->prefixes = prefixes;
		l->prefixes_size = size;
	}
	l->prefixes[l->n_prefixes++] = *mark;
	return true;
}

static void
add_allowed_ip(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	struct config_peer *peer)
{
	char text[ADDR_TEXT_LEN];
	struct prefix prefix, masked;
	struct prefix_mark mark;

	if (!parse_item(l, o, node, &prefix))
		return;
	masked = prefix_mask(prefix);
	if (has_host_bits(&prefix))
		loading_warning(l, node,
			"%s has %s with bits set behind its length; %s counts; write it like that "
			"if you meant the network, or with /%u for the address",
			schema_name(o), shown(node->text).text, prefix_format(&masked, text),
			addr_bits(prefix.addr.family));
	mark = (struct prefix_mark){
		.prefix = masked,
		.peer = (uint32_t)(peer - l->config->peers),
		.index = (uint32_t)peer->n_allowed_ips,
		.node = node,
	};
	if (mark_prefix(l, &mark))
		peer->allowed_ips[peer->n_allowed_ips++] = masked;
}

static void
allowed_ips_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	struct config_peer *peer = base;

	if (!loading_wants_list(l, o, node))
		return;
	if (node->n_children == 0) {
		loading_warning(l, node,
			"%s is empty; no packet is routed to this peer or accepted from it; add "
			"its address, for example 10.99.0.2/32",
			schema_name(o));
		return;
	}
	peer->allowed_ips = calloc(node->n_children, sizeof(*peer->allowed_ips));
	if (peer->allowed_ips == NULL) {
		l->out_of_memory = true;
		return;
	}
	for (const struct node *item = node->first; item != NULL; item = item->next)
		add_allowed_ip(l, o, item, peer);
}

static void
allowed_ips_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_peer *peer = base;

	print_prefixes(out, peer->allowed_ips, peer->n_allowed_ips);
}

const struct value_type value_allowed_ips = {
	"a list of prefixes",
	allowed_ips_parse,
	allowed_ips_print,
};

static void
endpoint_read(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	struct config_peer *peer = base;
	const char *complaint;

	if (!loading_wants_scalar(l, o, node))
		return;
	complaint = host_port_parse(node->text, peer->endpoint_host, &peer->endpoint_port);
	if (complaint != NULL)
		loading_error(l, node, "%s is \"%s\"; %s", schema_name(o), shown(node->text).text,
			complaint);
}

static void
endpoint_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_peer *peer = base;

	if (peer->endpoint_host[0] != '\0')
		host_port_print(out, peer->endpoint_host, peer->endpoint_port);
}

const struct value_type value_endpoint = {
	"an address or name with a port",
	endpoint_read,
	endpoint_print,
};
