/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Fields of ../shared/vectors/control-noise.json, a copy of which is
 * tests/vectors/control-noise.json: made with the reference client's and server's own packages
 * (version in its "source" field).
 */
#ifndef TESTS_UNIT_LIB_NOISE_VECTOR_H
#define TESTS_UNIT_LIB_NOISE_VECTOR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/crypto/key.h"

#define VECTOR_MAX_LEN (256 * 1024)

/* The bytes of a hex text, in memory of the caller's; anything else ends the test. */
static inline size_t
vector_decode(const json_t *text, void *out, size_t size)
{
	const char *hex = json_string_value(text);
	size_t len = 0;

	if (hex == NULL || sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL) != 0) {
		printf("Bail out! no hex in the vector\n");
		exit(1);
	}
	return len;
}

static inline void
vector_bytes(const json_t *object, const char *name, void *out, size_t len)
{
	if (vector_decode(json_object_get(object, name), out, len) != len) {
		printf("Bail out! no %zu bytes of %s in the vector\n", len, name);
		exit(1);
	}
}

/* Not hex but text; "" if it is not there. */
static inline const char *
vector_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

/* jansson has no integers beyond 2^63, and the vectors have counters up to 2^64 - 1: as texts. */
static inline json_t *
vector_parse(const char *text)
{
	char *quoted = calloc(2, strlen(text) + 1), *out = quoted;
	json_t *root;

	while (quoted != NULL && *text != '\0') {
		size_t digits = strspn(text, "0123456789");

		if (digits == 20 && text[-1] == ' ')
			out += sprintf(out, "\"%.20s\"", text);
		else
			out = (char *)memcpy(out, text, digits > 0 ? digits : 1) +
			      (digits > 0 ? digits : 1);
		text += digits > 0 ? digits : 1;
	}
	root = quoted != NULL ? json_loads(quoted, 0, NULL) : NULL;
	free(quoted);
	return root;
}

static inline json_t *
vector_load(int argc, char **argv)
{
	static char text[1024 * 1024];
	FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
	size_t len = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
	json_t *root = len > 0 ? vector_parse(text) : NULL;

	if (file != NULL)
		fclose(file);
	if (root == NULL || crypto_init() != 0) {
		printf("Bail out! usage: test control-noise.json\n");
		exit(1);
	}
	return root;
}

#endif
