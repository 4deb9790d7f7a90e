/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The symmetric half of a Noise handshake: chaining key and transcript hash, with
 * X25519, ChaCha20-Poly1305 and BLAKE2s.  The patterns (who mixes what, when) are their users'.
 *
 * Source: Noise revision 34, sections 5.2 and 9; ../shared/protocol/peer.md 3.5 (WireGuard's
 *         IKpsk2), control.md (IK).
 * Owner:  the caller embeds the state and ends it with noise_split() or noise_wipe().
 *         Handing the structure to `=` is fine: to try a message, work on a copy and keep it
 *         only if the whole message was authentic.  Copies are secret too: wipe them.
 * Thread: any; the state belongs to one thread at a time.
 *
 * The symmetric state of the paper also holds a key and a nonce.  Here the key goes through the
 * caller's hands: both patterns encrypt at most once under each key, so the nonce is always 0
 * (which is the same in WireGuard's byte order and in that of the control connection).  Keys are
 * wiped by the caller.
 */
#ifndef LIB_NOISE_SYMMETRIC_H
#define LIB_NOISE_SYMMETRIC_H

#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"

#define NOISE_HASH_LEN HASH_LEN
#define NOISE_KEY_LEN  AEAD_KEY_LEN
#define NOISE_TAG_LEN  AEAD_TAG_LEN

struct noise_symmetric {
	uint8_t ck[NOISE_HASH_LEN]; /* chaining key */
	uint8_t h[NOISE_HASH_LEN];  /* hash of everything said so far */
};

/*
 * InitializeSymmetric(protocol), then MixHash(prologue).  A protocol name of up to 32 bytes is
 * padded with zeros, a longer one hashed.  The prologue may be empty (NULL, 0).
 */
void noise_init(struct noise_symmetric *s,
	const char *protocol,
	const void *prologue,
	size_t prologue_len);

/* h = HASH(h || data) */
void noise_mix_hash(struct noise_symmetric *s, const void *data, size_t len);

/*
 * ret_key NULL: ck = KDF1(ck, input), as WireGuard does with an ephemeral public key.
 * Otherwise:    ck, ret_key = KDF2(ck, input); ret_key has NOISE_KEY_LEN bytes.
 * Both give the same ck.
 */
void noise_mix_key(struct noise_symmetric *s, const void *input, size_t len, uint8_t *ret_key);

/*
 * noise_mix_key() with the X25519 secret of the two keys, which is wiped.
 * 0, or ERR_BAD_KEY when that secret is all zeros: state and ret_key are then unchanged.
 */
[[nodiscard]] int noise_mix_dh(struct noise_symmetric *s,
	const struct secret_key *mine,
	const struct public_key *theirs,
	uint8_t *ret_key);

/* MixKeyAndHash: ck, tau, ret_key = KDF3(ck, preshared_key); h = HASH(h || tau). */
void noise_mix_psk(struct noise_symmetric *s,
	const uint8_t preshared_key[static NOISE_KEY_LEN],
	uint8_t ret_key[static NOISE_KEY_LEN]);

/*
 * dst = AEAD(key, 0, src, h); h = HASH(h || dst).  Writes len + NOISE_TAG_LEN bytes.
 * A key serves one call only.  src may be NULL when len is 0, and may be equal to dst.
 */
void noise_encrypt_and_hash(struct noise_symmetric *s,
	const uint8_t key[static NOISE_KEY_LEN],
	uint8_t *dst,
	const uint8_t *src,
	size_t len);

/*
 * The reverse: len counts the tag too, len - NOISE_TAG_LEN bytes are written to dst, which may be
 * NULL if that is none, and may be equal to src.
 *
 * Returns 0, or, with the state unchanged,
 *   ERR_TRUNCATED  len is below NOISE_TAG_LEN;
 *   ERR_BAD_MAC    not authentic; dst is zeroed.
 */
[[nodiscard]] int noise_decrypt_and_hash(struct noise_symmetric *s,
	const uint8_t key[static NOISE_KEY_LEN],
	uint8_t *dst,
	const uint8_t *src,
	size_t len);

/*
 * The two transport keys, KDF2(ck, ""): the initiator sends with the first and receives with the
 * second.  Wipes the chaining key; h stays, for those who bind something to the handshake.
 */
void noise_split(struct noise_symmetric *s,
	uint8_t ret_initiator_sends[static NOISE_KEY_LEN],
	uint8_t ret_responder_sends[static NOISE_KEY_LEN]);

void noise_wipe(struct noise_symmetric *s);

#endif
