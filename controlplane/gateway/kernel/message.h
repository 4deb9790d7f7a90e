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
	bool is_tun;
	char name[IF_NAMESIZE];
};

struct address_row {
	uint32_t ifindex;
	struct prefix prefix;  /* host bits kept */
	bool link_local;       /* scope */
	bool by_advertisement; /* the kernel made it from a router's */
};

struct route_row {
	struct prefix prefix;
	uint32_t table;
	uint32_t metric;
	uint32_t ifindex; /* 0: none, or several */
	uint8_t type;     /* RTN_UNICAST, … */
	uint8_t protocol; /* RTPROT_… */
	bool narrowed; /* by source, TOS or a cached exception: not for all packets of the prefix */
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
struct nlmsghdr *message_dump_rules(struct message *m, uint8_t family);
struct nlmsghdr *message_dump_addresses(struct message *m);

/* Answers and notifications.  False: malformed, or of a family that is not ours. */
[[nodiscard]] bool message_read_link(const struct nlmsghdr *h, struct link_row *ret_link);
[[nodiscard]] bool message_read_address(const struct nlmsghdr *h, struct address_row *ret_address);
[[nodiscard]] bool message_read_route(const struct nlmsghdr *h, struct route_row *ret_route);
[[nodiscard]] bool message_read_rule(const struct nlmsghdr *h, struct rule_row *ret_rule);

#endif
