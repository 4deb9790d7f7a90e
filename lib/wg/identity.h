/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The long-lived keys of a handshake, with all that can be computed before the first message: who
 * we are, and who a peer is to us.
 *
 * Source: whitepaper section 5.4.
 * Owner:  the caller; both hold secrets and are wiped by their fini.
 * Thread: read-only after init.
 */
#ifndef LIB_WG_IDENTITY_H
#define LIB_WG_IDENTITY_H

#include <stdint.h>

#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"
#include "lib/noise/symmetric.h"

struct wg_identity {
	struct secret_key static_secret;
	struct public_key static_public;
	uint8_t mac1_key[HASH_LEN];   /* checks what is sent to us */
	uint8_t cookie_key[HASH_LEN]; /* encrypts the cookies that we give */
	struct noise_symmetric start; /* of a handshake that we answer: S_r is mixed in */
};

struct wg_remote {
	struct public_key static_public;
	struct secret_key preshared_key; /* zeros: none */
	uint8_t static_static[KEY_LEN];  /* X25519 of both static keys */
	uint8_t mac1_key[HASH_LEN];      /* for what we send to the peer */
	uint8_t cookie_key[HASH_LEN];    /* decrypts the cookies that the peer gives */
	struct noise_symmetric start;    /* of a handshake that the peer answers */
};

void wg_identity_init(struct wg_identity *identity, const struct secret_key *static_secret);
void wg_identity_fini(struct wg_identity *identity);

/*
 * preshared_key may be NULL for none.  0, or ERR_BAD_KEY if the peer's public key is of small
 * order (nobody may be spoken to with it); `remote` is all zeros then.
 */
[[nodiscard]] int wg_remote_init(struct wg_remote *remote,
	const struct wg_identity *identity,
	const struct public_key *static_public,
	const struct secret_key *preshared_key);
void wg_remote_fini(struct wg_remote *remote);

/* Takes effect at the next handshake.  NULL: none. */
void wg_remote_set_preshared_key(struct wg_remote *remote, const struct secret_key *preshared_key);

#endif
