/* SPDX-License-Identifier: BSD-3-Clause
 *
 * NaCl's box: a message sealed from one key pair to another, as disco and DERP use it.
 *
 * Source: D. J. Bernstein, "Cryptography in NaCl", sections 5 to 10 (X25519, then HSalsa20 of a
 *         zero input, then XSalsa20-Poly1305); ../shared/protocol/peer.md 0.  On the wire the tag
 *         comes first, then the encrypted bytes; there is no zero padding.
 * Thread: any; no hidden state.
 *
 * The first half costs a scalar multiplication and is the same for every message between two keys
 * in both directions: do it once per pair, and keep the result.
 */
#ifndef LIB_CRYPTO_BOX_H
#define LIB_CRYPTO_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"

#define BOX_NONCE_LEN 24
#define BOX_TAG_LEN   16

struct box_key { /* shared by two key pairs; secret: wipe with secret_wipe() */
	uint8_t bytes[KEY_LEN];
};

/*
 * The key shared with the holder of `theirs`.  0, or ERR_BAD_KEY when theirs is a point of small
 * order (anybody could open those boxes; the reference takes it).  Then ret_key is not written.
 */
[[nodiscard]] int box_key_init(struct box_key *ret_key,
	const struct secret_key *mine,
	const struct public_key *theirs);

/*
 * Seal len bytes: writes BOX_TAG_LEN + len bytes to dst.  src and dst may overlap in any way
 * (src == dst + BOX_TAG_LEN moves nothing).  A nonce is used once per pair of keys: take random
 * ones.
 */
void box_seal(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t nonce[static BOX_NONCE_LEN],
	const struct box_key *key);

/*
 * Open a box of len bytes, tag included: writes len - BOX_TAG_LEN bytes to dst.  src and dst may
 * overlap in any way (dst == src + BOX_TAG_LEN moves nothing).
 * 0; ERR_TRUNCATED (no room for a tag); ERR_BAD_MAC.  Unless 0 nothing is written.
 */
[[nodiscard]] int box_open(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t nonce[static BOX_NONCE_LEN],
	const struct box_key *key);

#endif
