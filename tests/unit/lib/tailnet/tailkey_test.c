/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Text forms of keys, against the reference's (argv[1]: tests/vectors/keys.json, a copy of
 * ../shared/vectors/keys.json).
 */

#include "lib/tailnet/tailkey.h"

#include <stdio.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const char *
text_of(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

static size_t
unhex(const char *hex, uint8_t out[static TAILKEY_MAX_LEN])
{
	size_t n = 0;

	for (; hex[2 * n] != '\0' && n < TAILKEY_MAX_LEN; n++)
		if (sscanf(hex + 2 * n, "%2hhx", &out[n]) != 1)
			tap_ok(false, "hex in the vector");
	return n;
}

static bool
kind_of(const char *name, enum tailkey_kind *ret_kind)
{
	static const struct {
		const char *name;
		enum tailkey_kind kind;
	} kinds[] = {
		{ "machine", TAILKEY_MACHINE },
		{ "node", TAILKEY_NODE },
		{ "disco", TAILKEY_DISCO },
		{ "challenge", TAILKEY_CHALLENGE },
		{ "network-lock", TAILKEY_NETWORK_LOCK },
		{ "node-private", TAILKEY_PRIVATE },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i].name) == 0) {
			*ret_kind = kinds[i].kind;
			return true;
		}
	return false; // keys of relays' meshes are no keys of tailnets
}

static void
check_text(enum tailkey_kind kind, const char *text, const char *raw)
{
	uint8_t wanted[TAILKEY_MAX_LEN], got[TAILKEY_MAX_LEN];
	char formatted[TAILKEY_TEXT_SIZE];
	size_t len = unhex(raw, wanted);

	tap_int((long long)tailkey_len(kind), (long long)len, "length");
	tap_int(tailkey_parse(kind, text, strlen(text), got), 0, text);
	tap_bytes(got, wanted, len, "its bytes");
	tap_text(tailkey_format(kind, wanted, formatted), text, "and back");
}

static void
test_key(const json_t *row)
{
	enum tailkey_kind kind;
	uint8_t raw[TAILKEY_MAX_LEN];
	char text[TAILKEY_SHORT_SIZE];

	if (!kind_of(text_of(row, "kind"), &kind))
		return;
	check_text(kind, text_of(row, "public_text"), text_of(row, "public_raw"));
	if (text_of(row, "private_text") != NULL)
		check_text(kind == TAILKEY_NETWORK_LOCK ? TAILKEY_LOCK_PRIVATE : TAILKEY_PRIVATE,
			text_of(row, "private_text"), text_of(row, "private_raw"));
	unhex(text_of(row, "public_raw"), raw);
	if (text_of(row, "short") != NULL)
		tap_text(tailkey_format_short(kind, raw, text), text_of(row, "short"), "short");
}

static void
test_parse(const json_t *row)
{
	const char *raw = text_of(row, "raw"), *document = text_of(row, "json");
	json_t *value = json_loads(document, JSON_DECODE_ANY, NULL);
	uint8_t wanted[TAILKEY_MAX_LEN], got[TAILKEY_MAX_LEN] = {};
	enum tailkey_kind kind;
	int err = 0;

	if (kind_of(text_of(row, "kind"), &kind) && !json_is_null(value)) {
		err = !json_is_string(value) ? ERR_BAD_FORMAT
		                             : tailkey_parse(kind, json_string_value(value),
						       json_string_length(value), got);
		tap_int(err, raw != NULL ? 0 : ERR_BAD_FORMAT, document);
	}
	if (raw != NULL && kind_of(text_of(row, "kind"), &kind))
		tap_bytes(got, wanted, unhex(raw, wanted), "its bytes");
	json_decref(value);
}

// Every byte that could stand for a digit.
static void
test_digits(void)
{
	char text[] = "nodekey:0000000000000000000000000000000000000000000000000000000000000000";
	uint8_t got[TAILKEY_LEN];
	int wrong = 0;

	for (int c = 0; c < 256; c++) {
		const char *hex = "0123456789abcdefABCDEF";
		const char *digit = c != 0 ? strchr(hex, c) : NULL;
		int value = digit == NULL ? -1 : (int)(digit - hex) - (digit - hex > 15 ? 6 : 0);
		int err;

		text[8] = (char)c;
		err = tailkey_parse(TAILKEY_NODE, text, strlen("nodekey:") + 64, got);
		wrong += (err == 0) != (value >= 0) || (value >= 0 && got[0] != value << 4);
	}
	tap_int(wrong, 0, "bytes taken for another digit");
}

int
main(int argc, char **argv)
{
	json_t *root = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;
	const json_t *keys = json_object_get(root, "keys");
	const json_t *parse = json_object_get(root, "parse");

	tap_ok(json_array_size(keys) >= 15 && json_array_size(parse) >= 30, "the vectors");
	for (size_t i = 0; i < json_array_size(keys); i++)
		test_key(json_array_get(keys, i));
	for (size_t i = 0; i < json_array_size(parse); i++)
		test_parse(json_array_get(parse, i));
	test_digits();
	json_decref(root);
	return tap_done();
}
