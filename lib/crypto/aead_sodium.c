/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>

#include <sodium.h>

#include "lib/base/bytes.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead_backend.h"

#define NONCE_LEN crypto_aead_chacha20poly1305_ietf_NPUBBYTES

static_assert(AEAD_KEY_LEN == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(AEAD_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES);
static_assert(AEAD_TAG_LEN == crypto_verify_16_BYTES);

static bool
sodium_is_available(void)
{
	return sodium_init() >= 0;
}

static void
sodium_seal(struct aead_job *jobs, size_t n)
{
	uint8_t nonce[NONCE_LEN] = { 0 };

	for (struct aead_job *job = jobs; job < jobs + n; job++) {
		store_le64(nonce + 4, job->counter);
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(job->data, job->data + job->len,
			NULL, job->data, job->len, NULL, 0, NULL, nonce, job->key);
	}
}

/*
 * The library's own call for this zeroes what it refuses; so its parts are called, as RFC 8439
 * section 2.8 puts them together: the tag over data, its padding and both lengths, by the key that
 * is the first half of block 0; the data is ciphered from block 1 on.
 */
static bool
is_authentic(const struct aead_job *job, const uint8_t nonce[static NONCE_LEN])
{
	static const uint8_t zeros[16];
	crypto_onetimeauth_poly1305_state state;
	uint8_t key[crypto_onetimeauth_poly1305_KEYBYTES], tag[AEAD_TAG_LEN], lengths[16] = { 0 };
	bool authentic;

	crypto_stream_chacha20_ietf(key, sizeof(key), nonce, job->key);
	store_le64(lengths + 8, job->len);
	crypto_onetimeauth_poly1305_init(&state, key);
	crypto_onetimeauth_poly1305_update(&state, job->data, job->len);
	crypto_onetimeauth_poly1305_update(&state, zeros, -job->len & 15);
	crypto_onetimeauth_poly1305_update(&state, lengths, sizeof(lengths));
	crypto_onetimeauth_poly1305_final(&state, tag);
	authentic = crypto_verify_16(tag, job->data + job->len) == 0;
	secret_wipe(key, sizeof(key));
	secret_wipe(tag, sizeof(tag)); // of a forged packet, the one that would have been accepted
	return authentic;
}

static void
sodium_open(struct aead_job *jobs, size_t n)
{
	uint8_t nonce[NONCE_LEN] = { 0 };

	for (struct aead_job *job = jobs; job < jobs + n; job++) {
		store_le64(nonce + 4, job->counter);
		job->ok = is_authentic(job, nonce);
		if (job->ok)
			crypto_stream_chacha20_ietf_xor_ic(
				job->data, job->data, job->len, nonce, 1, job->key);
	}
}

const struct aead_backend aead_sodium = {
	.name = "libsodium",
	.is_available = sodium_is_available,
	.seal = sodium_seal,
	.open = sodium_open,
};
