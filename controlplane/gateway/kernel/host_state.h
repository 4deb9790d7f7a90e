/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of `host` share among themselves; nobody else includes this.
 *
 * host.c drives: it reads the desired state and the kernel's events and calls, in this order,
 *     host_address.c   the interface and its addresses
 *     host_mirror.c    the host's rules, routes and addresses; from them the exceptions
 *     host_network.c   what the data plane is told: ports, routes; which neighbours are needed
 *     host_path_mtu.c  ... and where the path is narrower than its route
 *     host_table.c     our table and our rules
 *     host_nat.c       the packet filter's table, reserved ports
 *     host_forward.c   sysctls
 *     host_rest.c      what is put back while nothing is wanted
 * Each reads what is there, changes what differs, and can be run again at any time.  Below them
 * is host_sysctl.c, which changes a sysctl through the journal; nothing calls upwards.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_HOST_STATE_H
#define CONTROLPLANE_GATEWAY_KERNEL_HOST_STATE_H

#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/neighbours.h"
#include "controlplane/gateway/kernel/netlink.h"
#include "controlplane/gateway/kernel/nf_table.h"
#include "controlplane/gateway/kernel/port_choice.h"
#include "controlplane/gateway/kernel/prefix_set.h"
#include "controlplane/gateway/kernel/route_merge.h"
#include "lib/base/clock.h"

#define HOST_METRIC_THROW       10
#define HOST_METRIC_TUNNEL      20
#define HOST_METRIC_UNREACHABLE UINT32_C(4278198272)
#define HOST_MAX_WAYS           16 /* interfaces with a default route that are looked after */

/* Our table, by kind of route. */
struct host_table {
	struct prefix_set throws;
	struct prefix_set unreachables;
	struct prefix_set tunnels;
};

/* A few interface indices. */
struct host_ways {
	uint32_t ifindex[HOST_MAX_WAYS];
	size_t n;
};

/* What host_mirror.c has seen, for host_network.c. */
struct host_sight {
	bool is_fresh;
	struct route_merge routes;
	struct host_ways wan;          /* the default route that is used leaves by these */
	struct address_row *addresses; /* in the kernel's order */
	size_t n_addresses;
	size_t n_narrowed_rules; /* that only some packets follow */
};

/* Narrow paths that the kernel knows of; sorted. */
struct path_mtus {
	struct path_mtu {
		struct addr to;
		uint32_t ifindex;
		uint16_t mtu;
	} * rows;
	size_t n;
};

/* What host_apply() said about ports and subnets. */
struct host_wish {
	enum config_driver driver;
	char names[CONFIG_MAX_PORTS][CONFIG_INTERFACE_LEN];
	size_t n_names;
	struct prefix *advertised;
	size_t n_advertised;
	uint32_t nat;
	uint16_t nat_port_first, nat_port_last;
};

struct host {
	/* fixed by host_open() */
	char interface[IF_NAMESIZE];
	uint32_t table;
	uint32_t rule_priority;
	uint32_t mark;
	struct journal *journal;
	void (*changed)(void *context);
	void (*network_changed)(void *context);
	void *context;
	bool has_v6;
	struct netlink nl;
	struct neighbours *neighbours;
	int nf_fd;     /* reports of the packet filter's changes; -1: there is none */
	int events_fd; /* notifications */
	int timer_fd;  /* when what was notified is looked after */
	int poll_fd;   /* when what is not notified is looked at */
	int epoll_fd;  /* of the two: what the caller watches */
	uint8_t *event_buf;

	/* the copy of what host_apply() was given */
	bool has_desired;
	struct prefix *addresses;
	size_t n_addresses;
	uint32_t mtu;
	struct prefix_set prefixes; /* with the networks of the addresses */
	bool forward_v4;
	bool forward_v6;
	struct host_wish wish;

	/* which interfaces the data plane serves */
	struct mono served_due; /* until then it may still open what is wanted */
	uint32_t served[SHM_MAX_PORTS];
	size_t n_served;

	/* as last seen in the kernel */
	struct link_row link;
	uint32_t configured_ifindex; /* set up by us once; if it is down now, an administrator did
	                                it */
	struct prefix_set throws;    /* that our table should have */
	struct prefix_set exceptions;
	uint64_t generation;
	struct host_table in_kernel;
	bool in_kernel_known;        /* false: read our table before changing it */
	size_t n_foreign_routes;     /* in our table, of somebody else */
	bool rule_there[2];          /* IPv4, IPv6 */
	struct host_ways advertised; /* interfaces that live on router advertisements */
	struct host_ways default_v4; /* interfaces with an IPv4 default route */
	enum host_forwarding forwarding_v4;
	enum host_forwarding forwarding_v6;
	bool has_rested;      /* put back, since nothing is wanted */
	bool switched_off[2]; /* forwarding, by us: who switches it on then is not us */
	struct host_sight sight;
	struct path_mtus path_mtus;
	struct network *network; /* NULL: none yet */
	struct choice_lans lans;
	bool is_adopted;           /* neighbours of an earlier process */
	bool neighbours_are_stale; /* reports were lost */
	bool nf_is_known, nf_is_there;
	struct nf_table nf; /* as last put */

	/* event loop */
	bool stale;         /* something has changed since the last look */
	struct mono due;    /* when the timer fires, or never */
	struct mono looked; /* end of the last look */
	int64_t look_ns;    /* how long it took */

	struct notes notes; /* of the last look */
};

/* All return 0, or the first error after having tried everything; notes say what failed. */
[[nodiscard]] int host_address_look(struct host *h, bool from_apply);
[[nodiscard]] int host_mirror_look(struct host *h);
[[nodiscard]] int host_table_look(struct host *h);
[[nodiscard]] int host_network_look(struct host *h);
[[nodiscard]] int host_nat_look(struct host *h);
[[nodiscard]] int host_forward_look(struct host *h);
[[nodiscard]] int host_rest_look(struct host *h);

/* Neither addresses nor prefixes are wanted: the gateway is in no tailnet, or left it. */
bool host_is_resting(const struct host *h);

/* --- host_mirror.c --- */
void host_sight_fini(struct host_sight *sight);

/* --- host_path_mtu.c --- */
/* Read them.  Whether they are others than before. */
bool host_path_mtu_poll(struct host *h);
/* A route for each, among the others.  0, or -ENOMEM. */
[[nodiscard]] int host_path_mtu_add(const struct host *h, struct network *n);

/* --- host_network.c --- */
bool host_is_served(const struct host *h, uint32_t ifindex); /* by the data plane */
/*
 * Whether some subnet is left to the kernel to forward to.  While the data plane may still be
 * opening a port, nothing is decided: ret_undecided.
 */
bool host_kernel_forwards(const struct host *h, bool *ret_undecided);

/* The interface needs IPv6: an address or a prefix of it is wanted, and the kernel has it. */
bool host_wants_v6(const struct host *h);

/* --- host_sysctl.c --- */
/*
 * Give a sysctl a value, through the journal; nothing happens where it has it.
 * 0, -ENOENT (the setting is missing, not noted), other errors are noted.
 */
[[nodiscard]] int host_set_sysctl(struct host *h, const char *key, int32_t value);

/* Keep the first error. */
static inline int
first_error(int first, int next)
{
	return first < 0 ? first : next;
}

#endif
