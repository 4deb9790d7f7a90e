/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>

#include <sodium.h>

#include "lib/base/bytes.h"
#include "lib/crypto/aead_backend.h"

#define NONCE_LEN crypto_aead_chacha20poly1305_ietf_NPUBBYTES

static_assert(AEAD_KEY_LEN == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(AEAD_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES);

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

static void
sodium_open(struct aead_job *jobs, size_t n)
{
	uint8_t nonce[NONCE_LEN] = { 0 };

	for (struct aead_job *job = jobs; job < jobs + n; job++) {
		store_le64(nonce + 4, job->counter);
		job->ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(job->data, NULL,
				  job->data, job->len, job->data + job->len, NULL, 0, nonce,
				  job->key) == 0;
	}
}

const struct aead_backend aead_sodium = {
	.name = "libsodium",
	.is_available = sodium_is_available,
	.seal = sodium_seal,
	.open = sodium_open,
};
