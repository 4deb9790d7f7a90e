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
};

/* Everything here lies in secret memory. */
struct desired {
	size_t map_len;
	struct secret_key private_key;
	struct shm_settings settings;
	struct prefix addresses[CONFIG_MAX_ADDRESSES]; /* our own: they belong to the host */
	size_t n_addresses;
	size_t n_peers, n_prefixes;
	struct prefix *prefixes; /* behind the peers */
	struct desired_peer peers[];
};

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
