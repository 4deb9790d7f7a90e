/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/derp/info.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/derp/flat_json.h"

#define HEX_LEN (2 * KEY_LEN)

static const char hex_digits[] = "0123456789abcdef";

// --- writing: text grows in a buffer that its longest form fits ---

struct text {
	char bytes[DERP_CLIENT_INFO_MAX_LEN - DERP_INFO_OVERHEAD];
	size_t len;
};

static_assert(DERP_SERVER_INFO_MAX_LEN <= DERP_CLIENT_INFO_MAX_LEN, "one buffer does for both");

static void
append(struct text *t, const char *piece)
{
	size_t len = strlen(piece);

	assert(len <= sizeof(t->bytes) - t->len);
	memcpy(t->bytes + t->len, piece, len);
	t->len += len;
}

static void
append_integer(struct text *t, const char *before, int64_t integer)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, integer);
	append(t, before);
	append(t, digits);
}

// Without a table that a secret could index.
static char
hex_digit(unsigned nibble)
{
	return (char)('0' + nibble + (((9 - nibble) >> 8) & ('a' - '0' - 10)));
}

static void
append_mesh_key(struct text *t, const struct secret_key *key)
{
	char hex[HEX_LEN + 1] = { 0 };

	for (size_t i = 0; i < KEY_LEN; i++) {
		hex[2 * i] = hex_digit(key->bytes[i] >> 4);
		hex[2 * i + 1] = hex_digit(key->bytes[i] & 15);
	}
	append(t, "\"meshKey\":\"");
	append(t, hex);
	append(t, "\",");
	secret_wipe(hex, sizeof(hex));
}

static size_t
seal(uint8_t *out,
	const struct text *t,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN])
{
	memcpy(out, nonce, BOX_NONCE_LEN);
	box_seal(out + BOX_NONCE_LEN, (const uint8_t *)t->bytes, t->len, nonce, key);
	return DERP_INFO_OVERHEAD + t->len;
}

size_t
derp_client_info_seal(uint8_t out[static DERP_CLIENT_INFO_MAX_LEN],
	const struct derp_client_info *info,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN])
{
	struct text t = { .len = 0 };
	size_t len;

	append(&t, "{");
	if (info->has_mesh_key)
		append_mesh_key(&t, &info->mesh_key);
	append_integer(&t, "\"version\":", info->version);
	append(&t, info->can_ack_pings ? ",\"CanAckPings\":true" : ",\"CanAckPings\":false");
	if (info->is_prober)
		append(&t, ",\"IsProber\":true");
	append(&t, "}");
	len = seal(out, &t, key, nonce);
	secret_wipe(&t, sizeof(t));
	return len;
}

size_t
derp_server_info_seal(uint8_t out[static DERP_SERVER_INFO_MAX_LEN],
	const struct derp_server_info *info,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN])
{
	struct text t = { .len = 0 };

	append_integer(&t, "{\"version\":", info->version);
	if (info->bytes_per_second != 0)
		append_integer(&t, ",\"TokenBucketBytesPerSecond\":", info->bytes_per_second);
	if (info->bytes_burst != 0)
		append_integer(&t, ",\"TokenBucketBytesBurst\":", info->bytes_burst);
	append(&t, "}");
	return seal(out, &t, key, nonce);
}

// --- reading ---

static int
take_integer(const struct flat_json_value *value, int64_t *integer)
{
	if (value->kind == FLAT_JSON_INTEGER)
		*integer = value->integer;
	return value->kind == FLAT_JSON_INTEGER || value->kind == FLAT_JSON_NULL ? 0
	                                                                         : ERR_BAD_FORMAT;
}

static int
take_bool(const struct flat_json_value *value, bool *boolean)
{
	if (value->kind == FLAT_JSON_BOOL)
		*boolean = value->boolean;
	return value->kind == FLAT_JSON_BOOL || value->kind == FLAT_JSON_NULL ? 0 : ERR_BAD_FORMAT;
}

// A limit below zero would be none that makes sense: none at all.
static int
take_limit(const struct flat_json_value *value, int64_t *limit)
{
	int err = take_integer(value, limit);

	if (*limit < 0)
		*limit = 0;
	return err;
}

// Compares with every digit, so that its time does not tell which it was.  16 if it is none.
static unsigned
nibble_of(char digit)
{
	unsigned nibble = 0, found = 0;

	for (unsigned i = 0; i < 16; i++) {
		unsigned diff = (unsigned char)(digit ^ hex_digits[i]);
		unsigned same = (diff - 1) >> 31;

		nibble |= i & -same;
		found |= same;
	}
	return nibble | (1 - found) << 4;
}

// Empty is none.
static int
take_mesh_key(const struct flat_json_value *value, struct derp_client_info *info)
{
	struct secret_key key;
	unsigned bad = 0;

	if (value->kind == FLAT_JSON_NULL || (value->kind == FLAT_JSON_STRING && value->len == 0))
		return 0;
	if (value->kind != FLAT_JSON_STRING || value->len != HEX_LEN)
		return ERR_BAD_FORMAT;
	for (size_t i = 0; i < KEY_LEN; i++) {
		unsigned high = nibble_of(value->text[2 * i]);
		unsigned low = nibble_of(value->text[2 * i + 1]);

		key.bytes[i] = (uint8_t)(high << 4 | low);
		bad |= (high | low) >> 4;
	}
	if (bad == 0) {
		info->mesh_key = key;
		info->has_mesh_key = true;
	}
	secret_wipe(&key, sizeof(key));
	return bad == 0 ? 0 : ERR_BAD_FORMAT;
}

static int
client_member(void *context, const char *name, size_t len, const struct flat_json_value *value)
{
	struct derp_client_info *info = context;

	if (flat_json_is_name(name, len, "version"))
		return take_integer(value, &info->version);
	if (flat_json_is_name(name, len, "meshKey"))
		return take_mesh_key(value, info);
	if (flat_json_is_name(name, len, "CanAckPings"))
		return take_bool(value, &info->can_ack_pings);
	if (flat_json_is_name(name, len, "IsProber"))
		return take_bool(value, &info->is_prober);
	return 0;
}

static int
server_member(void *context, const char *name, size_t len, const struct flat_json_value *value)
{
	struct derp_server_info *info = context;

	if (flat_json_is_name(name, len, "version"))
		return take_integer(value, &info->version);
	if (flat_json_is_name(name, len, "TokenBucketBytesPerSecond"))
		return take_limit(value, &info->bytes_per_second);
	if (flat_json_is_name(name, len, "TokenBucketBytesBurst"))
		return take_limit(value, &info->bytes_burst);
	return 0;
}

static int
open_and_read(const uint8_t *data,
	size_t len,
	const struct box_key *key,
	flat_json_member member,
	void *info)
{
	char text[DERP_INFO_MAX_LEN];
	size_t text_len;
	int err;

	if (len < DERP_INFO_OVERHEAD)
		return ERR_TRUNCATED;
	text_len = len - DERP_INFO_OVERHEAD;
	if (text_len > sizeof(text))
		return ERR_BAD_FORMAT;
	err = box_open((uint8_t *)text, data + BOX_NONCE_LEN, len - BOX_NONCE_LEN, data, key);
	if (err == 0) {
		err = flat_json_read(text, text_len, member, info);
		secret_wipe(text, text_len);
	}
	return err;
}

int
derp_client_info_open(const uint8_t *data,
	size_t len,
	const struct box_key *key,
	struct derp_client_info *ret_info)
{
	struct derp_client_info info = {};
	int err = open_and_read(data, len, key, client_member, &info);

	if (err == 0)
		*ret_info = info;
	secret_wipe(&info.mesh_key, sizeof(info.mesh_key));
	return err;
}

int
derp_server_info_open(const uint8_t *data,
	size_t len,
	const struct box_key *key,
	struct derp_server_info *ret_info)
{
	struct derp_server_info info = {};
	int err = open_and_read(data, len, key, server_member, &info);

	if (err == 0)
		*ret_info = info;
	return err;
}
