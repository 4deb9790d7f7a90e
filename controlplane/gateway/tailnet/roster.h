/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From the tailnet's map to what shall be: which nodes become peers, which addresses they may use,
 * and what is refused, with the reason.
 *
 * A node is left out altogether when its key has expired, when nothing could reach it (neither
 * disco key nor relay), and when it needs what is not built (masqueraded addresses, jail).  Of the
 * rest, own addresses are always let in, subnets if routes are accepted, a default route never: it
 * is for whoever uses an exit node, and what lies inside a network of our own never either.
 *
 * Source: ../shared/protocol/peer.md 3.2.
 * Thread: coord.  Pure: nothing is kept.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_ROSTER_H
#define CONTROLPLANE_GATEWAY_TAILNET_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/gateway/publish/desired.h"
#include "controlplane/gateway/state_file.h"
#include "lib/tailnet/netmap.h"

#define ROSTER_MTU 1280 /* of sluice0; peer.md 3.3 */

enum roster_verdict {
	ROSTER_PEER,
	ROSTER_EXPIRED,
	ROSTER_UNREACHABLE,
	ROSTER_MASQUERADED,
	ROSTER_JAILED,
	ROSTER_SELF, /* our own key */
};

/* Borrowed for the call. */
struct roster_view {
	const struct netmap *map; /* with a self node */
	const struct state_file *stamps;
	const struct secret_key *node_key, *disco_key;
	struct acl_block *filter; /* NULL: none, nothing is let in */
	uint64_t derp_map_serial;
	struct trust *trust; /* of relays' certificates; NULL: the system's */
	struct instant now;
	uint16_t listen_port;
	uint16_t peer_api_port4, peer_api_port6; /* 0: none */
	bool accept_routes, shields_up;
	const struct prefix *own_nets; /* that we are connected to, or offer: never accepted */
	size_t n_own_nets;
};

/* Whether, and why not, a node becomes a peer. */
enum roster_verdict roster_judge(const struct roster_view *view, const struct node *node);
/* For people; "" for a peer. */
const char *roster_reason(enum roster_verdict verdict);

/* Whether a node may use this prefix, which is one of its allowed_ips. */
bool roster_admits_prefix(const struct roster_view *view,
	const struct node *node,
	const struct prefix *prefix);

/* What becomes of a subnet that a peer offers. */
enum roster_fate {
	ROSTER_SUBNET_USED,
	ROSTER_SUBNET_NOT_WANTED, /* routes are not accepted */
	ROSTER_SUBNET_OWN,        /* it is inside a network of our own */
	ROSTER_SUBNET_ELSEWHERE,  /* by another node that offers it as well */
};
struct roster_subnet {
	struct prefix prefix;
	const struct node *node; /* of the map */
	bool is_primary;         /* the server says so */
	enum roster_fate fate;
};

/* All of them, sorted by prefix; free() them.  0 or -ENOMEM. */
[[nodiscard]] int
roster_subnets(const struct roster_view *view, struct roster_subnet **ret_subnets, size_t *ret_n);

/* 0, -E2BIG or -ENOMEM. */
[[nodiscard]] int roster_desired(const struct roster_view *view, struct desired **ret_desired);

/*
 * When the next key expires, so that its node can be cut off then; unset: none does.
 */
struct instant roster_next_expiry(const struct roster_view *view);

#endif
