/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/handshake.h"

#include <errno.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/wg/limits.h"
#include "lib/wg/mac.h"

static_assert(WG_TAG_LEN == NOISE_TAG_LEN, "tags of the messages are Noise's");

// Token "e" of a pattern with a preshared key: the public key goes into both hash and chaining key.
static void
mix_ephemeral(struct noise_symmetric *noise, const struct public_key *ephemeral)
{
	noise_mix_hash(noise, ephemeral->bytes, sizeof(ephemeral->bytes));
	noise_mix_key(noise, ephemeral->bytes, sizeof(ephemeral->bytes), NULL);
}

static struct public_key
public_key_at(const uint8_t bytes[static KEY_LEN])
{
	struct public_key key;

	memcpy(key.bytes, bytes, sizeof(key.bytes));
	return key;
}

// Tokens "e, es, s, ss" and the payload, as the initiator.
static int
write_initiation(struct noise_symmetric *noise,
	const struct wg_identity *identity,
	const struct wg_remote *remote,
	const struct wg_tai64n *timestamp,
	const struct secret_key *ephemeral,
	struct wg_message_initiation *out)
{
	struct public_key public;
	uint8_t key[NOISE_KEY_LEN];
	int err;

	key_public(&public, ephemeral);
	memcpy(out->ephemeral, public.bytes, sizeof(out->ephemeral));
	mix_ephemeral(noise, &public);
	err = noise_mix_dh(noise, ephemeral, &remote->static_public, key);
	if (err < 0)
		return err;
	noise_encrypt_and_hash(
		noise, key, out->encrypted_static, identity->static_public.bytes, KEY_LEN);
	noise_mix_key(noise, remote->static_static, sizeof(remote->static_static), key);
	noise_encrypt_and_hash(
		noise, key, out->encrypted_timestamp, timestamp->bytes, WG_TAI64N_LEN);
	secret_wipe(key, sizeof(key));
	return 0;
}

int
wg_initiation_create(const struct wg_identity *identity,
	const struct wg_remote *remote,
	uint32_t local_index,
	const struct wg_tai64n *timestamp,
	const struct secret_key *ephemeral,
	uint8_t msg[static WG_INITIATION_LEN],
	struct wg_handshake *ret_handshake)
{
	struct wg_message_initiation out = {};
	struct noise_symmetric noise = remote->start;
	int err;

	store_le32(out.type, WG_MESSAGE_INITIATION);
	store_le32(out.sender_index, local_index);
	err = write_initiation(&noise, identity, remote, timestamp, ephemeral, &out);
	if (err == 0) {
		wg_mac1_add(remote, (uint8_t *)&out, sizeof(out));
		memcpy(msg, &out, sizeof(out));
		*ret_handshake = (struct wg_handshake){
			.pending = true,
			.local_index = local_index,
			.ephemeral = *ephemeral,
			.noise = noise,
		};
	}
	noise_wipe(&noise);
	return err;
}

int
wg_initiation_open(const struct wg_identity *identity,
	const uint8_t msg[static WG_INITIATION_LEN],
	struct wg_claim *ret_claim)
{
	const struct wg_message_initiation *in = (const void *)msg;
	struct wg_claim claim = {
		.ephemeral = public_key_at(in->ephemeral),
		.sender_index = load_le32(in->sender_index),
		.noise = identity->start,
	};
	uint8_t key[NOISE_KEY_LEN];
	int err;

	if (load_le32(in->type) != WG_MESSAGE_INITIATION)
		return ERR_BAD_FORMAT;
	mix_ephemeral(&claim.noise, &claim.ephemeral);
	err = noise_mix_dh(&claim.noise, &identity->static_secret, &claim.ephemeral, key);
	if (err == 0) {
		err = noise_decrypt_and_hash(&claim.noise, key, claim.static_public.bytes,
			in->encrypted_static, sizeof(in->encrypted_static));
		secret_wipe(key, sizeof(key));
	}
	if (err == 0)
		*ret_claim = claim;
	wg_claim_fini(&claim);
	return err;
}

int
wg_initiation_verify(const struct wg_claim *claim,
	const struct wg_remote *remote,
	const uint8_t msg[static WG_INITIATION_LEN],
	struct wg_initiation *ret_initiation)
{
	const struct wg_message_initiation *in = (const void *)msg;
	struct wg_initiation initiation = {
		.ephemeral = claim->ephemeral,
		.sender_index = claim->sender_index,
		.noise = claim->noise,
	};
	uint8_t key[NOISE_KEY_LEN];
	int err;

	if (memcmp(claim->static_public.bytes, remote->static_public.bytes, KEY_LEN) != 0) {
		wg_initiation_fini(&initiation);
		return ERR_UNKNOWN_PEER;
	}
	noise_mix_key(&initiation.noise, remote->static_static, sizeof(remote->static_static), key);
	err = noise_decrypt_and_hash(&initiation.noise, key, initiation.timestamp.bytes,
		in->encrypted_timestamp, sizeof(in->encrypted_timestamp));
	secret_wipe(key, sizeof(key));
	if (err == 0)
		*ret_initiation = initiation;
	wg_initiation_fini(&initiation);
	return err;
}

// Tokens "e, ee, se, psk" and an empty payload, as the responder.
static int
write_response(struct noise_symmetric *noise,
	const struct wg_initiation *initiation,
	const struct wg_remote *remote,
	const struct secret_key *ephemeral,
	struct wg_message_response *out)
{
	struct public_key public;
	uint8_t key[NOISE_KEY_LEN];
	int err;

	key_public(&public, ephemeral);
	memcpy(out->ephemeral, public.bytes, sizeof(out->ephemeral));
	mix_ephemeral(noise, &public);
	err = noise_mix_dh(noise, ephemeral, &initiation->ephemeral, NULL);
	if (err < 0)
		return err;
	err = noise_mix_dh(noise, ephemeral, &remote->static_public, NULL);
	if (err < 0)
		return err;
	noise_mix_psk(noise, remote->preshared_key.bytes, key);
	noise_encrypt_and_hash(noise, key, out->encrypted_nothing, NULL, 0);
	secret_wipe(key, sizeof(key));
	return 0;
}

int
wg_response_create(const struct wg_initiation *initiation,
	const struct wg_remote *remote,
	uint32_t local_index,
	const struct secret_key *ephemeral,
	uint8_t msg[static WG_RESPONSE_LEN],
	struct wg_session_keys *ret_keys)
{
	struct wg_message_response out = {};
	struct noise_symmetric noise = initiation->noise;
	int err;

	store_le32(out.type, WG_MESSAGE_RESPONSE);
	store_le32(out.sender_index, local_index);
	store_le32(out.receiver_index, initiation->sender_index);
	err = write_response(&noise, initiation, remote, ephemeral, &out);
	if (err == 0) {
		wg_mac1_add(remote, (uint8_t *)&out, sizeof(out));
		memcpy(msg, &out, sizeof(out));
		noise_split(&noise, ret_keys->receive, ret_keys->send);
		ret_keys->local_index = local_index;
		ret_keys->remote_index = initiation->sender_index;
		ret_keys->initiator = false;
	}
	noise_wipe(&noise);
	return err;
}

// The tokens of the response, as the initiator.
static int
read_response(struct noise_symmetric *noise,
	const struct wg_handshake *handshake,
	const struct wg_identity *identity,
	const struct wg_remote *remote,
	const struct wg_message_response *in)
{
	struct public_key ephemeral = public_key_at(in->ephemeral);
	uint8_t key[NOISE_KEY_LEN];
	int err;

	mix_ephemeral(noise, &ephemeral);
	err = noise_mix_dh(noise, &handshake->ephemeral, &ephemeral, NULL);
	if (err < 0)
		return err;
	err = noise_mix_dh(noise, &identity->static_secret, &ephemeral, NULL);
	if (err < 0)
		return err;
	noise_mix_psk(noise, remote->preshared_key.bytes, key);
	err = noise_decrypt_and_hash(
		noise, key, NULL, in->encrypted_nothing, sizeof(in->encrypted_nothing));
	secret_wipe(key, sizeof(key));
	return err;
}

int
wg_response_consume(struct wg_handshake *handshake,
	const struct wg_identity *identity,
	const struct wg_remote *remote,
	const uint8_t msg[static WG_RESPONSE_LEN],
	struct wg_session_keys *ret_keys)
{
	const struct wg_message_response *in = (const void *)msg;
	struct noise_symmetric noise = handshake->noise;
	int err;

	if (load_le32(in->type) != WG_MESSAGE_RESPONSE)
		err = ERR_BAD_FORMAT;
	else if (!handshake->pending || load_le32(in->receiver_index) != handshake->local_index)
		err = ERR_REPLAY;
	else
		err = read_response(&noise, handshake, identity, remote, in);
	if (err == 0) {
		noise_split(&noise, ret_keys->send, ret_keys->receive);
		ret_keys->local_index = handshake->local_index;
		ret_keys->remote_index = load_le32(in->sender_index);
		ret_keys->initiator = true;
		wg_handshake_fini(handshake);
	}
	noise_wipe(&noise);
	return err;
}

void
wg_handshake_fini(struct wg_handshake *handshake)
{
	secret_wipe(handshake, sizeof(*handshake));
}

void
wg_claim_fini(struct wg_claim *claim)
{
	secret_wipe(claim, sizeof(*claim));
}

void
wg_initiation_fini(struct wg_initiation *initiation)
{
	secret_wipe(initiation, sizeof(*initiation));
}

void
wg_session_keys_fini(struct wg_session_keys *keys)
{
	secret_wipe(keys, sizeof(*keys));
}

int
wg_latest_check(const struct wg_latest *latest, const struct wg_tai64n *timestamp, struct mono now)
{
	if (wg_tai64n_compare(timestamp, &latest->timestamp) <= 0)
		return ERR_REPLAY;
	// A stamp from the future (memory that another process may have written) does not lock a
	// peer out.
	if (!mono_is_never(latest->accepted) && now.ns >= latest->accepted.ns &&
		mono_diff_ns(now, latest->accepted) < WG_INITIATION_GAP_NS)
		return -EAGAIN;
	return 0;
}

void
wg_latest_accept(struct wg_latest *latest, const struct wg_tai64n *timestamp, struct mono now)
{
	latest->timestamp = *timestamp;
	latest->accepted = now;
}
