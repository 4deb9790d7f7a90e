/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sources: RFC 7748 sections 5.2 and 6.1; the points of small order are those of
 * https://cr.yp.to/ecdh.html#validate.
 */

#include "lib/crypto/key.h"

#include <string.h>

#include <sodium.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static void
from_hex(uint8_t out[static KEY_LEN], const char *hex)
{
	size_t len;

	if (sodium_hex2bin(out, KEY_LEN, hex, strlen(hex), NULL, &len, NULL) != 0 || len != KEY_LEN)
		tap_ok(false, "the vector is not %d bytes of hex: %s", KEY_LEN, hex);
}

static const struct {
	const char *what;
	const char *secret, *public, *shared;
} exchanges[] = {
	{ "5.2, first", "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
	{ "5.2, second (the top bit of the point is ignored)",
		"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	{ "6.1, Alice", "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
	{ "6.1, Bob", "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
};

static void
test_exchanges(void)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		struct secret_key secret;
		struct public_key public;
		uint8_t wanted[KEY_LEN], got[KEY_LEN] = { 0 };

		from_hex(secret.bytes, exchanges[i].secret);
		from_hex(public.bytes, exchanges[i].public);
		from_hex(wanted, exchanges[i].shared);
		tap_int(key_exchange(got, &secret, &public), 0, exchanges[i].what);
		tap_bytes(got, wanted, KEY_LEN, exchanges[i].what);
	}
}

static void
test_public_keys(void)
{
	for (size_t i = 2; i < 4; i++) { // the public key of one is what the other was given
		struct secret_key secret;
		struct public_key got;
		uint8_t wanted[KEY_LEN];

		from_hex(secret.bytes, exchanges[i].secret);
		from_hex(wanted, exchanges[5 - i].public);
		key_public(&got, &secret);
		tap_bytes(got.bytes, wanted, KEY_LEN, "public key of RFC 7748 section 6.1");
	}
}

static void
test_iterated(void)
{
	struct secret_key k = { { 9 } };
	struct public_key u = { { 9 } };
	uint8_t wanted[KEY_LEN], got[KEY_LEN];
	int err = 0;

	for (int i = 1; i <= 1000; i++) {
		err |= key_exchange(got, &k, &u);
		memcpy(u.bytes, k.bytes, KEY_LEN);
		memcpy(k.bytes, got, KEY_LEN);
		if (i == 1) {
			from_hex(wanted,
				"422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
			tap_bytes(got, wanted, KEY_LEN, "RFC 7748 section 5.2, iterated once");
		}
	}
	from_hex(wanted, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
	tap_bytes(got, wanted, KEY_LEN, "iterated a thousand times");
	tap_int(err, 0, "none of them failed");
}

static void
test_small_order(void)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
	};
	struct secret_key secret;

	key_generate(&secret);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct public_key point;
		uint8_t shared[KEY_LEN];

		from_hex(point.bytes, points[i]);
		tap_int(key_exchange(shared, &secret, &point), ERR_BAD_KEY, points[i]);
	}
}

static void
test_generated(void)
{
	struct secret_key a, b;
	struct public_key pub_a, pub_b;
	uint8_t ab[KEY_LEN], ba[KEY_LEN];

	key_generate(&a);
	key_generate(&b);
	tap_ok(memcmp(&a, &b, sizeof(a)) != 0, "two new keys differ");
	tap_ok((a.bytes[0] & 7) == 0 && (a.bytes[31] & 0xc0) == 0x40, "a new key is clamped");
	key_public(&pub_a, &a);
	key_public(&pub_b, &b);
	tap_int(key_exchange(ab, &a, &pub_b), 0, "one side");
	tap_int(key_exchange(ba, &b, &pub_a), 0, "the other side");
	tap_bytes(ab, ba, KEY_LEN, "both have the same secret");
}

static const struct {
	const char *what;
	const char *text;
	int err;
} texts[] = {
	{ "Alice's public key", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", 0 },
	{ "all zeros", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0 },
	{ "all ones", "//////////////////////////////////////////8=", 0 },
	{ "nothing", "", ERR_BAD_FORMAT },
	{ "without padding", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo", ERR_BAD_FORMAT },
	{ "one character less", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTm=", ERR_BAD_FORMAT },
	{ "31 bytes", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTg==", ERR_BAD_FORMAT },
	{ "33 bytes", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmoA", ERR_BAD_FORMAT },
	{ "bits behind the last byte",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp=", ERR_BAD_FORMAT },
	{ "the lowest of them", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", ERR_BAD_FORMAT },
	{ "the other of them", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC=", ERR_BAD_FORMAT },
	{ "the alphabet of URLs", "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo=", ERR_BAD_FORMAT },
	{ "a line's end", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n", ERR_BAD_FORMAT },
	{ "a space before", " hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", ERR_BAD_FORMAT },
	{ "a space inside, 44 in all",
		"hSDwCYkwp1R0i33 tD73Wg2/Og0mOBr066SpjqqbTmo=", ERR_BAD_FORMAT },
	{ "padding inside", "hSDwCYkwp1R0i33=tD73Wg2/Og0mOBr066SpjqqbTmo=", ERR_BAD_FORMAT },
	{ "a byte above 127", "hSDwCYkwp1R0i33\xc3tD73Wg2/Og0mOBr066SpjqqbTmo=", ERR_BAD_FORMAT },
	{ "two keys", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAAAAAAAAAAAAAAAAAAAAAA",
		ERR_BAD_FORMAT },
};

static void
test_texts(void)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct public_key public;
		struct secret_key secret, untouched;
		char text[KEY_TEXT_LEN];

		memset(&secret, 0x5a, sizeof(secret));
		memset(&untouched, 0x5a, sizeof(untouched));
		tap_int(public_key_parse(texts[i].text, &public), texts[i].err, texts[i].what);
		tap_int(secret_key_parse(texts[i].text, &secret), texts[i].err, texts[i].what);
		if (texts[i].err != 0) {
			tap_bytes(&secret, &untouched, sizeof(secret), "the key is as it was");
			continue;
		}
		public_key_format(&public, text);
		tap_text(text, texts[i].text, "formats as it was read");
		secret_key_format(&secret, text);
		tap_text(text, texts[i].text, "formats as it was read, as a secret");
	}
}

static void
test_text_value(void)
{
	struct public_key key;
	uint8_t wanted[KEY_LEN];

	from_hex(wanted, exchanges[3].public);
	tap_int(public_key_parse(texts[0].text, &key), 0, "reads");
	tap_bytes(key.bytes, wanted, KEY_LEN, "the text is this key");
}

int
main(void)
{
	tap_int(crypto_init(), 0, "the library works");
	test_exchanges();
	test_public_keys();
	test_iterated();
	test_small_order();
	test_generated();
	test_texts();
	test_text_value();
	return tap_done();
}
