/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A machine in the tailnet's map: what a router needs of a Node, and how two of them differ.
 *
 * Source: ../shared/protocol/control.md 5.11 and 5.12, 5.8 for what is patchable.
 * Owner:  node_fini() frees what is in it, node_destroy() the node too.
 */
#ifndef LIB_TAILNET_NODE_H
#define LIB_TAILNET_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"
#include "lib/tailnet/instant.h"
#include "lib/tailnet/json_decode.h"
#include "lib/tailnet/lists.h"
#include "lib/tailnet/tailkey.h"

enum service_proto {
	SERVICE_OTHER,
	SERVICE_TCP,
	SERVICE_UDP,
	SERVICE_PEERAPI4, /* TCP port of the peer API at the IPv4 address */
	SERVICE_PEERAPI6,
	SERVICE_PEERAPI_DNS_PROXY, /* answers DNS over HTTP for users of this exit node */
};

struct service {
	enum service_proto proto;
	uint16_t port;
};

/* What other nodes use of a node's Hostinfo.  Texts are the node's own: print them with care. */
struct hostinfo {
	char *os, *hostname;
	struct prefixes routable_ips; /* advertised, approved or not */
	struct service *services;
	size_t n_services;
	bool is_sharee;  /* of another tailnet, only to receive from us */
	uint64_t digest; /* of all its members, in canonical form */
};

struct node {
	int64_t id;
	int64_t user, sharer; /* 0: none */
	char *stable_id;
	char *name; /* with the trailing dot */
	struct node_key key;
	struct machine_key machine;
	struct disco_key disco_key;
	struct octets key_signature;
	struct prefixes addresses;
	struct prefixes allowed_ips; /* where it was omitted: the addresses */
	struct prefixes primary_routes;
	struct endpoints endpoints;
	struct texts tags;
	struct capabilities capabilities;
	struct resolvers exit_node_resolvers;
	struct hostinfo *hostinfo; /* NULL: none given */
	struct instant key_expiry; /* unset: never */
	struct instant created;
	struct instant last_seen;
	int32_t home_region; /* 0: none */
	int32_t capver;      /* its own capability version */
	enum tri online;
	struct addr masquerade_v4; /* ADDR_NONE, or as which we appear to this peer */
	struct addr masquerade_v6;
	bool has_last_seen;
	bool is_machine_authorized;
	bool is_expired; /* in the server's opinion; see key_expiry too */
	bool is_wireguard_only;
	bool is_jailed;
	bool is_unsigned; /* UnsignedPeerAPIOnly: allowed_ips are forced to the addresses */
};

/* In what two nodes differ. */
#define NODE_KEY                 (1u << 0)
#define NODE_DISCO_KEY           (1u << 1)
#define NODE_KEY_EXPIRY          (1u << 2)
#define NODE_KEY_SIGNATURE       (1u << 3)
#define NODE_ENDPOINTS           (1u << 4)
#define NODE_HOME_REGION         (1u << 5)
#define NODE_CAPVER              (1u << 6)
#define NODE_CAPABILITIES        (1u << 7)
#define NODE_ONLINE              (1u << 8)
#define NODE_LAST_SEEN           (1u << 9)
#define NODE_STABLE_ID           (1u << 10)
#define NODE_NAME                (1u << 11)
#define NODE_USER                (1u << 12) /* or the sharer */
#define NODE_MACHINE             (1u << 13)
#define NODE_ADDRESSES           (1u << 14)
#define NODE_ALLOWED_IPS         (1u << 15)
#define NODE_HOSTINFO            (1u << 16)
#define NODE_CREATED             (1u << 17)
#define NODE_TAGS                (1u << 18)
#define NODE_PRIMARY_ROUTES      (1u << 19)
#define NODE_AUTHORIZED          (1u << 20)
#define NODE_UNSIGNED            (1u << 21)
#define NODE_WIREGUARD_ONLY      (1u << 22)
#define NODE_JAILED              (1u << 23)
#define NODE_EXPIRED             (1u << 24)
#define NODE_MASQUERADE          (1u << 25)
#define NODE_EXIT_NODE_RESOLVERS (1u << 26)
/* What a light change may carry; a node that differs only in these is treated as one. */
#define NODE_PATCHABLE ((1u << 10) - 1)
#define NODE_ALL       ((1u << 27) - 1)

/*
 * Read a Node.  Old forms are brought to the new: DERP to home_region, Capabilities into
 * capabilities, omitted AllowedIPs.  Zeroed `node` in; on failure too it is for node_fini().
 * 0, ERR_BAD_FORMAT, -E2BIG or -ENOMEM.
 */
[[nodiscard]] int
node_decode(const struct json_t *object, struct node *node, struct json_budget *budget);

/* The same on the heap: a json_decoder of `struct node *`. */
json_decoder node_decode_new;

void node_fini(struct node *node);
void node_destroy(struct node *node); /* NULL is allowed */

/* NODE_ flags. */
uint32_t node_diff(const struct node *a, const struct node *b);

/*
 * Whether the node's key is of no use any more.  `now` is the wall clock, corrected by the server's
 * if the caller knows better (control.md 7.1).
 */
bool node_is_expired(const struct node *node, struct instant now);

#endif
