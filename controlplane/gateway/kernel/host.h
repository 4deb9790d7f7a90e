/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The machine that we run on, as far as a gateway changes it: the interface's addresses and MTU,
 * a routing table of our own with the rules that lead to it, and a few sysctls.
 *
 * Source: ../shared/design/architecture.md sections 3.1 to 3.3 and 11.
 * Owner:  one per gateway, made in main() of the control plane.
 * Thread: `coord`; none of it is safe for two threads.
 *
 * What is in the table.  For each prefix that leads into the tunnel:
 *
 *     PREFIX dev sluice0                     metric 20
 *     unreachable PREFIX                     metric 4278198272   fail closed: no leak in clear
 *     throw ROUTE                            metric 10           see below
 *
 * and one rule per family, before the one for `main`:
 *
 *     PRIORITY: not from all fwmark MARK/MARK lookup TABLE
 *
 * Outer packets carry the mark and never see the table, so a peer may have 0.0.0.0/0.  For each
 * route of the host (in `main`, or in a table that an unconditional rule behind ours leads to) that
 * is as specific as one of our prefixes, or more, a `throw` lets the look-up go on there: the
 * longest prefix wins across the tables, and among equals the host's own.  These routes, and the
 * host's addresses, are the *exceptions*: the workers must leave them to the kernel.
 *
 * Nothing is kept in mind that the kernel could tell: a restarted control plane reads what is there
 * and changes the difference.  Routes of the table that carry another protocol number than
 * HOST_ROUTE_PROTOCOL are not ours and are left alone; the interface is ours altogether.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_HOST_H
#define CONTROLPLANE_GATEWAY_KERNEL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/gateway.h"
#include "controlplane/gateway/kernel/journal.h"
#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/kernel/notes.h"
#include "lib/net/addr.h"

#define HOST_DEFAULT_INTERFACE     "sluice0"
#define HOST_DEFAULT_TABLE         52100
#define HOST_DEFAULT_RULE_PRIORITY 5200 /* must come before 32766, which is `main` */
#define HOST_ROUTE_PROTOCOL        83   /* of routes, rules and addresses; unused in rt_protos */
#define HOST_MAX_EXCEPTIONS        65536
#define HOST_MAX_NEIGHBOURS        8192 /* looked after at once; the least recently wanted goes */

struct host;

struct host_options {
	const char *interface;  /* copied; NULL: HOST_DEFAULT_INTERFACE */
	uint32_t table;         /* 0: HOST_DEFAULT_TABLE */
	uint32_t rule_priority; /* 0: HOST_DEFAULT_RULE_PRIORITY */
	uint32_t mark;          /* SO_MARK of outer packets, not 0; also used as the mask */
	struct journal
		*journal; /* borrowed until host_close(); NULL: nothing is recorded (tests) */

	/*
	 * The exceptions or the facts have changed.  Called from inside host_dispatch() and
	 * host_apply(); may read them, must not apply or close.  May be NULL.
	 */
	void (*changed)(void *context);

	/*
	 * There is another network (host_network()); a neighbour's state or address of the link
	 * layer has changed, or nobody looks after it any more (state NONE).  Both are called from
	 * inside host_dispatch(), host_apply(), host_serve_ports(), host_want_neighbour() and
	 * host_tell_neighbours(), the network before the exceptions; same rules.  May be NULL.
	 */
	void (*network_changed)(void *context);
	void (*neighbour_changed)(void *context, const struct network_neighbour *neighbour);
	void *context;

	bool without_managed; /* tests: as on a kernel before 5.16 */
};

/* What the host shall be like.  Everything is borrowed for the call. */
struct host_desired {
	const struct prefix *addresses; /* of the interface; host bits kept */
	size_t n_addresses;
	uint16_t mtu;                  /* bytes */
	const struct prefix *prefixes; /* allowed_ips of all peers; any order, duplicates allowed */
	size_t n_prefixes;             /* the networks of `addresses` are added to them */
	bool forward_v4; /* packets between the tunnel and other interfaces; the kernel's forwarding
	                  */
	bool forward_v6; /* is on only while one of these is not a port of the workers' */

	/* Ports and subnets; all zero: none, the kernel does everything. */
	enum config_driver driver;
	const char (*port_names)[CONFIG_INTERFACE_LEN]; /* `dataplane.ports`: these and no others */
	size_t n_port_names;
	const struct prefix *advertised; /* prefixes that we offer to a tailnet; may hold /0 */
	size_t n_advertised;
	uint32_t nat; /* SHM_NAT_...: families whose source is translated towards a LAN */
	uint16_t nat_port_first; /* ports of the workers' NAT, 0: none reserved */
	uint16_t nat_port_last;
};

enum host_forwarding {
	HOST_FORWARDING_OFF,
	HOST_FORWARDING_FOUND_ON,
	HOST_FORWARDING_BY_US,
};

struct host_facts {
	const char *interface; /* borrowed from the host, as are the notes */
	uint32_t ifindex;      /* 0: there is no such interface */
	bool up;               /* as an administrator sets it */
	bool running;          /* somebody holds the other end of the TUN */
	uint32_t mtu;
	bool has_v6; /* the kernel does IPv6 at all */
	uint32_t table;
	uint32_t rule_priority;
	uint32_t mark;
	bool rule_v4;
	bool rule_v6;
	size_t n_prefixes; /* into the tunnel */
	size_t n_throws;   /* left to the host's own routes */
	size_t n_exceptions;
	enum host_forwarding forwarding_v4;
	enum host_forwarding forwarding_v6;
	const struct notes *notes;
};

/*
 * Open the netlink sockets and begin to listen.  Nothing is changed or read yet.
 * 0, -EINVAL (name or numbers out of range), -ENOMEM, or -errno of the sockets.
 */
[[nodiscard]] int host_open(const struct host_options *options, struct host **ret_host);

/* Changes nothing on the host: what must go goes by journal_undo().  NULL is allowed. */
void host_close(struct host *host);

/* For epoll (EPOLLIN): readable when host_dispatch() has something to do.  Borrowed. */
int host_fd(const struct host *host);

/*
 * Read what the kernel reports and put right what has changed: exceptions follow routes, and what
 * was removed from our table, rules or interface comes back.  Changes are gathered for
 * 20 ms, so one call may do nothing visible.  Does not block on the event socket.
 * Returns 0, or the first error; the rest was tried, and it is tried again later.
 */
[[nodiscard]] int host_dispatch(struct host *host);

/*
 * Make the host like this.  Only what differs is touched.  A copy of `desired` is kept, and held to
 * until the next call.
 *
 * Returns 0, or the first error: -ENODEV (no such interface yet: routes that refuse are in place,
 * and the rest follows by host_dispatch() as soon as it appears), -EPERM, -EMEDIUMTYPE (the
 * interface is not a TUN: not touched), -ENOMEM, -errno.  Everything else was tried all the same;
 * the notes of host_facts() say what is missing.
 */
[[nodiscard]] int host_apply(struct host *host, const struct host_desired *desired);

/*
 * What belongs to the host and not to a peer: each address of each interface as a host prefix, and
 * each prefix with a throw route.  Sorted (family, address, length), borrowed until the next call
 * of host_dispatch() or host_apply().  The generation is another one whenever the set is.
 */
const struct prefix *
host_exceptions(const struct host *host, size_t *ret_n, uint64_t *ret_generation);

void host_facts(const struct host *host, struct host_facts *ret_facts);

/*
 * The network as last looked at; NULL before the first host_apply().  Borrowed until the next call
 * that may change it: keep it with network_get().
 */
struct network *host_network(const struct host *host);

/*
 * Which interfaces the data plane serves with AF_XDP now; all others are the kernel's: its
 * forwarding, its masquerade.  A port that has just become wanted counts as served for two seconds,
 * so that nothing is switched on only to be switched off again.
 * 0, or the first error of changing the host; the rest was tried.
 */
[[nodiscard]] int host_serve_ports(struct host *host, const uint32_t *ifindexes, size_t n);

/*
 * Look after this neighbour: the kernel resolves it and keeps it resolved, though it sends nothing
 * itself.  Its state follows by neighbour_changed(), at once if it is known, and again whenever it
 * changes.  Wanted before: moves to the end of the line of those to be forgotten.  Gateways of
 * routes by ports are looked after without being asked for.
 *
 * 0, or -EINVAL: no neighbour can be there (no port of the network, no address of a single host,
 * not on the link); -errno of the kernel, which is tried again later.
 */
[[nodiscard]] int host_want_neighbour(struct host *host, uint32_t ifindex, const struct addr *addr);

/* Call neighbour_changed() for every neighbour that is looked after, as it is. */
void host_tell_neighbours(struct host *host);

#endif
