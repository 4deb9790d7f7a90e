/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network around the box as workers see it: ports that carry frames, routes, and who is behind
 * them.  Built by the main thread from the block that the control plane sent, published whole, and
 * never changed; only neighbours change in place, and new ones are added.
 *
 * Source: docs/shm-abi.md, "The network around the box"; ../shared/design/architecture.md 3.3.
 * Owner:  the main thread creates, publishes, and destroys after a quiescent point.
 * Thread: workers call the inline functions; the others are the main thread's.
 */
#ifndef DATAPLANE_TABLE_NET_H
#define DATAPLANE_TABLE_NET_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/exact_table.h"
#include "lib/net/prefix_table.h"
#include "lib/shm/shm_abi.h"

struct port; /* dataplane/io/io.h */

#define NET_NO_PORT  UINT8_MAX  /* of a route: none that carries frames and is open */
#define NET_NO_ROUTE UINT32_MAX /* no route at all */

/* A link port: open, and carrying frames. */
struct net_port {
	struct port *io;
	uint32_t ifindex;
	uint32_t mtu;   /* bytes of an IP packet */
	uint32_t flags; /* SHM_PORT_... */
	uint8_t mac[6];
	uint8_t row; /* of state.ports, and pkt->port of what comes by it */
};

/* A row of the block, with what a worker asks of it. */
struct net_route {
	struct shm_addr gateway;
	struct shm_addr source; /* ours, for what begins here and for NAT; all zero: none */
	uint32_t mtu; /* bytes of an IP packet: the route's or its port's; UINT32_MAX without a port
	               */
	uint8_t kind; /* enum shm_route_kind */
	uint8_t family;
	uint8_t len;  /* bits of the prefix */
	uint8_t port; /* index in net_table.ports, or NET_NO_PORT: the kernel's to route */
	uint8_t pad[24];
};
static_assert(sizeof(struct net_route) == SHM_CACHE_LINE, "one line");

/* Neighbours by interface and address: rows of state.neighbours.  Rows are added, none is removed.
 */
#define NET_NEIGHBOUR_SLOTS (2 * SHM_MAX_NEIGHBOURS)
struct net_neighbours {
	struct shm_state *state;
	uint64_t seed[2];
	uint32_t free_from; /* no row below it is unused; the main thread's */
	/* Upper half: of the hash; lower half: row + 1; 0: empty. */
	_Atomic uint32_t slots[NET_NEIGHBOUR_SLOTS];
};
static_assert(SHM_MAX_NEIGHBOURS < UINT16_MAX, "a row fits half a slot");

struct net_table {
	uint32_t serial; /* of all tables that this process published; never 0 */
	uint32_t n_ports;
	uint16_t listen_port; /* of the wire, host order */
	uint16_t nat;         /* SHM_NAT_... */
	uint16_t nat_port_first, nat_port_last;
	bool has_wide_local; /* a prefix of the box's own that is no single address */
	uint64_t seed[2];
	struct exact_table *hosts; /* /32 and /128 to the number of their route */
	struct prefix_table *prefixes;
	const struct net_route *routes;
	uint32_t n_routes;
	struct net_neighbours *neighbours;
	struct net_port ports[SHM_MAX_PORTS];
};

/* What a table is made of.  Nothing is kept but `state`. */
struct net_table_setup {
	const struct shm_net *net; /* a checked copy; NULL: nothing is known yet */
	struct shm_state *state;   /* whose neighbours are looked up */
	/*
	 * The open link ports: io, ifindex and row.  mtu, flags and mac are taken from the block; a
	 * port that the block does not name is not up.
	 */
	const struct net_port *ports;
	unsigned n_ports;
	uint16_t listen_port;
	uint64_t seed[2]; /* random, so that nobody can choose addresses that collide */
	uint32_t serial;  /* of this process, never 0, another one for each table */
};

/*
 * Whether `len` bytes are a sound block: its length, kinds, families, lengths of prefixes, no host
 * bit set, each prefix and each port once, NAT's range.  Returns 0, -EINVAL, -EEXIST or -ENOMEM.
 */
[[nodiscard]] int net_block_check(const void *bytes, size_t len);

/* Returns 0, -EINVAL (too many ports), or -ENOMEM. */
[[nodiscard]] int net_table_create(const struct net_table_setup *setup, struct net_table **ret);
/* NULL is allowed. */
void net_table_destroy(struct net_table *t);

/*
 * A neighbour changes, or is new: what is published is `t`.  Workers see it at once.
 * Returns 0, -EINVAL (no such family, state or interface), or -ENOSPC: no row is unused.  Then
 * publish another table, let a quiescent point pass, call net_neighbours_reclaim(), and try again.
 */
int net_neighbour_set(const struct net_table *t, const struct shm_cmd_neighbour *cmd);

/*
 * Rows whose neighbour was forgotten before `t` was made may be used for others from now on.  `t`
 * is published, and no worker looks at an older table any more.
 */
void net_neighbours_reclaim(const struct net_table *t);

/* --- for workers --- */

/*
 * A look-up in two steps, as in exact_table.h.  `addr`: the bytes of an address as they are in a
 * packet.  The answer is the number of a route, or NET_NO_ROUTE.
 */
static inline uint32_t
net_route_begin(const struct net_table *t, uint8_t family, const uint8_t *addr)
{
	return exact_table_begin(t->hosts, family, addr);
}

static inline uint32_t
net_route_end(const struct net_table *t, uint8_t family, const uint8_t *addr, uint32_t place)
{
	uint32_t route = exact_table_end(t->hosts, family, addr, place);

	if (route != EXACT_TABLE_NONE)
		return route;
	return prefix_table_lookup(t->prefixes, family, addr);
}

static inline uint32_t
net_route_lookup(const struct net_table *t, uint8_t family, const uint8_t *addr)
{
	return net_route_end(t, family, addr, net_route_begin(t, family, addr));
}

static_assert(EXACT_TABLE_NONE == NET_NO_ROUTE && PREFIX_TABLE_NONE == NET_NO_ROUTE,
	"one value for none");

/* Whether an address is one of the box's own; those of loopback do not count. */
static inline bool
net_is_local(const struct net_table *t, uint8_t family, const uint8_t *addr)
{
	uint32_t route = exact_table_lookup(t->hosts, family, addr);

	if (route == EXACT_TABLE_NONE && t->has_wide_local)
		route = prefix_table_lookup(t->prefixes, family, addr);
	return route != NET_NO_ROUTE && t->routes[route].kind == SHM_ROUTE_LOCAL;
}

/* The port whose packets carry this number in pkt->port.  NULL: not a link port, or closed. */
static inline const struct net_port *
net_port_of_row(const struct net_table *t, uint8_t row)
{
	for (uint32_t i = 0; i < t->n_ports; i++)
		if (t->ports[i].row == row)
			return &t->ports[i];
	return NULL;
}

/* NULL: no such port. */
static inline const struct net_port *
net_port_of_ifindex(const struct net_table *t, uint32_t ifindex)
{
	for (uint32_t i = 0; i < t->n_ports; i++)
		if (t->ports[i].ifindex == ifindex)
			return &t->ports[i];
	return NULL;
}

static inline uint32_t
net_neighbour_hash(const struct net_neighbours *n,
	uint32_t ifindex,
	uint8_t family,
	const uint8_t *addr)
{
	uint64_t low = 0, high = 0;

	if (family == 4) {
		uint32_t word;

		memcpy(&word, addr, sizeof(word));
		low = word;
	} else {
		memcpy(&low, addr, sizeof(low));
		memcpy(&high, addr + 8, sizeof(high));
	}
	low ^= ((uint64_t)ifindex << 32 | family) * UINT64_C(0xa0761d6478bd642f);
	return exact_table_hash(low ^ n->seed[0], high ^ n->seed[1]);
}

/* Where a neighbour would be: its slot is fetched. */
static inline uint32_t
net_neighbour_begin(const struct net_table *t,
	uint32_t ifindex,
	uint8_t family,
	const uint8_t *addr)
{
	uint32_t hash = net_neighbour_hash(t->neighbours, ifindex, family, addr);

	__builtin_prefetch(&t->neighbours->slots[hash % NET_NEIGHBOUR_SLOTS]);
	return hash;
}

static inline bool
net_neighbour_matches(const struct shm_neighbour_row *row,
	uint32_t ifindex,
	uint8_t family,
	const uint8_t *addr)
{
	return row->ifindex == ifindex && row->family == family &&
	       memcmp(row->addr.bytes, addr, family == 4 ? 4 : 16) == 0;
}

/*
 * hash: of net_neighbour_begin() for the same one.  NULL: not known.  The row's word is to be read
 * atomically (relaxed: it says all) at each use; the row stays its neighbour's while `t` is in use.
 */
static inline const struct shm_neighbour_row *
net_neighbour_end(const struct net_table *t,
	uint32_t ifindex,
	uint8_t family,
	const uint8_t *addr,
	uint32_t hash)
{
	const struct net_neighbours *n = t->neighbours;

	// Ends: there are twice as many slots as rows.
	for (uint32_t at = hash;; at++) {
		// Pairs with the release in net_neighbour_set(): the row's key was written before.
		uint32_t slot = atomic_load_explicit(
			&n->slots[at % NET_NEIGHBOUR_SLOTS], memory_order_acquire);
		const struct shm_neighbour_row *row;

		if (slot == 0)
			return NULL;
		if (slot >> 16 != hash >> 16)
			continue;
		row = &n->state->neighbours[(slot & 0xffff) - 1];
		if (net_neighbour_matches(row, ifindex, family, addr))
			return row;
	}
}

static inline const struct shm_neighbour_row *
net_neighbour_lookup(const struct net_table *t,
	uint32_t ifindex,
	uint8_t family,
	const uint8_t *addr)
{
	return net_neighbour_end(
		t, ifindex, family, addr, net_neighbour_begin(t, ifindex, family, addr));
}

/* The state in a neighbour's word: enum shm_neighbour_state. */
static inline unsigned
net_neighbour_state(uint64_t word)
{
	return (unsigned)(word >> 48) & 0xff;
}

#endif
