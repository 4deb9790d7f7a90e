/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What client and relay tell each other about themselves: JSON in a box, the data of a CLIENT_INFO
 * and of a SERVER_INFO message.
 *
 * Source: ../shared/protocol/peer.md 4.3; vectors/derp.json.
 * Thread: any; no hidden state.
 *
 * The box key is shared by the client's node key and the server's key.  The server learns the
 * client's key from the message (derp_message.key) before it computes anything.
 */
#ifndef LIB_DERP_INFO_H
#define LIB_DERP_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/box.h"
#include "lib/crypto/key.h"

#define DERP_VERSION             2
#define DERP_INFO_MAX_LEN        4096 /* of the JSON that is read; what is written is much shorter */
#define DERP_INFO_OVERHEAD       (BOX_NONCE_LEN + BOX_TAG_LEN)
#define DERP_CLIENT_INFO_MAX_LEN (DERP_INFO_OVERHEAD + 192) /* that is written */
#define DERP_SERVER_INFO_MAX_LEN (DERP_INFO_OVERHEAD + 128)

struct derp_client_info {
	int64_t version;
	bool has_mesh_key;
	struct secret_key
		mesh_key; /* if has_mesh_key: compare it with secret_equal(), and wipe it */
	bool can_ack_pings;
	bool is_prober;
};

struct derp_server_info {
	int64_t version;
	/* Of what the client sends, headers included; 0: no limit.  Never negative. */
	int64_t bytes_per_second;
	int64_t bytes_burst;
};

/*
 * Write nonce and box: the data of the message.  nonce: random, never used before.  Fields that
 * have their default are left out as the reference does.  Returns its length.
 */
size_t derp_client_info_seal(uint8_t out[static DERP_CLIENT_INFO_MAX_LEN],
	const struct derp_client_info *info,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN]);
size_t derp_server_info_seal(uint8_t out[static DERP_SERVER_INFO_MAX_LEN],
	const struct derp_server_info *info,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN]);

/*
 * Open nonce and box.  What is missing or null has its default (0, false); unknown members are
 * ignored, names match in any case, and the last of equal names counts.
 * 0, or
 *   ERR_TRUNCATED  no nonce and tag;
 *   ERR_BAD_MAC    not sealed with this key: the sender does not have the key he claims;
 *   ERR_BAD_FORMAT longer than DERP_INFO_MAX_LEN, not a JSON object (null passes), or a member
 *                  that we know of the wrong type.
 * Each of them ends the connection.
 */
[[nodiscard]] int derp_client_info_open(const uint8_t *data,
	size_t len,
	const struct box_key *key,
	struct derp_client_info *ret_info);
[[nodiscard]] int derp_server_info_open(const uint8_t *data,
	size_t len,
	const struct box_key *key,
	struct derp_server_info *ret_info);

#endif
