/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The host's own addresses, and which of them others may be told.
 *
 * Source: ../shared/protocol/peer.md 5.4, rule for no. 9; 0.1 for the tailnets' ranges.
 * Thread: any; local_addresses_read() asks the kernel (getifaddrs), the rest is pure.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_LOCAL_ADDRESSES_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_LOCAL_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/net/addr.h"

#define LOCAL_ADDRESSES_MAX 256 /* that are looked at */
#define LOCAL_NAME_LEN      16

struct local_address {
	struct prefix prefix;           /* the address, with its network's length */
	char interface[LOCAL_NAME_LEN]; /* its name */
	bool is_up, is_loopback;
};

/* Up to max of them; returns how many.  0 also where the kernel does not say. */
size_t local_addresses_read(struct local_address *ret_addresses, size_t max);

/*
 * Those that others may be told, ascending, each once; returns how many, at most max.
 * tunnel: the interface of ours.
 */
size_t local_addresses_choose(const struct local_address *addresses,
	size_t n,
	const char *tunnel,
	struct addr *ret_addresses,
	size_t max);

/* Whether one can be reached from elsewhere over this family with what there is. */
bool local_addresses_have(const struct local_address *addresses,
	size_t n,
	const char *tunnel,
	enum addr_family family);

/* Of a tailnet: 100.64.0.0/10 (but for 100.115.92.0/23) or fd7a:115c:a1e0::/48. */
bool addr_is_of_tailnet(const struct addr *addr);

#endif
