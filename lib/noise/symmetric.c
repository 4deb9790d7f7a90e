/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/noise/symmetric.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

void
noise_init(struct noise_symmetric *s,
	const char *protocol,
	const void *prologue,
	size_t prologue_len)
{
	struct bytes_ref name = { protocol, strlen(protocol) };

	if (name.len > sizeof(s->h)) {
		hash_blake2s(s->h, &name, 1);
	} else {
		memset(s->h, 0, sizeof(s->h));
		memcpy(s->h, name.data, name.len);
	}
	memcpy(s->ck, s->h, sizeof(s->ck));
	noise_mix_hash(s, prologue, prologue_len);
}

void
noise_mix_hash(struct noise_symmetric *s, const void *data, size_t len)
{
	struct bytes_ref pieces[] = { { s->h, sizeof(s->h) }, { data, len } };

	hash_blake2s(s->h, pieces, 2);
}

void
noise_mix_key(struct noise_symmetric *s, const void *input, size_t len, uint8_t *ret_key)
{
	kdf_blake2s(s->ck, ret_key, NULL, ret_key != NULL ? 2 : 1, s->ck, input, len);
}

int
noise_mix_dh(struct noise_symmetric *s,
	const struct secret_key *mine,
	const struct public_key *theirs,
	uint8_t *ret_key)
{
	uint8_t shared[KEY_LEN];
	int err = key_exchange(shared, mine, theirs);

	if (err == 0)
		noise_mix_key(s, shared, sizeof(shared), ret_key);
	secret_wipe(shared, sizeof(shared));
	return err;
}

void
noise_mix_psk(struct noise_symmetric *s,
	const uint8_t preshared_key[static NOISE_KEY_LEN],
	uint8_t ret_key[static NOISE_KEY_LEN])
{
	uint8_t tau[NOISE_HASH_LEN];

	kdf_blake2s(s->ck, tau, ret_key, 3, s->ck, preshared_key, NOISE_KEY_LEN);
	noise_mix_hash(s, tau, sizeof(tau));
	secret_wipe(tau, sizeof(tau));
}

void
noise_encrypt_and_hash(struct noise_symmetric *s,
	const uint8_t key[static NOISE_KEY_LEN],
	uint8_t *dst,
	const uint8_t *src,
	size_t len)
{
	aead_seal_one(dst, src, len, s->h, sizeof(s->h), 0, key);
	noise_mix_hash(s, dst, len + NOISE_TAG_LEN);
}

int
noise_decrypt_and_hash(struct noise_symmetric *s,
	const uint8_t key[static NOISE_KEY_LEN],
	uint8_t *dst,
	const uint8_t *src,
	size_t len)
{
	struct noise_symmetric after = *s;
	int err;

	// Hashed before it is opened: dst may be the same memory.
	noise_mix_hash(&after, src, len);
	err = aead_open_one(dst, src, len, s->h, sizeof(s->h), 0, key);
	if (err == 0)
		memcpy(s->h, after.h, sizeof(s->h));
	noise_wipe(&after);
	return err;
}

void
noise_split(struct noise_symmetric *s,
	uint8_t ret_initiator_sends[static NOISE_KEY_LEN],
	uint8_t ret_responder_sends[static NOISE_KEY_LEN])
{
	kdf_blake2s(ret_initiator_sends, ret_responder_sends, NULL, 2, s->ck, NULL, 0);
	secret_wipe(s->ck, sizeof(s->ck));
}

void
noise_wipe(struct noise_symmetric *s)
{
	secret_wipe(s, sizeof(*s));
}
