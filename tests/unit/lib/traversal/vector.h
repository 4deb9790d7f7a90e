/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Fields of ../shared/vectors/{disco,derp,stun}.json, copies of which are in tests/vectors: made
 * with the public Go packages that their "source" fields name (tailscale.com v1.98.9: disco, derp,
 * derp/derpserver, net/stun, net/stunserver, wgengine/magicsock).
 */
#ifndef TESTS_UNIT_LIB_TRAVERSAL_VECTOR_H
#define TESTS_UNIT_LIB_TRAVERSAL_VECTOR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/crypto/key.h"
#include "lib/net/addr.h"

static inline json_t *
vector_load(int argc, char **argv)
{
	json_t *root = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;

	if (root == NULL || crypto_init() != 0) {
		printf("Bail out! usage: test vectors.json\n");
		exit(1);
	}
	return root;
}

/* A text that must be there. */
static inline const char *
vector_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	if (text == NULL) {
		printf("Bail out! no text %s in the vector\n", name);
		exit(1);
	}
	return text;
}

/* Bytes of hex, in memory of exactly their length (so that a sanitizer sees what lies behind), or
 * of one byte if there are none.  The caller frees them. */
static inline uint8_t *
vector_hex(const json_t *object, const char *name, size_t *ret_len)
{
	const char *hex = vector_text(object, name);
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len > 0 ? len : 1);

	if (bytes == NULL ||
		sodium_hex2bin(bytes, len, hex, strlen(hex), NULL, ret_len, NULL) != 0 ||
		*ret_len != len) {
		printf("Bail out! %s is no hex\n", name);
		exit(1);
	}
	return bytes;
}

/* Exactly len bytes of hex. */
static inline void
vector_bytes(const json_t *object, const char *name, void *out, size_t len)
{
	size_t got;
	uint8_t *bytes = vector_hex(object, name, &got);

	if (got != len) {
		printf("Bail out! %s has %zu bytes, not %zu\n", name, got, len);
		exit(1);
	}
	memcpy(out, bytes, len);
	free(bytes);
}

/* A key after its prefix ("discokey:"), or without one. */
static inline struct public_key
vector_public(const char *text)
{
	const char *colon = strchr(text, ':'), *hex = colon != NULL ? colon + 1 : text;
	struct public_key key;
	size_t len = 0;

	if (sodium_hex2bin(key.bytes, KEY_LEN, hex, strlen(hex), NULL, &len, NULL) != 0 ||
		len != KEY_LEN) {
		printf("Bail out! no key: %s\n", text);
		exit(1);
	}
	return key;
}

static inline void
vector_pair(const json_t *object, struct secret_key *ret_secret, struct public_key *ret_public)
{
	vector_bytes(object, "private", ret_secret->bytes, KEY_LEN);
	vector_bytes(object, "public", ret_public->bytes, KEY_LEN);
}

/* "address:port"; port 0 is allowed, other than in endpoint_parse(). */
static inline struct endpoint
vector_endpoint(const char *text)
{
	struct endpoint endpoint = {};
	char addr[ADDR_TEXT_LEN];
	const char *colon = strrchr(text, ':');
	size_t skip = text[0] == '[', len;

	if (colon == NULL || strlen(text) >= sizeof(addr)) {
		printf("Bail out! no endpoint: %s\n", text);
		exit(1);
	}
	len = (size_t)(colon - text) - 2 * skip;
	memcpy(addr, text + skip, len);
	addr[len] = '\0';
	if (addr_parse(addr, &endpoint.addr) != 0) {
		printf("Bail out! no address: %s\n", addr);
		exit(1);
	}
	endpoint.port = (uint16_t)atoi(colon + 1);
	return endpoint;
}

#endif
