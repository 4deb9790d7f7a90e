/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/mac.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead.h"
#include "lib/wg/limits.h"

#define SOURCE_MAX_LEN 22 /* IPv6 address, port, scope */

static_assert(MAC_LEN == WG_MAC_LEN && MAC_LEN == WG_COOKIE_LEN, "macs and cookies are macs");
static_assert(XAEAD_NONCE_LEN == WG_NONCE_LEN, "nonce of cookie replies");

// Where the macs of a message begin.  Initiation and response only: lengths are the caller's.
static size_t
mac1_at(size_t len)
{
	assert(len == WG_INITIATION_LEN || len == WG_RESPONSE_LEN);
	return len - WG_MACS_LEN;
}

static size_t
mac2_at(size_t len)
{
	return mac1_at(len) + WG_MAC_LEN;
}

bool
wg_mac1_is_valid(const struct wg_identity *identity, const uint8_t *msg, size_t len)
{
	uint8_t mac[MAC_LEN];

	mac_blake2s(mac, identity->mac1_key, HASH_LEN, msg, mac1_at(len));
	return secret_equal(mac, msg + mac1_at(len), MAC_LEN);
}

void
wg_mac1_add(const struct wg_remote *remote, uint8_t *msg, size_t len)
{
	mac_blake2s(msg + mac1_at(len), remote->mac1_key, HASH_LEN, msg, mac1_at(len));
	memset(msg + mac2_at(len), 0, WG_MAC_LEN);
}

// Younger than a cookie's or its secret's life; not if it never was, or seems to come from the
// future.
static bool
is_young(struct mono birth, struct mono now)
{
	return !mono_is_never(birth) && now.ns >= birth.ns &&
	       mono_diff_ns(now, birth) < WG_COOKIE_LIFE_NS;
}

void
wg_mac2_add(struct wg_held_cookie *held, uint8_t *msg, size_t len, struct mono now)
{
	memcpy(held->sent_mac1, msg + mac1_at(len), WG_MAC_LEN);
	held->sent = true;
	if (is_young(held->received, now))
		mac_blake2s(msg + mac2_at(len), held->cookie, WG_COOKIE_LEN, msg, mac2_at(len));
}

int
wg_cookie_reply_consume(struct wg_held_cookie *held,
	const struct wg_remote *remote,
	const uint8_t msg[static WG_COOKIE_REPLY_LEN],
	struct mono now)
{
	const struct wg_message_cookie_reply *reply = (const void *)msg;
	uint8_t cookie[WG_COOKIE_LEN];
	int err;

	if (load_le32(reply->type) != WG_MESSAGE_COOKIE_REPLY)
		return ERR_BAD_FORMAT;
	if (!held->sent)
		return ERR_REPLAY;
	err = xaead_open_one(cookie, reply->encrypted_cookie, sizeof(reply->encrypted_cookie),
		held->sent_mac1, WG_MAC_LEN, reply->nonce, remote->cookie_key);
	if (err < 0)
		return err;
	memcpy(held->cookie, cookie, sizeof(held->cookie));
	held->received = now;
	held->sent = false;
	secret_wipe(cookie, sizeof(cookie));
	return 0;
}

bool
wg_cookie_secret_is_stale(const struct wg_cookie_secret *secret, struct mono now)
{
	return !is_young(secret->birth, now);
}

void
wg_cookie_secret_renew(struct wg_cookie_secret *secret,
	const uint8_t random[static WG_COOKIE_SECRET_LEN],
	struct mono now)
{
	memcpy(secret->bytes, random, sizeof(secret->bytes));
	secret->birth = now;
}

// Address and port; the port as in the vectors (wireguard-go's), though only we ever read it.  The
// scope counts where there is one: fe80::1 is another machine on another link.
static size_t
source_bytes(const struct endpoint *source, uint8_t out[static SOURCE_MAX_LEN])
{
	size_t len = source->addr.family == ADDR_V4 ? 4 : 16;

	memcpy(out, source->addr.bytes, len);
	out[len++] = (uint8_t)source->port;
	out[len++] = (uint8_t)(source->port >> 8);
	if (source->scope_id != 0) {
		store_le32(out + len, source->scope_id);
		len += 4;
	}
	return len;
}

static void
make_cookie(uint8_t cookie[static WG_COOKIE_LEN],
	const struct wg_cookie_secret *secret,
	const struct endpoint *source)
{
	uint8_t bytes[SOURCE_MAX_LEN];
	size_t len = source_bytes(source, bytes);

	mac_blake2s(cookie, secret->bytes, sizeof(secret->bytes), bytes, len);
}

bool
wg_mac2_is_valid(const struct wg_cookie_secret *secret,
	const struct endpoint *source,
	const uint8_t *msg,
	size_t len,
	struct mono now)
{
	uint8_t cookie[WG_COOKIE_LEN], mac[MAC_LEN];
	bool valid;

	if (wg_cookie_secret_is_stale(secret, now))
		return false;
	make_cookie(cookie, secret, source);
	mac_blake2s(mac, cookie, sizeof(cookie), msg, mac2_at(len));
	valid = secret_equal(mac, msg + mac2_at(len), MAC_LEN);
	secret_wipe(cookie, sizeof(cookie));
	secret_wipe(mac, sizeof(mac));
	return valid;
}

void
wg_cookie_reply_create(const struct wg_identity *identity,
	const struct wg_cookie_secret *secret,
	const struct endpoint *source,
	const uint8_t *denied,
	size_t denied_len,
	const uint8_t nonce[static WG_NONCE_LEN],
	uint8_t reply[static WG_COOKIE_REPLY_LEN])
{
	struct wg_message_cookie_reply *out = (void *)reply;
	uint8_t cookie[WG_COOKIE_LEN];

	make_cookie(cookie, secret, source);
	store_le32(out->type, WG_MESSAGE_COOKIE_REPLY);
	store_le32(out->receiver_index, wg_message_sender_index(denied));
	memcpy(out->nonce, nonce, sizeof(out->nonce));
	xaead_seal_one(out->encrypted_cookie, cookie, sizeof(cookie), denied + mac1_at(denied_len),
		WG_MAC_LEN, nonce, identity->cookie_key);
	secret_wipe(cookie, sizeof(cookie));
}
