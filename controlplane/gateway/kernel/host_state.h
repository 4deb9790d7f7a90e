/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of `host` share among themselves; nobody else includes this.
 *
 * host.c drives: it reads the desired state and the kernel's events and calls, in this order,
 *     host_address.c   the interface and its addresses
 *     host_mirror.c    the host's rules, routes and addresses; from them the exceptions
 *     host_table.c     our table and our rules
 *     host_forward.c   sysctls
 * Each reads what is there, changes what differs, and can be run again at any time.  Below them
 * is host_sysctl.c, which changes a sysctl through the journal; nothing calls upwards.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_HOST_STATE_H
#define CONTROLPLANE_GATEWAY_KERNEL_HOST_STATE_H

#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/netlink.h"
#include "controlplane/gateway/kernel/prefix_set.h"
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

struct host {
	/* fixed by host_open() */
	char interface[IF_NAMESIZE];
	uint32_t table;
	uint32_t rule_priority;
	uint32_t mark;
	struct journal *journal;
	void (*changed)(void *context);
	void *context;
	bool has_v6;
	struct netlink nl;
	int events_fd; /* notifications */
	int timer_fd;  /* when what was notified is looked after */
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
[[nodiscard]] int host_forward_look(struct host *h);

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
