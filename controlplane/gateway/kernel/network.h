/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network around the box as the kernel has it, for whoever tells the data plane: devices that
 * may carry frames for us, routes, what of the advertised prefixes is reached.  One object, made
 * whole at each change and never changed after that.
 *
 * Source: ../shared/design/architecture.md section 3.3; the kinds are those of lib/shm/shm_abi.h.
 * Owner:  counted references; the host holds one, whoever keeps another calls network_get().
 * Thread: any may read, get and put; `coord` makes them.
 *
 * What is in `routes`.  The table `local`, then `main` and every other table that an unconditional
 * rule behind ours leads to, in the order of the rules: a route of a later table counts where no
 * route of an earlier one covers it.  Of several for one prefix the one with the lowest metric
 * counts, and two of that metric make it SHM_ROUTE_KERNEL, as do next hops that the workers have no
 * word for (several, of another family, encapsulated, a device without Ethernet).  `source` is
 * filled in as the kernel would choose it.  Our own table is not among them: where the tunnel's
 * prefixes lead is said elsewhere.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_NETWORK_H
#define CONTROLPLANE_GATEWAY_KERNEL_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"
#include "lib/shm/shm_abi.h"

#define NETWORK_NAME_LEN  16 /* IFNAMSIZ */
#define NETWORK_WHY_LEN   160
#define NETWORK_MAX_PORTS 6 /* rows of SHM_MAX_PORTS beside `wire` and `host` */

struct network_port {
	uint32_t ifindex;
	char name[NETWORK_NAME_LEN];
	uint8_t mac[6];
	uint32_t mtu;        /* bytes of an IP packet */
	bool up;             /* administratively */
	bool carrier;        /* with the above: SHM_PORT_UP */
	uint16_t n_queues;   /* for receiving, at least 1 */
	char driver[32];     /* as `ethtool -i` says: "veth", "virtio_net", "ixgbe"; "" unknown */
	bool fills_checksum; /* SHM_PORT_FILL_CHECKSUM: senders on this machine leave sums out */
	bool is_wan;         /* a default route leaves by it */
	bool is_lan;         /* an advertised prefix is reached by it, or the operator named it */
	bool is_wanted;      /* the data plane shall open it; else it is the kernel's */
	char why[NETWORK_WHY_LEN]; /* one sentence without a full stop: why it is wanted, or not */
};

/* As struct shm_net_route. */
struct network_route {
	struct prefix prefix; /* masked; each once; sorted by family, address, length */
	struct addr gateway;  /* SHM_ROUTE_GATEWAY: of this family; else ADDR_NONE */
	struct addr source;   /* of ours; ADDR_NONE: none */
	uint32_t ifindex;     /* 0: none, or several */
	uint16_t mtu;         /* of the route; 0: the port's */
	uint8_t kind;         /* enum shm_route_kind */
};

/* What becomes of a prefix that we offer to the tailnet. */
struct network_advertised {
	struct prefix prefix;
	bool is_reached;             /* a route of its own leads there; a default one is none */
	uint32_t ifindex;            /* 0: not reached, or by several */
	char name[NETWORK_NAME_LEN]; /* of the interface, or "" */
};

struct network {
	uint64_t serial; /* another one for each; never 0 */
	struct network_port ports[NETWORK_MAX_PORTS];
	size_t n_ports; /* candidates, also those that are not wanted */
	struct network_route *routes;
	size_t n_routes; /* at most SHM_MAX_ROUTES */
	struct network_advertised *advertised;
	size_t n_advertised;
	uint32_t nat; /* SHM_NAT_...: what host_desired says */
	uint16_t nat_port_first, nat_port_last;
};

/* One more reference; returns `network`. */
struct network *network_get(struct network *network);
/* One less; the last one frees it.  NULL is allowed. */
void network_put(struct network *network);

/* What changed about a neighbour, said one by one. */
struct network_neighbour {
	uint32_t ifindex;
	struct addr addr;
	uint8_t mac[6]; /* zero unless REACHABLE */
	uint8_t state;  /* enum shm_neighbour_state; NONE: forgotten, nobody looks after it */
};

/*
 * The route that an address takes: the row with the longest prefix that contains it, or NULL.
 * Linear in the prefix lengths that occur, logarithmic in the rows.
 */
const struct network_route *network_route_of(const struct network *network, const struct addr *to);

#endif
