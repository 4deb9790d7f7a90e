/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sources: D. J. Bernstein, "Cryptography in NaCl" sections 5, 8 and 10 (Alice and Bob); the pair
 * of
 * ../shared/protocol/peer.md, Appendix C; one of the points of small order of
 * https://cr.yp.to/ecdh.html#validate.  More rows: disco.json and derp.json in their libraries'
 * tests.
 */

#include "lib/crypto/box.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define MAX_LEN 512

static size_t
from_hex(uint8_t *out, size_t room, const char *hex)
{
	size_t len = 0;

	if (sodium_hex2bin(out, room, hex, strlen(hex), NULL, &len, NULL) != 0) {
		printf("Bail out! no hex: %s\n", hex);
		exit(1);
	}
	return len;
}

static const struct {
	const char *what;
	const char *secret, *public, *shared;
} pairs[] = {
	{ "Alice with Bob", "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		"1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389" },
	{ "Bob with Alice", "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389" },
	{ "A with B of peer.md", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e5f",
		"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254",
		"429b61f5d96e37268dfc5114849d599c9ceabffdb68c1f52cd0499af30f5b377" },
};

static const char nonce_hex[] = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
static const char plain_hex[] =
	"be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e"
	"6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a"
	"838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705";
static const char box_hex[] =
	"f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531"
	"a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932"
	"164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14"
	"a6599b1f654cb45a74e355a5";

static void
test_keys(void)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct secret_key secret;
		struct public_key public;
		struct box_key key = {};
		uint8_t wanted[KEY_LEN];

		from_hex(secret.bytes, KEY_LEN, pairs[i].secret);
		from_hex(public.bytes, KEY_LEN, pairs[i].public);
		from_hex(wanted, KEY_LEN, pairs[i].shared);
		tap_int(box_key_init(&key, &secret, &public), 0, pairs[i].what);
		tap_bytes(key.bytes, wanted, KEY_LEN, pairs[i].what);
	}
}

static void
test_small_order(void)
{
	struct public_key zero = {}, small;
	struct box_key key, before;
	struct secret_key secret;

	key_generate(&secret);
	memset(&key, 0x5a, sizeof(key));
	before = key;
	from_hex(small.bytes, KEY_LEN,
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
	tap_int(box_key_init(&key, &secret, &zero), ERR_BAD_KEY, "no key shared with zero");
	tap_int(box_key_init(&key, &secret, &small), ERR_BAD_KEY, "none with a point of order 8");
	tap_bytes(&key, &before, sizeof(key), "nothing was written");
}

struct vector {
	struct box_key key;
	uint8_t nonce[BOX_NONCE_LEN], plain[MAX_LEN], box[MAX_LEN];
	size_t plain_len, box_len;
};

static void
load(struct vector *v)
{
	from_hex(v->key.bytes, KEY_LEN, pairs[0].shared);
	from_hex(v->nonce, sizeof(v->nonce), nonce_hex);
	v->plain_len = from_hex(v->plain, sizeof(v->plain), plain_hex);
	v->box_len = from_hex(v->box, sizeof(v->box), box_hex);
}

static void
test_vector(const struct vector *v)
{
	uint8_t out[MAX_LEN];

	tap_int((long long)v->box_len, (long long)v->plain_len + BOX_TAG_LEN, "a tag more");
	box_seal(out, v->plain, v->plain_len, v->nonce, &v->key);
	tap_bytes(out, v->box, v->box_len, "sealed as NaCl does");
	tap_int(box_open(out, v->box, v->box_len, v->nonce, &v->key), 0, "NaCl's box is opened");
	tap_bytes(out, v->plain, v->plain_len, "to what was in it");
}

// At every distance between the two, in place included.
static void
test_overlap(const struct vector *v)
{
	bool sealed = true, opened = true;

	for (size_t at = 0; at <= 2 * BOX_TAG_LEN; at++) {
		uint8_t memory[MAX_LEN];

		memcpy(memory + at, v->plain, v->plain_len);
		box_seal(memory + BOX_TAG_LEN, memory + at, v->plain_len, v->nonce, &v->key);
		sealed &= memcmp(memory + BOX_TAG_LEN, v->box, v->box_len) == 0;

		memcpy(memory + BOX_TAG_LEN, v->box, v->box_len);
		opened &= box_open(memory + at, memory + BOX_TAG_LEN, v->box_len, v->nonce,
				  &v->key) == 0 &&
		          memcmp(memory + at, v->plain, v->plain_len) == 0;
	}
	tap_ok(sealed, "sealing into overlapping memory");
	tap_ok(opened, "opening into overlapping memory");
}

static void
test_damage(const struct vector *v)
{
	uint8_t box[MAX_LEN], before[MAX_LEN];
	size_t refused = 0;
	struct box_key other = v->key;

	for (size_t bit = 0; bit < 8 * v->box_len; bit++) {
		memcpy(box, v->box, v->box_len);
		box[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(before, box, v->box_len);
		refused += box_open(box + BOX_TAG_LEN, box, v->box_len, v->nonce, &v->key) ==
		                   ERR_BAD_MAC &&
		           memcmp(box, before, v->box_len) == 0;
	}
	tap_int((long long)refused, 8 * (long long)v->box_len,
		"a box with one bit turned is refused, and left as it is");
	memcpy(box, v->box, v->box_len);
	other.bytes[0] ^= 1;
	tap_int(box_open(box, box, v->box_len, v->nonce, &other), ERR_BAD_MAC, "another key");
	tap_bytes(box, v->box, v->box_len, "nothing was written");
}

static void
test_short(const struct vector *v)
{
	uint8_t box[BOX_TAG_LEN], nothing[1];

	for (size_t len = 0; len < BOX_TAG_LEN; len++)
		tap_int(box_open(nothing, box, len, v->nonce, &v->key), ERR_TRUNCATED,
			"no room for a tag");
	box_seal(box, nothing, 0, v->nonce, &v->key);
	tap_int(box_open(nothing, box, BOX_TAG_LEN, v->nonce, &v->key), 0, "an empty box opens");
	box[0] ^= 1;
	tap_int(box_open(nothing, box, BOX_TAG_LEN, v->nonce, &v->key), ERR_BAD_MAC,
		"unless it is damaged");
}

int
main(void)
{
	struct vector v;

	if (crypto_init() != 0)
		return 1;
	load(&v);
	test_keys();
	test_small_order();
	test_vector(&v);
	test_overlap(&v);
	test_damage(&v);
	test_short(&v);
	return tap_done();
}
