/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/outer.h"

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/stage/stages.h"
#include "lib/net/checksum.h"
#include "lib/net/flow_hash.h"

#define OUTER_TTL       64
#define IPV6_FLOW_LABEL 0x000fffff

/* ---- looking up ---- */

static bool
is_zero(const uint8_t addr[16])
{
	return (load_le64(addr) | load_le64(addr + 8)) == 0;
}

/*
 * The address that the peer last wrote to, while it is ours; else what the route says.  NULL: only
 * the kernel knows.
 */
static const uint8_t *
source_of(const struct net_table *net, const struct pkt_outer *path, const struct net_route *r)
{
	if (!is_zero(path->local) && net_is_local(net, path->family, path->local))
		return path->local;
	if (r != NULL && !is_zero(r->source.bytes))
		return r->source.bytes;
	return NULL;
}

static void
write_ipv4(struct outer_way *way, const uint8_t *source)
{
	uint8_t *h = way->headers;

	h[0] = 0x45;
	h[8] = OUTER_TTL;
	h[9] = IP_PROTOCOL_UDP;
	memcpy(h + 12, source, IPV4_ADDR_LEN);
	memcpy(h + 16, way->of.remote, IPV4_ADDR_LEN);
	way->headers_len = IPV4_HEADER_LEN + UDP_HEADER_LEN;
}

static void
write_ipv6(struct outer_way *way, const uint8_t *source, uint64_t seed)
{
	struct endpoint e = { .addr.family = ADDR_V6, .port = way->of.remote_port };
	uint8_t *h = way->headers;

	memcpy(e.addr.bytes, way->of.remote, IPV6_ADDR_LEN);
	// One label for each peer: routers that spread by it keep its packets in order.
	store_be32(h, 0x60000000 | (flow_hash_outer(&e, seed) & IPV6_FLOW_LABEL));
	h[6] = IP_PROTOCOL_UDP;
	h[7] = OUTER_TTL;
	memcpy(h + 8, source, IPV6_ADDR_LEN);
	memcpy(h + 24, way->of.remote, IPV6_ADDR_LEN);
	way->headers_len = IPV6_HEADER_LEN + UDP_HEADER_LEN;
}

static void
write_headers(const struct net_table *net, struct outer_way *way, const uint8_t *source)
{
	bool is_v4 = way->of.family == ADDR_V4;
	uint8_t *udp;
	uint64_t sum;

	memset(way->headers, 0, sizeof(way->headers));
	if (is_v4)
		write_ipv4(way, source);
	else
		write_ipv6(way, source, net->seed[0]);
	udp = way->headers + way->headers_len - UDP_HEADER_LEN;
	store_be16(udp, net->listen_port);
	store_be16(udp + 2, way->of.remote_port);
	sum = checksum_add_pseudo(0, way->of.family, source, way->of.remote, IP_PROTOCOL_UDP, 0);
	way->sum = checksum_fold(checksum_add(sum, udp, 4));
}

// Leave the way's port as NET_NO_PORT where the kernel knows better.
static void
look_up(const struct net_table *net, struct outer_way *way)
{
	const struct pkt_outer *path = &way->of;
	const struct net_port *port;
	const struct net_route *r = NULL;
	const uint8_t *source;

	if (path->ifindex != 0) { // a neighbour by definition
		port = net_port_of_ifindex(net, path->ifindex);
	} else {
		uint32_t route = net_route_lookup(net, path->family, path->remote);

		if (route == NET_NO_ROUTE || net->routes[route].port == NET_NO_PORT)
			return;
		r = &net->routes[route];
		port = &net->ports[r->port];
	}
	source = source_of(net, path, r);
	if (port == NULL || (port->flags & SHM_PORT_UP) == 0 || source == NULL)
		return;
	way->mtu = (uint16_t)(r != NULL ? r->mtu : port->mtu);
	if (r != NULL && r->kind == SHM_ROUTE_GATEWAY)
		way->next_hop = r->gateway;
	else
		memcpy(way->next_hop.bytes, path->remote, sizeof(way->next_hop.bytes));
	write_headers(net, way, source);
	way->row = net_neighbour_lookup(net, port->ifindex, path->family, way->next_hop.bytes);
	way->port = (uint8_t)(port - net->ports);
}

static void
renew(struct worker *w, struct outer_way *way, const struct pkt_outer *path)
{
	*way = (struct outer_way){
		.of = *path,
		.serial = w->net->serial,
		.port = NET_NO_PORT,
	};
	look_up(w->net, way);
}

const struct outer_way *
outer_way_of(struct worker *w, const struct pkt_outer *path)
{
	// Paths of peers lie 128 bytes apart, two of each.
	uint64_t place = ((uint64_t)(uintptr_t)path >> 5) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
	struct outer_way *way = &w->ways[place % OUTER_WAYS];

	// A path's memory is used again when it has changed twice: what it says is compared.
	if (__builtin_expect(
		    way->serial != w->net->serial || memcmp(&way->of, path, sizeof(*path)) != 0, 0))
		renew(w, way, path);
	return way;
}

bool
outer_is_open(struct worker *w, const struct outer_way *way, uint64_t *ret_word)
{
	const struct net_port *port;
	const struct shm_neighbour_row *row = way->row;

	if (way->port == NET_NO_PORT)
		return false;
	port = &w->net->ports[way->port];
	if (row == NULL)
		row = net_neighbour_lookup(
			w->net, port->ifindex, way->of.family, way->next_hop.bytes);
	if (row != NULL) {
		*ret_word = atomic_load_explicit(&row->word, memory_order_relaxed);
		if (net_neighbour_state(*ret_word) == SHM_NEIGHBOUR_REACHABLE)
			return true;
	}
	want_neighbour(w, port->ifindex, way->of.family, way->next_hop.bytes);
	return false;
}

/* ---- writing ---- */

static void
finish_ipv4(struct worker *w, uint8_t *h, uint32_t len, uint8_t ecn)
{
	h[1] = ecn;
	store_be16(h + 2, (uint16_t)len);
	if (len > OUTER_CUT_MAX)
		store_be16(h + 6, IPV4_DONT_FRAGMENT); // then no identification is needed
	else
		store_be16(h + 4, ++w->outer_id);
	checksum_fill_ipv4(h, IPV4_HEADER_LEN);
}

static void
finish_ipv6(uint8_t *h, uint32_t len, uint8_t ecn)
{
	h[1] |= (uint8_t)(ecn << 4);
	store_be16(h + 4, (uint16_t)(len - IPV6_HEADER_LEN));
}

void
outer_write(struct worker *w, const struct outer_way *way, struct pkt *p)
{
	uint32_t udp_len = UDP_HEADER_LEN + p->len;
	uint64_t sum = checksum_add(way->sum, p->data, p->len);
	uint16_t checksum;
	uint8_t *udp;

	// Twice: of the pseudo-header and of the header.
	sum += 2 * (uint64_t)htons((uint16_t)udp_len);
	checksum = checksum_finish(sum);
	p->data -= way->headers_len;
	p->len += way->headers_len;
	memcpy(p->data, way->headers, way->headers_len);
	udp = p->data + way->headers_len - UDP_HEADER_LEN;
	store_be16(udp + 4, (uint16_t)udp_len);
	checksum_store(udp + 6, checksum != 0 ? checksum : UINT16_MAX);
	if (way->of.family == ADDR_V4)
		finish_ipv4(w, p->data, p->len, p->outer_ecn & 3);
	else
		finish_ipv6(p->data, p->len, p->outer_ecn & 3);
}
