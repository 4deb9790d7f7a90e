/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Vectors from files: Project Wycheproof's (argv[1]: ChaCha20-Poly1305, argv[2]:
 * XChaCha20-Poly1305; tests/vectors/wycheproof says what fits), and Poly1305's edges (argv[3], made
 * by tests/vectors/poly1305_edges.py), by single messages and by every back end's bursts.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/crypto/aead_backend.h"
#include "lib/crypto/key.h"
#include "tests/lib/tap.h"

#define MAX_LEN 2048 /* of any text in the files */
#define BURST   20

struct vector {
	const char *name;
	uint8_t key[32], nonce[64], ad[MAX_LEN], plain[MAX_LEN + AEAD_TAG_LEN],
		sealed[MAX_LEN + AEAD_TAG_LEN];
	size_t nonce_len, ad_len, len; /* len: of the plaintext */
	bool valid;
};

static size_t
bytes_of(const json_t *object, const char *key, uint8_t *out, size_t size)
{
	const char *hex = json_string_value(json_object_get(object, key));
	size_t len = 0;

	if (hex == NULL || sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL) != 0)
		tap_ok(false, "%s is hex", key);
	return len;
}

static json_t *
must_load(const char *path)
{
	json_error_t error;
	json_t *file = json_load_file(path, 0, &error);

	if (file == NULL) {
		printf("# %s: %s\n", path, error.text);
		exit(1);
	}
	return file;
}

/* ---- by single messages ---- */

// Both calls and, for a wrong one, that nothing comes out.
static bool
holds_one(const struct vector *v, const uint8_t key[static 32], uint64_t counter)
{
	uint8_t got[MAX_LEN + AEAD_TAG_LEN];
	int err = aead_open_one(
		got, v->sealed, v->len + AEAD_TAG_LEN, v->ad, v->ad_len, counter, key);

	if (!v->valid)
		return err == ERR_BAD_MAC && sodium_is_zero(got, v->len);
	if (err != 0 || memcmp(got, v->plain, v->len) != 0)
		return false;
	aead_seal_one(got, v->plain, v->len, v->ad, v->ad_len, counter, key);
	return memcmp(got, v->sealed, v->len + AEAD_TAG_LEN) == 0;
}

static bool
holds_xone(const struct vector *v)
{
	uint8_t got[MAX_LEN + AEAD_TAG_LEN];
	int err = xaead_open_one(
		got, v->sealed, v->len + AEAD_TAG_LEN, v->ad, v->ad_len, v->nonce, v->key);

	if (!v->valid)
		return err == ERR_BAD_MAC && sodium_is_zero(got, v->len);
	if (err != 0 || memcmp(got, v->plain, v->len) != 0)
		return false;
	xaead_seal_one(got, v->plain, v->len, v->ad, v->ad_len, v->nonce, v->key);
	return memcmp(got, v->sealed, v->len + AEAD_TAG_LEN) == 0;
}

/* ---- by bursts ---- */

// A burst of n, all of this packet but the first, which is empty where there are several.
static bool
holds_in_burst(const struct vector *v,
	const struct aead_backend *backend,
	size_t n,
	const uint8_t key[static 32],
	uint64_t counter)
{
	static uint8_t data[BURST][MAX_LEN + AEAD_TAG_LEN];
	size_t len = v->len + AEAD_TAG_LEN;
	struct aead_job jobs[BURST];
	bool right = true;

	for (size_t i = 0; i < n; i++) {
		jobs[i] = (struct aead_job){ data[i], key, counter, (uint32_t)v->len, !v->valid };
		memcpy(data[i], v->sealed, len);
	}
	backend->open(jobs, n);
	for (size_t i = 0; i < n; i++)
		right = right && jobs[i].ok == v->valid &&
		        memcmp(data[i], v->valid ? v->plain : v->sealed, v->len) == 0;
	if (!v->valid)
		return right;
	backend->seal(jobs, n);
	for (size_t i = 0; i < n; i++)
		right = right && memcmp(data[i], v->sealed, len) == 0;
	// The tag's own bits, each wrong once.
	for (size_t bit = 0; bit < AEAD_TAG_LEN * 8; bit++) {
		data[n - 1][v->len + bit / 8] ^= (uint8_t)(1 << bit % 8);
		backend->open(&jobs[n - 1], 1);
		right = right && !jobs[n - 1].ok;
		data[n - 1][v->len + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	return right;
}

static bool
holds_in_bursts(const struct vector *v, const uint8_t key[static 32], uint64_t counter)
{
	static const size_t ns[] = { 1, 2, 9, BURST };
	const char *const *names;
	size_t n;
	bool right = true;

	names = aead_backends(&n);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(ns) / sizeof(ns[0]); k++) {
			if (holds_in_burst(v, aead_find(names[i]), ns[k], key, counter))
				continue;
			printf("# %s, %s, a burst of %zu\n", v->name, names[i], ns[k]);
			right = false;
		}
	}
	return right;
}

/* ---- Wycheproof ---- */

static void
read_vector(const json_t *test, struct vector *v, char name[static 64])
{
	size_t len;

	snprintf(name, 64, "test %lld",
		(long long)json_integer_value(json_object_get(test, "tcId")));
	v->name = name;
	bytes_of(test, "key", v->key, sizeof(v->key));
	v->nonce_len = bytes_of(test, "iv", v->nonce, sizeof(v->nonce));
	v->ad_len = bytes_of(test, "aad", v->ad, sizeof(v->ad));
	v->len = bytes_of(test, "msg", v->plain, sizeof(v->plain));
	len = bytes_of(test, "ct", v->sealed, MAX_LEN);
	if (v->nonce_len == 12 || v->nonce_len == XAEAD_NONCE_LEN)
		bytes_of(test, "tag", v->sealed + len, AEAD_TAG_LEN);
	v->valid = strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
}

struct counts {
	int all, used, in_bursts, wrong;
};

// Nonces that begin with four zero bytes.
static void
check_chacha(const struct vector *v, struct counts *counts)
{
	static const uint8_t zeros[4];

	if (v->nonce_len != 12 || memcmp(v->nonce, zeros, 4) != 0)
		return;
	counts->used++;
	counts->wrong += !holds_one(v, v->key, load_le64(v->nonce + 4));
}

// As it is, and as what it is made of: a derived key, and a nonce that does begin with zeros.
static void
check_xchacha(const struct vector *v, struct counts *counts)
{
	uint8_t key[32];
	uint64_t counter = load_le64(v->nonce + 16);

	if (v->nonce_len != XAEAD_NONCE_LEN)
		return;
	crypto_core_hchacha20(key, v->nonce, v->key, NULL);
	counts->used++;
	counts->wrong += !holds_xone(v) || !holds_one(v, key, counter);
	if (v->ad_len > 0)
		return;
	counts->in_bursts++;
	counts->wrong += !holds_in_bursts(v, key, counter);
}

static struct counts
check_file(const char *path, void (*check)(const struct vector *, struct counts *))
{
	static struct vector v;
	struct counts counts = { 0 };
	json_t *file = must_load(path);
	const json_t *group, *test;
	char name[64];
	size_t g, t;

	json_array_foreach(json_object_get(file, "testGroups"), g, group)
	{
		json_array_foreach(json_object_get(group, "tests"), t, test)
		{
			int before = counts.wrong;

			read_vector(test, &v, name);
			check(&v, &counts);
			counts.all++;
			if (counts.wrong != before)
				printf("# %s %s\n", path, name);
		}
	}
	json_decref(file);
	return counts;
}

static void
test_wycheproof(const char *chacha, const char *xchacha)
{
	struct counts c = check_file(chacha, check_chacha);

	tap_int(c.all, 325, "Wycheproof, ChaCha20-Poly1305");
	tap_int(c.used, 10, "with a nonce of WireGuard's shape");
	tap_int(c.wrong, 0, "of them wrong");
	c = check_file(xchacha, check_xchacha);
	tap_int(c.all, 315, "Wycheproof, XChaCha20-Poly1305");
	tap_int(c.used, 306, "with a nonce of 24 bytes");
	tap_int(c.in_bursts, 45, "without associated data: by every back end's bursts");
	tap_int(c.wrong, 0, "of them wrong");
}

/* ---- Poly1305's edges ---- */

static void
test_edges(const char *path)
{
	static struct vector v;
	json_t *file = must_load(path);
	const json_t *test;
	int wrong = 0, all = 0;
	size_t i;

	json_array_foreach(json_object_get(file, "tests"), i, test)
	{
		uint8_t counter_be[8];
		struct aead_job job;

		v = (struct vector){ .valid = true };
		v.name = json_string_value(json_object_get(test, "name"));
		bytes_of(test, "key", v.key, sizeof(v.key));
		bytes_of(test, "counter", counter_be, sizeof(counter_be));
		v.len = bytes_of(test, "ct", v.sealed, MAX_LEN);
		bytes_of(test, "tag", v.sealed + v.len, AEAD_TAG_LEN);
		// Sealing undoes the cipher: what libsodium makes of the ciphertext is the
		// plaintext.
		memcpy(v.plain, v.sealed, v.len);
		job = (struct aead_job){ v.plain, v.key, load_be64(counter_be), (uint32_t)v.len,
			false };
		aead_sodium.seal(&job, 1);
		wrong += !holds_in_bursts(&v, v.key, load_be64(counter_be));
		all++;
	}
	json_decref(file);
	tap_ok(all > 150, "%d packets lead Poly1305 to its edges", all);
	tap_int(wrong, 0, "of them wrong");
}

int
main(int argc, char **argv)
{
	const char *const *names;
	size_t n;

	if (!tap_ok(argc == 4, "three files are given"))
		return tap_done();
	unsetenv("SLUICE_AEAD");
	tap_ok(crypto_init() == 0 && aead_init(NULL) == 0, "the library works");
	names = aead_backends(&n);
	for (size_t i = 0; i < n; i++)
		printf("# back end %s\n", names[i]);
	test_wycheproof(argv[1], argv[2]);
	test_edges(argv[3]);
	return tap_done();
}
