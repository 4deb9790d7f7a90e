/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which interfaces the data plane shall open as ports, and what of the advertised prefixes is
 * reached: the WAN by the default route, the LAN by where the advertised prefixes are, or what the
 * operator named.  Pure.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_PORT_CHOICE_H
#define CONTROLPLANE_GATEWAY_KERNEL_PORT_CHOICE_H

#include "config/gateway.h"
#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/kernel/notes.h"

/* An interface of the host. */
struct choice_link {
	struct link_row link;
	bool is_wan; /* a default route leaves by it, the one that is used */
};

struct choice {
	enum config_driver driver;
	bool is_resting;                           /* the gateway is down: nothing is wanted */
	const char (*names)[CONFIG_INTERFACE_LEN]; /* dataplane.ports; n_names 0: none given */
	size_t n_names;
	const struct choice_link *links;
	size_t n_links;
	uint32_t own_ifindex; /* of our TUN, never a port; 0: none */
};

#define CHOICE_MAX_LANS 64

/* The interfaces that advertised prefixes are reached by, ports or not. */
struct choice_lans {
	uint32_t ifindex[CHOICE_MAX_LANS];
	size_t n;
	bool has_others; /* also by ways that only the kernel knows, or too many */
};

/*
 * Fill network->ports from its routes and `advertised`, whose prefixes stand in
 * network->advertised already; the rest of each of them is filled in too.  Notes say what the
 * operator should know: a name without an interface, a prefix that is not reached.  Driver and
 * number of queues are left to the caller, who asks the device.
 */
void port_choice_make(const struct choice *choice,
	struct network *network,
	struct choice_lans *ret_lans,
	struct notes *notes);

#endif
