/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What shall be, as one object that crosses from the thread `coord` to the thread `wire`.  Names
 * that must be resolved are not in it: their addresses follow one by one.
 *
 * Owner:  made by coord, owned by the letter that carries it, then by wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_DESIRED_H
#define CONTROLPLANE_GATEWAY_PUBLISH_DESIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/gateway.h"
#include "controlplane/gateway/state_file.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"
#include "lib/shm/shm_abi.h"
#include "lib/wg/tai64n.h"

struct desired_peer {
	struct public_key public_key;
	struct secret_key preshared_key; /* zeros: none */
	char name[CONFIG_NAME_LEN];
	struct endpoint endpoint; /* family ADDR_NONE: none, or a name that is not resolved yet */
	bool endpoint_is_name;    /* LETTER_ENDPOINT brings its address */
	uint16_t keepalive_s;
	struct wg_tai64n rx_timestamp; /* what the state file knows; zeros: nothing */
	struct wg_tai64n tx_timestamp;
	uint32_t first_prefix; /* in `prefixes` below */
	uint32_t n_prefixes;

	/* of a member of our tailnet, whose paths disco finds */
	bool is_member;
	bool is_wireguard_only;
	struct public_key disco_key; /* zeros: it has none */
	uint16_t home_region;        /* of its relay; 0: none */
	int32_t capver;
	uint32_t first_endpoint; /* in `endpoints` below */
	uint32_t n_endpoints;
};

struct derp_map;
struct trust;
struct acl_block;

/* What a member of a tailnet is, besides a gateway. */
struct desired_self {
	bool is_member;
	struct public_key node_key; /* of desired.private_key */
	struct secret_key disco_key;
	struct derp_map *derp_map; /* owned; NULL: none known */
	uint64_t derp_map_serial;  /* another one whenever the map is another */
	struct trust *trust;       /* a reference: of relays' certificates; NULL: the system's */
	uint16_t listen_port;
	uint16_t home_region; /* of our relay, as the server last knew it; 0: not known */
};

#define DESIRED_MAX_ENDPOINTS (64 * CONFIG_MAX_PEERS)

/* Everything here lies in secret memory. */
struct desired {
	size_t map_len;
	struct secret_key private_key;
	struct shm_settings settings;
	struct prefix addresses[CONFIG_MAX_ADDRESSES]; /* our own: they belong to the host */
	size_t n_addresses;
	struct desired_self self;
	struct acl_block *filter; /* a reference; NULL: none, see settings.filter */
	size_t n_peers, n_prefixes, n_endpoints;
	struct endpoint *endpoints; /* of members; behind the peers */
	struct prefix *prefixes;    /* behind the endpoints */
	struct desired_peer peers[];
};

/*
 * With room for so many, and none of them yet: n_peers, n_prefixes and n_endpoints are 0.
 * Returns 0, -E2BIG (beyond the limits of config/gateway.h), -ENOMEM.
 */
[[nodiscard]] int desired_alloc(size_t max_peers,
	size_t max_prefixes,
	size_t max_endpoints,
	struct desired **ret_desired);
/* The first own address of each family is the source of our ICMP errors. */
void desired_set_icmp_sources(struct desired *desired);

/*
 * From a configuration (borrowed for the call), and what the state file knows.
 * Returns 0, -ENOMEM.
 */
[[nodiscard]] int desired_create(const struct config_gateway *config,
	const struct state_file *state,
	struct desired **ret_desired);
/* Wipes it; NULL is allowed. */
void desired_destroy(struct desired *desired);

#endif
