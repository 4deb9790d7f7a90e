/* SPDX-License-Identifier: BSD-3-Clause
 *
 * mac1 (the sender knows whom it is talking to), mac2 and cookies (it gets what we send to its
 * address).  For initiations and responses; their last 32 bytes are the two macs.
 *
 * Source: whitepaper sections 5.3 and 5.4.4 to 5.4.7; ../shared/protocol/peer.md 3.5.
 * Owner:  the caller.  Time and random bytes are given.
 */
#ifndef LIB_WG_MAC_H
#define LIB_WG_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/wg/identity.h"
#include "lib/wg/message.h"

#define WG_COOKIE_SECRET_LEN 32

/* Whether mac1 is right.  `len` is that of an initiation or a response. */
bool wg_mac1_is_valid(const struct wg_identity *identity, const uint8_t *msg, size_t len);

/* Write mac1 into a message to `remote`, and zeros as mac2.  The create functions have done it. */
void wg_mac1_add(const struct wg_remote *remote, uint8_t *msg, size_t len);

/* --- the end that is asked for a cookie: one per peer --- */

struct wg_held_cookie {       /* zeros: none */
	struct mono received; /* never: no cookie */
	uint8_t cookie[WG_COOKIE_LEN];
	uint8_t sent_mac1[WG_MAC_LEN]; /* of the last message: a cookie reply is bound to it */
	bool sent; /* sent_mac1 is set, and no cookie reply to it was taken yet */
};

/*
 * Last step before a message leaves: remember its mac1, and write mac2 if a cookie younger than
 * 120 s is held (else mac2 stays as it is, zeros).
 */
void wg_mac2_add(struct wg_held_cookie *held, uint8_t *msg, size_t len, struct mono now);

/*
 * Take the cookie out of a reply to the last message.  The caller has found the peer by
 * wg_message_receiver_index().  Do not send again at once: the next retry carries mac2.
 * 0; ERR_BAD_FORMAT (type word); ERR_REPLAY if nothing waits for a reply, or one was taken
 * already; ERR_BAD_MAC.  `held` is unchanged unless 0.
 */
[[nodiscard]] int wg_cookie_reply_consume(struct wg_held_cookie *held,
	const struct wg_remote *remote,
	const uint8_t msg[static WG_COOKIE_REPLY_LEN],
	struct mono now);

/* --- the end that gives cookies --- */

/* Plain data: may be kept in memory that outlives the process, and taken up again. */
struct wg_cookie_secret {
	uint8_t bytes[WG_COOKIE_SECRET_LEN];
	struct mono birth; /* never: none yet */
};

/* Whether it must be renewed before its next use: none, 120 s old, or born in the future. */
bool wg_cookie_secret_is_stale(const struct wg_cookie_secret *secret, struct mono now);
/* Cookies made from the one before are worth nothing from here on. */
void wg_cookie_secret_renew(struct wg_cookie_secret *secret,
	const uint8_t random[static WG_COOKIE_SECRET_LEN],
	struct mono now);

/* Whether mac2 proves that the sender receives at `source`.  False with a stale secret. */
bool wg_mac2_is_valid(const struct wg_cookie_secret *secret,
	const struct endpoint *source,
	const uint8_t *msg,
	size_t len,
	struct mono now);

/*
 * Refuse a message whose mac1 is right: write a cookie reply for its sender.  `secret` is not
 * stale; `nonce` is 24 random bytes.
 */
void wg_cookie_reply_create(const struct wg_identity *identity,
	const struct wg_cookie_secret *secret,
	const struct endpoint *source,
	const uint8_t *denied,
	size_t denied_len,
	const uint8_t nonce[static WG_NONCE_LEN],
	uint8_t reply[static WG_COOKIE_REPLY_LEN]);

#endif
