/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sources: RFC 7693 appendix B; tests/vectors/blake2s_answers.py (the self-test of appendix E, with
 * the result lengths that we offer).
 */

#include "lib/crypto/hash.h"

#include <pthread.h>
#include <string.h>

#include "lib/crypto/key.h"
#include "tests/lib/tap.h"

#define MAX_LEN 1024

static const uint8_t abc_digest[HASH_LEN] = {
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

static const uint8_t all_hashes[HASH_LEN] = {
	0x07,
	0xf8,
	0xad,
	0x12,
	0xcc,
	0xa0,
	0x73,
	0x25,
	0xa2,
	0x73,
	0xc0,
	0xac,
	0x0f,
	0xdf,
	0xdc,
	0xa2,
	0x33,
	0x41,
	0x01,
	0xb5,
	0x58,
	0xfc,
	0x38,
	0x4a,
	0xa7,
	0x40,
	0x50,
	0xc5,
	0x58,
	0xb1,
	0x4f,
	0x82,
};

static const uint8_t all_macs[HASH_LEN] = {
	0x0f,
	0x8b,
	0xad,
	0x74,
	0xe0,
	0x89,
	0xd9,
	0x3c,
	0xb0,
	0x93,
	0x16,
	0x83,
	0x16,
	0xfc,
	0x3c,
	0xf5,
	0x20,
	0x4b,
	0x14,
	0xb3,
	0x2f,
	0x97,
	0x20,
	0x49,
	0x9a,
	0x0b,
	0x0d,
	0xa7,
	0x2d,
	0x6c,
	0xa9,
	0x13,
};

static const uint8_t all_hmacs[HASH_LEN] = {
	0x35,
	0x9e,
	0xb8,
	0x22,
	0x5b,
	0xea,
	0x63,
	0xa3,
	0x91,
	0xd9,
	0x8c,
	0x83,
	0x8a,
	0x9d,
	0xa1,
	0x36,
	0xe7,
	0xbf,
	0x99,
	0x91,
	0x32,
	0x6f,
	0xdb,
	0xc1,
	0xcc,
	0xf9,
	0xe2,
	0xb1,
	0x2f,
	0x13,
	0xd2,
	0x23,
};

// RFC 7693 appendix E: a Fibonacci sequence.
static void
fill_sequence(uint8_t *out, size_t len, uint32_t seed)
{
	uint32_t a = 0xDEAD4BAD * seed, b = 1;

	for (size_t i = 0; i < len; i++) {
		uint32_t t = a + b;

		a = b;
		b = t;
		out[i] = (uint8_t)(t >> 24);
	}
}

static void
test_pieces(void)
{
	struct bytes_ref whole = { "abc", 3 };
	struct bytes_ref cut[] = { { NULL, 0 }, { "a", 1 }, { "", 0 }, { "bc", 2 } };
	uint8_t got[HASH_LEN];

	hash_blake2s(got, &whole, 1);
	tap_bytes(got, abc_digest, sizeof(got), "RFC 7693 appendix B: BLAKE2s-256 of abc");
	hash_blake2s(got, cut, 4);
	tap_bytes(got, abc_digest, sizeof(got), "the same in pieces, empty ones among them");
}

static uint8_t results[MAX_LEN + 1][HASH_LEN];

static void
check_all(size_t result_len, const uint8_t wanted[HASH_LEN], const char *what)
{
	static struct bytes_ref pieces[MAX_LEN + 1];
	uint8_t got[HASH_LEN];

	for (size_t i = 0; i <= MAX_LEN; i++)
		pieces[i] = (struct bytes_ref){ results[i], result_len };
	hash_blake2s(got, pieces, MAX_LEN + 1);
	tap_bytes(got, wanted, sizeof(got), what);
}

static void
test_all_lengths(void)
{
	uint8_t data[MAX_LEN], key[130];

	for (uint32_t len = 0; len <= MAX_LEN; len++) {
		struct bytes_ref piece = { data, len };

		fill_sequence(data, len, len);
		hash_blake2s(results[len], &piece, 1);
	}
	check_all(HASH_LEN, all_hashes, "BLAKE2s-256 of every length from 0 to 1024");

	for (uint32_t len = 0; len <= MAX_LEN; len++) {
		fill_sequence(data, len, len);
		fill_sequence(key, 1 + len % 32, len);
		mac_blake2s(results[len], key, 1 + len % 32, data, len);
	}
	check_all(MAC_LEN, all_macs, "keyed BLAKE2s-128 of every length, keys of 1 to 32 bytes");

	for (uint32_t len = 0; len <= MAX_LEN; len++) {
		fill_sequence(data, len, len);
		fill_sequence(key, len % 130, len);
		hmac_blake2s(results[len], key, len % 130, data, len);
	}
	check_all(HASH_LEN, all_hmacs, "HMAC-BLAKE2s of every length, keys of 0 to 129 bytes");
}

// Noise revision 34 section 4.3, spelt out with hmac_blake2s().
static void
test_kdf(void)
{
	static const char input[] = "input key material";
	uint8_t key[HASH_LEN], prk[HASH_LEN], t[3][HASH_LEN + 1], out[3][HASH_LEN];

	fill_sequence(key, sizeof(key), 7);
	hmac_blake2s(prk, key, sizeof(key), input, sizeof(input));
	hmac_blake2s(t[0], prk, sizeof(prk), "\1", 1);
	t[0][HASH_LEN] = 2;
	hmac_blake2s(t[1], prk, sizeof(prk), t[0], HASH_LEN + 1);
	t[1][HASH_LEN] = 3;
	hmac_blake2s(t[2], prk, sizeof(prk), t[1], HASH_LEN + 1);

	kdf_blake2s(out[0], out[1], out[2], 3, key, input, sizeof(input));
	for (int i = 0; i < 3; i++)
		tap_bytes(out[i], t[i], HASH_LEN, "an output of KDF3");
	memset(out, 0, sizeof(out));
	kdf_blake2s(out[0], NULL, NULL, 1, key, input, sizeof(input));
	tap_bytes(out[0], t[0], HASH_LEN, "KDF1 gives the first");

	memcpy(out[0], key, sizeof(key));
	kdf_blake2s(out[0], out[1], NULL, 2, out[0], input, sizeof(input));
	tap_bytes(out[0], t[0], HASH_LEN, "the key may be where the first output goes");
	tap_bytes(out[1], t[1], HASH_LEN, "and the second is right then");
	memcpy(out[1], key, sizeof(key));
	kdf_blake2s(out[0], out[1], NULL, 2, out[1], input, sizeof(input));
	tap_bytes(out[1], t[1], HASH_LEN, "the key may be where the second output goes");
}

// Hashes and MACs under different keys, so that a context shared by mistake shows.
static void *
hash_for_a_while(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;
	struct bytes_ref abc = { "abc", 3 };
	uint8_t key[32], first[MAC_LEN], got[HASH_LEN];
	bool right = true;

	fill_sequence(key, sizeof(key), seed);
	mac_blake2s(first, key, sizeof(key), "abc", 3);
	for (int i = 0; i < 20000; i++) {
		hash_blake2s(got, &abc, 1);
		right &= memcmp(got, abc_digest, sizeof(got)) == 0;
		mac_blake2s(got, key, sizeof(key), "abc", 3);
		right &= memcmp(got, first, sizeof(first)) == 0;
	}
	return right ? arg : NULL;
}

static void
test_threads(void)
{
	pthread_t threads[3];
	uint32_t seeds[3] = { 1, 2, 3 };

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, hash_for_a_while, &seeds[i]);
	for (int i = 0; i < 3; i++) {
		void *right;

		pthread_join(threads[i], &right);
		tap_ok(right != NULL, "thread %d hashed undisturbed by the others", i);
	}
}

int
main(void)
{
	tap_int(crypto_init(), 0, "the library works");
	test_pieces();
	test_all_lengths();
	test_kdf();
	test_threads();
	return tap_done();
}
