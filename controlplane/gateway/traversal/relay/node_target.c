/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/relay/node_target.h"

#include <string.h>

static bool
is_said(const char *text)
{
	return text != NULL && *text != '\0';
}

// What the map says of a family: an address of it, or that it is not to be used.
static bool
take_family(struct node_target *t, const char *text, enum addr_family family)
{
	struct endpoint *e = &t->literal[t->target.n_addresses];

	if (!is_said(text))
		return true;
	if (addr_parse(text, &e->addr) < 0 || e->addr.family != family)
		return false;
	e->port = t->target.port;
	t->target.n_addresses++;
	return true;
}

bool
node_target_init(struct node_target *t, const struct derp_node *node, bool plain)
{
	int32_t port = node->derp_port;
	bool v4, v6;

	if (port == 0)
		port = plain ? NODE_PLAIN_PORT : DERP_DEFAULT_DERP_PORT;
	if (node->is_stun_only || !is_said(node->host_name) || port < 1 || port > UINT16_MAX)
		return false;
	*t = (struct node_target){
		.target = {
			.host = node->host_name,
			.port = (uint16_t)port,
			.tls = !plain,
			.verify = node->is_insecure ? STREAM_VERIFY_NONE : STREAM_VERIFY_FULL,
			.cert_name = is_said(node->cert_name) ? node->cert_name : NULL,
			.low_delay = true,
		},
	};
	v6 = take_family(t, node->ipv6, ADDR_V6);
	v4 = take_family(t, node->ipv4, ADDR_V4);
	if (t->target.n_addresses > 0)
		t->target.addresses = t->literal;
	else if (!v4 || !v6)
		t->target.family = v4 ? ADDR_V4 : ADDR_V6;
	return v4 || v6;
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

bool
node_target_same(const struct derp_node *a, const struct derp_node *b)
{
	return same_text(a->host_name, b->host_name) && same_text(a->cert_name, b->cert_name) &&
	       same_text(a->ipv4, b->ipv4) && same_text(a->ipv6, b->ipv6) &&
	       a->derp_port == b->derp_port && a->is_stun_only == b->is_stun_only &&
	       a->is_insecure == b->is_insecure;
}
