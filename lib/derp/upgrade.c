/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/derp/upgrade.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"

#define HEX_LEN         (2 * KEY_LEN)
#define PORT_MAX_LEN    6  /* ":65535" */
#define STATUS_AT       9  /* behind "HTTP/1.1 " */
#define STATUS_END      12 /* a space or the end of the line follows */
#define END_OF_HEAD     "\r\n\r\n"
#define END_OF_HEAD_LEN 4

static const char meta_prefix[] = "derpkey";

static_assert(DERP_META_NAME_LEN == sizeof(meta_prefix) - 1 + HEX_LEN);
static_assert(
	DERP_REQUEST_MAX_LEN > 256 + DERP_HOST_MAX_LEN + PORT_MAX_LEN + DERP_NODE_NAME_MAX_LEN,
	"the request's own words, and its names");

// What may stand in a header's value without becoming another header.
static bool
is_name(const char *name, size_t max_len)
{
	size_t len = strnlen(name, max_len + 1);

	if (len == 0 || len > max_len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return true;
}

int
derp_upgrade_request_write(char out[static DERP_REQUEST_MAX_LEN],
	const struct derp_upgrade_request *request,
	size_t *ret_len)
{
	const char *ideal = request->ideal_node;
	int len;

	if (!is_name(request->host, DERP_HOST_MAX_LEN + PORT_MAX_LEN) ||
		(ideal != NULL && !is_name(ideal, DERP_NODE_NAME_MAX_LEN)))
		return ERR_BAD_FORMAT;
	len = snprintf(out, DERP_REQUEST_MAX_LEN,
		"GET /derp HTTP/1.1\r\n"
		"Host: %s\r\n"
		"Upgrade: DERP\r\n"
		"Connection: Upgrade\r\n"
		"%s%s%s%s\r\n",
		request->host, ideal != NULL ? "Ideal-Node: " : "", ideal != NULL ? ideal : "",
		ideal != NULL ? "\r\n" : "", request->fast_start ? DERP_FAST_START_HEADER : "");
	assert(len > 0 && len < DERP_REQUEST_MAX_LEN);
	*ret_len = (size_t)len;
	return 0;
}

size_t
derp_upgrade_response_write(char out[static DERP_RESPONSE_LEN], const struct public_key *server)
{
	char hex[HEX_LEN + 1];
	int len;

	for (size_t i = 0; i < KEY_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", server->bytes[i]);
	len = snprintf(out, DERP_RESPONSE_LEN,
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: DERP\r\n"
		"Connection: Upgrade\r\n"
		"Derp-Version: 2\r\n"
		"Derp-Public-Key: %s\r\n\r\n",
		hex);
	assert(len > 0 && len < DERP_RESPONSE_LEN);
	return (size_t)len;
}

static bool
is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

// The status of a line "HTTP/1.x NNN ..." that is known to be ended by CR LF; 0 if it is none.
static unsigned
status_of(const char *line)
{
	const char *digits = line + STATUS_AT;

	if (!is_digit(line[7]) || line[8] != ' ')
		return 0;
	for (int i = 0; i < 3; i++)
		if (!is_digit(digits[i]))
			return 0;
	if (line[STATUS_END] != ' ' && line[STATUS_END] != '\r')
		return 0;
	return (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
}

int
derp_upgrade_response_read(const char *data, size_t len, unsigned *ret_status, size_t *ret_head_len)
{
	static const char version[] = "HTTP/1.";
	size_t limit = len < DERP_HEAD_LIMIT ? len : DERP_HEAD_LIMIT;
	size_t seen = limit < sizeof(version) - 1 ? limit : sizeof(version) - 1;
	const char *end;
	unsigned status;

	// Refused at the first wrong byte: a stranger need not be waited for.
	if (seen > 0 && memcmp(data, version, seen) != 0)
		return ERR_BAD_FORMAT;
	end = memmem(data, limit, END_OF_HEAD, END_OF_HEAD_LEN);
	if (end == NULL)
		return len < DERP_HEAD_LIMIT ? ERR_TRUNCATED : ERR_BAD_FORMAT;
	if (end - data < STATUS_END)
		return ERR_BAD_FORMAT;
	status = status_of(data);
	if (status == 0)
		return ERR_BAD_FORMAT;
	*ret_status = status;
	*ret_head_len = (size_t)(end - data) + END_OF_HEAD_LEN;
	return 0;
}

static int
digit_of(char ch)
{
	if (is_digit(ch))
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return -1;
}

int
derp_meta_name_read(const char *name, size_t len, struct public_key *ret_server)
{
	const char *hex = name + sizeof(meta_prefix) - 1;
	struct public_key key;

	if (len != DERP_META_NAME_LEN || memcmp(name, meta_prefix, sizeof(meta_prefix) - 1) != 0)
		return ERR_BAD_FORMAT;
	for (size_t i = 0; i < KEY_LEN; i++) {
		int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return ERR_BAD_FORMAT;
		key.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret_server = key;
	return 0;
}
