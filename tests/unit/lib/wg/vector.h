/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Fields of ../shared/vectors/wireguard.json, a copy of which is tests/vectors/wireguard.json: made
 * with wireguard-go (package device, the version in its "source" field).
 */
#ifndef TESTS_UNIT_LIB_WG_VECTOR_H
#define TESTS_UNIT_LIB_WG_VECTOR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/crypto/key.h"

/* Exactly len bytes of hex; anything else ends the test. */
static inline void
vector_bytes(const json_t *object, const char *name, void *out, size_t len)
{
	const char *hex = json_string_value(json_object_get(object, name));
	size_t got = 0;

	if (hex == NULL || sodium_hex2bin(out, len, hex, strlen(hex), NULL, &got, NULL) != 0 ||
		got != len) {
		printf("Bail out! no %zu bytes of %s in the vector\n", len, name);
		exit(1);
	}
}

static inline void
vector_pair(const json_t *object,
	const char *name,
	struct secret_key *ret_secret,
	struct public_key *ret_public)
{
	const json_t *pair = json_object_get(object, name);

	vector_bytes(pair, "private", ret_secret->bytes, KEY_LEN);
	vector_bytes(pair, "public", ret_public->bytes, KEY_LEN);
}

static inline json_t *
vector_load(int argc, char **argv)
{
	json_t *root = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;

	if (root == NULL || crypto_init() != 0) {
		printf("Bail out! usage: test wireguard.json\n");
		exit(1);
	}
	return root;
}

#endif
