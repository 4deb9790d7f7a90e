/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/tailkey.h"

#include "lib/base/err.h"
#include "lib/base/secret.h"

#define SHORT_BASE64 5  // characters
#define SHORT_DISCO  16 // hex digits

static const struct {
	const char *prefix;
	const char *alias; // read, never written
	size_t len;
} kinds[] = {
	[TAILKEY_MACHINE] = { "mkey:", NULL, TAILKEY_LEN },
	[TAILKEY_NODE] = { "nodekey:", NULL, TAILKEY_LEN },
	[TAILKEY_DISCO] = { "discokey:", NULL, TAILKEY_LEN },
	[TAILKEY_CHALLENGE] = { "chalpub:", NULL, TAILKEY_LEN },
	[TAILKEY_NETWORK_LOCK] = { "nlpub:", "tlpub:", TAILKEY_LEN },
	[TAILKEY_PRIVATE] = { "privkey:", NULL, TAILKEY_LEN },
	[TAILKEY_LOCK_PRIVATE] = { "nlpriv:", NULL, TAILKEY_MAX_LEN },
};

size_t
tailkey_len(enum tailkey_kind kind)
{
	return kinds[kind].len;
}

// All ones if low <= c <= high, else 0; without a branch.
static unsigned
in_range(unsigned c, unsigned low, unsigned high)
{
	return 0 - (unsigned)(c - low <= high - low);
}

// 0 to 15, or 16 if it is no hex digit.
static unsigned
hex_digit(char digit)
{
	unsigned c = (unsigned char)digit;
	unsigned decimal = in_range(c, '0', '9');
	unsigned lower = in_range(c, 'a', 'f');
	unsigned upper = in_range(c, 'A', 'F');

	return (decimal & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10)) |
	       (~(decimal | lower | upper) & 16);
}

static char
hex_char(unsigned nibble)
{
	return (char)('0' + nibble + (in_range(nibble, 10, 15) & ('a' - '0' - 10)));
}

static bool
parse_hex(const char *text, size_t len, uint8_t *ret_bytes)
{
	unsigned bad = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned high = hex_digit(text[2 * i]);
		unsigned low = hex_digit(text[2 * i + 1]);

		bad |= (high | low) & 16;
		ret_bytes[i] = (uint8_t)(high << 4 | (low & 15));
	}
	return bad == 0;
}

static bool
begins_with(const char *text, size_t text_len, const char *prefix)
{
	return prefix != NULL && text_len >= strlen(prefix) &&
	       memcmp(text, prefix, strlen(prefix)) == 0;
}

int
tailkey_parse(enum tailkey_kind kind, const char *text, size_t text_len, uint8_t *ret_bytes)
{
	const char *prefix = kinds[kind].prefix;
	uint8_t bytes[TAILKEY_MAX_LEN];
	size_t len = kinds[kind].len;
	int err = ERR_BAD_FORMAT;

	if (!begins_with(text, text_len, prefix))
		prefix = kinds[kind].alias;
	if (!begins_with(text, text_len, prefix) || text_len != strlen(prefix) + 2 * len)
		return ERR_BAD_FORMAT;
	if (parse_hex(text + strlen(prefix), len, bytes)) {
		memcpy(ret_bytes, bytes, len);
		err = 0;
	}
	secret_wipe(bytes, sizeof(bytes));
	return err;
}

static char *
format_hex(const uint8_t *bytes, size_t len, char *text)
{
	for (size_t i = 0; i < len; i++) {
		*text++ = hex_char(bytes[i] >> 4);
		*text++ = hex_char(bytes[i] & 15);
	}
	*text = '\0';
	return text;
}

char *
tailkey_format(enum tailkey_kind kind, const uint8_t *bytes, char text[static TAILKEY_TEXT_SIZE])
{
	size_t prefix_len = strlen(kinds[kind].prefix);

	memcpy(text, kinds[kind].prefix, prefix_len);
	format_hex(bytes, kinds[kind].len, text + prefix_len);
	return text;
}

char *
tailkey_format_short(enum tailkey_kind kind,
	const uint8_t bytes[static TAILKEY_LEN],
	char text[static TAILKEY_SHORT_SIZE])
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
	                (uint32_t)bytes[2] << 8 | bytes[3];

	if (kind == TAILKEY_DISCO) {
		memcpy(text, "d:", 2);
		format_hex(bytes, SHORT_DISCO / 2, text + 2);
		return text;
	}
	text[0] = '[';
	for (size_t i = 0; i < SHORT_BASE64; i++)
		text[1 + i] = base64[bits >> (26 - 6 * i) & 63];
	memcpy(text + 1 + SHORT_BASE64, "]", 2);
	return text;
}
