/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/cut_fragments.h"

#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

static const struct {
	const char *what;
	uint32_t payload_len, mtu;
	uint16_t flags; /* of the whole, and its offset */
	uint8_t options[8];
	uint32_t n; /* fragments */
	uint8_t later_options[8];
	uint32_t later_header_len;
} rows[] = {
	{ "it fits", 100, 120, 0, {}, 1, {}, 0 },
	{ "one byte too long", 101, 120, 0, {}, 2, {}, 20 },
	{ "three pieces", 2000, 1000, 0, {}, 3, {}, 20 },
	{ "an MTU that leaves a remainder of eight", 1400, 1279, 0, {}, 2, {}, 20 },
	{ "the least MTU", 500, 68, 0, {}, 11, {}, 20 },
	{ "less than the least MTU", 500, 67, 0, {}, 0, {}, 0 },
	{ "don't fragment", 1400, 1280, IPV4_DONT_FRAGMENT, {}, 0, {}, 0 },
	{ "don't fragment, but it fits", 1200, 1280, IPV4_DONT_FRAGMENT, {}, 1, {}, 0 },
	{ "a first fragment is cut further", 1400, 700, IPV4_MORE_FRAGMENTS, {}, 3, {}, 20 },
	{ "a last fragment is cut further", 1400, 700, 100, {}, 3, {}, 20 },
	{ "beyond the end of all datagrams", 1400, 700, 8100, {}, 0, {}, 0 },
	{ "an option for all fragments", 1000, 600, 0, { 0x82, 3, 1, 0 }, 2, { 0x82, 3, 1, 0 },
		24 },
	{ "an option for the first only", 1000, 600, 0, { 0x44, 4, 1, 0 }, 2, {}, 20 },
	{ "one of each", 1000, 600, 0, { 0x44, 4, 1, 0, 0x82, 3, 1, 0 }, 2, { 0x82, 3, 1, 0 }, 24 },
	{ "an option that runs past the header", 1000, 600, 0, { 0x82, 9, 1, 0 }, 2, {}, 20 },
	{ "an option of length 0", 1000, 600, 0, { 0x82, 0, 1, 0 }, 2, {}, 20 },
};

static void
build(size_t row, struct packet *k)
{
	uint32_t options_len = rows[row].options[0] == 0 ? 0 : rows[row].options[4] == 0 ? 4 : 8;

	packet_begin(
		k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, options_len + rows[row].payload_len);
	k->bytes[0] = (uint8_t)(0x45 + options_len / 4);
	memcpy(k->bytes + 20, rows[row].options, options_len);
	for (uint32_t i = 0; i < rows[row].payload_len; i++)
		k->bytes[20 + options_len + i] = (uint8_t)(i * 31 + i / 256);
	store_be16(k->bytes + 6, rows[row].flags);
	checksum_fill_ipv4(k->bytes, 20 + options_len);
	if (!packet_parse(k))
		abort();
}

// Put together again, whatever the order.
static bool
is_the_whole(const struct packet *k, size_t row)
{
	uint8_t data[65536], piece[2048];
	uint32_t first = ip_fragment_offset(&k->view), end = 0;
	bool has_last = false, sound = true;

	for (uint32_t i = rows[row].n; i-- > 0;) {
		uint32_t len =
			cut_fragment(k->bytes, &k->view, rows[row].mtu, i, piece, sizeof(piece));
		struct ip_view v;

		if (!ip_parse(piece, len, &v) || v.total_len != len || len > rows[row].mtu)
			return false;
		sound &= checksum_is_valid_ipv4(piece, v.header_len) &&
		         load_be16(piece + 4) == load_be16(k->bytes + 4);
		memcpy(data + ip_fragment_offset(&v) - first, piece + v.header_len,
			len - v.header_len);
		if (ip_fragment_offset(&v) - first + len - v.header_len > end)
			end = ip_fragment_offset(&v) - first + len - v.header_len;
		has_last |= (v.fragment & IPV4_MORE_FRAGMENTS) == 0;
		if (i > 0 && rows[row].n > 1)
			sound &= v.header_len == rows[row].later_header_len &&
			         memcmp(piece + 20, rows[row].later_options, v.header_len - 20U) ==
			                 0;
		else
			sound &= v.header_len == k->view.header_len;
	}
	return sound && end == rows[row].payload_len &&
	       has_last == ((k->view.fragment & IPV4_MORE_FRAGMENTS) == 0) &&
	       memcmp(data, k->bytes + k->view.header_len, end) == 0;
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t piece[2048];
		struct packet k;

		build(i, &k);
		tap_int(cut_fragments_count(&k.view, rows[i].mtu), rows[i].n, rows[i].what);
		if (rows[i].n > 0)
			tap_ok(is_the_whole(&k, i), "%s: the pieces are the whole", rows[i].what);
		tap_int(cut_fragment(
				k.bytes, &k.view, rows[i].mtu, rows[i].n, piece, sizeof(piece)),
			0, "there is none beyond the last");
	}
}

static void
test_room(void)
{
	uint8_t piece[2048];
	struct packet k;

	packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, 1000);
	tap_int(cut_fragment(k.bytes, &k.view, 500, 0, piece, 499), 0, "no room for a piece");
	tap_int(cut_fragment(k.bytes, &k.view, 500, 0, piece, 500), 500, "just enough");
	packet_begin(&k, "fd00::1", "fd00::2", IP_PROTOCOL_UDP, 1000);
	tap_int(cut_fragments_count(&k.view, 1280), 1, "IPv6 that fits");
	tap_int(cut_fragments_count(&k.view, 1039), 0, "IPv6 is never cut");
}

int
main(void)
{
	test_rows();
	test_room();
	return tap_done();
}
