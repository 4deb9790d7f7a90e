/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Noise_IKpsk2, both roles: one message each way, and both ends have the keys of a session.
 *
 *     initiator                                   responder
 *     wg_initiation_create   -- initiation -->    wg_initiation_open, look the peer up,
 *                                                 wg_initiation_verify, wg_latest_check
 *     wg_response_consume    <--  response  --    wg_response_create
 *
 * Source: whitepaper section 5.4; ../shared/protocol/peer.md 3.5, vectors/wireguard.json.
 * Owner:  the caller.  Every structure here holds secrets: wipe it with its fini, or with
 *         secret_wipe().  Intermediate secrets are wiped before a function returns.
 * Thread: any; no hidden state.  Ephemeral secrets and the time are given by the caller.
 *
 * A message that is refused changes nothing: no structure given by pointer is written then.
 * Neither mac is checked here (mac.h): check mac1 before anything else, it is the cheap test.
 */
#ifndef LIB_WG_HANDSHAKE_H
#define LIB_WG_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/noise/symmetric.h"
#include "lib/wg/identity.h"
#include "lib/wg/message.h"
#include "lib/wg/tai64n.h"

struct wg_handshake { /* an initiation of ours that waits for its response; zeros: none */
	bool pending;
	uint32_t local_index;
	struct secret_key ephemeral;
	struct noise_symmetric noise;
};

/*
 * An initiation whose static key could be decrypted.  Everybody who knows our public key can make
 * one: static_public is only what the sender says.
 */
struct wg_claim {
	struct public_key static_public;
	struct public_key ephemeral;
	uint32_t sender_index;
	struct noise_symmetric noise;
};

struct wg_initiation { /* authentic, though perhaps a replay: see wg_latest_check() */
	struct wg_tai64n timestamp;
	struct public_key ephemeral;
	uint32_t sender_index;
	struct noise_symmetric noise;
};

struct wg_session_keys {
	uint8_t send[KEY_LEN];
	uint8_t receive[KEY_LEN];
	uint32_t local_index;  /* what the peer writes as receiver index */
	uint32_t remote_index; /* what we write */
	bool initiator;        /* we began: we renew it, and may send at once */
};

/*
 * Write an initiation to `remote`, with its mac1 and without mac2 (wg_mac2_add()).
 * ephemeral: 32 bytes fresh from the random source (key_generate()), never used twice; copied.
 * ret_handshake: what wg_response_consume() needs; a handshake that it held before is forgotten.
 * 0, or ERR_BAD_KEY: cannot happen with a `remote` that wg_remote_init() accepted.
 */
[[nodiscard]] int wg_initiation_create(const struct wg_identity *identity,
	const struct wg_remote *remote,
	uint32_t local_index,
	const struct wg_tai64n *timestamp,
	const struct secret_key *ephemeral,
	uint8_t msg[static WG_INITIATION_LEN],
	struct wg_handshake *ret_handshake);

/*
 * First step of the responder: who says it is?  0; ERR_BAD_FORMAT (type word); ERR_BAD_MAC;
 * ERR_BAD_KEY (ephemeral of small order).  Costs one X25519.
 */
[[nodiscard]] int wg_initiation_open(const struct wg_identity *identity,
	const uint8_t msg[static WG_INITIATION_LEN],
	struct wg_claim *ret_claim);

/*
 * Second step, with the keys of the peer that the claim names: is it true?  `msg` is the same
 * message.  0; ERR_UNKNOWN_PEER if `remote` is not the peer of the claim; ERR_BAD_MAC.
 */
[[nodiscard]] int wg_initiation_verify(const struct wg_claim *claim,
	const struct wg_remote *remote,
	const uint8_t msg[static WG_INITIATION_LEN],
	struct wg_initiation *ret_initiation);

/*
 * Answer it: write the response with its mac1 (mac2: wg_mac2_add()) and derive the keys.  The
 * session may be used for sending only after its first authentic transport message has come.
 * `ephemeral` as above.  0, or ERR_BAD_KEY.
 */
[[nodiscard]] int wg_response_create(const struct wg_initiation *initiation,
	const struct wg_remote *remote,
	uint32_t local_index,
	const struct secret_key *ephemeral,
	uint8_t msg[static WG_RESPONSE_LEN],
	struct wg_session_keys *ret_keys);

/*
 * The initiator's end.  On success `handshake` is wiped: the same response is refused a second
 * time.  0; ERR_BAD_FORMAT (type word); ERR_REPLAY if no initiation with that receiver index is
 * pending; ERR_BAD_KEY; ERR_BAD_MAC (also for another preshared key).
 */
[[nodiscard]] int wg_response_consume(struct wg_handshake *handshake,
	const struct wg_identity *identity,
	const struct wg_remote *remote,
	const uint8_t msg[static WG_RESPONSE_LEN],
	struct wg_session_keys *ret_keys);

void wg_handshake_fini(struct wg_handshake *handshake); /* forget the pending initiation */
void wg_claim_fini(struct wg_claim *claim);
void wg_initiation_fini(struct wg_initiation *initiation);
void wg_session_keys_fini(struct wg_session_keys *keys);

/* The newest initiation of a peer that we answered.  Plain data: keep it beyond the process. */
struct wg_latest {
	struct wg_tai64n timestamp;
	struct mono accepted;
};

/*
 * May this authentic initiation be answered?  0; ERR_REPLAY: its timestamp is not greater than the
 * last one (a replay, or the peer's clock went back: a caller may start a handshake of its own);
 * -EAGAIN: less than 20 ms after the last one.
 */
[[nodiscard]] int
wg_latest_check(const struct wg_latest *latest, const struct wg_tai64n *timestamp, struct mono now);
void wg_latest_accept(struct wg_latest *latest, const struct wg_tai64n *timestamp, struct mono now);

#endif
