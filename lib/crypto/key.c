/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/crypto/key.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/hash.h"

static_assert(KEY_LEN == crypto_scalarmult_BYTES);
static_assert(KEY_LEN == crypto_scalarmult_SCALARBYTES);
static_assert(KEY_TEXT_LEN == sodium_base64_ENCODED_LEN(KEY_LEN, sodium_base64_VARIANT_ORIGINAL));

// RFC 7748 section 6.1: Alice's keys.
static bool
x25519_works(void)
{
	static const struct secret_key alice = { {
		0x77,
		0x07,
		0x6d,
		0x0a,
		0x73,
		0x18,
		0xa5,
		0x7d,
		0x3c,
		0x16,
		0xc1,
		0x72,
		0x51,
		0xb2,
		0x66,
		0x45,
		0xdf,
		0x4c,
		0x2f,
		0x87,
		0xeb,
		0xc0,
		0x99,
		0x2a,
		0xb1,
		0x77,
		0xfb,
		0xa5,
		0x1d,
		0xb9,
		0x2c,
		0x2a,
	} };
	static const uint8_t wanted[KEY_LEN] = {
		0x85,
		0x20,
		0xf0,
		0x09,
		0x89,
		0x30,
		0xa7,
		0x54,
		0x74,
		0x8b,
		0x7d,
		0xdc,
		0xb4,
		0x3e,
		0xf7,
		0x5a,
		0x0d,
		0xbf,
		0x3a,
		0x0d,
		0x26,
		0x38,
		0x1a,
		0xf4,
		0xeb,
		0xa4,
		0xa9,
		0x8e,
		0xaa,
		0x9b,
		0x4e,
		0x6a,
	};
	struct public_key public;

	key_public(&public, &alice);
	return memcmp(public.bytes, wanted, sizeof(wanted)) == 0;
}

// RFC 7693 appendix B.  Also makes the hash library load what it needs, files included, now: later
// the process may be behind a seccomp filter.
static bool
blake2s_works(void)
{
	static const uint8_t wanted[HASH_LEN] = {
		0x50,
		0x8c,
		0x5e,
		0x8c,
		0x32,
		0x7c,
		0x14,
		0xe2,
		0xe1,
		0xa7,
		0x2b,
		0xa3,
		0x4e,
		0xeb,
		0x45,
		0x2f,
		0x37,
		0x45,
		0x8b,
		0x20,
		0x9e,
		0xd6,
		0x3a,
		0x29,
		0x4d,
		0x99,
		0x9b,
		0x4c,
		0x86,
		0x67,
		0x59,
		0x82,
	};
	struct bytes_ref abc = { "abc", 3 };
	uint8_t got[HASH_LEN];

	hash_blake2s(got, &abc, 1);
	return memcmp(got, wanted, sizeof(wanted)) == 0;
}

int
crypto_init(void)
{
	if (sodium_init() < 0 || !x25519_works() || !blake2s_works())
		return ERR_BAD_MAC;
	return 0;
}

void
random_bytes(void *out, size_t len)
{
	randombytes_buf(out, len);
}

void
key_generate(struct secret_key *ret_key)
{
	random_bytes(ret_key->bytes, sizeof(ret_key->bytes));
	ret_key->bytes[0] &= 248;
	ret_key->bytes[31] &= 127;
	ret_key->bytes[31] |= 64;
}

void
key_public(struct public_key *ret_public, const struct secret_key *key)
{
	// Fails for no key: the base point is not of small order.
	(void)!crypto_scalarmult_base(ret_public->bytes, key->bytes);
}

int
key_exchange(uint8_t ret_shared[static KEY_LEN],
	const struct secret_key *mine,
	const struct public_key *theirs)
{
	if (crypto_scalarmult(ret_shared, mine->bytes, theirs->bytes) == 0)
		return 0;
	secret_wipe(ret_shared, KEY_LEN);
	return ERR_BAD_KEY;
}

static void
format(const uint8_t bytes[static KEY_LEN], char text[static KEY_TEXT_LEN])
{
	sodium_bin2base64(text, KEY_TEXT_LEN, bytes, KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
}

// Without a table that a secret could index.  The decoder of libsodium 1.0.18 takes bytes above 127
// for characters of the alphabet, so only what we would have written ourselves is accepted.
static int
parse(const char *text, uint8_t ret_bytes[static KEY_LEN])
{
	uint8_t bytes[KEY_LEN] = { 0 };
	char canonical[KEY_TEXT_LEN];
	size_t text_len = strnlen(text, KEY_TEXT_LEN);
	size_t len = 0;
	int err = ERR_BAD_FORMAT;

	if (text_len != KEY_TEXT_LEN - 1 ||
		sodium_base642bin(bytes, sizeof(bytes), text, text_len, NULL, &len, NULL,
			sodium_base64_VARIANT_ORIGINAL) != 0 ||
		len != sizeof(bytes))
		goto wipe;
	format(bytes, canonical);
	if (!secret_equal(canonical, text, sizeof(canonical)))
		goto wipe;
	memcpy(ret_bytes, bytes, sizeof(bytes));
	err = 0;

wipe:
	secret_wipe(bytes, sizeof(bytes));
	secret_wipe(canonical, sizeof(canonical));
	return err;
}

int
public_key_parse(const char *text, struct public_key *ret_key)
{
	return parse(text, ret_key->bytes);
}

int
secret_key_parse(const char *text, struct secret_key *ret_key)
{
	return parse(text, ret_key->bytes);
}

void
public_key_format(const struct public_key *key, char text[static KEY_TEXT_LEN])
{
	format(key->bytes, text);
}

void
secret_key_format(const struct secret_key *key, char text[static KEY_TEXT_LEN])
{
	format(key->bytes, text);
}
