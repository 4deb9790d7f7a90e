/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"

/* --- the block --- */

static struct shm_net_port
port_of(const struct network_port *from)
{
	struct shm_net_port to = { .ifindex = from->ifindex,
		.mtu = from->mtu,
		.flags = (from->up && from->carrier ? SHM_PORT_UP : 0) |
		         (from->fills_checksum ? SHM_PORT_FILL_CHECKSUM : 0) };

	memcpy(to.mac, from->mac, sizeof(to.mac));
	memcpy(to.name, from->name, sizeof(to.name));
	return to;
}

static struct shm_net_route
route_of(const struct network_route *from)
{
	return (struct shm_net_route){ .addr = shm_addr_of(&from->prefix.addr),
		.gateway = shm_addr_of(&from->gateway),
		.source = shm_addr_of(&from->source),
		.ifindex = from->ifindex,
		.mtu = from->mtu,
		.family = from->prefix.addr.family,
		.len = from->prefix.len,
		.kind = from->kind };
}

int
net_block_create(const struct network *network, struct net_block **ret_block)
{
	size_t n_routes = network->n_routes < SHM_MAX_ROUTES ? network->n_routes : SHM_MAX_ROUTES;
	size_t n_ports = network->n_ports < SHM_MAX_PORTS ? network->n_ports : SHM_MAX_PORTS;
	size_t len = SHM_NET_LEN(n_routes);
	struct net_block *block = calloc(1, sizeof(*block) + len);
	struct shm_net *net;

	if (block == NULL)
		return -ENOMEM;
	block->len = len;
	net = (struct shm_net *)block->bytes; // calloc: what is not set is zero, so blocks compare
	net->n_ports = (uint32_t)n_ports;
	net->n_routes = (uint32_t)n_routes;
	net->nat = network->nat;
	net->nat_port_first = network->nat_port_first;
	net->nat_port_last = network->nat_port_last;
	for (size_t i = 0; i < n_ports; i++)
		net->ports[i] = port_of(&network->ports[i]);
	for (size_t i = 0; i < n_routes; i++)
		net->routes[i] = route_of(&network->routes[i]);
	*ret_block = block;
	return 0;
}

static bool
is_equal(const struct net_block *a, const struct net_block *b)
{
	return a != NULL && b != NULL && a->len == b->len &&
	       memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* --- saying it --- */

void
net_publisher_init(struct net_publisher *p, struct dataplane *dp)
{
	*p = (struct net_publisher){ .dp = dp };
}

void
net_publisher_fini(struct net_publisher *p)
{
	free(p->applied);
	free(p->sending);
	free(p->wanted);
	net_publisher_init(p, p->dp);
}

void
net_publisher_wish(struct net_publisher *p, struct net_block *block)
{
	free(p->wanted);
	p->wanted = NULL;
	if (is_equal(block, p->sending) || (p->sending == NULL && is_equal(block, p->applied)))
		free(block);
	else
		p->wanted = block;
}

void
net_publisher_start_over(struct net_publisher *p)
{
	struct net_block *newest = p->wanted != NULL    ? p->wanted
	                           : p->sending != NULL ? p->sending
	                                                : p->applied;
	uint64_t used = p->dp->state != NULL ? atomic_load_explicit(&p->dp->state->net_serial,
						       memory_order_acquire)
	                                     : 0;

	if (p->wanted != newest)
		free(p->wanted);
	if (p->sending != newest)
		free(p->sending);
	if (p->applied != newest)
		free(p->applied);
	p->applied = p->sending = NULL;
	p->wanted = newest;
	if (used > p->serial && used < UINT64_MAX / 2)
		p->serial = used; // of whoever was here before us
}

static bool
say_part(struct net_publisher *p)
{
	const struct net_block *b = p->sending;
	size_t n = b->len - p->said < SHM_NET_PART ? b->len - p->said : SHM_NET_PART;
	struct shm_command c = { .kind = SHM_CMD_NET,
		.net = { .serial = p->serial,
			.offset = (uint32_t)p->said,
			.total = (uint32_t)b->len } };

	memcpy(c.net.bytes, b->bytes + p->said, n);
	if (!dataplane_push_if_room(p->dp, &c))
		return false;
	p->said += n;
	return true;
}

void
net_publisher_pump(struct net_publisher *p)
{
	if (!p->dp->attached)
		return;
	if (p->sending == NULL && p->wanted != NULL) {
		p->sending = p->wanted;
		p->wanted = NULL;
		p->said = 0;
		p->serial++;
	}
	while (p->sending != NULL && p->said < p->sending->len && say_part(p))
		;
}

bool
net_publisher_is_talking(const struct net_publisher *p)
{
	if (!p->dp->attached)
		return false;
	return p->sending != NULL ? p->said < p->sending->len : p->wanted != NULL;
}

bool
net_publisher_on_answer(struct net_publisher *p, uint64_t serial, uint32_t value)
{
	// Before its last part was said, or of another: nonsense, or about the past.
	if (p->sending == NULL || serial != p->serial || p->said < p->sending->len)
		return false;
	if (value == 0) {
		free(p->applied);
		p->applied = p->sending;
	} else {
		p->n_refused++;
		free(p->sending); // what it had stays in force there
	}
	p->sending = NULL;
	return true;
}
