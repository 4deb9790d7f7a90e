/* SPDX-License-Identifier: BSD-3-Clause
 *
 * BLAKE2s, its keyed form, HMAC and the key derivation of Noise.
 *
 * Source: RFC 7693; RFC 2104; Noise revision 34 section 4.3 (HKDF); peer.md 3.5 for the lengths.
 * Thread: any.  A failure of the library (no memory) ends the program: a hash has no other answer.
 */
#ifndef LIB_CRYPTO_HASH_H
#define LIB_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_LEN 32
#define MAC_LEN  16

struct bytes_ref { /* a piece of input; borrowed */
	const void *data;
	size_t len;
};

/* BLAKE2s-256 of n pieces, one after the other. */
void hash_blake2s(uint8_t out[static HASH_LEN], const struct bytes_ref *pieces, size_t n);

/* Keyed BLAKE2s with a 16-byte result (mac1, mac2, cookies).  key_len is 1 to 32. */
void mac_blake2s(uint8_t out[static MAC_LEN],
	const uint8_t *key,
	size_t key_len,
	const void *data,
	size_t len);

/* HMAC-BLAKE2s-256. */
void hmac_blake2s(uint8_t out[static HASH_LEN],
	const uint8_t *key,
	size_t key_len,
	const void *data,
	size_t len);

/*
 * KDF1 to KDF3 of WireGuard: the first `count` (1 to 3) outputs, each HASH_LEN bytes.  `key` may be
 * the same memory as any output; unused outputs are NULL.
 */
void kdf_blake2s(uint8_t *out1,
	uint8_t *out2,
	uint8_t *out3,
	int count,
	const uint8_t key[static HASH_LEN],
	const void *input,
	size_t len);

#endif
