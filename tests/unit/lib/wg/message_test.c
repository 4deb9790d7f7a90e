/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/message.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"

// Every length of each type, at the end of a buffer of that size so that a sanitizer sees
// overreads.
static void
every_length(void)
{
	static const size_t exact[] = { 0, 148, 92, 64 };
	uint8_t buf[256];

	for (uint32_t type = 0; type < 7; type++) {
		int wrong = 0;

		for (size_t len = 0; len <= 200; len++) {
			uint8_t *p = buf + sizeof(buf) - len;
			enum wg_message_type wanted = WG_MESSAGE_INVALID;

			memset(buf, 0, sizeof(buf));
			if (len > 0)
				p[0] = (uint8_t)type;
			if (type >= 1 && type <= 3 && len == exact[type])
				wanted = (enum wg_message_type)type;
			if (type == 4 && len >= 32)
				wanted = WG_MESSAGE_TRANSPORT_DATA;
			wrong += wg_message_type(p, len) != wanted;
		}
		tap_ok(wrong == 0, "type %u is taken at its length only", type);
	}
	tap_int(wg_message_type(NULL, 0), WG_MESSAGE_INVALID, "nothing at all is no message");
}

static void
reserved_bytes(void)
{
	uint8_t buf[148] = { 1 };

	for (int i = 1; i < 4; i++) {
		buf[i] = 0x80;
		tap_ok(wg_message_type(buf, sizeof(buf)) == WG_MESSAGE_INVALID,
			"reserved byte %d must be zero", i);
		buf[i] = 0;
	}
}

static void
fields(void)
{
	uint8_t buf[92] = { 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	tap_int(wg_message_sender_index(buf), 0x04030201, "sender index of a response");
	tap_int(wg_message_receiver_index(buf), 0x08070605, "receiver index of a response");
	buf[0] = 3;
	tap_int(wg_message_receiver_index(buf), 0x04030201, "receiver index of a cookie reply");
	wg_transport_header_write(buf, 0xfeedc0de, UINT64_C(0x0102030405060708));
	tap_bytes(buf, "\x04\0\0\0\xde\xc0\xed\xfe\x08\x07\x06\x05\x04\x03\x02\x01", 16,
		"header of transport data");
	tap_int((long long)wg_message_receiver_index(buf), 0xfeedc0de, "its receiver index");
	tap_int((long long)wg_message_counter(buf), 0x0102030405060708, "its counter");
}

static const struct {
	const char *what;
	uint32_t len, mtu, padded;
} paddings[] = {
	{ "a keepalive stays empty", 0, 1420, 0 },
	{ "one byte becomes 16", 1, 1420, 16 },
	{ "16 stay", 16, 1420, 16 },
	{ "17 become 32", 17, 1420, 32 },
	{ "1265 reach an MTU of 1280", 1265, 1280, 1280 },
	{ "1280 stay", 1280, 1280, 1280 },
	{ "not beyond an MTU that is no multiple", 1409, 1420, 1420 },
	{ "nor at it", 1420, 1420, 1420 },
	{ "a packet above the MTU is not cut", 1421, 1420, 1421 },
	{ "MTU 0: no padding", 5, 0, 5 },
	{ "the largest", 65535, 65535, 65535 },
};

static void
padding(void)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(paddings) / sizeof(paddings[0]); i++)
		tap_int(wg_padded_len(paddings[i].len, paddings[i].mtu), paddings[i].padded,
			paddings[i].what);
	for (uint32_t len = 0; len <= 1500; len++) {
		uint32_t padded = wg_padded_len(len, 1420);

		wrong += padded < len || (padded % 16 != 0 && padded != 1420 && len <= 1420) ||
		         (len <= 1420 && padded > 1420) || padded >= len + 16;
	}
	tap_int(wrong, 0, "every length up to 1500 is padded to 16 or to the MTU");
}

int
main(void)
{
	every_length();
	reserved_bytes();
	fields();
	padding();
	return tap_done();
}
