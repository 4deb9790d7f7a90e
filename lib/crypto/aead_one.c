/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Single messages of the handshake: libsodium, whichever back end carries the packets.
 */

#include "lib/crypto/aead.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

static_assert(XAEAD_NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(AEAD_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES);

struct nonce {
	uint8_t bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
};

static struct nonce
nonce_of(uint64_t counter)
{
	struct nonce nonce = { { 0 } };

	store_le64(nonce.bytes + 4, counter);
	return nonce;
}

// The library zeroes what it refuses, but does not promise it.
static int
refuse(uint8_t *dst, size_t len)
{
	if (len > 0)
		memset(dst, 0, len);
	return ERR_BAD_MAC;
}

void
aead_seal_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	uint64_t counter,
	const uint8_t key[static AEAD_KEY_LEN])
{
	crypto_aead_chacha20poly1305_ietf_encrypt(
		dst, NULL, src, len, ad, ad_len, NULL, nonce_of(counter).bytes, key);
}

int
aead_open_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	uint64_t counter,
	const uint8_t key[static AEAD_KEY_LEN])
{
	if (len < AEAD_TAG_LEN)
		return ERR_TRUNCATED;
	if (crypto_aead_chacha20poly1305_ietf_decrypt(
		    dst, NULL, NULL, src, len, ad, ad_len, nonce_of(counter).bytes, key) != 0)
		return refuse(dst, len - AEAD_TAG_LEN);
	return 0;
}

void
xaead_seal_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	const uint8_t nonce[static XAEAD_NONCE_LEN],
	const uint8_t key[static AEAD_KEY_LEN])
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		dst, NULL, src, len, ad, ad_len, NULL, nonce, key);
}

int
xaead_open_one(uint8_t *dst,
	const uint8_t *src,
	size_t len,
	const uint8_t *ad,
	size_t ad_len,
	const uint8_t nonce[static XAEAD_NONCE_LEN],
	const uint8_t key[static AEAD_KEY_LEN])
{
	if (len < AEAD_TAG_LEN)
		return ERR_TRUNCATED;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    dst, NULL, NULL, src, len, ad, ad_len, nonce, key) != 0)
		return refuse(dst, len - AEAD_TAG_LEN);
	return 0;
}
