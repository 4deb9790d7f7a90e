/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The rows of rtnetlink that we read and write, as structures.  Pure: bytes in, bytes out.
 *
 * Source: linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_MESSAGE_H
#define CONTROLPLANE_GATEWAY_KERNEL_MESSAGE_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/netlink.h"
#include "lib/net/addr.h"

struct message {
	uint8_t bytes[NETLINK_MESSAGE_LEN] __attribute__((aligned(8)));
};

struct link_row {
	uint32_t ifindex; /* 0: none */
	uint32_t mtu;     /* bytes; 0 in a request: leave it */
	bool up;
	bool running;
	bool carrier;
	bool is_tun;
	bool is_ethernet;
	uint8_t mac[6];       /* if is_ethernet */
	uint32_t lower;       /* the link that this one lies on, as a VLAN does; 0: none */
	uint32_t xdp_program; /* number of the one that is attached; 0: none */
	uint32_t n_rx_queues; /* made room for; 0: not said */
	char name[IF_NAMESIZE];
	char kind[IF_NAMESIZE]; /* "veth", "bridge", ...; "": hardware, mostly */
};

struct address_row {
	uint32_t ifindex;
	struct prefix prefix;  /* host bits kept */
	bool link_local;       /* scope */
	bool by_advertisement; /* the kernel made it from a router's */
	bool is_second_choice; /* secondary, temporary, deprecated, or not yet checked */
};

#define ROUTE_MAX_HOPS 8 /* interfaces of a route with several next hops that are read */

struct route_row {
	struct prefix prefix;
	uint32_t table;
	uint32_t metric;
	uint32_t ifindex; /* 0: none, or several */
	uint8_t type;     /* RTN_UNICAST, … */
	uint8_t protocol; /* RTPROT_… */
	bool narrowed; /* by source, TOS or a cached exception: not for all packets of the prefix */

	/* only read */
	bool is_cached;      /* an exception of another route, not a route */
	bool is_dead;        /* not used now */
	bool is_involved;    /* several next hops, one of another family, an encapsulation */
	struct addr gateway; /* of the prefix's family, or ADDR_NONE */
	struct addr source;
	uint32_t mtu;                  /* 0: the device's */
	uint32_t hops[ROUTE_MAX_HOPS]; /* interfaces, of several next hops */
	size_t n_hops;
};

/* What a neighbour's entry says.  Values of `nud` are NUD_... of linux/neighbour.h. */
struct neighbour_row {
	uint32_t ifindex;
	struct addr addr;
	uint16_t nud;
	bool has_mac;
	uint8_t mac[6];
	uint8_t protocol; /* RTPROT_... of who made it, 0: not said */
	bool is_managed;
	bool is_proxy; /* an address that we answer for: no neighbour */
};

struct rule_row {
	uint8_t family; /* enum addr_family */
	uint8_t action; /* FR_ACT_… */
	uint8_t protocol;
	uint32_t priority;
	uint32_t table;
	uint32_t mark;
	uint32_t mask;
	bool inverted;      /* for packets that do not match */
	bool narrowed;      /* by anything but the mark */
	int suppressed_len; /* routes of this prefix length, or shorter, do not count; -1: all do */
};

/*
 * Requests.  Each fills `m` and returns its header.  type: RTM_NEW… or RTM_DEL…; flags beyond
 * NLM_F_REQUEST.
 */
struct nlmsghdr *message_link_set(struct message *m, const struct link_row *link); /* mtu, up */
struct nlmsghdr *message_link_no_addr_gen(struct message *m, uint32_t ifindex);
struct nlmsghdr *message_link_delete(struct message *m, uint32_t ifindex);
struct nlmsghdr *message_link_get(struct message *m, const char *name);       /* by name … */
struct nlmsghdr *message_link_get_index(struct message *m, uint32_t ifindex); /* … or index */
struct nlmsghdr *message_address(struct message *m,
	uint16_t type,
	uint16_t flags,
	const struct address_row *address);
struct nlmsghdr *
message_route(struct message *m, uint16_t type, uint16_t flags, const struct route_row *route);
struct nlmsghdr *
message_rule(struct message *m, uint16_t type, uint16_t flags, const struct rule_row *rule);
struct nlmsghdr *message_dump_routes(struct message *m, uint8_t family, uint32_t table);
/* Exceptions of routes, for single addresses (since Linux 5.3; older ones dump the routes). */
struct nlmsghdr *message_dump_cached_routes(struct message *m, uint8_t family);
struct nlmsghdr *message_dump_rules(struct message *m, uint8_t family);
struct nlmsghdr *message_dump_links(struct message *m);
struct nlmsghdr *message_dump_addresses(struct message *m);

/*
 * Neighbours.  `manage` has the kernel keep the entry resolved (since Linux 5.16; older ones make
 * an entry that does nothing); `use` has it resolve once; `keep` sets what the row says.  The first
 * and the last write the row's protocol, which the kernel then never forgets.
 */
struct nlmsghdr *message_neighbour_manage(struct message *m, const struct neighbour_row *row);
struct nlmsghdr *message_neighbour_use(struct message *m, const struct neighbour_row *row);
struct nlmsghdr *message_neighbour_keep(struct message *m, const struct neighbour_row *row);
struct nlmsghdr *message_neighbour_delete(struct message *m, const struct neighbour_row *row);
struct nlmsghdr *message_neighbour_get(struct message *m, const struct neighbour_row *row);
struct nlmsghdr *message_dump_neighbours(struct message *m, uint32_t ifindex); /* 0: of all */

/* Answers and notifications.  False: malformed, or of a family that is not ours. */
[[nodiscard]] bool message_read_link(const struct nlmsghdr *h, struct link_row *ret_link);
[[nodiscard]] bool message_read_address(const struct nlmsghdr *h, struct address_row *ret_address);
[[nodiscard]] bool message_read_route(const struct nlmsghdr *h, struct route_row *ret_route);
[[nodiscard]] bool message_read_neighbour(const struct nlmsghdr *h, struct neighbour_row *ret_row);
[[nodiscard]] bool message_read_rule(const struct nlmsghdr *h, struct rule_row *ret_rule);

#endif
