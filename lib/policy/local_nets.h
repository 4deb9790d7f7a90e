/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where packets from the tailnet may be delivered at all, whatever the rules say.
 *
 * Source: ../shared/protocol/peer.md section 9.6.
 */
#ifndef LIB_POLICY_LOCAL_NETS_H
#define LIB_POLICY_LOCAL_NETS_H

#include "lib/policy/addr_set.h"

/* An address of the host with the network that is on its link. */
struct host_addr {
	struct addr addr;
	uint8_t prefix_len;
};

struct local_nets_input {
	const struct prefix *own; /* the node's Addresses */
	size_t n_own;
	const struct prefix *routes; /* advertised, approved or not; /0: an exit node */
	size_t n_routes;
	const struct host_addr *host; /* of all interfaces, but the tailnet's own addresses */
	size_t n_host;
	const struct addr *services; /* of node attribute service-host */
	size_t n_services;
	bool is_app_connector;
};

/*
 * ret_set: for addr_set_fini(); untouched on failure.
 * 0, ERR_BAD_FORMAT (an address without family), -E2BIG or -ENOMEM.
 */
[[nodiscard]] int local_nets_make(const struct local_nets_input *in, struct addr_set *ret_set);

#endif
